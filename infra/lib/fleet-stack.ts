import { Stack, StackProps } from 'aws-cdk-lib';
import { Key } from 'aws-cdk-lib/aws-kms';
import { Construct } from 'constructs';

import { customerKey } from './keys';
import { RecordSecret } from './record-secret';
import { RecordTable } from './record-table';
import { Settings } from './settings';
import { Things } from './things';

/** What outlives a version of the authorizer: the records, their keys, and the registry. */
export class FleetStack extends Stack {
  /** Encrypts what is stored. */
  readonly storageKey: Key;
  /** Encrypts the keyring that vendors' secrets are sealed under; only where there are such secrets. */
  readonly keyringKey?: Key;
  readonly records: RecordTable | RecordSecret;
  readonly things: Things;

  constructor(scope: Construct, id: string, settings: Settings, props: StackProps) {
    super(scope, id, props);
    const { stage, keepData } = settings;
    const name = `latchkey-${stage}`;
    this.storageKey = customerKey(
      this,
      'StorageKey',
      `alias/${name}`,
      `what Latchkey stores, ${stage}`,
      keepData,
    );
    if (settings.vendorSecrets !== undefined) {
      const what = `the keyring of vendors' secrets, ${stage}`;
      this.keyringKey = customerKey(this, 'KeyringKey', `alias/${name}-keyring`, what, keepData);
    }
    const key = this.storageKey;
    this.records =
      settings.records === 'table'
        ? new RecordTable(this, 'Records', { tableName: `${name}-devices`, key, keepData })
        : new RecordSecret(this, 'Records', { secretName: `${name}/devices`, key, keepData });
    this.things = new Things(this, 'Things', { name, ...settings.things });
  }
}
