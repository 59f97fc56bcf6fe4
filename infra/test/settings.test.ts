import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { parseSettings, readSettings, SettingsError, STACK_VARIABLES, VARIABLES } from '../lib/settings';
import {
  bundle,
  file,
  folder,
  INDEXED_FILE,
  INFRA,
  keyring,
  PEM,
  program,
  REPOSITORY,
} from './support/fixture';

const ACM = 'arn:aws:acm:eu-central-1:111122223333:certificate/abc';
const here = { region: 'eu-central-1' };

function errors(object: Record<string, unknown>): readonly string[] {
  try {
    parseSettings(object, 'test', '/nowhere');
    return [];
  } catch (error) {
    assert.ok(error instanceof SettingsError, String(error));
    return error.all;
  }
}

test('a region is enough', () => {
  const { architecture, memoryMb, bundle: built } = parseSettings(here, 'test', '/nowhere').function;
  assert.deepEqual([architecture, memoryMb, built], ['arm64', 512, undefined]);
  const { authorizer, records, keepData, things } = parseSettings(here, 'test', '/nowhere');
  assert.deepEqual(authorizer, { name: 'latchkey-test', cacheHttp: false, default: false });
  assert.deepEqual([records, keepData, things.demo], ['table', false, true]);
});

test('dev and prod have valid settings', () => {
  for (const stage of ['dev', 'prod']) {
    assert.equal(readSettings(join(INFRA, 'stages'), stage).stage, stage);
  }
});

test('an unknown stage is refused with what to do', () => {
  assert.throws(() => readSettings(join(INFRA, 'stages'), 'qa'), {
    message: /^the stage `qa` has no settings: write `.*infra\/stages\/qa\.json` .*`dev`, `prod`$/,
  });
  assert.throws(() => readSettings(join(INFRA, 'stages'), '../dev'), /is not a name of a stage/);
});

