import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { App } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';

import { parseSettings, Settings } from '../../lib/settings';
import { addStage, Stacks } from '../../lib/stacks';

/** The repository, from `infra/build/test/support`. */
export const REPOSITORY = join(__dirname, '..', '..', '..', '..');
export const INFRA = join(REPOSITORY, 'infra');

/** An indexed file as `latchkey fleet build` makes it, and its digest; `stores::indexed` makes the same file. */
export const INDEXED_FILE = join(REPOSITORY, 'tests', 'fixtures', 'indexed', 'devices.indexed');
export const INDEXED_DIGEST = '3e490643add72bc3c36568c27ab5da1938ee8bc5d3d38c8b52ff8182b89daf32';

/** `e_machine`, by Lambda's names. */
const MACHINES: Readonly<Record<string, number>> = { x86_64: 0x3e, arm64: 0xb7, riscv: 0xf3 };

/** A new folder. */
export function folder(): string {
  return mkdtempSync(join(tmpdir(), 'latchkey-infra-test-'));
}

/** A file in a new folder. */
export function file(name: string, content: string | Buffer): string {
  const path = join(folder(), name);
  writeFileSync(path, content);
  return path;
}

/** The header of a program for an architecture. */
export function program(architecture: string): Buffer {
  const header = Buffer.alloc(64);
  header.write('\x7fELF\x02\x01\x01', 'latin1');
  header.writeUInt16LE(MACHINES[architecture] ?? 0, 18);
  return header;
}

/** A folder with such a program as `bootstrap`. */
export function bundle(architecture = 'arm64'): string {
  return join(file('bootstrap', program(architecture)), '..');
}

/** The settings of a stage in `eu-central-1` whose function is built already. */
export function settings(changes: Record<string, unknown> = {}): Settings {
  const base = { bundle: bundle(), ...(changes['function'] as object | undefined) };
  return parseSettings({ region: 'eu-central-1', ...changes, function: base }, 'test', folder());
}

/** An app under the feature flags of `cdk.json`, which CDK's program reads and this one would not. */
export function newApp(): App {
  const { context } = JSON.parse(readFileSync(join(INFRA, 'cdk.json'), 'utf8')) as {
    context: Record<string, unknown>;
  };
  return new App({ context, outdir: folder() });
}

export interface Synthesized extends Stacks {
  readonly fleetTemplate: Template;
  readonly template: Template;
}

export function synthesized(changes: Record<string, unknown> = {}): Synthesized {
  const parts = addStage(newApp(), settings(changes), REPOSITORY);
  return {
    ...parts,
    fleetTemplate: Template.fromStack(parts.fleet),
    template: Template.fromStack(parts.authorizer),
  };
}

/** A keyring as KMS has encrypted it. */
export function keyring(): string {
  return file('keyring.kms.json', '{"version":1,"kms_ciphertext":"AQICAHg="}');
}

/** Every setting that makes resources of its own. */
export function everything(): Record<string, unknown> {
  return {
    keepData: true,
    function: {
      reservedConcurrency: 50,
      grants: file('grants.json', '{"version":1,"grants":{}}'),
      variables: { LATCHKEY_REFRESH_AFTER_SECONDS: '300' },
    },
    authorizer: {
      default: true,
      signing: { tokenKeyName: 'token', publicKeys: { first: file('first.pem', PEM) } },
    },
    vendorSecrets: { keyring: keyring() },
    domain: {
      name: 'iot.example.com',
      certificateArn:
        'arn:aws:acm:eu-central-1:111122223333:certificate/00000000-0000-4000-8000-000000000000',
    },
    things: { certificateArn: `arn:aws:iot:eu-central-1:111122223333:cert/${'0'.repeat(64)}` },
    readings: { table: true },
    alarms: { email: 'operations@example.com', refusals: 500 },
    iotLogging: 'INFO',
  };
}

export const PEM = '-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A\n-----END PUBLIC KEY-----\n';
