/**
 * `bundle STAGE FOLDER`: copies what a deploy of STAGE would upload as the function's code to FOLDER, after `cdk synth`,
 * and refuses what Lambda could not start.
 */
import { cpSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { bundleFault } from '../lib/bundle';
import { readSettings } from '../lib/settings';
import { Mistakes } from '../lib/settings/mistakes';
import { orExit } from './exit';
import { REPOSITORY, STAGES } from './stages';

const PROGRAM = 'bootstrap';
const [stage = 'dev', folder = ''] = process.argv.slice(2);

interface Manifest {
  readonly files: Record<string, { readonly source: { readonly path: string; readonly packaging: string } }>;
}

orExit(() => {
  const { architecture } = readSettings(STAGES, stage).function;
  const built = join(REPOSITORY, 'infra', 'build', 'cdk.out');
  const manifest = readFileSync(join(built, `latchkey-${stage}.assets.json`), 'utf8');
  const folders = Object.values((JSON.parse(manifest) as Manifest).files)
    .filter(({ source }) => source.packaging === 'zip')
    .map(({ source }) => join(built, source.path));
  const code = folders.find((path) => readdirSync(path).includes(PROGRAM));
  const fault =
    code === undefined ? `no code with the program \`${PROGRAM}\` was synthesized` : layoutFault(code);
  const mistake = fault ?? bundleFault(code ?? '', architecture);
  if (code === undefined || mistake !== undefined) {
    throw new Mistakes([mistake ?? '']);
  }
  rmSync(folder, { recursive: true, force: true });
  cpSync(code, folder, { recursive: true });
});

/** What Lambda would trip over: it starts `bootstrap` at the top, if it may be executed. */
function layoutFault(code: string): string | undefined {
  const names = readdirSync(code);
  const mode = statSync(join(code, PROGRAM)).mode;
  if (names.length !== 1) {
    return `beside the program \`${PROGRAM}\` there is something else: ${names.join(', ')}`;
  }
  return (mode & 0o555) === 0o555
    ? undefined
    : `the program \`${PROGRAM}\` is not one that everybody may execute`;
}
