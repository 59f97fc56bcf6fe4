import { RemovalPolicy } from 'aws-cdk-lib';
import { AttributeType, BillingMode, Table, TableEncryption } from 'aws-cdk-lib/aws-dynamodb';
import { Grant, IGrantable } from 'aws-cdk-lib/aws-iam';
import { IKey } from 'aws-cdk-lib/aws-kms';
import { Construct } from 'constructs';

import { useThrough } from './keys';
import { RecordStore } from './store';

/** The key and the time to live of docs/stores.md. */
export const KEY = 'device';
export const TTL = 'ttl';

export interface RecordTableProps {
  readonly tableName: string;
  readonly key: IKey;
  /** Whether the table outlives the stack, and can't be deleted while this is so. */
  readonly keepData: boolean;
}

/** Records in DynamoDB, an item a device. */
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
