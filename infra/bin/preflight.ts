/**
 * `preflight STAGE [calls-aws]`: finds what is wrong before anything is built and before anything is called, and prints
 * whether the function is to be built (`build`) or is there already (`bundle`).
 */
import { homedir } from 'node:os';

import { missingCredentials } from '../lib/aws-credentials';
import { missingTarget } from '../lib/rust-target';
import { readSettings } from '../lib/settings';
import { Mistakes } from '../lib/settings/mistakes';
import { orExit } from './exit';
import { STAGES } from './stages';

const [stage = 'dev', purpose] = process.argv.slice(2);

orExit(() => {
  const { bundle, architecture } = readSettings(STAGES, stage).function;
  const mistakes = [
    purpose === 'calls-aws' ? missingCredentials(process.env, homedir()) : undefined,
    bundle === undefined ? missingTarget(architecture) : undefined,
  ].filter((mistake) => mistake !== undefined);
  if (mistakes.length > 0) {
    throw new Mistakes(mistakes);
  }
  console.log(bundle === undefined ? 'build' : 'bundle');
});
