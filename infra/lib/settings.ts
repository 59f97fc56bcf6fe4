import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { Bundle, readBundle } from './bundle';
import { readGrants, readKeyring, readPublicKeys } from './settings/files';
import { Mistakes } from './settings/mistakes';
import { Place, readCertificate, readPlace } from './settings/place';
import { isObject, Reader } from './settings/reader';
import { readVariables } from './settings/variables';

/** One deployment. docs/deploy.md lists every setting, and a test holds the list to this. */
export interface Settings extends Place {
  readonly stage: string;
  /** Whether records outlive the stack, and nothing deletes them by mistake. */
  readonly keepData: boolean;
  readonly records: 'table' | 'secret';
  readonly function: FunctionSettings;
  readonly authorizer: AuthorizerSettings;
  readonly vendorSecrets?: { readonly keyring?: string };
  readonly domain?: DomainSettings;
  readonly things: { readonly demo: boolean; readonly certificateArn?: string };
  readonly readings: { readonly table: boolean };
  readonly alarms: { readonly email?: string; readonly refusals: number };
  /** The level of AWS IoT's own log, which is one for the whole account; left as it is if absent. */
  readonly iotLogging?: string;
}

export interface FunctionSettings {
  readonly architecture: (typeof ARCHITECTURES)[number];
  readonly memoryMb: number;
  readonly reservedConcurrency?: number;
  readonly logRetentionDays: number;
  /** What was built already; cargo-lambda builds it if absent. */
  readonly bundle?: Bundle;
  readonly grants?: string;
  readonly variables: Readonly<Record<string, string>>;
}

export interface AuthorizerSettings {
  readonly name: string;
  readonly cacheHttp: boolean;
  readonly signing?: Signing;
}

/** Tokens that IoT Core checks before it calls the function. */
export interface Signing {
  readonly tokenKeyName: string;
  /** In PEM, by name. */
  readonly publicKeys: Readonly<Record<string, string>>;
}

export interface DomainSettings {
  /** A domain of one's own; one of AWS's if absent. */
  readonly name?: string;
  readonly certificateArn?: string;
}

export const ARCHITECTURES = ['arm64', 'x86_64'] as const;
const LOG_LEVELS = ['ERROR', 'WARN', 'INFO', 'DEBUG'];
/** What CloudWatch Logs takes (API reference, PutRetentionPolicy), up to two years. */
const RETENTIONS = [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731];

