import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { everything, INFRA, synthesized } from './support/fixture';
import { allows, Call, Policy } from './support/iam';
import { ACCOUNT, regional, Resource, resources } from './support/resolved';

const EXECUTION = policy('execution-policy.json');
const BOUNDARY = policy('permissions-boundary.json');

/** Action, resource and context of a call. */
type CallParts = [string, string, Call['context']?];

const BOUNDARY_ARN = `arn:aws:iam::${ACCOUNT}:policy/latchkey-boundary`;
const ADMINISTRATOR = 'arn:aws:iam::aws:policy/AdministratorAccess';
const OURS = `arn:aws:iam::${ACCOUNT}:role/latchkey-prod-Role`;
const KEY = regional('kms', 'key/1234');
const TAG = { 'aws:ResourceTag/latchkey:stage': 'prod' };

/** The stages with every kind of resource between them. */
const STAGES = [{}, everything(), { records: 'secret', domain: {}, vendorSecrets: {} }].map((changes) => {
  const { template, fleetTemplate } = synthesized(changes);
  return resources(fleetTemplate, template);
});

test('the execution policy allows what a deploy of each stage does', () => {
  for (const stage of STAGES) {
    for (const resource of stage.values()) {
      for (const call of deployCalls(resource)) {
        assert.ok(allows(EXECUTION, call), `${resource.type}: ${JSON.stringify(call)}`);
      }
    }
  }
});