test('a file that is not a JSON object is refused by its name', () => {
  const stages = folder();
  writeFileSync(join(stages, 'a.json'), '{');
  writeFileSync(join(stages, 'b.json'), '[]');
  mkdirSync(join(stages, 'c.json'));
  assert.throws(() => readSettings(stages, 'a'), /a\.json: it is not JSON \(.*\): correct it there$/);
  assert.throws(() => readSettings(stages, 'c'), /c\.json: it can't be read \(.*\): a stage is a JSON file$/);
  assert.throws(() => readSettings(stages, 'b'), /b\.json: `\[\]` is not an object/);
});

test('a folder of stages that does not exist or is empty is refused with what to do', () => {
  const none = join(folder(), 'none');
  assert.throws(() => readSettings(none, 'dev'), {
    message: `there is no folder of stages at \`${none}\`: correct LATCHKEY_STAGES, or unset it for infra/stages`,
  });
  assert.throws(
    () => readSettings(folder(), 'dev'),
    /write `.*dev\.json` \(docs\/deploy\.md has the settings\)$/,
  );
});

test('a folder in the place of a file is refused by its setting', () => {
  const path = folder();
  const refused = errors({
    ...here,
    function: { grants: path },
    vendorSecrets: { keyring: path },
    authorizer: { signing: { publicKeys: { first: path } } },
  }).join('\n');
  assert.match(refused, /`function.grants`: `.*` is not a file of grants/);
  assert.match(refused, /`vendorSecrets.keyring`: `.*` is not a keyring that KMS has encrypted/);
  assert.match(refused, /`authorizer.signing.publicKeys.first`: `.*` is not a public key in PEM/);
});

test('all errors are reported together', () => {
  const object = {
    region: 'Frankfurt',
    acount: '111122223333',
    function: {
      memoryMb: 64,
      architecture: 'mips',
      reservedConcurrency: 0,
      logRetentionDays: 31,
      bundle: 'nothing',
    },
    authorizer: { name: 'a b', cacheHttp: 'no' },
    records: 'file',
    permissionsBoundary: 'arn:aws:iam::1:policy/x',
    readings: [],
    alarms: { email: 'me', refusals: 1.5 },
    iotLogging: 'ALL',
  };
  assert.deepEqual(errors(object), [
    '`region`: `Frankfurt` is not a region such as `eu-central-1`',
    "`permissionsBoundary`: `arn:aws:iam::1:policy/x` is neither a policy's name nor `false`",
    '`records`: `file` is not one of `table`, `secret`, `indexed`',
    '`function.architecture`: `mips` is not one of `arm64`, `x86_64`',
    '`function.memoryMb`: `64` is not a whole number from 128 to 10240',
    '`function.reservedConcurrency`: `0` is not a whole number from 1 to 100000',
    '`function.logRetentionDays`: `31` is not one of `1`, `3`, `5`, `7`, `14`, `30`, `60`, `90`, `120`, `150`, `180`, `365`, `400`, `545`, `731`',
    "`function.bundle`: `/nowhere/nothing` does not exist: a path is relative to the folder of the stage's file",
    '`authorizer.name`: `a b` is not up to 64 of `A-Z a-z 0-9 _ -`',
    '`authorizer.cacheHttp`: `no` is neither `true` nor `false`',
    '`readings`: `[]` is not an object',
    '`alarms.email`: `me` is not an address for mail',
    '`alarms.refusals`: `1.5` is not a whole number from 1 to 1000000',
    '`iotLogging`: `ALL` is not one of `ERROR`, `WARN`, `INFO`, `DEBUG`',
    '`acount`: unknown setting; docs/deploy.md lists all settings',
  ]);
});

test('an indexed file is for records in one, and is checked before anything is built', () => {
  const indexedFile = INDEXED_FILE;
  assert.deepEqual(errors({ ...here, records: 'indexed', function: { indexedFile } }), []);
  const missing = '`function.indexedFile`: set it to the file that `latchkey fleet build` makes';
  assert.deepEqual(errors({ ...here, records: 'indexed' }), [missing]);
  assert.deepEqual(errors({ ...here, function: { indexedFile } }), [
    '`function.indexedFile`: it is for `records`: `indexed`',
  ]);
  const grants = file('grants.json', '{"version":1,"grants":{}}');
  assert.deepEqual(errors({ ...here, records: 'indexed', function: { indexedFile, grants } }), [
    '`function.grants`: it is for a table; an indexed file contains its grants',
  ]);
  const whole = readFileSync(indexedFile);
  for (const content of [Buffer.alloc(0), Buffer.from('{}'), whole.subarray(0, -1), Buffer.alloc(600)]) {
    const other = file('devices.indexed', content);
    assert.deepEqual(errors({ ...here, records: 'indexed', function: { indexedFile: other } }), [
      `\`function.indexedFile\`: \`${other}\` is not an indexed file, or was cut off: make it with \`latchkey fleet build\``,
    ]);
  }
  const variables = { LATCHKEY_STORE_DIGEST: 'x' };
  assert.deepEqual(errors({ ...here, function: { variables } }), [
    '`function.variables.LATCHKEY_STORE_DIGEST`: the stack sets it: it follows from `function.indexedFile`',
  ]);
});

test('errors between sections are reported with those of a section', () => {
  assert.deepEqual(
    errors({
      ...here,
      domain: { name: 'iot.example.com', certificateArn: ACM.replace('eu-central-1', 'us-east-1') },
      function: { variables: { LATCHKEY_JWT_GRANT_CLAIM: 'x' } },
      things: 5,
    }).map((error) => error.split(':')[0]),
    ['`things`', '`function.variables.LATCHKEY_JWT_GRANT_CLAIM`', '`domain.certificateArn`'],
  );
});

test('a certificate in another place than the stage is refused', () => {
  const domain = (certificateArn: string, more = {}): readonly string[] =>
    errors({ ...here, ...more, domain: { name: 'iot.example.com', certificateArn } });
  assert.deepEqual(domain(ACM), []);
  assert.deepEqual(domain(ACM.replace('eu-central-1', 'us-east-1')), [
    '`domain.certificateArn`: the certificate is in `us-east-1` and the stage in `eu-central-1`: request or import one there, or change `region`',
  ]);
  assert.match(
    domain(ACM, { account: '444455556666' }).join(),
    /in the account 111122223333 and the stage in 444455556666: use one of the stage's account, or change `account`/,
  );
  assert.match(
    domain('arn:aws:iot:eu-central-1:111122223333:cert/abc').join(),
    /is not a certificate of ACM: its ARN begins with `arn:aws:acm:` and has `certificate\/`/,
  );
  assert.match(domain('certificate').join(), /is not an ARN such as `arn:aws:acm:REGION:/);
  const thing = 'arn:aws:iot:us-east-1:111122223333:cert/abc';
  assert.match(errors({ ...here, things: { certificateArn: thing } }).join(), /register it there/);
});

test('a setting without another that it needs is refused', () => {
  assert.deepEqual(errors({}), ['`region`: set it to a region such as `eu-central-1`']);
  const alone: [Record<string, unknown>, RegExp][] = [
    [{ domain: { name: 'iot.example.com' } }, /`domain.certificateArn`: your own domain needs a certificate/],
    [{ domain: { certificateArn: ACM } }, /`domain.name`: set the domain that the certificate is for/],
    [{ authorizer: { signing: {} } }, /`authorizer.signing.publicKeys`: signing needs one or two/],
    [
      { things: { demo: false, certificateArn: 'arn:aws:iot:eu-central-1:111122223333:cert/abc' } },
      /`things.certificateArn`: it is for the demo Thing/,
    ],
    [
      { records: 'secret', function: { grants: file('g.json', '{"version":1,"grants":{}}') } },
      /a secret contains its grants/,
    ],
  ];
  for (const [object, error] of alone) {
    assert.match(errors({ ...here, ...object }).join('\n'), error);
  }
});

test('a keyring in clear and a private key are refused', () => {
  const clear = file('keyring.json', '{"version":1,"keys":[]}');
  assert.match(
    errors({ ...here, vendorSecrets: { keyring: clear } }).join(),
    /is not a keyring that KMS has encrypted/,
  );
  assert.deepEqual(errors({ ...here, vendorSecrets: { keyring: keyring() } }), []);
  const signing = (pem: string): Record<string, unknown> => ({ publicKeys: { first: file('key.pem', pem) } });
  const secret = PEM.replaceAll('PUBLIC', 'PRIVATE');
  const refused = errors({ ...here, authorizer: { signing: signing(secret) } });
  assert.match(refused.join(), /`authorizer.signing.publicKeys.first`: .* is not a public key in PEM/);
  assert.doesNotMatch(refused.join(), /MIIB/);
  assert.deepEqual(errors({ ...here, authorizer: { signing: signing(PEM) } }), []);
});

test('a bundle for another architecture is refused', () => {
  const built = (path: string, architecture: string): string =>
    errors({ ...here, function: { bundle: path, architecture } }).join();
  assert.equal(built(bundle('arm64'), 'arm64'), '');
  assert.equal(built(bundle('x86_64'), 'x86_64'), '');
  assert.match(
    built(bundle('x86_64'), 'arm64'),
    /was built for x86_64 and `function.architecture` is arm64: build it with `cargo lambda build --release --arm64`/,
  );
  assert.match(built(bundle('arm64'), 'x86_64'), /was built for arm64 .* --x86-64/);
  assert.match(built(bundle('riscv'), 'arm64'), /was built for another architecture/);
  assert.match(built(folder(), 'arm64'), /neither a folder nor a zip file with the program `bootstrap`/);
  assert.match(built(join(file('bootstrap', '#!/bin/sh'), '..'), 'arm64'), /is not a program for Linux/);
  assert.match(built(file('bundle.zip', program('arm64')), 'arm64'), /neither a folder nor a zip file/);
});

test('a variable with which the function would not start is refused', () => {
  const set = (name: string): string => errors({ ...here, function: { variables: { [name]: 'x' } } }).join();
  assert.equal(set('LATCHKEY_JWT_ISSUER'), '');
  assert.match(set('LATCHKEY_JWT_ISUER'), /`function.variables.LATCHKEY_JWT_ISUER`: unknown variable/);
  assert.match(set('AWS_SECRET_ACCESS_KEY'), /unknown variable/);
  assert.match(set('LATCHKEY_STORE'), /it follows from `records`/);
  assert.match(set('LATCHKEY_JWT_GRANT_CLAIM'), /can't be used with a table/);
});

test('the variables are those of the documentation', () => {
  const row = /^\| `(LATCHKEY_\w+|RUST_LOG)`/gm;
  const documents = ['authorizer.md', 'stores.md'].map((name) =>
    readFileSync(join(REPOSITORY, 'docs', name), 'utf8'),
  );
  const documented = documents.flatMap((text) => [...text.matchAll(row)].map(([, name]) => name));
  assert.deepEqual([...VARIABLES, ...Object.keys(STACK_VARIABLES)].sort(), documented.sort());
});
