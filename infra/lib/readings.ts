import { RemovalPolicy, Stack, Validations } from 'aws-cdk-lib';
import { AttributeType, BillingMode, Table, TableEncryption } from 'aws-cdk-lib/aws-dynamodb';
import { Grant, PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { CfnTopicRule } from 'aws-cdk-lib/aws-iot';
import { IKey } from 'aws-cdk-lib/aws-kms';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';

import { useThrough } from './keys';
import { QUANTITIES } from './things';

/** The version of the rules' language (dg/iot-rule-sql-version). */
const SQL_VERSION = '2016-03-23';
/**
 * What a reading has to be. A device sends `unit`; CloudWatch has units of its own, and none for degrees. The ranges are
 * those of an SHT20 (`crates/device-core/src/sht20/conversion.rs`).
 */
const ACCEPTED = {
  temperature: { unit: 'Cel', from: -40, to: 125, metricUnit: 'None' },
  humidity: { unit: '%RH', from: 0, to: 100, metricUnit: 'Percent' },
} as const;
/** The largest number of seconds that a device may send as its time: 32 bits, in the year 2106. */
const LAST_SECOND = 4_294_967_295;
/** The decimals that a device sends. More would be cut off: DynamoDB refuses a number of more than 38 digits. */
const VALUE = 'trunc(value, 2)';
/** The attribute with an item's end, in seconds since 1970. */
const TTL = 'expires_at';

type Quantity = (typeof QUANTITIES)[number];

export interface ReadingsProps {
  /** The prefix of the rules' names: letters, digits and `_`. */
  readonly name: string;
  readonly logRetention: RetentionDays;
  /** Stores the readings in this table too. */
  readonly table?: {
    readonly tableName: string;
    readonly key: IKey;
    readonly keepData: boolean;
    /** How many days an item stays. */
    readonly days: number;
  };
}

/** The topic rules for readings: CloudWatch metrics of the whole fleet and, optionally, items in a table. */
export class Readings extends Construct {
  /** The metrics' namespace; each metric has the name of its quantity. */
  readonly namespace: string;
  /** The log of the readings that an action could not store. */
  readonly errors: LogGroup;
  readonly table?: Table;
  private readonly role: Role;

  constructor(scope: Construct, id: string, props: ReadingsProps) {
    super(scope, id);
    this.namespace = `${props.name.replaceAll('_', '/')}/readings`;
    this.role = this.createRole(props.name);
    this.errors = this.createErrorLog(props);
    this.table = props.table && this.createTable(props.table);
    const days = props.table?.days ?? 0;
    QUANTITIES.forEach((quantity) => this.addRule(props.name, quantity, days));
  }

  private createRole(name: string): Role {
    const { account, partition, region } = Stack.of(this);
    // AWS IoT may use it for these rules of this account only (dg/iot-create-role).
    const rules = `arn:${partition}:iot:${region}:${account}:rule/${name}_*`;
    const conditions = {
      StringEquals: { 'aws:SourceAccount': account },
      ArnLike: { 'aws:SourceArn': rules },
    };
    const assumedBy = new ServicePrincipal('iot.amazonaws.com', { conditions });
    const role = new Role(this, 'Role', { assumedBy });
    // PutMetricData accepts no resources; the namespace limits it.
    const namespace = { StringEquals: { 'cloudwatch:namespace': this.namespace } };
    const put = { actions: ['cloudwatch:PutMetricData'], resources: ['*'], conditions: namespace };
    role.addToPolicy(new PolicyStatement(put));
    Validations.of(role).acknowledge({
      id: 'AwsSolutions-IAM5[Resource::*]',
      reason: 'cloudwatch:PutMetricData accepts no resource; the condition limits it to the namespace',
    });
    return role;
  }

  private createErrorLog({ name, logRetention }: ReadingsProps): LogGroup {
    const errors = new LogGroup(this, 'Errors', {
      logGroupName: `/aws/iot/${name.replaceAll('_', '-')}-readings`,
      retention: logRetention,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const actions = ['logs:CreateLogStream', 'logs:DescribeLogStreams', 'logs:PutLogEvents'];
    Grant.addToPrincipal({ grantee: this.role, actions, resourceArns: [errors.logGroupArn] });
    return errors;
  }

  private createTable({ tableName, key, keepData }: NonNullable<ReadingsProps['table']>): Table {
    const table = new Table(this, 'Table', {
      tableName,
      partitionKey: { name: 'series', type: AttributeType.STRING },
      sortKey: { name: 'received_at', type: AttributeType.NUMBER },
      billingMode: BillingMode.PAY_PER_REQUEST,
      encryption: TableEncryption.CUSTOMER_MANAGED,
      encryptionKey: key,
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
      timeToLiveAttribute: TTL,
      deletionProtection: keepData,
      removalPolicy: keepData ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY,
    });
    Grant.addToPrincipal({
      grantee: this.role,
      actions: ['dynamodb:PutItem'],
      resourceArns: [table.tableArn],
    });
    const actions = ['kms:Decrypt', 'kms:Encrypt', 'kms:GenerateDataKey'];
    this.role.addToPolicy(useThrough(this, 'dynamodb', key, actions));
    return table;
  }

  private addRule(name: string, quantity: Quantity, days: number): void {
    const roleArn = this.role.roleArn;
    const cloudwatchMetric = {
      roleArn,
      metricNamespace: this.namespace,
      metricName: quantity,
      metricUnit: ACCEPTED[quantity].metricUnit,
      // It is evaluated on the message, not on what the rule selects (dg/iot-substitution-templates).
      metricValue: `\${${VALUE}}`,
    };
    const item = this.table && { dynamoDBv2: { roleArn, putItem: { tableName: this.table.tableName } } };
    const rule = new CfnTopicRule(this, quantity, {
      ruleName: `${name}_${quantity}`,
      topicRulePayload: {
        description: `the readings of ${quantity}, for CloudWatch${item ? ' and DynamoDB' : ''}`,
        awsIotSqlVersion: SQL_VERSION,
        sql: sql(quantity, days),
        actions: [{ cloudwatchMetric }, ...(item ? [item] : [])],
        errorAction: { cloudwatchLogs: { roleArn, logGroupName: this.errors.logGroupName } },
      },
    });
    // AWS IoT may check at once whether the role allows the actions.
    rule.node.addDependency(this.role);
  }
}

/**
 * The rule's query. It selects a message by the types and the ranges of its fields, and copies no text of a device: an
 * item has numbers, a fixed unit, and the two topic levels that the device's policy names.
 *
 * `series` and `received_at` are the table's key: one device's readings of one quantity, by the time at which AWS IoT
 * received them. The device's own time, `ts`, is an attribute.
 */
function sql(quantity: Quantity, days: number): string {
  const { unit, from, to } = ACCEPTED[quantity];
  const item = [
    `${VALUE} AS value`,
    `'${unit}' AS unit`,
    'ts',
    "concat(topic(2), '/', topic(3)) AS series",
    'timestamp() AS received_at',
    `timestamp() / 1000 + ${days * 86_400} AS ${TTL}`,
  ];
  // A comparison converts a text to a number; `=` with a cast value does not (dg/iot-sql-operators).
  const accepted = [
    `value = cast(value AS Decimal) AND value >= ${from} AND value <= ${to}`,
    `ts = cast(ts AS Int) AND ts >= 0 AND ts <= ${LAST_SECOND}`,
    `unit = '${unit}'`,
  ];
  return `SELECT ${item.join(', ')} FROM 'sensor/+/${quantity}' WHERE ${accepted.join(' AND ')}`;
}
