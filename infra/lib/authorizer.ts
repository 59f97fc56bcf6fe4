import { Duration, RemovalPolicy, Stack, Validations } from 'aws-cdk-lib';
import { PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { CfnAuthorizer } from 'aws-cdk-lib/aws-iot';
import { IKey } from 'aws-cdk-lib/aws-kms';
import { Architecture, Function, LayerVersion } from 'aws-cdk-lib/aws-lambda';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';

import { AuthorizerCode, createFunction, filesLayer, LAYER_FOLDER } from './code';
import { grantKeyring } from './keys';
import { RecordStore } from './records';

export interface UsernamePasswordAuthorizerProps {
  /** The name that devices and domain configurations use; the function has this name too. */
  readonly authorizerName: string;
  readonly code: AuthorizerCode;
  readonly store: RecordStore;
  /** @default ARM_64 */
  readonly architecture?: Architecture;
  /** In MB; docs/records.md says how long a password check takes. @default 512 */
  readonly memorySize?: number;
  /** How many instances may run at a time; Lambda reserves them. @default the account's limit */
  readonly reservedConcurrentExecutions?: number;
  /** @default ONE_MONTH */
  readonly logRetention?: RetentionDays;
  /** The namespace of the metrics in CloudWatch. @default the authorizer's name */
  readonly metricsNamespace?: string;
  /** Settings of docs/authorizer.md and docs/stores.md that have no property here. */
  readonly environment?: Readonly<Record<string, string>>;
  /** The path of a records file without devices, with grants for a table besides the built-in ones. */
  readonly grants?: string;
  /** The path of a keyring for vendors' secrets, and the KMS key that encrypted it. */
  readonly keyring?: { readonly path: string; readonly key: IKey };
  /** Tokens that IoT Core checks before it calls the function. It can't be changed later. @default no signing */
  readonly signing?: { readonly tokenKeyName: string; readonly publicKeys: Readonly<Record<string, string>> };
  /** Whether later HTTPS publishes on a connection use the answer to the first one. @default false */
  readonly cacheHttp?: boolean;
}

/** IoT Core's own limit for an answer (dg/custom-authorizer). */
const TIMEOUT = Duration.seconds(5);

/**
 * A custom authorizer for devices with a user name and a password, with its function, role, log and permission.
 *
 * ```ts
 * const key = new Key(this, 'Key', { enableKeyRotation: true });
 * const store = new RecordTable(this, 'Records', { tableName: 'devices', key, keepData: true });
 * new UsernamePasswordAuthorizer(this, 'Authorizer', { authorizerName: 'latchkey', store, code: { bundle } });
 * ```
 */
export class UsernamePasswordAuthorizer extends Construct {
  readonly function: Function;
  readonly logGroup: LogGroup;
  readonly authorizer: CfnAuthorizer;
  readonly authorizerName: string;
  readonly metricsNamespace: string;

  constructor(scope: Construct, id: string, props: UsernamePasswordAuthorizerProps) {
    super(scope, id);
    this.authorizerName = props.authorizerName;
    this.metricsNamespace = props.metricsNamespace ?? props.authorizerName;
    this.logGroup = new LogGroup(this, 'Log', {
      logGroupName: `/aws/lambda/${props.authorizerName}`,
      retention: props.logRetention ?? RetentionDays.ONE_MONTH,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const role = this.createRole(props);
    this.function = this.createFunction(props, role);
    this.authorizer = this.createAuthorizer(props);
    this.function.addPermission('IotCore', {
      principal: new ServicePrincipal('iot.amazonaws.com'),
      sourceArn: this.authorizer.attrArn,
      sourceAccount: Stack.of(this).account,
    });
  }

  /** It writes its own log and reads records. A managed policy would allow every log of the account. */
  private createRole({ store, keyring }: UsernamePasswordAuthorizerProps): Role {
    const role = new Role(this, 'Role', { assumedBy: new ServicePrincipal('lambda.amazonaws.com') });
    const actions = ['logs:CreateLogStream', 'logs:PutLogEvents'];
    // The ARN ends with `:*`, which are the streams of this group.
    role.addToPolicy(new PolicyStatement({ actions, resources: [this.logGroup.logGroupArn] }));
    store.grantRead(role);
    if (keyring !== undefined) {
      grantKeyring(keyring.key, role);
    }
    return role;
  }

  private createFunction(props: UsernamePasswordAuthorizerProps, role: Role): Function {
    return createFunction(this, 'Function', props.code, {
      functionName: props.authorizerName,
      description: 'decides for IoT Core whether a device may connect, and what it may do',
      architecture: props.architecture ?? Architecture.ARM_64,
      memorySize: props.memorySize ?? 512,
      timeout: TIMEOUT,
      reservedConcurrentExecutions: props.reservedConcurrentExecutions,
      role,
      logGroup: this.logGroup,
      layers: this.createLayers(props),
      environment: this.environment(props),
    });
  }

  private createLayers({ grants, keyring, store }: UsernamePasswordAuthorizerProps): LayerVersion[] {
    const files = {
      ...store.files,
      ...(grants !== undefined && { 'grants.json': grants }),
      ...(keyring !== undefined && { 'keyring.json': keyring.path }),
    };
    return Object.keys(files).length === 0
      ? []
      : [filesLayer(this, 'Files', `${this.authorizerName}-files`, files)];
  }

  private environment(props: UsernamePasswordAuthorizerProps): Record<string, string> {
    return {
      ...props.environment,
      ...props.store.environment,
      LATCHKEY_STORE: props.store.location,
      LATCHKEY_METRICS: this.metricsNamespace,
      // The template has a reference, which CloudFormation resolves when it deploys the function.
      LATCHKEY_DIGEST_KEY: this.createDigestKey().secretValue.unsafeUnwrap(),
      ...(props.grants !== undefined && { LATCHKEY_GRANTS: `file:${LAYER_FOLDER}/grants.json` }),
      ...(props.keyring !== undefined && { LATCHKEY_DATA_KEYS: `kms:${LAYER_FOLDER}/keyring.json` }),
    };
  }

  /** The key of the digests under which the log shows unknown names. It is generated once for the deployment. */
  private createDigestKey(): Secret {
    const secret = new Secret(this, 'DigestKey', {
      secretName: `${this.authorizerName}/digest-key`,
      description: "the key of unknown names' digests in the authorizer's log",
      generateSecretString: { passwordLength: 64, excludePunctuation: true },
      removalPolicy: RemovalPolicy.DESTROY,
    });
    Validations.of(secret).acknowledge({
      id: 'AwsSolutions-SMG4',
      reason:
        'it opens nothing: with another key the digests of one name before and after could not be compared',
    });
    return secret;
  }

  private createAuthorizer({ signing, cacheHttp }: UsernamePasswordAuthorizerProps): CfnAuthorizer {
    return new CfnAuthorizer(this, 'Authorizer', {
      authorizerName: this.authorizerName,
      authorizerFunctionArn: this.function.functionArn,
      status: 'ACTIVE',
      enableCachingForHttp: cacheHttp ?? false,
      signingDisabled: signing === undefined,
      tokenKeyName: signing?.tokenKeyName,
      tokenSigningPublicKeys: signing?.publicKeys,
    });
  }
}
