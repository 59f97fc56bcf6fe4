import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';

import { bundle, folder, INFRA } from './support/fixture';

const CERTIFICATE = 'arn:aws:acm:us-east-1:111122223333:certificate/abc';
const KEYS = { AWS_ACCESS_KEY_ID: 'AKIAIOSFODNN7EXAMPLE', AWS_SECRET_ACCESS_KEY: 'secret' };
const here = { region: 'eu-central-1' };

interface Case {
  readonly what: string;
  readonly settings?: object;
  readonly environment: Record<string, string>;
  readonly message: RegExp;
}

/** The stage's settings, the environment, and the message. */
const CASES: readonly Case[] = [
  {
    what: 'a stage without settings',
    environment: KEYS,
    message: /^the stage `dev` has no settings: write .*dev\.json/,
  },
  {
    what: 'a certificate in the wrong region',
    settings: {
      ...here,
      function: { bundle: bundle('arm64') },
      domain: { name: 'iot.example.com', certificateArn: CERTIFICATE },
    },
    environment: KEYS,
    message: /the certificate is in `us-east-1` and the stage in `eu-central-1`: request or import one there/,
  },
  {
    what: 'a bundle of another architecture',
    settings: { ...here, function: { bundle: bundle('x86_64'), architecture: 'arm64' } },
    environment: KEYS,
    message: /was built for x86_64 and `function.architecture` is arm64: build it with/,
  },
  {
    what: 'no AWS credentials',
    settings: { ...here, function: { bundle: bundle('arm64') } },
    environment: {},
    message: /^there are no AWS credentials: set AWS_PROFILE/,
  },
];

/** The folder of stages for a case. */
function stages({ settings }: Case): string {
  const path = join(folder(), 'stages');
  mkdirSync(path);
  if (settings !== undefined) {
    writeFileSync(join(path, 'dev.json'), JSON.stringify(settings));
  }
  return path;
}

test('an error is reported in one line, before anything is built', () => {
  for (const it of CASES) {
    const env = { PATH: process.env['PATH'], HOME: folder(), LATCHKEY_STAGES: stages(it), ...it.environment };
    const program = join(INFRA, 'build', 'bin', 'preflight.js');
    const ran = spawnSync(process.execPath, [program, 'dev', 'calls-aws'], { encoding: 'utf8', env });
    assert.equal(ran.status, 64, it.what);
    assert.match(ran.stderr, it.message);
    assert.match(ran.stderr, /^[^\n]*\n$/, it.what);
    assert.equal(ran.stdout, '', it.what);
  }
});

test('after an error a deploy calls and writes nothing', async () => {
  let calls = 0;
  const aws = createServer((socket) => {
    calls += 1;
    socket.destroy();
  });
  aws.listen(0, '127.0.0.1');
  await once(aws, 'listening');
  const endpoint = `http://127.0.0.1:${(aws.address() as AddressInfo).port}`;
  try {
    // One case is enough: the same program finds all of them, and it ends before anything is called.
    for (const it of CASES.slice(2, 3)) {
      const env = {
        PATH: process.env['PATH'],
        HOME: folder(),
        LATCHKEY_STAGES: stages(it),
        AWS_ENDPOINT_URL: endpoint,
        ...it.environment,
      };
      const deploy = spawn(join(INFRA, 'tools', 'cdk'), ['deploy', 'dev'], {
        env,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let message = '';
      deploy.stderr.on('data', (chunk: Buffer) => (message += chunk.toString()));
      deploy.stdout.resume();
      const [code] = (await once(deploy, 'close')) as [number];
      assert.equal(code, 64, `${it.what}: ${message}`);
      assert.match(message, it.message);
    }
    assert.equal(calls, 0);
  } finally {
    aws.close();
  }
});
