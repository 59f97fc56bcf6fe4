import { RemovalPolicy, Validations } from 'aws-cdk-lib';
import { PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { CfnDomainConfiguration } from 'aws-cdk-lib/aws-iot';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { AwsCustomResource, AwsCustomResourcePolicy, PhysicalResourceId } from 'aws-cdk-lib/custom-resources';
import { Construct } from 'constructs';

export interface AuthorizerDomainProps {
  readonly name: string;
  readonly authorizerName: string;
  /** Your own domain and its certificate of ACM, in this region; without them AWS gives the domain a name. */
  readonly custom?: { readonly domainName: string; readonly certificateArn: string };
}

/**
 * A domain whose clients authenticate with user name and password at this authorizer only. They don't need the
 * authorizer's name in the user name, nor, as AWS's documents can be read, ALPN *(unverified)*.
 */
export class AuthorizerDomain extends Construct {
  readonly configuration: CfnDomainConfiguration;

  constructor(scope: Construct, id: string, { name, authorizerName, custom }: AuthorizerDomainProps) {
    super(scope, id);
    this.configuration = new CfnDomainConfiguration(this, 'Configuration', {
      domainConfigurationName: name,
      serviceType: 'DATA',
      authenticationType: 'CUSTOM_AUTH',
      applicationProtocol: 'SECURE_MQTT',
      authorizerConfig: { defaultAuthorizerName: authorizerName, allowAuthorizerOverride: false },
      domainName: custom?.domainName,
      serverCertificateArns: custom && [custom.certificateArn],
    });
  }
}

/** A call of AWS IoT, and the path of the endpoint's name in its answer. */
interface DescribeCall {
  readonly action: string;
  readonly parameters: object;
  readonly path: string;
  readonly permission: PolicyStatement;
}

/**
 * The name that devices connect to: the domain configuration's, or without one the account's in this region.
 *
 * CloudFormation knows neither, so a function of CDK's asks AWS IoT when the stack is created.
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
      Validations.of(resource).acknowledge({
        id: 'AwsSolutions-IAM5[Resource::*]',
        reason:
          'iot:DescribeEndpoint accepts no resource, and returns a name that every device of the account knows',
      });
    }
  }

  /** A role of its own, because CDK's would have a managed policy for every log of the account. */
  private createRole(logGroup: LogGroup): Role {
    const role = new Role(this, 'Role', { assumedBy: new ServicePrincipal('lambda.amazonaws.com') });
    logGroup.grantWrite(role);
    return role;
  }
}

function ofAccount(): DescribeCall {
  const permission = new PolicyStatement({ actions: ['iot:DescribeEndpoint'], resources: ['*'] });
  const parameters = { endpointType: 'iot:Data-ATS' };
  return { action: 'DescribeEndpoint', parameters, path: 'endpointAddress', permission };
}

function ofDomain(domain: CfnDomainConfiguration): DescribeCall {
  const permission = new PolicyStatement({
    actions: ['iot:DescribeDomainConfiguration'],
    resources: [domain.attrArn],
  });
  const parameters = { domainConfigurationName: domain.ref };
  return { action: 'DescribeDomainConfiguration', parameters, path: 'domainName', permission };
}
