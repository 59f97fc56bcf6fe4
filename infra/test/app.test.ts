import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { App, Validations } from 'aws-cdk-lib';
import { Queue } from 'aws-cdk-lib/aws-sqs';
import { AwsSolutionsChecks } from 'cdk-nag';
import { z } from 'zod';

import { stageSchema } from '../lib/settings';
import { addStage, Stacks } from '../lib/stacks';
import {
  bundle,
  everything,
  folder,
  INDEXED_FILE,
  INFRA,
  newApp,
  REPOSITORY,
  settings,
  synthesized,
} from './support/fixture';

/** cfn-lint checks the templates in this folder afterwards. */
const TEMPLATES = join(INFRA, 'build', 'templates');

/** The kinds of stage: as few settings as possible, as many as possible, and what these two don't have. */
const STAGES: Readonly<Record<string, Record<string, unknown>>> = {
  least: {},
  most: everything(),
  secret: { records: 'secret', domain: {}, vendorSecrets: {} },
  indexed: { records: 'indexed', function: { indexedFile: INDEXED_FILE } },
};

test('cdk-nag has no finding without a reason', () => {
  for (const [name, changes] of Object.entries(STAGES)) {
    const parts = checked(changes);
    assert.deepEqual(findings(parts), [], name);
    mkdirSync(TEMPLATES, { recursive: true });
    for (const stack of [parts.fleet, parts.authorizer]) {
      const { template } = parts.app.synth().getStackArtifact(stack.artifactId);
      writeFileSync(join(TEMPLATES, `${name}-${stack.stackName}.json`), JSON.stringify(template, null, 2));
    }
  }
});

test('cdk-nag finds a queue without encryption', () => {
  const parts = checked({});
  new Queue(parts.authorizer, 'Open');
  assert.deepEqual(findings(parts), ['AwsSolutions-SQS3', 'AwsSolutions-SQS4']);
});

test('the outputs are those of the documentation', () => {
  const outputs = Object.values(STAGES).flatMap((changes) =>
    Object.keys(synthesized(changes).template.findOutputs('*')),
  );
  assert.deepEqual([...new Set(outputs)].sort(), rows('The outputs').sort());
});

test('the settings are those of the documentation', () => {
  assert.deepEqual(rows('The settings of a stage').sort(), settingNames(stageSchema('test', INFRA)).sort());
});

test('the endpoint is that of the account or the domain, and its role may describe nothing else', () => {
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

test('the templates are those of the snapshots', () => {
  for (const [name, changes] of Object.entries(STAGES)) {
    const { template, fleetTemplate } = synthesized(changes);
    for (const [stack, it] of Object.entries({ authorizer: template, fleet: fleetTemplate })) {
      const path = join(INFRA, 'test', 'snapshots', `${name}-${stack}.json`);
      const actual = `${JSON.stringify(it.toJSON(), withoutHashes, 2)}\n`;
      if (process.env['UPDATE_SNAPSHOTS'] === 'true') {
        writeFileSync(path, actual);
      }
      const fix = `${path}: if you want the change, run UPDATE_SNAPSHOTS=true npm test`;
      assert.equal(actual, readFileSync(path, 'utf8'), fix);
    }
  }
});

test('the CDK app has both stacks', () => {
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

/** The settings of a schema. An optional section is a setting too, because it has an effect by itself. */
function settingNames(schema: z.ZodObject, prefix = ''): string[] {
  return Object.entries(schema.shape).flatMap(([key, value]) => {
    const name = `${prefix}${key}`;
    const inner = value instanceof z.ZodOptional || value instanceof z.ZodPrefault ? value.unwrap() : value;
    if (!(inner instanceof z.ZodObject)) {
      return [name];
    }
    return [...(value instanceof z.ZodOptional ? [name] : []), ...settingNames(inner, `${name}.`)];
  });
}

/** The names in the first cells of a section's table in docs/deploy.md. */
function rows(title: string): string[] {
  const text = readFileSync(join(REPOSITORY, 'docs/deploy.md'), 'utf8');
  const section = text.split(`## ${title}\n`)[1]?.split('\n## ')[0]?.split('\n### ')[0] ?? '';
  const cells = [...section.matchAll(/^\| (`[^|]*) \|/gm)].map(([, cell]) => cell ?? '');
  return cells.flatMap((cell) => [...cell.matchAll(/`([\w.]+)`/g)].map(([, name]) => name ?? ''));
}

/** The rules that the app breaks without a reason. */
function findings({ app }: { app: App }): string[] {
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
