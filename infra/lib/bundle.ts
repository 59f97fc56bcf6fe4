import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { readPath } from './settings/files';
import { Reader } from './settings/reader';
import { entry } from './zip';

/** A function that was built already: a folder or a zip file with the binary `bootstrap`. */
export interface Bundle {
  readonly path: string;
}

/** `e_machine` of an ELF header (gABI, chapter 4), by Lambda's names. */
const MACHINES: ReadonlyMap<number, string> = new Map([
  [0x3e, 'x86_64'],
  [0xb7, 'arm64'],
]);
const PROGRAM = 'bootstrap';

/** The bundle that a setting names, if its program is one of `architecture`. */
export function readBundle(
  reader: Reader,
  key: string,
  folder: string,
  architecture: string,
): Bundle | undefined {
  const path = readPath(reader, key, folder);
  const fault = path === undefined ? undefined : bundleFault(path, architecture);
  if (path === undefined || fault !== undefined) {
    return fault === undefined ? undefined : reader.mistake(key, fault);
  }
  return { path };
}

/** What is wrong with a bundle, or nothing. */
export function bundleFault(path: string, architecture: string): string | undefined {
  const program = readProgram(path);
  if (program === undefined) {
    return `\`${path}\` is neither a folder nor a zip file with the program \`${PROGRAM}\``;
  }
  // 64 bits, little-endian: both of Lambda's architectures are.
  if (program.length < 20 || !program.subarray(0, 6).equals(Buffer.from('\x7fELF\x02\x01', 'latin1'))) {
    return `\`${PROGRAM}\` in \`${path}\` is no program for Linux: build it with \`cargo lambda build\``;
  }
  const actual = MACHINES.get(program.readUInt16LE(18)) ?? 'another architecture';
  const flag = architecture === 'arm64' ? '--arm64' : '--x86-64';
  return actual === architecture
    ? undefined
    : `\`${path}\` was built for ${actual} and \`function.architecture\` is ${architecture}: build it with \`cargo lambda build --release ${flag}\`, or change \`function.architecture\``;
}

function readProgram(path: string): Buffer | undefined {
  if (statSync(path).isDirectory()) {
    const program = join(path, PROGRAM);
    return existsSync(program) ? readFileSync(program) : undefined;
  }
  return entry(readFileSync(path), PROGRAM);
}