test('the execution policy allows no escalation', () => {
  const escalations: readonly CallParts[] = [
    // A role that may do more than the boundary.
    ['iam:CreateRole', OURS],
    ['iam:CreateRole', OURS, { 'iam:PermissionsBoundary': ADMINISTRATOR }],
    ['iam:CreateRole', `arn:aws:iam::${ACCOUNT}:role/admin`, { 'iam:PermissionsBoundary': BOUNDARY_ARN }],
    ['iam:PutRolePolicy', OURS],
    ['iam:PutRolePolicy', OURS, { 'iam:PermissionsBoundary': ADMINISTRATOR }],
    ['iam:PutRolePermissionsBoundary', OURS, { 'iam:PermissionsBoundary': ADMINISTRATOR }],
    ['iam:DeleteRolePermissionsBoundary', OURS, { 'iam:PermissionsBoundary': BOUNDARY_ARN }],
    ['iam:AttachRolePolicy', OURS, { 'iam:PolicyARN': ADMINISTRATOR }],
    [
      'iam:AttachRolePolicy',
      OURS,
      { 'iam:PolicyARN': ADMINISTRATOR, 'iam:PermissionsBoundary': BOUNDARY_ARN },
    ],
    // The policies that hold all this.
    ...['CreatePolicyVersion', 'SetDefaultPolicyVersion', 'DeletePolicy', 'CreatePolicy'].flatMap(
      (action): CallParts[] => [
        [`iam:${action}`, BOUNDARY_ARN],
        [`iam:${action}`, `arn:aws:iam::${ACCOUNT}:policy/latchkey-execution`],
      ],
    ),
    ['iam:PutRolePolicy', `arn:aws:iam::${ACCOUNT}:role/cdk-hnb659fds-cfn-exec-role-${ACCOUNT}-eu-central-1`],
    // A role in other hands.
    ...['ec2', 'ecs-tasks', 'cloudformation', 'codebuild', 'glue'].map(
      (service): CallParts => ['iam:PassRole', OURS, { 'iam:PassedToService': `${service}.amazonaws.com` }],
    ),
    ['iam:PassRole', `arn:aws:iam::${ACCOUNT}:role/admin`, { 'iam:PassedToService': 'lambda.amazonaws.com' }],
    ['iam:PassRole', OURS],
    ['iam:UpdateAssumeRolePolicy', `arn:aws:iam::${ACCOUNT}:role/admin`],
    ['iam:CreateUser', `arn:aws:iam::${ACCOUNT}:user/latchkey-me`],
    ['iam:CreateAccessKey', `arn:aws:iam::${ACCOUNT}:user/me`],
    ['sts:AssumeRole', OURS],
    // Keys of others: without our tag, or with an alias of theirs.
    ...['PutKeyPolicy', 'ScheduleKeyDeletion', 'UntagResource'].flatMap((action): CallParts[] => [
      [`kms:${action}`, KEY],
      [`kms:${action}`, KEY, { 'kms:ResourceAliases': ['alias/latchkey-prod'] }],
      [`kms:${action}`, KEY, { ...TAG, 'kms:ResourceAliases': ['alias/payroll'] }],
      [`kms:${action}`, KEY, { ...TAG, 'kms:ResourceAliases': ['alias/latchkey-prod', 'alias/payroll'] }],
    ]),
    ['kms:TagResource', KEY, { 'kms:ResourceAliases': ['alias/payroll'] }],
    ['kms:CreateAlias', KEY, { 'kms:ResourceAliases': ['alias/payroll'] }],
    ['kms:UpdateAlias', regional('kms', 'alias/payroll')],
    ['kms:CreateKey', '*'],
    ...['Decrypt', 'Encrypt', 'GenerateDataKey', 'CreateGrant', 'ReEncryptFrom'].flatMap(
      (action): CallParts[] => [
        [`kms:${action}`, KEY, TAG],
        [`kms:${action}`, KEY, { ...TAG, 'kms:ViaService': 's3.eu-central-1.amazonaws.com' }],
        [
          `kms:${action}`,
          KEY,
          {
            'kms:ViaService': 'dynamodb.eu-central-1.amazonaws.com',
            'kms:ResourceAliases': ['alias/payroll'],
          },
        ],
      ],
    ),
    ['kms:DisableKey', KEY, TAG],
    // Data.
    ...['GetItem', 'Query', 'Scan', 'PutItem', 'ExportTableToPointInTime', 'PutResourcePolicy'].map(
      (action): CallParts => [`dynamodb:${action}`, regional('dynamodb', 'table/latchkey-prod-devices')],
    ),
    ['dynamodb:DeleteTable', regional('dynamodb', 'table/payroll')],
    ['secretsmanager:GetSecretValue', regional('secretsmanager', 'secret:latchkey-prod/devices-abcdef')],
    ['secretsmanager:PutResourcePolicy', regional('secretsmanager', 'secret:latchkey-prod/devices-abcdef')],
    ['secretsmanager:DeleteSecret', regional('secretsmanager', 'secret:payroll-abcdef')],
    ['s3:PutObject', 'arn:aws:s3:::cdk-hnb659fds-assets-1/x'],
    // Functions of others, and ours for others.
    ['lambda:UpdateFunctionCode', regional('lambda', 'function:payroll')],
    ['lambda:InvokeFunction', regional('lambda', 'function:payroll')],
    ['lambda:CreateFunctionUrlConfig', regional('lambda', 'function:latchkey-prod')],
    ['lambda:CreateEventSourceMapping', '*'],
    ['lambda:AddLayerVersionPermission', regional('lambda', 'layer:latchkey-prod-files:1')],
    ['lambda:AddPermission', regional('lambda', 'function:latchkey-prod'), { 'lambda:Principal': '*' }],
    [
      'lambda:AddPermission',
      regional('lambda', 'function:latchkey-prod'),
      { 'lambda:Principal': '444455556666' },
    ],
    ['lambda:AddPermission', regional('lambda', 'function:latchkey-prod')],
    // Devices and rules of others.
    ...['UpdateAuthorizer', 'DeleteAuthorizer'].map(
      (action): CallParts => [`iot:${action}`, regional('iot', 'authorizer/payroll')],
    ),
    ['iot:CreatePolicyVersion', regional('iot', 'policy/payroll')],
    ['iot:AttachPolicy', regional('iot', 'cert/abc')],
    ['iot:AttachThingPrincipal', regional('iot', 'cert/abc')],
    ['iot:ReplaceTopicRule', regional('iot', 'rule/payroll')],
    ['iot:SetDefaultAuthorizer', regional('iot', 'authorizer/latchkey-prod')],
    ['iot:DeleteThing', regional('iot', 'thing/payroll')],
    ['iot:UpdateDomainConfiguration', regional('iot', 'domainconfiguration/payroll/abcde')],
    // What watches.
    ['cloudwatch:DeleteAlarms', regional('cloudwatch', 'alarm:payroll')],
    ['logs:DeleteLogGroup', regional('logs', 'log-group:/aws/lambda/payroll:*')],
    ['logs:GetLogEvents', regional('logs', 'log-group:/aws/lambda/latchkey-prod:*')],
    ['sns:SetTopicAttributes', regional('sns', 'payroll')],
    ['sns:Publish', regional('sns', 'latchkey-prod-alarms')],
    ['cloudformation:CreateStack', '*'],
    ['organizations:LeaveOrganization', '*'],
  ];
  assert.deepEqual(allowed(EXECUTION, escalations), []);
});

