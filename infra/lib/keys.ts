import { RemovalPolicy, Stack } from 'aws-cdk-lib';
import { IGrantable, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { IKey, Key } from 'aws-cdk-lib/aws-kms';
import { Construct } from 'constructs';

/** The encryption context of the keyring; the function uses the same (`authorizer/src/keyring_source/kms.rs`). */
export const KEYRING_CONTEXT = { name: 'latchkey', value: 'keyring' } as const;

/** A customer managed key, which KMS rotates every year; older data stays readable. */
export function customerKey(scope: Construct, id: string, alias: string, what: string, keep: boolean): Key {
  return new Key(scope, id, {
    alias,
    description: what,
    enableKeyRotation: true,
    removalPolicy: keep ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY,
  });
}

/** Lets a function decrypt the keyring, and nothing else that the key encrypted. */
export function grantKeyring(key: IKey, grantee: IGrantable): void {
  const { name, value } = KEYRING_CONTEXT;
  grantee.grantPrincipal.addToPrincipalPolicy(
    new PolicyStatement({
      actions: ['kms:Decrypt'],
      resources: [key.keyArn],
      conditions: { StringEquals: { [`kms:EncryptionContext:${name}`]: value } },
    }),
  );
}

/** Allows the use of a key by one service of this region, and by no other. */
export function useThrough(
  scope: Construct,
  service: string,
  key: IKey,
  actions: readonly string[],
): PolicyStatement {
  const { region, urlSuffix } = Stack.of(scope);
  return new PolicyStatement({
    actions: [...actions],
    resources: [key.keyArn],
    conditions: { StringEquals: { 'kms:ViaService': `${service}.${region}.${urlSuffix}` } },
  });
}
