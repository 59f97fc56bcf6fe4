import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { Match, Template } from 'aws-cdk-lib/assertions';

import { KEY, TTL } from '../lib/records';
import { everything, REPOSITORY, synthesized } from './support/fixture';

const { fleetTemplate: template } = synthesized();
const kept = synthesized(everything());

test('the table is encrypted with a customer managed key, and can be restored', () => {
  template.hasResourceProperties('AWS::DynamoDB::Table', {
    TableName: 'latchkey-test-devices',
    KeySchema: [{ AttributeName: 'device', KeyType: 'HASH' }],
    AttributeDefinitions: [{ AttributeName: 'device', AttributeType: 'S' }],
    BillingMode: 'PAY_PER_REQUEST',
    SSESpecification: {
      SSEEnabled: true,
      SSEType: 'KMS',
      KMSMasterKeyId: { 'Fn::GetAtt': [Match.stringLikeRegexp('^StorageKey'), 'Arn'] },
    },
    PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
    TimeToLiveSpecification: { AttributeName: 'ttl', Enabled: true },
    DeletionProtectionEnabled: false,
  });
});

test('the attributes are those that the authorizer reads', () => {
  const source = readFileSync(join(REPOSITORY, 'crates/device-auth/src/store/item.rs'), 'utf8');
  const constant = (name: string): string | undefined =>
    new RegExp(`const ${name}: &str = "(\\w+)"`).exec(source)?.[1];
  assert.deepEqual([constant('KEY'), constant('TTL')], [KEY, TTL]);
});

test('with keepData neither a person nor the stack can delete the data', () => {
  const all = [...tables(kept.template), ...tables(kept.fleetTemplate)];
  assert.equal(all.length, 2);
  for (const table of all) {
    assert.equal(table['DeletionPolicy'], 'Retain');
    assert.equal((table['Properties'] as Record<string, unknown>)['DeletionProtectionEnabled'], true);
  }
  assert.ok(kept.fleet.terminationProtection && kept.authorizer.terminationProtection);
  const keys = Object.values(kept.fleetTemplate.findResources('AWS::KMS::Key'));
  assert.deepEqual(
    keys.map((key) => String(key['DeletionPolicy'])),
    ['Retain', 'Retain'],
  );
});

test('without keepData the stack deletes the data', () => {
  for (const resource of Object.values(
    template.toJSON()['Resources'] as Record<string, Record<string, unknown>>,
  )) {
    assert.notEqual(resource['DeletionPolicy'], 'Retain', String(resource['Type']));
  }
});

test("keys rotate, and only vendors' secrets have a key for a keyring", () => {
  template.resourceCountIs('AWS::KMS::Key', 1);
  const withSecrets = synthesized({ vendorSecrets: {} }).fleetTemplate;
  withSecrets.resourceCountIs('AWS::KMS::Key', 2);
  withSecrets.allResourcesProperties('AWS::KMS::Key', { EnableKeyRotation: true });
  withSecrets.hasResourceProperties('AWS::KMS::Alias', { AliasName: 'alias/latchkey-test-keyring' });
});

test('a secret is empty at first, and encrypted', () => {
  const { fleetTemplate } = synthesized({ records: 'secret' });
  fleetTemplate.resourceCountIs('AWS::DynamoDB::Table', 0);
  fleetTemplate.hasResourceProperties('AWS::SecretsManager::Secret', {
    Name: 'latchkey-test/devices',
    SecretString: '{"version":1,"devices":{}}',
    KmsKeyId: { 'Fn::GetAtt': [Match.stringLikeRegexp('^StorageKey'), 'Arn'] },
  });
});

test('a certificate gets exactly the topics of an SHT20, and only as its own Thing', () => {
  const [policy] = Object.values(template.findResources('AWS::IoT::Policy'));
  const { PolicyDocument } = policy?.['Properties'] as { PolicyDocument: object };
  const arn = (resource: string): string => `arn:PARTITION:iot:eu-central-1:ACCOUNT:${resource}`;
  const thing = '${iot:Connection.Thing.ThingName}';
  const topics = (kind: string): string[] =>
    ['temperature', 'humidity'].map((quantity) => arn(`${kind}/sensor/${thing}/${quantity}`));
  assert.deepEqual(resolved(PolicyDocument), {
    Version: '2012-10-17',
    Statement: [
      {
        Effect: 'Allow',
        Action: 'iot:Connect',
        Resource: arn(`client/${thing}`),
        Condition: { Bool: { 'iot:Connection.Thing.IsAttached': 'true' } },
      },
      { Effect: 'Allow', Action: ['iot:Publish', 'iot:Receive'], Resource: topics('topic') },
      { Effect: 'Allow', Action: 'iot:Subscribe', Resource: topics('topicfilter') },
    ],
  });
});

test('the topics are those of the grant `sht20`', () => {
  const source = readFileSync(join(REPOSITORY, 'crates/device-auth/src/grant.rs'), 'utf8');
  const grant = /let sht20 = both_ways\(&\[(.*)\]\);/.exec(source)?.[1];
  assert.equal(grant, '"sensor/{client_id}/temperature", "sensor/{client_id}/humidity"');
});

test('the registry has type, group and the demo Thing, and a certificate if it is set', () => {
  template.hasResourceProperties('AWS::IoT::ThingType', { ThingTypeName: 'latchkey-test-sht20' });
  template.hasResourceProperties('AWS::IoT::ThingGroup', { ThingGroupName: 'latchkey-test' });
  template.hasResourceProperties('AWS::IoT::Thing', { ThingName: 'sht20' });
  template.resourceCountIs('AWS::IoT::ThingPrincipalAttachment', 0);
  synthesized({ things: { demo: false } }).fleetTemplate.resourceCountIs('AWS::IoT::Thing', 0);
  const Principal = Match.stringLikeRegexp('^arn:aws:iot:eu-central-1:.*:cert/');
  kept.fleetTemplate.hasResourceProperties('AWS::IoT::ThingPrincipalAttachment', {
    ThingName: 'sht20',
    Principal,
  });
  kept.fleetTemplate.hasResourceProperties('AWS::IoT::PolicyPrincipalAttachment', {
    PolicyName: 'latchkey-test-sht20',
    Principal,
  });
});

function tables(from: Template): Record<string, unknown>[] {
  return Object.values(from.findResources('AWS::DynamoDB::Table'));
}

/** The document as text, with names in place of what CloudFormation fills in. */
function resolved(document: object): unknown {
  const names: Record<string, string> = { 'AWS::Partition': 'PARTITION', 'AWS::AccountId': 'ACCOUNT' };
  const join = (_: string, value: unknown): unknown => {
    const parts = (value as { 'Fn::Join'?: [string, (string | { Ref: string })[]] } | null)?.[
      'Fn::Join'
    ]?.[1];
    return parts ? parts.map((part) => (typeof part === 'string' ? part : names[part.Ref])).join('') : value;
  };
  return JSON.parse(JSON.stringify(document), join);
}
