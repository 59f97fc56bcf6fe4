import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { Match } from 'aws-cdk-lib/assertions';

import { REPOSITORY, synthesized } from './support/fixture';
import { actions, statements } from './support/statements';

const { template } = synthesized();
const stored = synthesized({ readings: { table: true } }).template;

test('each quantity has a rule with a metric, and failures have a log', () => {
  template.resourceCountIs('AWS::IoT::TopicRule', 2);
  for (const [quantity, metricUnit] of [
    ['temperature', 'None'],
    ['humidity', 'Percent'],
  ]) {
    template.hasResourceProperties('AWS::IoT::TopicRule', {
      RuleName: `latchkey_test_${quantity}`,
      TopicRulePayload: {
        Sql: `SELECT value, unit, ts, concat(topic(2), '/', topic(3)) AS series FROM 'sensor/+/${quantity}'`,
        AwsIotSqlVersion: '2016-03-23',
        Actions: [
          {
            CloudwatchMetric: {
              MetricNamespace: 'latchkey/test/readings',
              MetricName: quantity,
              MetricUnit: metricUnit,
              MetricValue: '${value}',
              RoleArn: Match.anyValue(),
            },
          },
        ],
        ErrorAction: { CloudwatchLogs: { LogGroupName: Match.anyValue(), RoleArn: Match.anyValue() } },
      },
    });
  }
});

test('the rules select what a device sends', () => {
  const source = readFileSync(join(REPOSITORY, 'crates/device-core/src/payload.rs'), 'utf8');
  assert.match(source, /"\{\{"value":\{\},"unit":"\{unit\}","ts":\{\}\}\}"/);
});

test('the table of readings is encrypted and sorted by time', () => {
  stored.hasResourceProperties('AWS::DynamoDB::Table', {
    TableName: 'latchkey-test-readings',
    KeySchema: [
      { AttributeName: 'series', KeyType: 'HASH' },
      { AttributeName: 'ts', KeyType: 'RANGE' },
    ],
    SSESpecification: { SSEEnabled: true, SSEType: 'KMS', KMSMasterKeyId: Match.anyValue() },
    PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
  });
  stored.allResourcesProperties('AWS::IoT::TopicRule', {
    TopicRulePayload: {
      Actions: [
        { CloudwatchMetric: Match.anyValue() },
        { DynamoDBv2: { PutItem: { TableName: { Ref: Match.stringLikeRegexp('^ReadingsTable') } } } },
      ],
    },
  });
});

test('the rules may write their metrics, their log and their table, and nothing else', () => {
  const role = statements(stored, 'ReadingsRole');
  assert.deepEqual(role.flatMap(actions).sort(), [
    'cloudwatch:PutMetricData',
    'dynamodb:PutItem',
    'kms:Decrypt',
    'kms:Encrypt',
    'kms:GenerateDataKey',
    'logs:CreateLogStream',
    'logs:DescribeLogStreams',
    'logs:PutLogEvents',
  ]);
  const open = role.filter(({ Resource }) => JSON.stringify(Resource).includes('*'));
  assert.deepEqual(open, [
    {
      Effect: 'Allow',
      Action: 'cloudwatch:PutMetricData',
      Resource: '*',
      Condition: { StringEquals: { 'cloudwatch:namespace': 'latchkey/test/readings' } },
    },
  ]);
});

test('AWS IoT may use the roles for this account only', () => {
  const { template } = synthesized({ iotLogging: 'INFO' });
  const roles = Object.values(template.findResources('AWS::IAM::Role'));
  const trusts = roles.map(
    (role) => (role['Properties'] as Record<string, unknown>)['AssumeRolePolicyDocument'],
  );
  const iot = trusts
    .map((trust) => JSON.stringify(trust))
    .filter((trust) => trust.includes('iot.amazonaws.com'));
  assert.equal(iot.length, 2);
  assert.ok(
    iot.every((trust) => trust.includes('"StringEquals":{"aws:SourceAccount":{"Ref":"AWS::AccountId"}}')),
  );
  assert.equal(
    iot.filter((trust) => /"ArnLike":\{"aws:SourceArn":.*:rule\/latchkey_test_\*"/.test(trust)).length,
    1,
  );
});
