import { RemovalPolicy } from 'aws-cdk-lib';
import { PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { AwsCustomResource, AwsCustomResourcePolicy, PhysicalResourceId } from 'aws-cdk-lib/custom-resources';
import { CfnDomainConfiguration } from 'aws-cdk-lib/aws-iot';
import { Construct } from 'constructs';

import { acknowledge } from './nag';

/** What is asked, and where in the answer the name stands. */
interface Question {
  readonly action: string;
  readonly parameters: object;
  readonly path: string;
  readonly permission: PolicyStatement;
}

/**
 * The name that devices connect to: that of a domain configuration, or else the account's own in this region.
 *
 * CloudFormation knows neither, so a function of CDK's asks AWS IoT when the stack is made.
 */
export class Endpoint extends Construct {
  readonly address: string;

  constructor(scope: Construct, id: string, domain?: CfnDomainConfiguration) {
    super(scope, id);
    const { action, parameters, path, permission } = domain ? ofDomain(domain) : ofAccount();
    const logGroup = new LogGroup(this, 'Log', {
      retention: RetentionDays.ONE_WEEK,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const role = this.createRole(logGroup);
    const physicalResourceId = PhysicalResourceId.of('endpoint');
    const resource = new AwsCustomResource(this, 'Describe', {
      resourceType: 'Custom::IotEndpoint',
      onUpdate: { service: 'Iot', action, parameters, physicalResourceId, outputPaths: [path] },
      role,
      logGroup,
      installLatestAwsSdk: false,
      policy: AwsCustomResourcePolicy.fromStatements([permission]),
    });
    this.address = resource.getResponseField(path);
    if (permission.resources.includes('*')) {
      const reason =
        'iot:DescribeEndpoint takes no resource, and tells what every device of the account knows';
      acknowledge(resource, { 'AwsSolutions-IAM5[Resource::*]': reason });
    }
  }

  /** Its own, because CDK's would get a managed policy that opens every log of the account. */
  private createRole(logGroup: LogGroup): Role {
    const role = new Role(this, 'Role', { assumedBy: new ServicePrincipal('lambda.amazonaws.com') });
    logGroup.grantWrite(role);
    return role;
  }
}

function ofAccount(): Question {
  const permission = new PolicyStatement({ actions: ['iot:DescribeEndpoint'], resources: ['*'] });
  const parameters = { endpointType: 'iot:Data-ATS' };
  return { action: 'DescribeEndpoint', parameters, path: 'endpointAddress', permission };
}

function ofDomain(domain: CfnDomainConfiguration): Question {
  const permission = new PolicyStatement({
    actions: ['iot:DescribeDomainConfiguration'],
    resources: [domain.attrArn],
  });
  const parameters = { domainConfigurationName: domain.ref };
  return { action: 'DescribeDomainConfiguration', parameters, path: 'domainName', permission };
}
