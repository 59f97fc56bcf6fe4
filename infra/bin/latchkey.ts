/** The CDK app of the stage that `-c stage=NAME` names. */
import { join } from 'node:path';

import { App } from 'aws-cdk-lib';

import { createApp } from '../lib/app';
import { readSettings } from '../lib/settings';
import { orExit } from './exit';

/** This file runs from `infra/build/bin`. */
const INFRA = join(__dirname, '..', '..');

orExit(() => {
  const stage: unknown = new App().node.tryGetContext('stage');
  createApp(readSettings(join(INFRA, 'stages'), String(stage ?? 'dev')), join(INFRA, '..')).app.synth();
});
