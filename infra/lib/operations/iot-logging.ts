import { Stack } from 'aws-cdk-lib';
import { PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { CfnLogging } from 'aws-cdk-lib/aws-iot';
import { Construct } from 'constructs';

import { acknowledge } from '../nag';

/** The group that AWS IoT writes to (dg/cwl-format); it makes it by itself. */
const GROUP = 'AWSIotLogsV2';

/** AWS IoT's own log. There is one an account and region, so whoever turns it on decides for everybody there. */
export class IotLogging extends Construct {
  constructor(scope: Construct, id: string, level: string) {
    super(scope, id);
    const { account, partition, region } = Stack.of(this);
    const conditions = { StringEquals: { 'aws:SourceAccount': account } };
    const role = new Role(this, 'Role', {
      assumedBy: new ServicePrincipal('iot.amazonaws.com', { conditions }),
    });
    const group = `arn:${partition}:logs:${region}:${account}:log-group:${GROUP}`;
    // dg/configure-logging names these; the group is not ours, so nothing here sets its retention.
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
    const wildcard = `AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:logs:${region}:<AWS::AccountId>:log-group:${GROUP}:*]`;
    acknowledge(role, {
      [wildcard]: 'the streams of the one group that AWS IoT writes to, whose names it makes',
    });
    const logging = new CfnLogging(this, 'Logging', {
      accountId: account,
      defaultLogLevel: level,
      roleArn: role.roleArn,
    });
    logging.node.addDependency(role);
  }
}
