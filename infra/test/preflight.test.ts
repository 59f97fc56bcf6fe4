import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { missingCredentials, missingTarget } from '../lib/preflight';
import { file, folder } from './support/fixture';

test('without credentials the error says what to set', () => {
  const missing = missingCredentials({}, folder());
  assert.match(missing ?? '', /^there are no AWS credentials: set AWS_PROFILE .* or AWS_ACCESS_KEY_ID/);
  assert.notEqual(missingCredentials({ AWS_REGION: 'eu-central-1', AWS_PROFILE: '' }, folder()), undefined);
});

test('one source of credentials is enough', () => {
  const home = folder();
  mkdirSync(join(home, '.aws'));
  writeFileSync(
    join(home, '.aws', 'config'),
    '[default]\nsso_session = work\n[profile  operations]\nrole_arn=x\n',
  );
  assert.equal(missingCredentials({}, home), undefined);
  assert.equal(missingCredentials({ AWS_PROFILE: 'operations' }, home), undefined);
  const sources = [
    { AWS_ACCESS_KEY_ID: 'AKIAIOSFODNN7EXAMPLE' },
    { AWS_WEB_IDENTITY_TOKEN_FILE: '/token' },
    { AWS_CONTAINER_CREDENTIALS_FULL_URI: 'http://127.0.0.1/' },
    { AWS_SHARED_CREDENTIALS_FILE: file('credentials', '[default]\naws_access_key_id = x\n') },
    { CREDENTIALS: 'instance' },
  ];
  for (const source of sources) {
    assert.equal(missingCredentials(source, folder()), undefined, JSON.stringify(source));
  }
});

test('a profile without credentials and an unknown profile are errors', () => {
  const region = '[default]\nregion = eu-central-1\n[profile other]\nsso_session = work\n';
  for (const content of ['', region, 'aws_access_key_id = x\n', '[default]\n# role_arn = x\n']) {
    const environment = { AWS_CONFIG_FILE: file('config', content) };
    assert.match(missingCredentials(environment, folder()) ?? '', /^there are no AWS credentials/, content);
    const named = missingCredentials({ ...environment, AWS_PROFILE: 'operations' }, folder()) ?? '';
    assert.match(
      named,
      /^the profile `operations`, which AWS_PROFILE names, has no credentials in \S+ or \S+config: /,
    );
  }
});

test('a missing target of Rust is an error with the command that adds it', () => {
  assert.match(
    missingTarget('riscv') ?? '',
    /^this Rust can't build for `function.architecture` riscv: run `rustup/,
  );
});
