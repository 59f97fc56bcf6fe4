import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

type Environment = Readonly<Record<string, string | undefined>>;

/** What the AWS SDKs take credentials from besides a profile (SDKs and tools reference guide, `standardized-credentials`). */
const VARIABLES = [
  'AWS_ACCESS_KEY_ID',
  'AWS_WEB_IDENTITY_TOKEN_FILE',
  'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI',
  'AWS_CONTAINER_CREDENTIALS_FULL_URI',
];

/** What a profile has credentials by (SDKs and tools reference guide, "Settings reference"). */
const BY =
  /^(aws_access_key_id|role_arn|sso_session|sso_start_url|credential_process|web_identity_token_file|login_session)\s*=/;

/** What to set where nothing says who deploys, or nothing; the credentials themselves are not tried. */
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
    return `the profile \`${profile}\`, which AWS_PROFILE names, has no credentials in ${files.join(' or ')}: \`aws configure sso --profile ${profile}\` or \`aws configure --profile ${profile}\` makes some, \`aws configure list-profiles\` shows others`;
  }
  return `there are no AWS credentials: set AWS_PROFILE to a profile of ~/.aws/config (\`aws configure sso\` or \`aws configure\` makes one), or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; on a machine of EC2 with a role, add CREDENTIALS=instance; docs/deploy.md has the permissions`;
}

/** Whether the profile's section has a line that credentials come by. */
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
          return isInside && BY.test(line);
        });
    });
}
