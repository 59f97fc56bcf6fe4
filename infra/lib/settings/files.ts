import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';

import { isObject, Reader } from './reader';

/** The path that a setting names, from the folder of the stage's file on. */
export function readPath(reader: Reader, key: string, folder: string): string | undefined {
  const path = reader.text(key, /./, 'a path');
  if (path === undefined) {
    return undefined;
  }
  const full = resolve(folder, path);
  return existsSync(full) ? full : reader.mistake(key, `there is no \`${full}\``);
}

/** A records file without devices, for the grants of a table. */
export function readGrants(reader: Reader, folder: string): string | undefined {
  const path = readPath(reader, 'grants', folder);
  const json = path === undefined ? undefined : parsed(path);
  if (path === undefined || (isObject(json) && isObject(json['grants']) && json['devices'] === undefined)) {
    return path;
  }
  return reader.mistake('grants', `\`${path}\` is no records file with \`grants\` and without \`devices\``);
}

/** A keyring that KMS has encrypted: one in clear must not get into a function's package. */
export function readKeyring(reader: Reader, folder: string): string | undefined {
  const path = readPath(reader, 'keyring', folder);
  const json = path === undefined ? undefined : parsed(path);
  if (path === undefined || (isObject(json) && typeof json['kms_ciphertext'] === 'string')) {
    return path;
  }
  return reader.mistake(
    'keyring',
    `\`${path}\` is no keyring that KMS has encrypted; docs/migrating.md has the command`,
  );
}

/** The public keys that tokens are checked with, in PEM, by their names. */
export function readPublicKeys(reader: Reader, folder: string): Record<string, string> {
  const keys = Object.entries(reader.texts('publicKeys'));
  if (keys.length === 0) {
    reader.mistake('publicKeys', 'signing needs one or two, each a name and the path of a public key in PEM');
  }
  const read = ([name, path]: [string, string]): [string, string][] => {
    const full = resolve(folder, path);
    const pem = existsSync(full) ? readFileSync(full, 'utf8').trim() : '';
    if (/^-----BEGIN PUBLIC KEY-----\n[\s\S]+-----END PUBLIC KEY-----$/.test(pem)) {
      return [[name, pem]];
    }
    reader.mistake(`publicKeys.${name}`, `\`${full}\` is no public key in PEM; it is never the private one`);
    return [];
  };
  return Object.fromEntries(keys.flatMap(read));
}

function parsed(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}
