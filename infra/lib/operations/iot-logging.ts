import { Stack, Validations } from 'aws-cdk-lib';
import { PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { CfnLogging } from 'aws-cdk-lib/aws-iot';
import { Construct } from 'constructs';

/** The group that AWS IoT creates and writes to (dg/cwl-format). */
export const IOT_LOG_GROUP = 'AWSIotLogsV2';
/** The failed authentications. AWS IoT does not log them unless they have a level of their own (dg/cwl-format). */
const OPT_IN_EVENT = 'Connection.AuthNError';

/** AWS IoT's own log. There is one for each account and region, so this applies to all users of it. */
export class IotLogging extends Construct {
  constructor(scope: Construct, id: string, level: string) {
    super(scope, id);
    const { account, partition, region } = Stack.of(this);
    const conditions = { StringEquals: { 'aws:SourceAccount': account } };
    const role = new Role(this, 'Role', {
      assumedBy: new ServicePrincipal('iot.amazonaws.com', { conditions }),
    });
    const group = `arn:${partition}:logs:${region}:${account}:log-group:${IOT_LOG_GROUP}`;
    // dg/configure-logging names these. AWS IoT creates the group, so nothing here sets its retention.
    const actions = [
      'CreateLogGroup',
      'CreateLogStream',
      'PutLogEvents',
      'PutMetricFilter',
      'PutRetentionPolicy',
    ];
    role.addToPolicy(
      new PolicyStatement({ actions: actions.map((it) => `logs:${it}`), resources: [group, `${group}:*`] }),
    );
    Validations.of(role).acknowledge({
      id: `AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:logs:${region}:<AWS::AccountId>:log-group:${IOT_LOG_GROUP}:*]`,
      reason: 'the streams of the one group that AWS IoT writes to; AWS IoT chooses their names',
    });
    const logging = new CfnLogging(this, 'Logging', {
      accountId: account,
      defaultLogLevel: level,
      eventConfigurations: [{ eventType: OPT_IN_EVENT, logLevel: level }],
      roleArn: role.roleArn,
    });
    logging.node.addDependency(role);
  }
}
