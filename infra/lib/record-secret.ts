import { RemovalPolicy, SecretValue } from 'aws-cdk-lib';
import { Grant, IGrantable } from 'aws-cdk-lib/aws-iam';
import { IKey } from 'aws-cdk-lib/aws-kms';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';

import { useThrough } from './keys';
import { acknowledge } from './nag';
import { RecordStore } from './store';

/** A records file that nobody is in: hashes come later, by `aws secretsmanager put-secret-value`. */
const EMPTY = '{"version":1,"devices":{}}';

export interface RecordSecretProps {
  readonly secretName: string;
  readonly key: IKey;
  /** Whether the secret outlives the stack. */
  readonly keepData: boolean;
}

/** Records as one secret of Secrets Manager, for a small fleet. */
export class RecordSecret extends Construct implements RecordStore {
  readonly secret: Secret;
  readonly location: string;

  constructor(
    scope: Construct,
    id: string,
    private readonly props: RecordSecretProps,
  ) {
    super(scope, id);
    this.secret = new Secret(this, 'Secret', {
      secretName: props.secretName,
      encryptionKey: props.key,
      // Nothing secret stands in the template, and CloudFormation leaves later values alone while this stays as it is.
      secretStringValue: SecretValue.unsafePlainText(EMPTY),
      removalPolicy: props.keepData ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY,
    });
    this.location = `secretsmanager:${this.secret.secretArn}`;
    const reason =
      'it holds device records, which change when devices do; a credential is rotated device by device';
    acknowledge(this.secret, { 'AwsSolutions-SMG4': reason });
  }

  grantRead(grantee: IGrantable): void {
    Grant.addToPrincipal({
      grantee,
      actions: ['secretsmanager:GetSecretValue'],
      resourceArns: [this.secret.secretArn],
    });
    grantee.grantPrincipal.addToPrincipalPolicy(
      useThrough(this, 'secretsmanager', this.props.key, ['kms:Decrypt']),
    );
  }
}
