/**
 * `preflight STAGE [calls-aws]`: reports errors before anything is built and before AWS is called. It prints `build` if
 * the function must be built, `bundle` if it is built already.
 */
import { homedir } from 'node:os';

import { missingCredentials, missingTarget } from '../lib/preflight';
import { readSettings, SettingsError } from '../lib/settings';
import { runCommand, STAGES } from './stage';

const [stage = 'dev', purpose] = process.argv.slice(2);

runCommand(() => {
  const { bundle, architecture } = readSettings(STAGES, stage).function;
  const errors = [
    purpose === 'calls-aws' ? missingCredentials(process.env, homedir()) : undefined,
    bundle === undefined ? missingTarget(architecture) : undefined,
  ].filter((error) => error !== undefined);
  if (errors.length > 0) {
    throw new SettingsError(errors);
  }
  console.log(bundle === undefined ? 'build' : 'bundle');
});
