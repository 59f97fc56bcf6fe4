import assert from 'node:assert/strict';
import { test } from 'node:test';

import { apply, Iot } from '../lib/default-authorizer-handler';
import { synthesized } from './support/fixture';
import { actions, statements } from './support/statements';

const { template } = synthesized({ authorizer: { default: true } });

/** AWS IoT with a default authorizer, and the calls that change it. */
class FakeIot implements Iot {
  readonly changes: string[] = [];

  constructor(private readonly current?: string) {}

  async describeDefaultAuthorizer(): Promise<{ authorizerDescription: { authorizerName: string } }> {
    if (this.current === undefined) {
      throw Object.assign(new Error('no default authorizer'), { name: 'ResourceNotFoundException' });
    }
    return { authorizerDescription: { authorizerName: this.current } };
  }

  async setDefaultAuthorizer({ authorizerName }: { authorizerName: string }): Promise<void> {
    this.changes.push(`set ${authorizerName}`);
  }

  async clearDefaultAuthorizer(): Promise<void> {
    this.changes.push('clear');
  }
}

async function changes(current: string | undefined, type: 'Create' | 'Update' | 'Delete'): Promise<string[]> {
  const iot = new FakeIot(current);
  await apply(iot, type, 'ours');
  return iot.changes;
}

test('the authorizer becomes the default, and stops being it with the stack', async () => {
  assert.deepEqual(await changes(undefined, 'Create'), ['set ours']);
  assert.deepEqual(await changes('ours', 'Update'), []);
  assert.deepEqual(await changes('ours', 'Delete'), ['clear']);
});

test('another default authorizer is neither replaced nor cleared', async () => {
  for (const type of ['Create', 'Update'] as const) {
    await assert.rejects(changes('theirs', type), /the authorizer theirs is the default of this account/);
  }
  assert.deepEqual(await changes('theirs', 'Delete'), []);
  assert.deepEqual(await changes(undefined, 'Delete'), []);
});

test('another error of AWS IoT fails the deploy', async () => {
  const iot = new FakeIot();
  iot.describeDefaultAuthorizer = () => Promise.reject(new Error('throttled'));
  await assert.rejects(apply(iot, 'Create', 'ours'), /throttled/);
  assert.deepEqual(iot.changes, []);
});

test('the function may set this authorizer only', () => {
  const [set, others] = statements(template, 'DefaultAuthorizerRole').filter((statement) =>
    actions(statement).some((action) => action.startsWith('iot:')),
  );
  assert.equal(set?.Action, 'iot:SetDefaultAuthorizer');
  assert.match(JSON.stringify(set?.Resource), /^\{"Fn::GetAtt":\["Authorizer\w+","Arn"\]\}$/);
  assert.deepEqual(others, {
    Effect: 'Allow',
    Action: ['iot:ClearDefaultAuthorizer', 'iot:DescribeDefaultAuthorizer'],
    Resource: '*',
  });
});

test('without the setting no authorizer becomes the default', () => {
  synthesized().template.resourceCountIs('Custom::IotDefaultAuthorizer', 0);
  template.resourceCountIs('Custom::IotDefaultAuthorizer', 1);
});

test('the function fits into the template', () => {
  const [code] = Object.values(template.findResources('AWS::Lambda::Function'))
    .map((resource) => (resource['Properties'] as { Code: { ZipFile?: string } }).Code.ZipFile)
    .filter((source) => source?.includes('DefaultAuthorizer'));
  assert.ok(code !== undefined && code.length < 4096, `${code?.length}`);
});
