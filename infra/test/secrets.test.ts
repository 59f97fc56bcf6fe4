import assert from 'node:assert/strict';
import { test } from 'node:test';

import { CfnOutput, SecretValue } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';

import { addStage } from '../lib/stacks';
import { everything, newApp, PEM, REPOSITORY, settings, synthesized } from './support/fixture';

/** What a secret looks like in this product: private keys, verifiers, secrets in records, AWS's keys, tokens. */
const FORMS: Readonly<Record<string, RegExp>> = {
  'a private key': /-----BEGIN [A-Z ]*PRIVATE KEY-----/,
  'a verifier or a secret of a record': /\$(argon2\w*|2[aby]|pbkdf2-\w+|[56]|7|plain|sealed)\$/,
  'an access key': /\bA(KIA|SIA)[A-Z0-9]{16}\b/,
  'a JSON Web Token': /\beyJ[\w-]+\.[\w-]+\.[\w-]+/,
  'a password in a property': /(password|passwd|secret|token)["']?\s*[:=]\s*["'][^"'{]/i,
};
/** A run that is long and as mixed as random letters and digits are. */
const RUN = /[A-Za-z0-9+/_-]{24,}={0,2}/g;
const RANDOM_BITS = 4.2;

test('templates and outputs hold no secret', () => {
  for (const changes of [{}, everything(), { records: 'secret', domain: {}, vendorSecrets: {} }]) {
    const { template, fleetTemplate } = synthesized(changes);
    assert.deepEqual([...secrets(template), ...secrets(fleetTemplate)], []);
  }
});

test('a secret in a template is found', () => {
  const random = 'Zk3qPp0vX9sLw7TbYc2NfRhJ5mGdQe8A';
  const planted: Readonly<Record<string, string>> = {
    'a private key': '-----BEGIN EC PRIVATE KEY-----\nMHcC\n-----END EC PRIVATE KEY-----',
    'a verifier or a secret of a record': '$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA',
    'an access key': 'AKIAIOSFODNN7EXAMPLE',
    'a JSON Web Token': 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2ln',
    'a password in a property': '{"password": "hunter2"}',
    'random text': random,
  };
  for (const [what, value] of Object.entries(planted)) {
    const app = newApp();
    const { fleet } = addStage(app, settings(), REPOSITORY);
    new CfnOutput(fleet, 'Planted', { value });
    assert.ok(
      secrets(Template.fromStack(fleet)).some((found) => found.startsWith(what)),
      what,
    );
  }
  const { fleet } = addStage(newApp(), settings(), REPOSITORY);
  new Secret(fleet, 'Planted', { secretStringValue: SecretValue.unsafePlainText('hunter2') });
  assert.ok(secrets(Template.fromStack(fleet)).some((found) => found.startsWith('a secret with a value')));
});

/** What in a template looks like a secret. */
function secrets(template: Template): string[] {
  const json = template.toJSON() as { Resources: Record<string, { Type: string; Properties?: object }> };
  const texts = strings({ ...json, Parameters: undefined, Rules: undefined });
  const values = Object.values(json.Resources)
    .filter(({ Type }) => Type === 'AWS::SecretsManager::Secret')
    .map(({ Properties }) => (Properties as { SecretString?: string }).SecretString)
    .filter((value) => value !== undefined && value !== '{"version":1,"devices":{}}');
  return [
    ...values.map((value) => `a secret with a value: ${value}`),
    ...Object.entries(FORMS).flatMap(([what, form]) =>
      texts.filter((text) => form.test(text)).map((text) => `${what}: ${text}`),
    ),
    ...texts
      .filter((text) => text !== PEM.trim())
      .flatMap((text) => text.match(RUN) ?? [])
      .filter((run) => entropy(run) > RANDOM_BITS && !/^[0-9a-f]{64}$/.test(run))
      .map((run) => `random text: ${run}`),
  ];
}

/** Properties whose texts are names that CDK makes, with parts of hashes, or a program. */
const NAMES = [
  'DependsOn',
  'Export',
  'Fn::GetAtt',
  'Fn::ImportValue',
  'PolicyName',
  'Ref',
  'S3Key',
  'ZipFile',
];

/** All texts of a template but those of {@link NAMES}. */
function strings(value: unknown): string[] {
  if (typeof value === 'string') {
    return [value];
  }
  if (typeof value !== 'object' || value === null) {
    return [];
  }
  return Object.entries(value).flatMap(([key, it]) => (NAMES.includes(key) ? [] : strings(it)));
}

/** Shannon's entropy of a text's characters, in bits for each. */
function entropy(text: string): number {
  const counts = new Map<string, number>();
  for (const character of text) {
    counts.set(character, (counts.get(character) ?? 0) + 1);
  }
  return [...counts.values()].reduce(
    (bits, count) => bits - (count / text.length) * Math.log2(count / text.length),
    0,
  );
}