test('the execution policy takes names with latchkey- and keys without an alias for its own', () => {
  // Neither IAM nor KMS has a condition that tells them apart: docs/deploy.md says what to do.
  const other = `arn:aws:iam::${ACCOUNT}:role/latchkey-of-another-purpose`;
  const taken: readonly CallParts[] = [
    ['iam:UpdateAssumeRolePolicy', other],
    ['iam:PassRole', other, { 'iam:PassedToService': 'lambda.amazonaws.com' }],
    ['lambda:UpdateFunctionCode', regional('lambda', 'function:latchkey-of-another-purpose')],
    ['dynamodb:DeleteTable', regional('dynamodb', 'table/latchkey-of-another-purpose')],
    ['kms:TagResource', KEY],
    ['kms:PutKeyPolicy', KEY, TAG],
  ];
  for (const [action, resource, context] of taken) {
    assert.ok(allows(EXECUTION, { action, resource, ...(context && { context }) }), `${action} ${resource}`);
  }
});

test('every role has the boundary', () => {
  for (const stage of STAGES) {
    const roles = [...stage.values()].filter(({ type }) => type === 'AWS::IAM::Role');
    assert.ok(roles.length >= 3);
    roles.forEach(({ name, properties }) =>
      assert.equal(properties['PermissionsBoundary'], BOUNDARY_ARN, name),
    );
  }
});

test('a stage can have another boundary, or none', () => {
  const boundaries = (permissionsBoundary: unknown): unknown[] => {
    const { template, fleetTemplate } = synthesized({ permissionsBoundary });
    const roles = [...resources(fleetTemplate, template).values()].filter(
      (it) => it.type === 'AWS::IAM::Role',
    );
    return [...new Set(roles.map(({ properties }) => properties['PermissionsBoundary']))];
  };
  assert.deepEqual(boundaries('company'), [`arn:aws:iam::${ACCOUNT}:policy/company`]);
  assert.deepEqual(boundaries(false), [undefined]);
});

test('the boundary allows what the roles of each stage may do', () => {
  for (const stage of STAGES) {
    const policies = [...stage.values()].filter(({ type }) => type === 'AWS::IAM::Policy');
    const calls = policies.flatMap(({ properties }) =>
      (properties['PolicyDocument'] as Policy).Statement.flatMap(({ Action, Resource, Condition }) => {
        const context = Object.assign({}, ...Object.values(Condition ?? {})) as Call['context'];
        return [Action]
          .flat()
          .flatMap((action) =>
            [Resource].flat().map((resource): Call => ({ action, resource, ...(context && { context }) })),
          );
      }),
    );
    assert.ok(calls.length > 10);
    for (const call of calls) {
      assert.ok(allows(BOUNDARY, call), JSON.stringify(call));
    }
  }
});

test('a role within the boundary can do no harm to others', () => {
  const keyring = { 'kms:EncryptionContext:latchkey': 'keyring' };
  assert.ok(allows(BOUNDARY, { action: 'kms:Decrypt', resource: KEY, context: keyring }));
  assert.deepEqual(
    allowed(BOUNDARY, [
      ['iam:CreateRole', OURS, { 'iam:PermissionsBoundary': BOUNDARY_ARN }],
      ['iam:PassRole', OURS, { 'iam:PassedToService': 'lambda.amazonaws.com' }],
      ['sts:AssumeRole', OURS],
      ['kms:Decrypt', KEY],
      ['kms:Decrypt', KEY, { 'kms:EncryptionContext:latchkey': 'other' }],
      ['kms:Decrypt', KEY, { 'kms:ViaService': 's3.eu-central-1.amazonaws.com' }],
      ['kms:PutKeyPolicy', KEY, TAG],
      ['dynamodb:Scan', regional('dynamodb', 'table/latchkey-prod-devices')],
      ['dynamodb:PutItem', regional('dynamodb', 'table/latchkey-prod-devices')],
      ['dynamodb:GetItem', regional('dynamodb', 'table/latchkey-prod-readings')],
      ['dynamodb:GetItem', regional('dynamodb', 'table/payroll')],
      ['secretsmanager:GetSecretValue', regional('secretsmanager', 'secret:payroll-abcdef')],
      ['secretsmanager:GetSecretValue', regional('secretsmanager', 'secret:latchkey-prod/digest-key-abcdef')],
      ['secretsmanager:PutSecretValue', regional('secretsmanager', 'secret:latchkey-prod/devices-abcdef')],
      ['cloudwatch:PutMetricData', '*', { 'cloudwatch:namespace': 'AWS/Billing' }],
      ['logs:PutLogEvents', regional('logs', 'log-group:/aws/lambda/payroll:*')],
      ['lambda:InvokeFunction', regional('lambda', 'function:latchkey-prod')],
      ['iot:Publish', regional('iot', 'topic/x')],
      ['iot:UpdateAuthorizer', regional('iot', 'authorizer/latchkey-prod')],
      ['s3:GetObject', 'arn:aws:s3:::payroll/x'],
    ]),
    [],
  );
});

