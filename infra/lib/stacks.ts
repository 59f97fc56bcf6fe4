import { App, CfnOutput, Stack, StackProps, Tags } from 'aws-cdk-lib';
import { ManagedPolicy, PermissionsBoundary } from 'aws-cdk-lib/aws-iam';
import { Key } from 'aws-cdk-lib/aws-kms';
import { Architecture } from 'aws-cdk-lib/aws-lambda';
import { Construct } from 'constructs';

import { UsernamePasswordAuthorizer } from './authorizer';
import { AuthorizerCode } from './code';
import { DefaultAuthorizer } from './default-authorizer';
import { AuthorizerDomain, Endpoint } from './domain';
import { customerKey } from './keys';
import { Alarms } from './operations/alarms';
import { createDashboard } from './operations/dashboard';
import { IOT_LOG_GROUP, IotLogging } from './operations/iot-logging';
import { IOT_QUERIES, QUERIES, saveQueries } from './operations/queries';
import { Readings } from './readings';
import { RecordFile, RecordSecret, RecordTable } from './records';
import { Settings } from './settings';
import { Things } from './things';

/** Adds the two stacks of a stage to an app: `latchkey-STAGE`, and `latchkey-STAGE-fleet`, which it uses. */
export function addStage(app: App, settings: Settings, workspace: string): Stacks {
  const { stage, region, account } = settings;
  const common = { env: { region, account }, terminationProtection: settings.keepData };
  const fleet = new FleetStack(app, `latchkey-${stage}-fleet`, settings, {
    ...common,
    description: 'Latchkey: device records, their keys, and the registry',
  });
  const authorizer = new AuthorizerStack(app, `latchkey-${stage}`, {
    ...common,
    description: 'Latchkey: the authorizer for devices with a user name and a password',
    settings,
    fleet,
    workspace,
  });
  Tags.of(app).add('latchkey:stage', stage);
  return { fleet, authorizer };
}

export interface Stacks {
  readonly fleet: FleetStack;
  readonly authorizer: AuthorizerStack;
}

/** The stack that every version of the authorizer uses: the records, their keys, and the registry. */
export class FleetStack extends Stack {
  /** Encrypts records and readings. */
  readonly storageKey: Key;
  /** Encrypts the keyring that seals vendors' secrets; undefined without such secrets. */
  readonly keyringKey?: Key;
  readonly records: RecordFile | RecordSecret | RecordTable;
  readonly things: Things;

  constructor(scope: Construct, id: string, settings: Settings, props: StackProps) {
    super(scope, id, props);
    const { stage, keepData } = settings;
    const name = `latchkey-${stage}`;
    this.storageKey = customerKey(
      this,
      'StorageKey',
      `alias/${name}`,
      `records and readings of Latchkey, ${stage}`,
      keepData,
    );
    if (settings.vendorSecrets !== undefined) {
      const what = `the keyring of vendors' secrets, ${stage}`;
      this.keyringKey = customerKey(this, 'KeyringKey', `alias/${name}-keyring`, what, keepData);
    }
    this.records = this.createRecords(name, settings);
    this.things = new Things(this, 'Things', { name, ...settings.things });
  }

  private createRecords(
    name: string,
    { records, keepData, function: { indexedFile = '' } }: Settings,
  ): RecordFile | RecordSecret | RecordTable {
    const key = this.storageKey;
    switch (records) {
      case 'table':
        return new RecordTable(this, 'Records', { tableName: `${name}-devices`, key, keepData });
      case 'secret':
        return new RecordSecret(this, 'Records', { secretName: `${name}/devices`, key, keepData });
      case 'indexed':
        return new RecordFile(this, 'Records', indexedFile);
    }
  }
}

export interface AuthorizerStackProps extends StackProps {
  readonly settings: Settings;
  readonly fleet: FleetStack;
  /** The folder of Latchkey's `Cargo.toml`; used if the settings name no bundle. */
  readonly workspace: string;
}

/** The authorizer, its domain, the topic rules for readings, dashboard, alarms and outputs. */
export class AuthorizerStack extends Stack {
  private readonly settings: Settings;
  private readonly fleet: FleetStack;
  private readonly name: string;

  constructor(scope: Construct, id: string, props: AuthorizerStackProps) {
    super(scope, id, props);
    this.settings = props.settings;
    this.fleet = props.fleet;
    this.name = `latchkey-${props.settings.stage}`;
    this.boundRoles();
    const authorizer = this.createAuthorizer(props.workspace);
    if (props.settings.authorizer.default) {
      new DefaultAuthorizer(this, 'DefaultAuthorizer', authorizer.authorizer);
    }
    const domain = this.createDomain(authorizer);
    const readings = this.createReadings();
    this.addOperations(authorizer, readings);
    this.addOutputs(authorizer, new Endpoint(this, 'Endpoint', domain?.configuration), readings);
  }

  /** No role may do more than the boundary, whatever a later version of this stack gives it. */
  private boundRoles(): void {
    const { permissionsBoundary } = this.settings;
    if (permissionsBoundary !== false) {
      const boundary = ManagedPolicy.fromManagedPolicyName(this, 'Boundary', permissionsBoundary);
      PermissionsBoundary.of(this).apply(boundary);
    }
  }

  private createAuthorizer(workspace: string): UsernamePasswordAuthorizer {
    const { function: settings, authorizer, vendorSecrets } = this.settings;
    const keyring = vendorSecrets?.keyring;
    const key = this.fleet.keyringKey;
    const code: AuthorizerCode = settings.bundle ? { bundle: settings.bundle } : { workspace };
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
    const { days } = readings;
    const table = { tableName: `${this.name}-readings`, key: this.fleet.storageKey, keepData, days };
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
    saveQueries(this, 'Queries', name, QUERIES, authorizer.logGroup.logGroupName);
    if (iotLogging !== undefined) {
      new IotLogging(this, 'IotLogging', iotLogging);
      saveQueries(this, 'IotQueries', name, IOT_QUERIES, IOT_LOG_GROUP);
    }
  }

  /** The content of `cdk-outputs.json`; docs/deploy.md lists it, and programs read it by these names. */
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
      RecordsDigest: records instanceof RecordFile ? records.environment['LATCHKEY_STORE_DIGEST'] : undefined,
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
