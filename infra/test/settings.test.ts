import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { parseSettings, readSettings } from '../lib/settings';
import { Mistakes } from '../lib/settings/mistakes';
import { OWN_VARIABLES, VARIABLES } from '../lib/settings/variables';
import { bundle, file, folder, INFRA, keyring, PEM, program, REPOSITORY } from './support/fixture';

const ACM = 'arn:aws:acm:eu-central-1:111122223333:certificate/abc';
const here = { region: 'eu-central-1' };

function mistakes(object: Record<string, unknown>): readonly string[] {
  try {
    parseSettings(object, 'test', '/nowhere');
    return [];
  } catch (error) {
    assert.ok(error instanceof Mistakes, String(error));
    return error.all;
  }
}

test('a region is enough', () => {
  const { architecture, memoryMb, bundle: built } = parseSettings(here, 'test', '/nowhere').function;
  assert.deepEqual([architecture, memoryMb, built], ['arm64', 512, undefined]);
  const { authorizer, records, keepData, things } = parseSettings(here, 'test', '/nowhere');
  assert.deepEqual(authorizer, { name: 'latchkey-test', cacheHttp: false });
  assert.deepEqual([records, keepData, things.demo], ['table', false, true]);
});

test('the stages that come with it are good', () => {
  for (const stage of ['dev', 'prod']) {
    assert.equal(readSettings(join(INFRA, 'stages'), stage).stage, stage);
  }
});

test('a stage without settings is told how to get them', () => {
  assert.throws(() => readSettings(join(INFRA, 'stages'), 'qa'), {
    message: /^the stage `qa` has no settings: write infra\/stages\/qa\.json, .*`dev`, `prod`$/,
  });
  assert.throws(() => readSettings(join(INFRA, 'stages'), '../dev'), /no name of a stage/);
});

test('a file that is no JSON object is named', () => {
  const stages = folder();
  writeFileSync(join(stages, 'a.json'), '{');
  writeFileSync(join(stages, 'b.json'), '[]');
  assert.throws(() => readSettings(stages, 'a'), /a\.json: it is no JSON: /);
  assert.throws(() => readSettings(stages, 'b'), /b\.json: it should be a JSON object/);
});

test('all mistakes are told together', () => {
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
    readings: [],
    alarms: { email: 'me', refusals: 1.5 },
    iotLogging: 'ALL',
  };
  assert.deepEqual(mistakes(object), [
    '`region`: `Frankfurt` is not a region such as `eu-central-1`',
    '`records`: `file` is none of `table`, `secret`',
    '`function.architecture`: `mips` is none of `arm64`, `x86_64`',
    '`function.memoryMb`: `64` is not a whole number from 128 to 10240',
    '`function.reservedConcurrency`: `0` is not a whole number from 1 to 100000',
    '`function.logRetentionDays`: `31` is none of `1`, `3`, `5`, `7`, `14`, `30`, `60`, `90`, `120`, `150`, `180`, `365`, `400`, `545`, `731`',
    '`function.bundle`: there is no `/nowhere/nothing`',
    '`authorizer.name`: `a b` is not up to 64 of `A-Z a-z 0-9 _ -`',
    '`authorizer.cacheHttp`: `no` is neither `true` nor `false`',
    '`readings`: `[]` is not an object',
    '`alarms.email`: `me` is not an address for mail',
    '`alarms.refusals`: `1.5` is not a whole number from 1 to 1000000',
    '`iotLogging`: `ALL` is none of `ERROR`, `WARN`, `INFO`, `DEBUG`',
    '`acount`: there is no such setting; docs/deploy.md lists them all',
  ]);
});

