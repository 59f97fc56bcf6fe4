import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { Bucket } from 'aws-cdk-lib/aws-s3';
import { Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';

import { createApp, LatchkeyApp } from '../lib/app';
import { everything, folder, INFRA, REPOSITORY, settings, synthesized } from './support/fixture';

/** Where cfn-lint finds the templates afterwards. */
const TEMPLATES = join(INFRA, 'build', 'templates');

/** The kinds of stage: as little as there can be, as much, and what these two have not. */
const STAGES: Readonly<Record<string, Record<string, unknown>>> = {
  least: {},
  most: everything(),
  secret: { records: 'secret', domain: {}, vendorSecrets: {} },
};

test('cdk-nag has no remark that is not answered', () => {
  for (const [name, changes] of Object.entries(STAGES)) {
    const parts = checked(changes);
    assert.doesNotThrow(() => parts.app.synth(), name);
    mkdirSync(TEMPLATES, { recursive: true });
    for (const stack of [parts.fleet, parts.authorizer]) {
      const { template } = parts.app.synth().getStackArtifact(stack.artifactId);
      writeFileSync(join(TEMPLATES, `${name}-${stack.stackName}.json`), JSON.stringify(template, null, 2));
    }
  }
});

test('cdk-nag would have found something', () => {
  const parts = checked({});
  new Bucket(parts.authorizer, 'Open');
  assert.throws(() => parts.app.synth(), /Validation failed/);
});

test('the outputs are those of the documents', () => {
  const text = readFileSync(join(REPOSITORY, 'docs/deploy.md'), 'utf8');
  const section = text.split('## The outputs')[1]?.split('\n## ')[0] ?? '';
  const documented = [...section.matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name ?? '');
  const outputs = [synthesized(everything()), synthesized({ records: 'secret' })].flatMap(({ template }) =>
    Object.keys(template.findOutputs('*')),
  );
  assert.deepEqual([...new Set(outputs)].sort(), documented.sort());
});

test('the settings are those of the documents', () => {
  const text = readFileSync(join(REPOSITORY, 'docs/deploy.md'), 'utf8');
  const section = text.split('## The settings of a stage')[1]?.split('\n## ')[0] ?? '';
  const documented = [...section.matchAll(/^\| `([\w.]+)` \|/gm)].map(([, name]) => name ?? '');
  const source = ['settings.ts', 'settings/place.ts', 'settings/files.ts', 'settings/variables.ts']
    .map((name) => readFileSync(join(INFRA, 'lib', name), 'utf8'))
    .join('\n');
  for (const key of documented.map((name) => name.split('.').at(-1) ?? '')) {
    assert.ok(source.includes(`'${key}'`), key);
  }
  const read = [...source.matchAll(/(?:\.(?:text|choice|number|switch|texts)|read\w+)\((?:\w+, )?'(\w+)'/g)];
  for (const key of read.map(([, name]) => name ?? '')) {
    assert.ok(
      documented.some((name) => name.split('.').at(-1) === key),
      `\`${key}\` has no row in docs/deploy.md`,
    );
  }
});

test('the endpoint is that of the account, or of the domain, and asked for with no more than that', () => {
  const ask = (changes: Record<string, unknown>): string => {
    const { template } = synthesized(changes);
    const [resource] = Object.values(template.findResources('Custom::IotEndpoint'));
    return JSON.stringify([resource?.['Properties'], template.findResources('AWS::IAM::Policy')]);
  };
  assert.match(ask({}), /DescribeEndpoint.*iot:Data-ATS/);
  assert.match(ask({}), /"Action":"iot:DescribeEndpoint","Effect":"Allow","Resource":"\*"/);
  assert.match(
    ask({ domain: {} }),
    /"Action":"iot:DescribeDomainConfiguration","Effect":"Allow","Resource":\{"Fn::GetAtt"/,
  );
  assert.doesNotMatch(ask({ domain: {} }), /DescribeEndpoint/);
});

test('the rest is as it was', () => {
  for (const [name, changes] of Object.entries(STAGES)) {
    const { template, fleetTemplate } = synthesized(changes);
    for (const [stack, it] of Object.entries({ authorizer: template, fleet: fleetTemplate })) {
      const path = join(INFRA, 'test', 'snapshots', `${name}-${stack}.json`);
      const actual = `${JSON.stringify(it.toJSON(), withoutHashes, 2)}\n`;
      if (process.env['UPDATE_SNAPSHOTS'] === 'true') {
        writeFileSync(path, actual);
      }
      const cure = `${path}: if the change is meant, run UPDATE_SNAPSHOTS=true npm test`;
      assert.equal(actual, readFileSync(path, 'utf8'), cure);
    }
  }
});

test('what a person got wrong is told in a line each, and nothing is made', () => {
  const run = (program: string, ...args: string[]): ReturnType<typeof spawnSync> =>
    spawnSync(process.execPath, [join(INFRA, 'build', 'bin', program), ...args], {
      cwd: folder(),
      encoding: 'utf8',
      env: { PATH: process.env['PATH'], HOME: folder() },
    });
  const strange = run('preflight.js', 'qa');
  assert.equal(strange.status, 64);
  assert.match(String(strange.stderr), /^the stage `qa` has no settings: [^\n]*\n$/);
  const poor = run('preflight.js', 'dev', 'calls-aws');
  assert.equal(poor.status, 64);
  assert.match(String(poor.stderr), /^there are no AWS credentials: set AWS_PROFILE/);
});

function checked(changes: Record<string, unknown>): LatchkeyApp {
  const parts = createApp(settings(changes), REPOSITORY);
  Validations.of(parts.app).addPlugins(new AwsSolutionsChecks(parts.app));
  return parts;
}

/** An asset's name is the hash of its content: CDK's own change with each of its versions. */
function withoutHashes(_: string, value: unknown): unknown {
  return typeof value === 'string' ? value.replaceAll(/\b[0-9a-f]{64}\b/g, 'HASH') : value;
}
