import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { CustomResource, Duration, RemovalPolicy, Validations } from 'aws-cdk-lib';
import { PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { CfnAuthorizer } from 'aws-cdk-lib/aws-iot';
import { Code, Function, Runtime } from 'aws-cdk-lib/aws-lambda';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';

/**
 * Makes an authorizer the default of the account and region: the one for clients that name none.
 *
 * CloudFormation has no resource for it, so a function sets it. The deploy fails if another authorizer is the default.
 */
export class DefaultAuthorizer extends Construct {
  constructor(scope: Construct, id: string, authorizer: CfnAuthorizer) {
    super(scope, id);
    const logGroup = new LogGroup(this, 'Log', {
      retention: RetentionDays.ONE_WEEK,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const role = new Role(this, 'Role', { assumedBy: new ServicePrincipal('lambda.amazonaws.com') });
    logGroup.grantWrite(role);
    role.addToPolicy(
      new PolicyStatement({ actions: ['iot:SetDefaultAuthorizer'], resources: [authorizer.attrArn] }),
    );
    role.addToPolicy(
      new PolicyStatement({
        actions: ['iot:ClearDefaultAuthorizer', 'iot:DescribeDefaultAuthorizer'],
        resources: ['*'],
      }),
    );
    Validations.of(role).acknowledge({
      id: 'AwsSolutions-IAM5[Resource::*]',
      reason: 'iot:ClearDefaultAuthorizer and iot:DescribeDefaultAuthorizer accept no resource',
    });
    const setter = new Function(this, 'Function', {
      description: 'makes an authorizer the default of the account and region',
      runtime: Runtime.NODEJS_24_X,
      handler: 'index.handler',
      code: Code.fromInline(readFileSync(join(__dirname, 'default-authorizer-handler.js'), 'utf8')),
      timeout: Duration.seconds(30),
      role,
      logGroup,
    });
    const resource = new CustomResource(this, 'Resource', {
      resourceType: 'Custom::IotDefaultAuthorizer',
      serviceToken: setter.functionArn,
      serviceTimeout: Duration.minutes(2),
      properties: { AuthorizerName: authorizer.ref },
    });
    resource.node.addDependency(role);
  }
}
