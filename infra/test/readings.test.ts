import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { Match } from 'aws-cdk-lib/assertions';

import { REPOSITORY, synthesized } from './support/fixture';
import { actions, statements } from './support/statements';

const { template } = synthesized();
const stored = synthesized({ readings: { table: true } }).template;

const RULES = [
  {
    quantity: 'temperature',
    metricUnit: 'None',
    unit: 'Cel',
    range: 'value >= -40 AND value <= 125',
  },
  {
    quantity: 'humidity',
    metricUnit: 'Percent',
    unit: '%RH',
    range: 'value >= 0 AND value <= 100',
  },
];

test('each quantity has a rule with a metric, and failures have a log', () => {
  template.resourceCountIs('AWS::IoT::TopicRule', 2);
  for (const { quantity, metricUnit } of RULES) {
    template.hasResourceProperties('AWS::IoT::TopicRule', {
      RuleName: `latchkey_test_${quantity}`,
      TopicRulePayload: {
        AwsIotSqlVersion: '2016-03-23',
        Actions: [
          {
            CloudwatchMetric: {
              MetricNamespace: 'latchkey/test/readings',
              MetricName: quantity,
              MetricUnit: metricUnit,
              MetricValue: '${trunc(value, 2)}',
              RoleArn: Match.anyValue(),
            },
          },
        ],
        ErrorAction: { CloudwatchLogs: { LogGroupName: Match.anyValue(), RoleArn: Match.anyValue() } },
      },
    });
  }
});

test('a rule selects by type, range and unit, and AWS IoT sets key and end of an item', () => {
  const stage = synthesized({ readings: { table: true, days: 2 } }).template;
  for (const { quantity, unit, range } of RULES) {
    const select = [
      `SELECT trunc(value, 2) AS value, '${unit}' AS unit, ts, concat(topic(2), '/', topic(3)) AS series,`,
      'timestamp() AS received_at, timestamp() / 1000 + 172800 AS expires_at',
    ];
    const where = [
      `FROM 'sensor/+/${quantity}' WHERE value = cast(value AS Decimal) AND ${range}`,
      `AND ts = cast(ts AS Int) AND ts >= 0 AND ts <= 4294967295 AND unit = '${unit}'`,
    ];
    stage.hasResourceProperties('AWS::IoT::TopicRule', {
      TopicRulePayload: { Sql: [...select, ...where].join(' ') },
    });
  }
});

test('the rules select what a device sends', () => {
  const source = (name: string): string =>
    readFileSync(join(REPOSITORY, 'crates/device-core/src', name), 'utf8');
  assert.match(source('payload.rs'), /"\{\{"value":\{\},"unit":"\{unit\}","ts":\{\}\}\}"/);
  // The sensor's range, the bounds of a humidity, the units and the decimals.
  assert.match(source('sht20/conversion.rs'), /\(-40_000\.\.=125_000\)\.contains\(&milli\)/);
  assert.match(source('reading.rs'), /clamp\(0, 100_000\)/);
  for (const { unit } of RULES) {
    assert.ok(source('reading.rs').includes(`=> "${unit}"`), unit);
  }
});

test('the table of readings is encrypted, sorted by the time of AWS IoT, and forgets', () => {
  stored.hasResourceProperties('AWS::DynamoDB::Table', {
    TableName: 'latchkey-test-readings',
    KeySchema: [
      { AttributeName: 'series', KeyType: 'HASH' },
      { AttributeName: 'received_at', KeyType: 'RANGE' },
    ],
    SSESpecification: { SSEEnabled: true, SSEType: 'KMS', KMSMasterKeyId: Match.anyValue() },
    PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
    TimeToLiveSpecification: { AttributeName: 'expires_at', Enabled: true },
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
