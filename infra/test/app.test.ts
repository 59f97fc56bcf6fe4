import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { App, Validations } from 'aws-cdk-lib';
import { Queue } from 'aws-cdk-lib/aws-sqs';
import { AwsSolutionsChecks } from 'cdk-nag';

import { addStage, Stacks } from '../lib/app';
import { settingsFrom } from '../lib/settings';
import { Reader } from '../lib/settings/reader';
import {
  bundle,
  everything,
  folder,
  INFRA,
  newApp,
  REPOSITORY,
  settings,
  synthesized,
} from './support/fixture';

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
    assert.deepEqual(remarks(parts), [], name);
    mkdirSync(TEMPLATES, { recursive: true });
    for (const stack of [parts.fleet, parts.authorizer]) {
      const { template } = parts.app.synth().getStackArtifact(stack.artifactId);
      writeFileSync(join(TEMPLATES, `${name}-${stack.stackName}.json`), JSON.stringify(template, null, 2));
    }
  }
});

test('cdk-nag would have found something', () => {
  const parts = checked({});
  new Queue(parts.authorizer, 'Open');
  assert.deepEqual(remarks(parts), ['AwsSolutions-SQS3', 'AwsSolutions-SQS4']);
});

test('the outputs are those of the documents', () => {
  const outputs = [synthesized(everything()), synthesized({ records: 'secret' })].flatMap(({ template }) =>
    Object.keys(template.findOutputs('*')),
  );
  assert.deepEqual([...new Set(outputs)].sort(), rows('The outputs').sort());
});

test('the settings are those of the documents', () => {
  const sections = { authorizer: { signing: {} }, domain: {}, vendorSecrets: {} };
  const reader = new Reader(sections);
  settingsFrom(reader, 'test', INFRA);
  const names = reader.names().filter((name) => !name.startsWith('function.variables.'));
  // These switch something on by being there.
  const switches = ['authorizer.signing', 'vendorSecrets', 'domain'];
  assert.deepEqual(rows('The settings of a stage').sort(), [...names, ...switches].sort());
});

test('the policy for whoever deploys has every service that the stacks have, and fits', () => {
  const text = readFileSync(join(INFRA, 'execution-policy.json'), 'utf8');
  const { Statement } = JSON.parse(text) as { Statement: { Action: string[] }[] };
  const allowed = new Set(Statement.flatMap(({ Action }) => Action.map((action) => action.split(':')[0])));
  const types = Object.values(STAGES).flatMap((changes) => {
    const { template, fleetTemplate } = synthesized(changes);
    const resources = [template, fleetTemplate].flatMap((it) =>
      Object.values(it.toJSON()['Resources'] as object),
    );
    return resources.map((resource) => (resource as { Type: string }).Type);
  });
  for (const service of new Set(
    types.filter((type) => type.startsWith('AWS::')).map((type) => type.split('::')[1]),
  )) {
    assert.ok(allowed.has(service?.toLowerCase()), service);
  }
  // What IAM takes for a managed policy, white space not counted.
  assert.ok(text.replaceAll(/\s/g, '').length <= 6144);
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

test('the program that CDK runs plans both stacks', () => {
  const stages = join(folder(), 'stages');
  const outdir = folder();
  mkdirSync(stages);
  writeFileSync(
    join(stages, 'dev.json'),
    JSON.stringify({ region: 'eu-central-1', function: { bundle: bundle() } }),
  );
  const env = { PATH: process.env['PATH'], CDK_OUTDIR: outdir, LATCHKEY_STAGES: stages };
  execFileSync(process.execPath, [join(INFRA, 'build', 'bin', 'latchkey.js')], { env });
  const { artifacts } = JSON.parse(readFileSync(join(outdir, 'manifest.json'), 'utf8')) as {
    artifacts: object;
  };
  const stacks = Object.keys(artifacts).filter((name) => /^latchkey-dev(-fleet)?$/.test(name));
  assert.deepEqual(stacks.sort(), ['latchkey-dev', 'latchkey-dev-fleet']);
});

function checked(changes: Record<string, unknown>): Stacks & { app: App } {
  const app = newApp();
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
  return { app, ...addStage(app, settings(changes), REPOSITORY) };
}

/** What the first cells of a section's table in docs/deploy.md name. */
function rows(title: string): string[] {
  const text = readFileSync(join(REPOSITORY, 'docs/deploy.md'), 'utf8');
  const section = text.split(`## ${title}\n`)[1]?.split('\n## ')[0]?.split('\n### ')[0] ?? '';
  const cells = [...section.matchAll(/^\| (`[^|]*) \|/gm)].map(([, cell]) => cell ?? '');
  return cells.flatMap((cell) => [...cell.matchAll(/`([\w.]+)`/g)].map(([, name]) => name ?? ''));
}

/** The rules that the plan breaks without an answer. */
function remarks({ app }: { app: App }): string[] {
  try {
    app.synth();
    return [];
  } catch {
    const report = JSON.parse(readFileSync(join(app.outdir, 'validation-report.json'), 'utf8')) as Report;
    return report.pluginReports
      .flatMap(({ violations }) => violations.map(({ ruleName }) => ruleName))
      .sort();
  }
}

interface Report {
  readonly pluginReports: readonly { readonly violations: readonly { readonly ruleName: string }[] }[];
}

/** An asset's name is the hash of its content: CDK's own change with each of its versions. */
function withoutHashes(_: string, value: unknown): unknown {
  return typeof value === 'string' ? value.replaceAll(/\b[0-9a-f]{64}\b/g, 'HASH') : value;
}
