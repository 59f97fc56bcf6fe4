import assert from 'node:assert/strict';
import { chmodSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { App, Stack } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { Key } from 'aws-cdk-lib/aws-kms';

import { RecordTable, UsernamePasswordAuthorizer } from '../lib';
import { filesLayer } from '../lib/code';
import {
  bundle,
  everything,
  file,
  INDEXED_DIGEST,
  INDEXED_FILE,
  keyring,
  newApp,
  PEM,
  synthesized,
} from './support/fixture';
import { actions, statements } from './support/statements';

const ROLE = 'AuthorizerRole';
const { template } = synthesized();

test('IoT Core may call the function for this authorizer of this account only', () => {
  template.resourceCountIs('AWS::Lambda::Permission', 1);
  template.hasResourceProperties('AWS::Lambda::Permission', {
    Action: 'lambda:InvokeFunction',
    Principal: 'iot.amazonaws.com',
    SourceArn: { 'Fn::GetAtt': [Match.stringLikeRegexp('^Authorizer'), 'Arn'] },
    SourceAccount: { Ref: 'AWS::AccountId' },
  });
});

test('the role reads one table, uses its key through DynamoDB, and writes one log', () => {
  const role = statements(template, ROLE);
  assert.deepEqual(role.flatMap(actions).sort(), [
    'dynamodb:GetItem',
    'kms:Decrypt',
    'logs:CreateLogStream',
    'logs:PutLogEvents',
  ]);
  assert.ok(
    role.every(({ Effect, Resource }) => Effect === 'Allow' && !JSON.stringify(Resource).includes('*')),
  );
  const decrypt = role.find((statement) => actions(statement).includes('kms:Decrypt'));
  assert.match(JSON.stringify(decrypt?.Condition), /"kms:ViaService".*"dynamodb\.eu-central-1\./);
});

test('with a secret the role reads only the secret', () => {
  const role = statements(synthesized({ records: 'secret' }).template, ROLE);
  assert.deepEqual(role.flatMap(actions).sort(), [
    'kms:Decrypt',
    'logs:CreateLogStream',
    'logs:PutLogEvents',
    'secretsmanager:GetSecretValue',
  ]);
  assert.ok(role.every(({ Resource }) => !JSON.stringify(Resource).includes('*')));
});

test('with an indexed file the function uses that file alone, and reads no store', () => {
  const { template, fleetTemplate } = synthesized({
    records: 'indexed',
    function: { indexedFile: INDEXED_FILE },
  });
  assert.deepEqual(statements(template, ROLE).flatMap(actions).sort(), [
    'logs:CreateLogStream',
    'logs:PutLogEvents',
  ]);
  template.hasResourceProperties('AWS::Lambda::Function', {
    Environment: {
      Variables: Match.objectLike({
        LATCHKEY_STORE: 'indexed:/opt/devices.indexed',
        LATCHKEY_STORE_DIGEST: INDEXED_DIGEST,
      }),
    },
    Layers: [Match.anyValue()],
  });
  template.hasOutput('RecordsDigest', { Value: INDEXED_DIGEST });
  fleetTemplate.resourceCountIs('AWS::DynamoDB::Table', 0);
  fleetTemplate.resourceCountIs('AWS::SecretsManager::Secret', 0);
});

test('the files of a layer can be read by every user', () => {
  const app = newApp();
  const stack = new Stack(app, 'Stack');
  const path = file('devices.indexed', readFileSync(INDEXED_FILE));
  chmodSync(path, 0o600);
  filesLayer(stack, 'Layer', 'files', { 'devices.indexed': path });
  const { directory } = app.synth();
  const copies = readdirSync(directory, { recursive: true, encoding: 'utf8' });
  const copy = copies.find((name) => name.endsWith('devices.indexed'));
  assert.ok(copy !== undefined);
  assert.equal(statSync(join(directory, copy)).mode & 0o444, 0o444);
  assert.deepEqual(readFileSync(join(directory, copy)), readFileSync(INDEXED_FILE));
});

test('no role has a managed policy', () => {
  for (const role of Object.values(synthesized(everything()).template.findResources('AWS::IAM::Role'))) {
    assert.equal((role['Properties'] as Record<string, unknown>)['ManagedPolicyArns'], undefined);
  }
});

test('the keyring opens with its own context only, and has its own key', () => {
  const { template } = synthesized({ vendorSecrets: { keyring: keyring() } });
  const uses = statements(template, ROLE).filter((statement) => actions(statement).includes('kms:Decrypt'));
  assert.equal(uses.length, 2);
  assert.notDeepEqual(uses[0]?.Resource, uses[1]?.Resource);
  const [opening] = uses.filter((use) => JSON.stringify(use.Resource).includes('KeyringKey'));
  assert.deepEqual(opening?.Condition, { StringEquals: { 'kms:EncryptionContext:latchkey': 'keyring' } });
  template.hasResourceProperties('AWS::Lambda::Function', {
    Environment: { Variables: Match.objectLike({ LATCHKEY_DATA_KEYS: 'kms:/opt/keyring.json' }) },
    Layers: [Match.anyValue()],
  });
});

test('the function has five seconds, a log with a retention, and the architecture of the settings', () => {
  template.hasResourceProperties('AWS::Lambda::Function', {
    FunctionName: 'latchkey-test',
    Runtime: 'provided.al2023',
    Architectures: ['arm64'],
    Timeout: 5,
    MemorySize: 512,
    ReservedConcurrentExecutions: Match.absent(),
    LoggingConfig: { LogGroup: { Ref: Match.stringLikeRegexp('^AuthorizerLog') } },
    Environment: {
      Variables: {
        LATCHKEY_METRICS: 'latchkey/test',
        LATCHKEY_STORE: Match.anyValue(),
        LATCHKEY_DIGEST_KEY: Match.anyValue(),
      },
    },
  });
  const changes = {
    bundle: bundle('x86_64'),
    architecture: 'x86_64',
    memoryMb: 1024,
    reservedConcurrency: 20,
  };
  synthesized({ function: { ...changes, logRetentionDays: 7 } }).template.hasResourceProperties(
    'AWS::Lambda::Function',
    {
      Architectures: ['x86_64'],
      MemorySize: 1024,
      ReservedConcurrentExecutions: 20,
    },
  );
});

test('the key of the digests is generated, and is nowhere in the template', () => {
  template.hasResourceProperties('AWS::SecretsManager::Secret', {
    Name: 'latchkey-test/digest-key',
    GenerateSecretString: { PasswordLength: 64, ExcludePunctuation: true },
    SecretString: Match.absent(),
  });
  const [authorizer] = Object.values(
    template.findResources('AWS::Lambda::Function', { Properties: { FunctionName: 'latchkey-test' } }),
  );
  const { Environment } = authorizer?.['Properties'] as { Environment: { Variables: object } };
  assert.match(
    JSON.stringify(Environment.Variables),
    /"LATCHKEY_DIGEST_KEY":\{"Fn::Join":\["",\["\{\{resolve:secretsmanager:",\{"Ref":"AuthorizerDigestKey\w+"\},":SecretString:::\}\}"\]\]\}/,
  );
});

test('every log group has a retention', () => {
  // One of the function, of the endpoint and of the readings; with every setting one of the default authorizer too.
  for (const [{ template }, count] of [
    [synthesized(), 3],
    [synthesized(everything()), 4],
  ] as const) {
    const groups = Object.values(template.findResources('AWS::Logs::LogGroup'));
    assert.equal(groups.length, count);
    for (const group of groups) {
      assert.ok(Number((group['Properties'] as Record<string, unknown>)['RetentionInDays']) > 0);
    }
  }
});

test('without signing the authorizer says so, and nothing is cached', () => {
  template.hasResourceProperties('AWS::IoT::Authorizer', {
    AuthorizerName: 'latchkey-test',
    Status: 'ACTIVE',
    SigningDisabled: true,
    EnableCachingForHttp: false,
    TokenKeyName: Match.absent(),
    TokenSigningPublicKeys: Match.absent(),
  });
});

test('with signing the authorizer has the keys', () => {
  const signing = { tokenKeyName: 'token', publicKeys: { first: file('first.pem', PEM) } };
  const { template } = synthesized({ authorizer: { name: 'mine', cacheHttp: true, signing } });
  template.hasResourceProperties('AWS::IoT::Authorizer', {
    AuthorizerName: 'mine',
    SigningDisabled: false,
    EnableCachingForHttp: true,
    TokenKeyName: 'token',
    TokenSigningPublicKeys: { first: PEM.trim() },
  });
});

test('a domain uses this authorizer only', () => {
  const common = {
    AuthenticationType: 'CUSTOM_AUTH',
    ApplicationProtocol: 'SECURE_MQTT',
    ServiceType: 'DATA',
    AuthorizerConfig: {
      DefaultAuthorizerName: { Ref: Match.stringLikeRegexp('^Authorizer') },
      AllowAuthorizerOverride: false,
    },
  };
  template.resourceCountIs('AWS::IoT::DomainConfiguration', 0);
  synthesized({ domain: {} }).template.hasResourceProperties('AWS::IoT::DomainConfiguration', {
    ...common,
    DomainName: Match.absent(),
    ServerCertificateArns: Match.absent(),
  });
  synthesized(everything()).template.hasResourceProperties('AWS::IoT::DomainConfiguration', {
    ...common,
    DomainName: 'iot.example.com',
    ServerCertificateArns: [Match.stringLikeRegexp('^arn:aws:acm:eu-central-1:')],
  });
});

test('another app can use the construct', () => {
  const stack = new Stack(new App(), 'Other');
  const key = new Key(stack, 'Key', { enableKeyRotation: true });
  const store = new RecordTable(stack, 'Records', { tableName: 'devices', key, keepData: true });
  new UsernamePasswordAuthorizer(stack, 'Auth', {
    authorizerName: 'mine',
    store,
    code: { bundle: bundle() },
  });
  const template = Template.fromStack(stack);
  template.hasResourceProperties('AWS::IoT::Authorizer', { AuthorizerName: 'mine' });
  template.hasResourceProperties('AWS::Lambda::Function', { FunctionName: 'mine', Architectures: ['arm64'] });
  assert.throws(
    () =>
      new UsernamePasswordAuthorizer(stack, 'B', {
        authorizerName: 'b',
        store,
        code: { bundle: bundle('x86_64') },
      }),
    /was built for x86_64/,
  );
});
