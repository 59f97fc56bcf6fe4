import { RemovalPolicy, Stack } from 'aws-cdk-lib';
import { IGrantable, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { IKey, Key } from 'aws-cdk-lib/aws-kms';
import { Construct } from 'constructs';

/** What the keyring is encrypted for; the function asks for the same (`authorizer/src/keyring_source/kms.rs`). */
export const KEYRING_CONTEXT = { name: 'latchkey', value: 'keyring' } as const;

/** A key of one's own, which KMS renews every year; what it encrypted stays readable. */
export function customerKey(scope: Construct, id: string, alias: string, what: string, keep: boolean): Key {
  return new Key(scope, id, {
    alias,
    description: what,
    enableKeyRotation: true,
    removalPolicy: keep ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY,
  });
}

/** Lets a function open the keyring, and nothing else that the key may have encrypted. */
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

/** The use of a key for what one service of this region keeps under it, and for nothing else. */
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
