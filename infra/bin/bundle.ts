/**
 * `bundle STAGE FOLDER`: copies the function's code, as a deploy of STAGE uploads it, to FOLDER. It runs after
 * `cdk synth`, and refuses code that Lambda can't start.
 */
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
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
  const path = join(built, `latchkey-${stage}.assets.json`);
  if (folder === '' || !existsSync(path)) {
    throw new SettingsError([
      folder === ''
        ? 'there is no folder to copy to: `bundle STAGE FOLDER`'
        : `the stage \`${stage}\` is not synthesized (\`${path}\` does not exist): run \`make synth STAGE=${stage}\` first`,
    ]);
  }
  const manifest = readFileSync(path, 'utf8');
  const folders = Object.values((JSON.parse(manifest) as Manifest).files)
    .filter(({ source }) => source.packaging === 'zip')
    .map(({ source }) => join(built, source.path));
  const code = folders.find((path) => readdirSync(path).includes(PROGRAM));
  if (code === undefined) {
    throw new SettingsError([
      `no code with the program \`${PROGRAM}\` was synthesized: run \`make synth STAGE=${stage}\` again`,
    ]);
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
    return `there are other files next to the program \`${PROGRAM}\`: ${names.join(', ')}; build it again, or remove them from \`function.bundle\``;
  }
  return (mode & 0o555) === 0o555
    ? undefined
    : `the program \`${PROGRAM}\` is not executable by everybody, as Lambda needs it: \`chmod 755 ${PROGRAM}\``;
}