test('both policies fit IAM', () => {
  for (const [name, it] of Object.entries({ EXECUTION, BOUNDARY })) {
    // IAM's limit for a managed policy, without white space.
    assert.ok(JSON.stringify(it).length <= 6144, name);
  }
});

test('the evaluator denies by default, and a Deny wins', () => {
  const statement = (Effect: string, Action: string, Condition?: object): object => ({
    ...{ Effect, Action, Resource: 'arn:?:x/*' },
    ...(Condition && { Condition }),
  });
  const decide = (statements: object[], context = {}): boolean =>
    allows({ Version: '2012-10-17', Statement: statements } as unknown as Policy, {
      action: 'a:GetThing',
      resource: 'arn:1:x/y/z',
      context,
    });
  assert.equal(decide([]), false);
  assert.equal(decide([statement('Allow', 'A:get*')]), true);
  assert.equal(decide([statement('Allow', 'a:Put*')]), false);
  assert.equal(decide([statement('Allow', 'a:*'), statement('Deny', '*')]), false);
  const equals = { StringEquals: { k: ['1', '2'] } };
  assert.deepEqual(
    [{}, { k: '2' }, { k: '3' }].map((context) => decide([statement('Allow', '*', equals)], context)),
    [false, true, false],
  );
  const all = { 'ForAllValues:StringLike': { k: 'x*' } };
  assert.deepEqual(
    [{}, { k: ['x1', 'x2'] }, { k: ['x1', 'y'] }].map((it) => decide([statement('Allow', '*', all)], it)),
    [true, true, false],
  );
  const present = { Null: { k: 'false' } };
  assert.deepEqual(
    [{}, { k: '' }].map((context) => decide([statement('Allow', '*', present)], context)),
    [false, true],
  );
  assert.throws(
    () => decide([statement('Allow', '*', { IpAddress: { k: '10.0.0.0/8' } })], { k: '1' }),
    /IpAddress/,
  );
  assert.throws(() => decide([{ Effect: 'Allow', NotAction: 'a:b', Resource: '*' }]), /NotAction/);
});

function policy(name: string): Policy {
  return JSON.parse(readFileSync(join(INFRA, name), 'utf8')) as Policy;
}

/** The calls of a list that a policy allows. */
function allowed(it: Policy, calls: readonly CallParts[]): Call[] {
  const list = calls.map(
    ([action, resource, context]): Call => ({ action, resource, ...(context && { context }) }),
  );
  return list.filter((call) => allows(it, call));
}