test('a certificate has to be where the stage is', () => {
  const domain = (certificateArn: string, more = {}): readonly string[] =>
    mistakes({ ...here, ...more, domain: { name: 'iot.example.com', certificateArn } });
  assert.deepEqual(domain(ACM), []);
  assert.deepEqual(domain(ACM.replace('eu-central-1', 'us-east-1')), [
    '`domain.certificateArn`: the certificate is in `us-east-1` and the stage in `eu-central-1`: request or import one there, or change `region`',
  ]);
  assert.match(
    domain(ACM, { account: '444455556666' }).join(),
    /in the account 111122223333 and the stage in 444455556666/,
  );
  assert.match(domain('arn:aws:iot:eu-central-1:111122223333:cert/abc').join(), /is no certificate of ACM/);
  assert.match(domain('certificate').join(), /is not an ARN such as `arn:aws:acm:eu-central-1:/);
  const thing = 'arn:aws:iot:us-east-1:111122223333:cert/abc';
  assert.match(mistakes({ ...here, things: { certificateArn: thing } }).join(), /register it there/);
});

test('settings that need each other are missed', () => {
  assert.deepEqual(mistakes({}), ['`region`: it has to be set, to a region such as `eu-central-1`']);
  const alone: [Record<string, unknown>, RegExp][] = [
    [
      { domain: { name: 'iot.example.com' } },
      /`domain.certificateArn`: a domain of your own needs a certificate/,
    ],
    [{ domain: { certificateArn: ACM } }, /`domain.name`: a certificate needs the domain/],
    [{ authorizer: { signing: {} } }, /`authorizer.signing.publicKeys`: signing needs one or two/],
    [
      { things: { demo: false, certificateArn: 'arn:aws:iot:eu-central-1:111122223333:cert/abc' } },
      /`things.certificateArn`: is for the demo Thing/,
    ],
    [
      { records: 'secret', function: { grants: file('g.json', '{"grants":{}}') } },
      /a secret holds its grants itself/,
    ],
  ];
  for (const [object, mistake] of alone) {
    assert.match(mistakes({ ...here, ...object }).join('\n'), mistake);
  }
});

test('keys that should be nowhere near are refused', () => {
  const clear = file('keyring.json', '{"version":1,"keys":[]}');
  assert.match(
    mistakes({ ...here, vendorSecrets: { keyring: clear } }).join(),
    /no keyring that KMS has encrypted/,
  );
  assert.deepEqual(mistakes({ ...here, vendorSecrets: { keyring: keyring() } }), []);
  const signing = (pem: string): Record<string, unknown> => ({ publicKeys: { first: file('key.pem', pem) } });
  const secret = PEM.replaceAll('PUBLIC', 'PRIVATE');
  const refused = mistakes({ ...here, authorizer: { signing: signing(secret) } });
  assert.match(refused.join(), /`authorizer.signing.publicKeys.first`: .* is no public key in PEM/);
  assert.doesNotMatch(refused.join(), /MIIB/);
  assert.deepEqual(mistakes({ ...here, authorizer: { signing: signing(PEM) } }), []);
});

test('a bundle for another architecture is refused', () => {
  const built = (path: string, architecture: string): string =>
    mistakes({ ...here, function: { bundle: path, architecture } }).join();
  assert.equal(built(bundle('arm64'), 'arm64'), '');
  assert.equal(built(bundle('x86_64'), 'x86_64'), '');
  assert.match(
    built(bundle('x86_64'), 'arm64'),
    /was built for x86_64 and `function.architecture` is arm64: build it with `cargo lambda build --release --arm64`/,
  );
  assert.match(built(bundle('arm64'), 'x86_64'), /was built for arm64 .* --x86-64/);
  assert.match(built(bundle('riscv'), 'arm64'), /was built for another architecture/);
  assert.match(built(folder(), 'arm64'), /neither a folder nor a zip file with the program `bootstrap`/);
  assert.match(built(join(file('bootstrap', '#!/bin/sh'), '..'), 'arm64'), /is no program for Linux/);
  assert.match(built(file('bundle.zip', program('arm64')), 'arm64'), /neither a folder nor a zip file/);
});

test('a variable that would keep the function from starting is refused', () => {
  const set = (name: string): string =>
    mistakes({ ...here, function: { variables: { [name]: 'x' } } }).join();
  assert.equal(set('LATCHKEY_JWT_ISSUER'), '');
  assert.match(
    set('LATCHKEY_JWT_ISUER'),
    /`function.variables.LATCHKEY_JWT_ISUER`: there is no such variable/,
  );
  assert.match(set('AWS_SECRET_ACCESS_KEY'), /there is no such variable/);
  assert.match(set('LATCHKEY_STORE'), /it follows from records/);
  assert.match(set('LATCHKEY_JWT_GRANT_CLAIM'), /can't be used with a table/);
});

test('the variables are those of the documents', () => {
  const row = /^\| `(LATCHKEY_\w+|RUST_LOG)`/gm;
  const documents = ['authorizer.md', 'stores.md'].map((name) =>
    readFileSync(join(REPOSITORY, 'docs', name), 'utf8'),
  );
  const documented = documents.flatMap((text) => [...text.matchAll(row)].map(([, name]) => name));
  assert.deepEqual([...VARIABLES, ...Object.keys(OWN_VARIABLES)].sort(), documented.sort());
});
