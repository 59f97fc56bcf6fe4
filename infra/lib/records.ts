import { RemovalPolicy, SecretValue, Validations } from 'aws-cdk-lib';
import { AttributeType, BillingMode, Table, TableEncryption } from 'aws-cdk-lib/aws-dynamodb';
import { Grant, IGrantable } from 'aws-cdk-lib/aws-iam';
import { IKey } from 'aws-cdk-lib/aws-kms';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';

import { LAYER_FOLDER } from './code';
import { indexedFileDigest } from './indexed-file';
import { useThrough } from './keys';

/** A store of the authorizer's records. */
export interface RecordStore {
  /** The value of `LATCHKEY_STORE`. */
  readonly location: string;
  /** Other variables of the function. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Files in the function's layer: their names there, with the paths of the files to copy. */
  readonly files?: Readonly<Record<string, string>>;
  /** Lets the authorizer read records, and do nothing else. */
  grantRead(grantee: IGrantable): void;
}

/** The key and the time to live of docs/stores.md. */
export const KEY = 'device';
export const TTL = 'ttl';

export interface RecordTableProps {
  readonly tableName: string;
  readonly key: IKey;
  /** Whether the table survives the stack, and can't be deleted. */
  readonly keepData: boolean;
}

/** Records in DynamoDB, one item for each device. */
export class RecordTable extends Construct implements RecordStore {
  readonly table: Table;
  readonly location: string;

  constructor(
    scope: Construct,
    id: string,
    private readonly props: RecordTableProps,
  ) {
    super(scope, id);
    this.table = new Table(this, 'Table', {
      tableName: props.tableName,
      partitionKey: { name: KEY, type: AttributeType.STRING },
      billingMode: BillingMode.PAY_PER_REQUEST,
      encryption: TableEncryption.CUSTOMER_MANAGED,
      encryptionKey: props.key,
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
      timeToLiveAttribute: TTL,
      deletionProtection: props.keepData,
      removalPolicy: props.keepData ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY,
    });
    this.location = `dynamodb:${this.table.tableName}`;
  }

  grantRead(grantee: IGrantable): void {
    Grant.addToPrincipal({ grantee, actions: ['dynamodb:GetItem'], resourceArns: [this.table.tableArn] });
    grantee.grantPrincipal.addToPrincipalPolicy(
      useThrough(this, 'dynamodb', this.props.key, ['kms:Decrypt']),
    );
  }
}

const INDEXED_FILE = 'devices.indexed';

/** Records in an indexed file of `latchkey fleet build`, next to the program. The function uses no other file. */
export class RecordFile extends Construct implements RecordStore {
  readonly location = `indexed:${LAYER_FOLDER}/${INDEXED_FILE}`;
  readonly environment: Readonly<Record<string, string>>;
  readonly files: Readonly<Record<string, string>>;

  constructor(scope: Construct, id: string, path: string) {
    super(scope, id);
    const digest = indexedFileDigest(path);
    if (digest === undefined) {
      throw new Error(`\`${path}\` is not an indexed file, which \`latchkey fleet build\` makes`);
    }
    this.environment = { LATCHKEY_STORE_DIGEST: digest };
    this.files = { [INDEXED_FILE]: path };
  }

  /** The function reads its own files. */
  grantRead(): void {
    // No permission is needed.
  }
}

/** A records file without devices: they are added later, with `aws secretsmanager put-secret-value`. */
const EMPTY = '{"version":1,"devices":{}}';

export interface RecordSecretProps {
  readonly secretName: string;
  readonly key: IKey;
  /** Whether the secret survives the stack. */
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
      // The template contains no secret, and CloudFormation keeps later values as long as this text does not change.
      secretStringValue: SecretValue.unsafePlainText(EMPTY),
      removalPolicy: props.keepData ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY,
    });
    this.location = `secretsmanager:${this.secret.secretArn}`;
    Validations.of(this.secret).acknowledge({
      id: 'AwsSolutions-SMG4',
      reason:
        'it contains device records, which change with the devices; credentials are rotated for each device',
    });
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
