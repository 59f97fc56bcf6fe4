import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { unzipSync } from 'fflate';

/** `e_machine` of an ELF header (gABI, chapter 4), and Lambda's name of the architecture. */
const ARCHITECTURES: ReadonlyMap<number, string> = new Map([
  [0x3e, 'x86_64'],
  [0xb7, 'arm64'],
]);
/** The file that Lambda starts. */
export const PROGRAM = 'bootstrap';

/** What is wrong with a built function, a folder or a zip file with the program `bootstrap`. */
export function bundleError(path: string, architecture: string): string | undefined {
  const program = readProgram(path);
  if (program === undefined) {
    return `\`${path}\` is neither a folder nor a zip file with the program \`${PROGRAM}\`: \`cargo lambda build --release\` makes one, and without \`function.bundle\` a deploy does`;
  }
  // 64 bits, little-endian, as both of Lambda's architectures are.
  if (program.length < 20 || !program.subarray(0, 6).equals(Buffer.from('\x7fELF\x02\x01', 'latin1'))) {
    return `\`${PROGRAM}\` in \`${path}\` is not a program for Linux: build it with \`cargo lambda build\``;
  }
  const actual = ARCHITECTURES.get(program.readUInt16LE(18)) ?? 'another architecture';
  const flag = architecture === 'arm64' ? '--arm64' : '--x86-64';
  return actual === architecture
    ? undefined
    : `\`${path}\` was built for ${actual} and \`function.architecture\` is ${architecture}: build it with \`cargo lambda build --release ${flag}\`, or change \`function.architecture\``;
}

function readProgram(path: string): Buffer | undefined {
  try {
    if (statSync(path).isDirectory()) {
      const program = join(path, PROGRAM);
      return existsSync(program) ? readFileSync(program) : undefined;
    }
    const program = unzipSync(readFileSync(path), { filter: ({ name }) => name === PROGRAM })[PROGRAM];
    return program && Buffer.from(program);
  } catch {
    // It can't be read, or is not a zip file, or a damaged one.
    return undefined;
  }
}
