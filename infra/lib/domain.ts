import { CfnDomainConfiguration } from 'aws-cdk-lib/aws-iot';
import { Construct } from 'constructs';

export interface AuthorizerDomainProps {
  readonly name: string;
  readonly authorizerName: string;
  /** A domain of one's own and its certificate of ACM, in this region; without them AWS gives the domain a name. */
  readonly custom?: { readonly domainName: string; readonly certificateArn: string };
}

/**
 * A domain on which each client is asked for a user name and a password, by this authorizer and no other, without
 * the authorizer's name in the user name and, by the reading of AWS's documents, without ALPN *(unverified)*.
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
