import { ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { REPOSITORY } from './fixture';

const PROGRAM = join(REPOSITORY, 'target', 'tools', 'python', 'bin', 'moto_server');
/** What moto takes every key to belong to. */
export const ACCOUNT = '123456789012';
export const REGION = 'us-east-1';

/** AWS's services as moto plays them, on a free port of this machine. */
export class Moto {
  private constructor(
    private readonly process: ChildProcess,
    private readonly port: string,
  ) {}

  static async start(): Promise<Moto> {
    if (!existsSync(PROGRAM)) {
      throw new Error(`there is no \`${PROGRAM}\`: run \`make setup\``);
    }
    const process = spawn(PROGRAM, ['-p', '0'], { stdio: ['ignore', 'ignore', 'pipe'] });
    for await (const line of createInterface({ input: process.stderr })) {
      const port = /http:\/\/127\.0\.0\.1:(\d+)/.exec(line)?.[1];
      if (port !== undefined) {
        // Nobody reads on: what follows would fill the pipe.
        process.stderr.destroy();
        return new Moto(process, port);
      }
    }
    throw new Error('moto ended before it listened');
  }

  stop(): void {
    this.process.kill();
  }

  /** What makes an AWS SDK call this in place of AWS. `localhost`, because a bucket's name goes before it. */
  environment(): Record<string, string> {
    return {
      AWS_ENDPOINT_URL: `http://localhost:${this.port}`,
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'test',
      AWS_REGION: REGION,
    };
  }

  /** Asks AWS IoT's registry. */
  async iot(path: string): Promise<Record<string, unknown>> {
    return this.ask('iot', path, {});
  }

  async dynamodb(operation: string, input: object): Promise<Record<string, unknown>> {
    const headers = {
      'X-Amz-Target': `DynamoDB_20120810.${operation}`,
      'Content-Type': 'application/x-amz-json-1.0',
    };
    return this.ask('dynamodb', '/', { method: 'POST', headers, body: JSON.stringify(input) });
  }

  /** moto looks at the service's name in a signature, and not at the signature. */
  private async ask(service: string, path: string, request: RequestInit): Promise<Record<string, unknown>> {
    const credential = `Credential=test/20260101/${REGION}/${service}/aws4_request`;
    const Authorization = `AWS4-HMAC-SHA256 ${credential}, SignedHeaders=host, Signature=0`;
    const headers = { ...request.headers, Authorization };
    const answer = await fetch(`http://127.0.0.1:${this.port}${path}`, { ...request, headers });
    return (await answer.json()) as Record<string, unknown>;
  }
}
