import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { file, REPOSITORY } from './support/fixture';

interface Component {
  readonly purl: string;
  readonly name: string;
  readonly hashes?: readonly { readonly alg: string; readonly content: string }[];
}

const read = (path: string): string => readFileSync(join(REPOSITORY, path), 'utf8');

test('every package of PyPI has its version and its hashes', () => {
  for (const path of [
    'infra/tools/cargo-lambda.txt',
    'infra/tools/cfn-lint.txt',
    'infra/tools/pip-audit.txt',
    'tests/clients/requirements.txt',
    'tests/clients/localstack-requirements.txt',
    'firmware/tools/esptool.txt',
  ]) {
    const entries = read(path).replaceAll('\\\n', ' ').trim().split('\n');
    for (const entry of entries) {
      assert.match(entry, /^[\w.-]+(\[[\w,-]+\])?==\S+( ;.+?)?( +--hash=sha256:[0-9a-f]{64})+$/, path);
    }
    // What is wanted is part of what is pinned.
    for (const wanted of read(path.replace('.txt', '.in')).trim().split('\n')) {
      const name = /^[\w.-]+/.exec(wanted)?.[0] ?? '';
      assert.ok(
        entries.some((entry) => entry.startsWith(`${name}==`) || entry.startsWith(`${name}[`)),
        `${path}: ${name}`,
      );
    }
  }
});

test('every package of npm has its hash, or is in the archive of one that has', () => {
  for (const path of ['infra/package-lock.json', 'tests/clients/node/package-lock.json']) {
    const { packages } = JSON.parse(read(path)) as {
      packages: Record<string, { integrity?: string; inBundle?: boolean }>;
    };
    const open = Object.entries(packages).filter(
      ([name, { integrity, inBundle }]) => name !== '' && !inBundle && !integrity?.startsWith('sha512-'),
    );
    assert.deepEqual(open, []);
  }
});

test('the programs that install packages require the hashes', () => {
  for (const path of [
    'infra/tools/python',
    'tests/setup/foreign-clients',
    'tests/setup/run-localstack',
    'firmware/tools/image',
  ]) {
    const installs = read(path).match(/pip install.*/g) ?? [];
    assert.equal(installs.length, 1, path);
    assert.match(installs.join(), /--require-hashes/, path);
  }
});

test('a report without an answer is not one without findings', () => {
  const script = join(REPOSITORY, 'tests/setup/audit_report.py');
  const verdict = (kind: string, report: unknown): string =>
    execFileSync('python3', [
      script,
      kind,
      file('report', typeof report === 'string' ? report : JSON.stringify(report)),
    ])
      .toString()
      .trim();
  const npm = { auditReportVersion: 2, vulnerabilities: {} };
  const pip = (...dependencies: object[]): object => ({ dependencies });
  assert.equal(verdict('npm', npm), 'none');
  assert.equal(verdict('npm', { ...npm, vulnerabilities: { x: {} } }), 'found');
  assert.equal(verdict('npm', { message: '405 Method Not Allowed' }), 'unknown');
  assert.equal(verdict('npm', ''), 'unknown');
  assert.equal(verdict('pip', pip({ name: 'a', vulns: [] })), 'none');
  assert.equal(
    verdict('pip', pip({ name: 'a', vulns: [{ id: 'PYSEC-1' }] }, { name: 'b', skip_reason: 'x' })),
    'found',
  );
  assert.equal(verdict('pip', pip({ name: 'a', vulns: [] }, { name: 'b', skip_reason: 'x' })), 'unknown');
  assert.equal(verdict('pip', pip()), 'unknown');
});

test('the SBOM has what is shipped, each with its version and hash, and nothing else', () => {
  execFileSync('python3', [join(REPOSITORY, 'infra/tools/sbom.py')]);
  const { bomFormat, specVersion, components } = JSON.parse(read('target/sbom.cdx.json')) as {
    bomFormat: string;
    specVersion: string;
    components: readonly Component[];
  };
  assert.deepEqual([bomFormat, specVersion], ['CycloneDX', '1.6']);
  assert.equal(new Set(components.map(({ purl }) => purl)).size, components.length);
  const names = components.map(({ name }) => name);
  for (const shipped of ['rustls', 'aws-lc-rs', 'lambda_runtime', 'argon2', 'aws-cdk-lib', 'cargo-lambda']) {
    assert.ok(names.includes(shipped), shipped);
  }
  for (const tested of ['proptest', 'criterion', 'moto', 'mqtt', 'authorizer', 'latchkey']) {
    assert.ok(!names.includes(tested), tested);
  }
  for (const { purl, hashes } of components) {
    assert.match(purl, /^pkg:(cargo|npm|pypi)\/[\w.%-]+(\/[\w.-]+)?@[\w.%+-]+$/);
    // A package in another one's archive is covered by the other one's hash.
    assert.ok(hashes !== undefined || purl.startsWith('pkg:npm/'), purl);
  }
});