/** What CloudFormation calls, at least, to create and delete a resource. Others are created by those of this list. */
function deployCalls({ type, name, arn, properties }: Resource): Call[] {
  const boundary = properties['PermissionsBoundary'];
  const bounded = { 'iam:PermissionsBoundary': String(boundary) };
  const aliases = { 'kms:ResourceAliases': ['alias/latchkey-test'] };
  const calls = (service: string, names: string, context?: Call['context']): Call[] =>
    names
      .split(' ')
      .map((it) => ({ action: `${service}:${it}`, resource: arn, ...(context && { context }) }));
  switch (type) {
    case 'AWS::IAM::Role':
      return [
        ...calls('iam', 'CreateRole PutRolePolicy PutRolePermissionsBoundary', bounded),
        ...calls('iam', 'GetRole TagRole DeleteRolePolicy DeleteRole UpdateAssumeRolePolicy'),
        ...calls('iam', 'PassRole', { 'iam:PassedToService': passedTo(properties) }),
      ];
    case 'AWS::Lambda::Function':
      return [
        ...calls('lambda', 'CreateFunction GetFunction UpdateFunctionCode UpdateFunctionConfiguration'),
        ...calls('lambda', 'PutFunctionConcurrency InvokeFunction TagResource DeleteFunction'),
        ...calls('lambda', 'AddPermission', { 'lambda:Principal': 'iot.amazonaws.com' }),
      ];
    case 'AWS::Lambda::LayerVersion':
      return calls('lambda', 'PublishLayerVersion GetLayerVersion DeleteLayerVersion');
    case 'AWS::DynamoDB::Table':
      return calls(
        'dynamodb',
        'CreateTable DescribeTable UpdateContinuousBackups UpdateTimeToLive DeleteTable',
      );
    case 'AWS::SecretsManager::Secret':
      return [
        ...calls('secretsmanager', 'CreateSecret DescribeSecret TagResource UpdateSecret DeleteSecret'),
        // CloudFormation reads what it generated, for the function.
        ...(properties['GenerateSecretString'] === undefined
          ? []
          : calls('secretsmanager', 'GetSecretValue')),
      ];
    case 'AWS::KMS::Key':
      return [
        { action: 'kms:CreateKey', resource: '*', context: { 'aws:RequestTag/latchkey:stage': 'test' } },
        // A new key has no alias yet, and may not show its tag yet.
        ...calls('kms', 'TagResource CreateAlias DescribeKey EnableKeyRotation GetKeyPolicy'),
        ...calls('kms', 'PutKeyPolicy ScheduleKeyDeletion', { ...TAG, ...aliases }),
        ...calls('kms', 'ScheduleKeyDeletion', TAG),
        ...calls('kms', 'CreateGrant Decrypt', {
          ...aliases,
          'kms:ViaService': 'dynamodb.eu-central-1.amazonaws.com',
        }),
      ];
    case 'AWS::KMS::Alias':
      return calls('kms', 'CreateAlias DeleteAlias');
    case 'AWS::IoT::Authorizer':
      return calls(
        'iot',
        'CreateAuthorizer DescribeAuthorizer UpdateAuthorizer TagResource DeleteAuthorizer',
      );
    case 'AWS::IoT::DomainConfiguration':
      return calls('iot', 'CreateDomainConfiguration UpdateDomainConfiguration DeleteDomainConfiguration');
    case 'AWS::IoT::Policy':
      return calls('iot', 'CreatePolicy CreatePolicyVersion DeletePolicyVersion DeletePolicy GetPolicy');
    case 'AWS::IoT::Thing':
      return calls('iot', 'CreateThing DescribeThing UpdateThing DeleteThing');
    case 'AWS::IoT::ThingGroup':
      return calls('iot', 'CreateThingGroup DescribeThingGroup DeleteThingGroup');
    case 'AWS::IoT::ThingType':
      return calls('iot', 'CreateThingType DescribeThingType DeprecateThingType DeleteThingType');
    case 'AWS::IoT::TopicRule':
      return calls('iot', 'CreateTopicRule GetTopicRule ReplaceTopicRule DeleteTopicRule TagResource');
    case 'AWS::IoT::Logging':
      return [{ action: 'iot:SetV2LoggingOptions', resource: '*' }];
    case 'AWS::Logs::LogGroup':
      return calls('logs', 'CreateLogGroup PutRetentionPolicy TagResource DeleteLogGroup');
    case 'AWS::Logs::QueryDefinition':
      return [{ action: 'logs:PutQueryDefinition', resource: '*' }];
    case 'AWS::CloudWatch::Alarm':
      return calls('cloudwatch', 'PutMetricAlarm TagResource DeleteAlarms');
    case 'AWS::CloudWatch::Dashboard':
      return calls('cloudwatch', 'PutDashboard GetDashboard DeleteDashboards');
    case 'AWS::SNS::Topic':
      return calls('sns', 'CreateTopic SetTopicAttributes Subscribe GetTopicAttributes DeleteTopic');
    // Created by the calls above, by a function of the stack, or with permissions that docs/deploy.md adds.
    case 'AWS::IAM::Policy':
    case 'AWS::IoT::PolicyPrincipalAttachment':
    case 'AWS::IoT::ThingPrincipalAttachment':
    case 'AWS::Lambda::Permission':
    case 'AWS::SNS::Subscription':
    case 'AWS::SNS::TopicPolicy':
      return [];
    default:
      assert.match(type, /^Custom::/, `${type} (${name}): which calls create it?`);
      return [];
  }
}

/** The service that may take a role. */
function passedTo(properties: Resource['properties']): string {
  const { Statement } = properties['AssumeRolePolicyDocument'] as {
    Statement: readonly { Principal: { Service: string } }[];
  };
  return Statement[0]?.Principal.Service ?? '';
}
