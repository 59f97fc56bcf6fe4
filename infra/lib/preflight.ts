/** What this machine needs for a deploy: credentials for AWS, and a Rust that builds for Lambda. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

type Environment = Readonly<Record<string, string | undefined>>;

/** The AWS SDKs' sources of credentials besides a profile (SDKs and tools reference guide, `standardized-credentials`). */
const VARIABLES = [
  'AWS_ACCESS_KEY_ID',
  'AWS_WEB_IDENTITY_TOKEN_FILE',
  'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI',
  'AWS_CONTAINER_CREDENTIALS_FULL_URI',
];

/** A profile's settings for credentials (SDKs and tools reference guide, "Settings reference"). */
const CREDENTIAL_SETTING =
  /^(aws_access_key_id|role_arn|sso_session|sso_start_url|credential_process|web_identity_token_file|login_session)\s*=/;

/** Rust's names for Lambda's architectures. */
const TARGETS: Readonly<Record<string, string>> = {
  arm64: 'aarch64-unknown-linux-gnu',
  x86_64: 'x86_64-unknown-linux-gnu',
};

/** The error if there are no credentials. The credentials themselves are not used. */
export function missingCredentials(environment: Environment, home: string): string | undefined {
  const files = [
    environment['AWS_SHARED_CREDENTIALS_FILE'] ?? join(home, '.aws', 'credentials'),
    environment['AWS_CONFIG_FILE'] ?? join(home, '.aws', 'config'),
  ];
  const isOnInstance = environment['CREDENTIALS'] === 'instance';
  const profile = environment['AWS_PROFILE'] || 'default';
  if (isOnInstance || VARIABLES.some((name) => environment[name]) || hasCredentials(profile, files)) {
    return undefined;
  }
  if (environment['AWS_PROFILE']) {
    return `the profile \`${profile}\`, which AWS_PROFILE names, has no credentials in ${files.join(' or ')}: \`aws configure sso --profile ${profile}\` or \`aws configure --profile ${profile}\` adds some, \`aws configure list-profiles\` shows other profiles`;
  }
  return `there are no AWS credentials: set AWS_PROFILE to a profile of ~/.aws/config (\`aws configure sso\` or \`aws configure\` creates one), or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; on an EC2 instance with a role, set CREDENTIALS=instance; docs/deploy.md has the permissions`;
}

/** The error if this machine's Rust can't build for an architecture. */
export function missingTarget(architecture: string): string | undefined {
  const target = TARGETS[architecture] ?? architecture;
  const printed = spawnSync('rustc', ['--print', 'target-libdir', '--target', target], { encoding: 'utf8' });
  if (printed.error !== undefined) {
    return 'Rust is not installed: install it (https://rustup.rs), or set `function.bundle`';
  }
  if (printed.status === 0 && existsSync(printed.stdout.trim())) {
    return undefined;
  }
  return `this Rust can't build for \`function.architecture\` ${architecture}: run \`rustup target add ${target}\`, choose the other architecture, or set \`function.bundle\``;
}

/** Whether the profile's section has a line for credentials. */
function hasCredentials(profile: string, files: readonly string[]): boolean {
  const heads = [`[${profile}]`, `[profile ${profile}]`];
  return files
    .filter((file) => existsSync(file))
    .some((file) => {
      let isInside = false;
      return readFileSync(file, 'utf8')
        .split('\n')
        .map((line) => line.trim())
        .some((line) => {
          isInside = line.startsWith('[') ? heads.includes(line.replace(/\s+/g, ' ')) : isInside;
          return isInside && CREDENTIAL_SETTING.test(line);
        });
    });
}
