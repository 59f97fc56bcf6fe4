import { existsSync } from 'node:fs';
import { join } from 'node:path';

type Environment = Readonly<Record<string, string | undefined>>;

/** What the AWS SDKs take credentials from (SDKs and tools reference guide, `standardized-credentials`). */
const VARIABLES = [
  'AWS_ACCESS_KEY_ID',
  'AWS_PROFILE',
  'AWS_WEB_IDENTITY_TOKEN_FILE',
  'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI',
  'AWS_CONTAINER_CREDENTIALS_FULL_URI',
];

/** What to set where nothing says who deploys, or nothing; the credentials themselves are not tried. */
export function missingCredentials(environment: Environment, home: string): string | undefined {
  const files = [
    environment['AWS_SHARED_CREDENTIALS_FILE'] ?? join(home, '.aws', 'credentials'),
    environment['AWS_CONFIG_FILE'] ?? join(home, '.aws', 'config'),
  ];
  const isOnInstance = environment['CREDENTIALS'] === 'instance';
  if (isOnInstance || VARIABLES.some((name) => environment[name]) || files.some((file) => existsSync(file))) {
    return undefined;
  }
  return `there are no AWS credentials: set AWS_PROFILE to a profile of ~/.aws/config (\`aws configure sso\` or \`aws configure\` makes one), or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; on a machine of EC2 with a role, add CREDENTIALS=instance; docs/deploy.md has the permissions`;
}
