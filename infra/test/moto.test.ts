import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';

import { Tags } from 'aws-cdk-lib';
import { CfnThing } from 'aws-cdk-lib/aws-iot';

import { addStage } from '../lib/stacks';
import { folder, INFRA, newApp, REPOSITORY, settings } from './support/fixture';
import { ACCOUNT, Moto, REGION } from './support/moto';

const STACK = 'latchkey-test-fleet';
/** How long CDK may take for one command before something hangs. */
const BOUND_MS = 60_000;

test('the fleet stack deploys to moto', async () => {
  const moto = await Moto.start();
  try {
    const plan = synthesize();
    await cdk(moto, plan, 'bootstrap', `aws://${ACCOUNT}/${REGION}`);
    await cdk(moto, plan, 'deploy', STACK, '--require-approval', 'never');
    await check(moto);
  } finally {
    moto.stop();
  }
});

/** The plan, without two things that moto's CloudFormation trips over: a key's tags and a Thing's attributes. */
function synthesize(): string {
  const here = { ...settings(), region: REGION, account: ACCOUNT };
  const app = newApp();
  const { fleet } = addStage(app, here, REPOSITORY);
  const includeResourceTypes = ['AWS::KMS::Key'];
  Tags.of(app).remove('latchkey:stage', { includeResourceTypes, priority: 300 });
  const thing = fleet.things.node.findChild('Sht20') as CfnThing;
  thing.addPropertyDeletionOverride('AttributePayload');
  return app.synth().directory;
}

async function cdk(moto: Moto, plan: string, ...args: string[]): Promise<void> {
  const environment = {
    PATH: process.env['PATH'],
    HOME: folder(),
    CI: 'true',
    CDK_DISABLE_CLI_TELEMETRY: 'true',
  };
  const env = { ...environment, ...moto.environment() };
  const program = join(INFRA, 'node_modules', 'aws-cdk', 'bin', 'cdk');
  const all = [program, '--no-notices', '--app', plan, ...args];
  await promisify(execFile)(process.execPath, all, { env, timeout: BOUND_MS });
}

/** Neither the ThingGroup nor the table's encryption and backup: moto's CloudFormation passes over them. */
async function check(moto: Moto): Promise<void> {
  const names = async (path: string, list: string, name: string): Promise<unknown[]> =>
    ((await moto.iot(path))[list] as Record<string, unknown>[]).map((it) => it[name]);
  assert.deepEqual(await names('/things', 'things', 'thingName'), ['sht20']);
  assert.deepEqual(await names('/thing-types', 'thingTypes', 'thingTypeName'), ['latchkey-test-sht20']);
  const { policyDocument } = await moto.iot('/policies/latchkey-test-sht20');
  const text = typeof policyDocument === 'string' ? policyDocument : JSON.stringify(policyDocument);
  assert.ok(
    text.includes(
      `arn:aws:iot:${REGION}:${ACCOUNT}:topic/sensor/\${iot:Connection.Thing.ThingName}/humidity`,
    ),
  );
  const { Table } = await moto.dynamodb('DescribeTable', { TableName: 'latchkey-test-devices' });
  const { KeySchema, BillingModeSummary } = Table as Record<string, unknown>;
  assert.deepEqual(KeySchema, [{ AttributeName: 'device', KeyType: 'HASH' }]);
  assert.deepEqual(BillingModeSummary, { BillingMode: 'PAY_PER_REQUEST' });
}
