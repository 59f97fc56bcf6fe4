/** The CDK app of the stage that `-c stage=NAME` names. */
import { App } from 'aws-cdk-lib';

import { addStage } from '../lib/app';
import { readSettings } from '../lib/settings';
import { orExit } from './exit';
import { REPOSITORY, STAGES } from './stages';

orExit(() => {
  const app = new App({ autoSynth: false });
  const stage: unknown = app.node.tryGetContext('stage');
  addStage(app, readSettings(STAGES, String(stage ?? 'dev')), REPOSITORY);
  app.synth();
});
