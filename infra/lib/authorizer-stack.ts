import { CfnOutput, Stack, StackProps } from 'aws-cdk-lib';
import { Architecture } from 'aws-cdk-lib/aws-lambda';
import { Construct } from 'constructs';

import { UsernamePasswordAuthorizer } from './authorizer';
import { AuthorizerCode } from './code';
import { AuthorizerDomain } from './domain';
import { Endpoint } from './endpoint';
import { FleetStack } from './fleet-stack';
import { Alarms } from './operations/alarms';
import { createDashboard } from './operations/dashboard';
import { IotLogging } from './operations/iot-logging';
import { saveQueries } from './operations/queries';
import { Readings } from './readings';
import { Settings } from './settings';

export interface AuthorizerStackProps extends StackProps {
  readonly settings: Settings;
  readonly fleet: FleetStack;
  /** Where the function comes from, unless the settings name a bundle. */
  readonly workspace: string;
}

/** The authorizer, its domain, what becomes of readings, and what watches it all. */
export class AuthorizerStack extends Stack {
  private readonly settings: Settings;
  private readonly fleet: FleetStack;
  private readonly name: string;

  constructor(scope: Construct, id: string, props: AuthorizerStackProps) {
    super(scope, id, props);
    this.settings = props.settings;
    this.fleet = props.fleet;
    this.name = `latchkey-${props.settings.stage}`;
    const authorizer = this.createAuthorizer(props.workspace);
    const domain = this.createDomain(authorizer);
    const readings = this.createReadings();
    this.addOperations(authorizer, readings);
    this.addOutputs(authorizer, new Endpoint(this, 'Endpoint', domain?.configuration), readings);
  }

  private createAuthorizer(workspace: string): UsernamePasswordAuthorizer {
    const { function: settings, authorizer, vendorSecrets } = this.settings;
    const keyring = vendorSecrets?.keyring;
    const key = this.fleet.keyringKey;
    const code: AuthorizerCode = settings.bundle ? { bundle: settings.bundle.path } : { workspace };
    return new UsernamePasswordAuthorizer(this, 'Authorizer', {
      authorizerName: authorizer.name,
      code,
      store: this.fleet.records,
      architecture: settings.architecture === 'arm64' ? Architecture.ARM_64 : Architecture.X86_64,
      memorySize: settings.memoryMb,
      reservedConcurrentExecutions: settings.reservedConcurrency,
      logRetention: settings.logRetentionDays,
      metricsNamespace: `latchkey/${this.settings.stage}`,
      environment: settings.variables,
      grants: settings.grants,
      keyring: keyring !== undefined && key !== undefined ? { path: keyring, key } : undefined,
      signing: authorizer.signing,
      cacheHttp: authorizer.cacheHttp,
    });
  }

  private createDomain({ authorizer }: UsernamePasswordAuthorizer): AuthorizerDomain | undefined {
    const { domain } = this.settings;
    if (domain === undefined) {
      return undefined;
    }
    const { name: domainName, certificateArn } = domain;
    const custom = domainName && certificateArn ? { domainName, certificateArn } : undefined;
    return new AuthorizerDomain(this, 'Domain', { name: this.name, authorizerName: authorizer.ref, custom });
  }

  private createReadings(): Readings {
    const { stage, keepData, readings, function: settings } = this.settings;
    const table = { tableName: `${this.name}-readings`, key: this.fleet.storageKey, keepData };
    const name = `latchkey_${stage}`;
    return new Readings(this, 'Readings', {
      name,
      logRetention: settings.logRetentionDays,
      table: readings.table ? table : undefined,
    });
  }

  private addOperations(authorizer: UsernamePasswordAuthorizer, readings: Readings): void {
    const { name } = this;
    const { alarms, iotLogging } = this.settings;
    const watched = { name, function: authorizer.function, metricsNamespace: authorizer.metricsNamespace };
    new Alarms(this, 'Alarms', { ...watched, ...alarms, errors: readings.errors });
    createDashboard(this, 'Dashboard', { ...watched, readingsNamespace: readings.namespace });
    saveQueries(this, 'Queries', name, authorizer.logGroup);
    if (iotLogging !== undefined) {
      new IotLogging(this, 'IotLogging', iotLogging);
    }
  }

  /** What `cdk-outputs.json` holds; docs/deploy.md lists them, and programs read them by these names. */
  private addOutputs(authorizer: UsernamePasswordAuthorizer, endpoint: Endpoint, readings: Readings): void {
    const { records, things, storageKey, keyringKey } = this.fleet;
    const outputs: Record<string, string | undefined> = {
      Stage: this.settings.stage,
      Region: this.region,
      Account: this.account,
      Endpoint: endpoint.address,
      AuthorizerName: authorizer.authorizerName,
      FunctionName: authorizer.function.functionName,
      LogGroupName: authorizer.logGroup.logGroupName,
      TableName: 'table' in records ? records.table.tableName : undefined,
      SecretArn: 'secret' in records ? records.secret.secretArn : undefined,
      StorageKeyArn: storageKey.keyArn,
      KeyringKeyArn: keyringKey?.keyArn,
      ThingTypeName: things.thingType.ref,
      ThingGroupName: things.thingGroup.ref,
      Sht20PolicyName: things.policy.ref,
      ReadingsTableName: readings.table?.tableName,
    };
    const parent = new Construct(this, 'Outputs');
    for (const [name, value] of Object.entries(outputs)) {
      if (value !== undefined) {
        new CfnOutput(parent, name, { value }).overrideLogicalId(name);
      }
    }
  }
}
