import { App, AppProps, Tags } from 'aws-cdk-lib';

import { AuthorizerStack } from './authorizer-stack';
import { FleetStack } from './fleet-stack';
import { Settings } from './settings';

/** The app of one stage: the stack `latchkey-STAGE`, and under it `latchkey-STAGE-fleet`. */
export function createApp(settings: Settings, workspace: string, props?: AppProps): LatchkeyApp {
  const app = new App(props);
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
  return { app, fleet, authorizer };
}

export interface LatchkeyApp {
  readonly app: App;
  readonly fleet: FleetStack;
  readonly authorizer: AuthorizerStack;
}
