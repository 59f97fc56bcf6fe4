/** The CDK app of the stage that `-c stage=NAME` names. */
import { App } from 'aws-cdk-lib';

import { readSettings } from '../lib/settings';
import { addStage } from '../lib/stacks';
import { REPOSITORY, runCommand, STAGES } from './stage';

runCommand(() => {
  const app = new App({ autoSynth: false });
  const stage: unknown = app.node.tryGetContext('stage');
  addStage(app, readSettings(STAGES, String(stage ?? 'dev')), REPOSITORY);
  app.synth();
});