/** It is part of every name, and topic rules have no `-` in theirs. */
const STAGE = /^[a-z][a-z0-9]{0,15}$/;
/** The function's name too, and Lambda takes less than AWS IoT (API reference, CreateFunction). */
const AUTHORIZER_NAME = /^[\w-]{1,64}$/;
/** AWS IoT API reference, CreateAuthorizer. */
const TOKEN_KEY_NAME = /^[a-zA-Z0-9_-]{1,128}$/;
const DOMAIN = /^(?=.{1,253}$)([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}$/;
const EMAIL = /^[^@\s]+@[^@\s]+\.[^@\s]+$/;

/** Reads `STAGE.json` in `folder`, or throws {@link Mistakes}. */
export function readSettings(folder: string, stage: string): Settings {
  if (!STAGE.test(stage)) {
    throw new Mistakes([`\`${stage}\` is no name of a stage: up to 16 of \`a-z 0-9\`, a letter first`]);
  }
  const path = join(folder, `${stage}.json`);
  if (!existsSync(path)) {
    const others = readdirSync(folder).flatMap((file) =>
      file.endsWith('.json') ? [`\`${file.slice(0, -5)}\``] : [],
    );
    const cure = `write infra/stages/${stage}.json, of which docs/deploy.md tells, or take one of ${others.join(', ')}`;
    throw new Mistakes([`the stage \`${stage}\` has no settings: ${cure}`]);
  }
  try {
    return parseSettings(json(path), stage, folder);
  } catch (error) {
    throw error instanceof Mistakes ? new Mistakes(error.all.map((mistake) => `${path}: ${mistake}`)) : error;
  }
}

/** Settings from what a stage's file holds; its paths start at `folder`. */
export function parseSettings(object: Record<string, unknown>, stage: string, folder: string): Settings {
  const reader = new Reader(object);
  const settings = settingsFrom(reader, stage, folder);
  reader.finish();
  return settings;
}

/** The settings, right or wrong: {@link Reader.finish} tells. */
export function settingsFrom(reader: Reader, stage: string, folder: string): Settings {
  const place = readPlace(reader);
  const records = reader.choice('records', ['table', 'secret']) ?? 'table';
  const vendorSecrets = reader.optionalSection('vendorSecrets');
  return {
    ...place,
    stage,
    keepData: reader.switch('keepData') ?? false,
    records,
    function: readFunction(reader.section('function'), folder, records),
    authorizer: readAuthorizer(reader.section('authorizer'), stage, folder),
    vendorSecrets: vendorSecrets && { keyring: readKeyring(vendorSecrets, folder) },
    domain: readDomain(reader.optionalSection('domain'), place),
    things: readThings(reader.section('things'), place),
    readings: { table: reader.section('readings').switch('table') ?? false },
    alarms: readAlarms(reader.section('alarms')),
    iotLogging: reader.choice('iotLogging', LOG_LEVELS),
  };
}

function readFunction(reader: Reader, folder: string, records: string): FunctionSettings {
  const architecture = reader.choice('architecture', ARCHITECTURES) ?? 'arm64';
  const grants = readGrants(reader, folder);
  if (grants !== undefined && records === 'secret') {
    reader.mistake('grants', 'is for a table; a secret holds its grants itself');
  }
  const variables = readVariables(reader);
  if (records === 'table' && variables['LATCHKEY_JWT_GRANT_CLAIM'] !== undefined) {
    reader.mistake(
      'variables.LATCHKEY_JWT_GRANT_CLAIM',
      "can't be used with a table: the function would not start",
    );
  }
  return {
    architecture,
    // A check of a chosen password's argon2id takes 141 ms there.
    memoryMb: reader.number('memoryMb', { from: 128, to: 10_240 }) ?? 512,
    reservedConcurrency: reader.number('reservedConcurrency', { from: 1, to: 100_000 }),
    logRetentionDays: reader.choice('logRetentionDays', RETENTIONS) ?? 30,
    bundle: readBundle(reader, 'bundle', folder, architecture),
    grants,
    variables,
  };
}

function readAuthorizer(reader: Reader, stage: string, folder: string): AuthorizerSettings {
  const name = reader.text('name', AUTHORIZER_NAME, 'up to 64 of `A-Z a-z 0-9 _ -`') ?? `latchkey-${stage}`;
  const cacheHttp = reader.switch('cacheHttp') ?? false;
  const signing = reader.optionalSection('signing');
  if (signing === undefined) {
    return { name, cacheHttp };
  }
  const tokenKeyName = signing.text('tokenKeyName', TOKEN_KEY_NAME, 'up to 128 of `A-Z a-z 0-9 _ -`');
  const publicKeys = readPublicKeys(signing, folder);
  return { name, cacheHttp, signing: { tokenKeyName: tokenKeyName ?? 'latchkey-token', publicKeys } };
}

function readDomain(reader: Reader | undefined, place: Place): DomainSettings | undefined {
  if (reader === undefined) {
    return undefined;
  }
  const name = reader.text('name', DOMAIN, 'a domain such as `iot.example.com`');
  const certificateArn = readCertificate(reader, 'certificateArn', 'acm', place);
  if (reader.has('name') && !reader.has('certificateArn')) {
    reader.mistake('certificateArn', 'a domain of your own needs a certificate of ACM in the same region');
  }
  if (reader.has('certificateArn') && !reader.has('name')) {
    reader.mistake('name', 'a certificate needs the domain that it is for');
  }
  return { name, certificateArn };
}

function readThings(reader: Reader, place: Place): Settings['things'] {
  const demo = reader.switch('demo') ?? true;
  const certificateArn = readCertificate(reader, 'certificateArn', 'iot', place);
  if (certificateArn !== undefined && !demo) {
    reader.mistake('certificateArn', 'is for the demo Thing, which `things.demo` leaves out');
  }
  return { demo, certificateArn };
}

function readAlarms(reader: Reader): Settings['alarms'] {
  const email = reader.text('email', EMAIL, 'an address for mail');
  return { email, refusals: reader.number('refusals', { from: 1, to: 1_000_000 }) ?? 100 };
}

function json(path: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'));
    if (isObject(value)) {
      return value;
    }
  } catch (error) {
    throw new Mistakes([`it is no JSON: ${(error as Error).message}`]);
  }
  throw new Mistakes(['it should be a JSON object']);
}
