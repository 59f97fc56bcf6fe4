import { App, Tags } from 'aws-cdk-lib';

import { AuthorizerStack } from './authorizer-stack';
import { FleetStack } from './fleet-stack';
import { Settings } from './settings';

/** Adds one stage to an app: the stack `latchkey-STAGE`, and under it `latchkey-STAGE-fleet`. */
export function addStage(app: App, settings: Settings, workspace: string): Stacks {
  const { stage, region, account } = settings;
  const common = { env: { region, account }, terminationProtection: settings.keepData };
  const fleet = new FleetStack(app, `latchkey-${stage}-fleet`, settings, {
    ...common,
    description: 'Latchkey: device records, their keys, and the registry',
  });
  const authorizer = new AuthorizerStack(app, `latchkey-${stage}`, {
    ...common,
    description: 'Latchkey: the authorizer for devices with a user name and a password',
    settings,
    fleet,
    workspace,
  });
  Tags.of(app).add('latchkey:stage', stage);
  return { fleet, authorizer };
}

export interface Stacks {
  readonly fleet: FleetStack;
  readonly authorizer: AuthorizerStack;
}
