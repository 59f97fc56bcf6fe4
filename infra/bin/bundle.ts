/**
 * `bundle STAGE FOLDER`: copies the function's code, as a deploy of STAGE uploads it, to FOLDER. It runs after
 * `cdk synth`, and refuses code that Lambda can't start.
 */
import { cpSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { bundleError, PROGRAM } from '../lib/bundle';
import { readSettings, SettingsError } from '../lib/settings';
import { REPOSITORY, runCommand, STAGES } from './stage';

const [stage = 'dev', folder = ''] = process.argv.slice(2);

interface Manifest {
  readonly files: Record<string, { readonly source: { readonly path: string; readonly packaging: string } }>;
}

runCommand(() => {
  const { architecture } = readSettings(STAGES, stage).function;
  const built = join(REPOSITORY, 'infra', 'build', 'cdk.out');
  const manifest = readFileSync(join(built, `latchkey-${stage}.assets.json`), 'utf8');
  const folders = Object.values((JSON.parse(manifest) as Manifest).files)
    .filter(({ source }) => source.packaging === 'zip')
    .map(({ source }) => join(built, source.path));
  const code = folders.find((path) => readdirSync(path).includes(PROGRAM));
  if (code === undefined) {
    throw new SettingsError([`no code with the program \`${PROGRAM}\` was synthesized`]);
  }
  const error = layoutError(code) ?? bundleError(code, architecture);
  if (error !== undefined) {
    throw new SettingsError([error]);
  }
  rmSync(folder, { recursive: true, force: true });
  cpSync(code, folder, { recursive: true });
});

/** What keeps Lambda from starting the code: it starts `bootstrap` at the top level, if it is executable. */
function layoutError(code: string): string | undefined {
  const names = readdirSync(code);
  const mode = statSync(join(code, PROGRAM)).mode;
  if (names.length !== 1) {
    return `there are other files next to the program \`${PROGRAM}\`: ${names.join(', ')}`;
  }
  return (mode & 0o555) === 0o555 ? undefined : `the program \`${PROGRAM}\` is not executable by everybody`;
}
