import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

import { z } from 'zod';

import { bundleError } from './bundle';
import { indexedFileDigest } from './indexed-file';

/** All errors in a stage's settings or on this machine, found before anything is built or created. */
export class SettingsError extends Error {
  constructor(readonly all: readonly string[]) {
    super(all.join('\n'));
    this.name = 'SettingsError';
  }
}

/**
 * What `function.variables` may set: the settings of docs/authorizer.md and docs/stores.md. The function does not
 * start with another name, and that would show only when the first device connects.
 */
export const VARIABLES: readonly string[] = [
  'LATCHKEY_ALIBABA_FRESHNESS_SECONDS',
  'LATCHKEY_ALIBABA_SESSIONS',
  'LATCHKEY_ALLOW_PLAIN_SECRETS',
  'LATCHKEY_CACHE_ENTRIES',
  'LATCHKEY_CACHE_SECONDS',
  'LATCHKEY_CACHE_STALE_SECONDS',
  'LATCHKEY_CACHE_UNKNOWN_SECONDS',
  'LATCHKEY_DEFAULT_VERIFIER',
  'LATCHKEY_DISCONNECT_AFTER_SECONDS',
  'LATCHKEY_JWKS_MAX_AGE_SECONDS',
  'LATCHKEY_JWKS_REFETCH_SECONDS',
  'LATCHKEY_JWKS_TIMEOUT_MS',
  'LATCHKEY_JWT_AUDIENCE',
  'LATCHKEY_JWT_DEVICE_CLAIM',
  'LATCHKEY_JWT_GRANTS',
  'LATCHKEY_JWT_GRANT_CLAIM',
  'LATCHKEY_JWT_ISSUER',
  'LATCHKEY_JWT_KEYS',
  'LATCHKEY_JWT_LEEWAY_SECONDS',
  'LATCHKEY_REFRESH_AFTER_SECONDS',
  'LATCHKEY_REQUIRE_SIGNATURE',
  'LATCHKEY_STORE_CONSISTENT_READ',
  'LATCHKEY_STORE_TIMEOUT_MS',
  'LATCHKEY_TENCENT_EXPIRY',
  'RUST_LOG',
];

/** The variables that the stack sets, each with the setting that it follows. */
export const STACK_VARIABLES: Readonly<Record<string, string>> = {
  LATCHKEY_DATA_KEYS: '`vendorSecrets.keyring`',
  LATCHKEY_DIGEST_KEY: 'a secret that the stack generates',
  LATCHKEY_GRANTS: '`function.grants`',
  LATCHKEY_METRICS: 'the stage, because its dashboard uses this namespace',
  LATCHKEY_STORE: '`records`',
  LATCHKEY_STORE_DIGEST: '`function.indexedFile`',
};

/** The policy of `infra/permissions-boundary.json`, by the name that docs/deploy.md gives it. */
const BOUNDARY = 'latchkey-boundary';
/** IAM API reference, CreatePolicy. */
const POLICY_NAME = /^[\w+=,.@-]{1,128}$/;
const ARCHITECTURES = ['arm64', 'x86_64'] as const;
const LOG_LEVELS = ['ERROR', 'WARN', 'INFO', 'DEBUG'] as const;
/** What CloudWatch Logs accepts (API reference, PutRetentionPolicy), up to two years. */
const RETENTION_DAYS = [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731] as const;

/** A stage is part of every name, and names of topic rules have no `-`. */
const STAGE = /^[a-z][a-z0-9]{0,15}$/;
const REGION = /^[a-z]{2}(-[a-z]+)+-\d$/;
const ACCOUNT = /^\d{12}$/;
/** Service, region, account and resource. */
const ARN = /^arn:(?:aws|aws-cn|aws-us-gov):([a-z]+):([a-z0-9-]+):(\d{12}):(.+)$/;
/** The function has this name too, and Lambda's limit is below AWS IoT's (API reference, CreateFunction). */
const AUTHORIZER_NAME = /^[\w-]{1,64}$/;
/** AWS IoT API reference, CreateAuthorizer. */
const TOKEN_KEY_NAME = /^[a-zA-Z0-9_-]{1,128}$/;
const DOMAIN = /^(?=.{1,253}$)([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}$/;
const EMAIL = /^[^@\s]+@[^@\s]+\.[^@\s]+$/;

const CERTIFICATES = {
  acm: { name: 'ACM', resource: 'certificate', where: 'request or import one there' },
  iot: { name: 'AWS IoT', resource: 'cert', where: 'register it there' },
} as const;

/** One deployment. docs/deploy.md describes every setting; a test compares its list with {@link stageSchema}. */
export type Settings = z.output<ReturnType<typeof stageSchema>> & { readonly stage: string };

/** Reads `STAGE.json` in `folder`, or throws a {@link SettingsError}. */
export function readSettings(folder: string, stage: string): Settings {
  if (!STAGE.test(stage)) {
    throw new SettingsError([
      `\`${stage}\` is not a name of a stage: use up to 16 of \`a-z 0-9\`, a letter first`,
    ]);
  }
  const path = join(folder, `${stage}.json`);
  if (!existsSync(folder)) {
    throw new SettingsError([
      `there is no folder of stages at \`${folder}\`: correct LATCHKEY_STAGES, or unset it for infra/stages`,
    ]);
  }
  if (!existsSync(path)) {
    const others = readdirSync(folder).flatMap((file) =>
      file.endsWith('.json') ? [`\`${file.slice(0, -5)}\``] : [],
    );
    const otherStages = others.length === 0 ? '' : `, or use one of ${others.join(', ')}`;
    const fix = `write \`${path}\` (docs/deploy.md has the settings)${otherStages}`;
    throw new SettingsError([`the stage \`${stage}\` has no settings: ${fix}`]);
  }
  const text = readText(path);
  if (text instanceof Error) {
    throw new SettingsError([`${path}: it can't be read (${text.message}): a stage is a JSON file`]);
  }
  const json = parseJson(text);
  if (json instanceof Error) {
    throw new SettingsError([`${path}: it is not JSON (${json.message}): correct it there`]);
  }
  try {
    return parseSettings(json, stage, folder);
  } catch (error) {
    throw error instanceof SettingsError
      ? new SettingsError(error.all.map((message) => `${path}: ${message}`))
      : error;
  }
}

/** Settings from the content of a stage's file, whose paths are relative to `folder`. */
export function parseSettings(content: unknown, stage: string, folder: string): Settings {
  const parsed = stageSchema(stage, folder).safeParse(content);
  if (parsed.success) {
    return { stage, ...parsed.data };
  }
  throw new SettingsError(
    parsed.error.issues.flatMap((issue) =>
      issue.code === 'unrecognized_keys'
        ? issue.keys.map((key) =>
            atSetting([...issue.path, key], 'unknown setting; docs/deploy.md lists all settings'),
          )
        : [issue.path.length === 0 ? issue.message : atSetting(issue.path, issue.message)],
    ),
  );
}

/** What a stage's file may contain. */
export function stageSchema(stage: string, folder: string) {
  return section({
    region: text(REGION, 'a region such as `eu-central-1`'),
    account: text(ACCOUNT, 'an account, which has 12 digits').optional(),
    keepData: flag.default(false),
    permissionsBoundary: policyName.default(BOUNDARY),
    records: oneOf(['table', 'secret', 'indexed']).default('table'),
    function: functionSchema(folder).prefault({}),
    authorizer: section({
      name: text(AUTHORIZER_NAME, 'up to 64 of `A-Z a-z 0-9 _ -`').default(`latchkey-${stage}`),
      cacheHttp: flag.default(false),
      default: flag.default(false),
      signing: section({
        tokenKeyName: text(TOKEN_KEY_NAME, 'up to 128 of `A-Z a-z 0-9 _ -`').default('latchkey-token'),
        publicKeys: publicKeys(folder),
      }).optional(),
    }).prefault({}),
    vendorSecrets: section({ keyring: file(folder, keyringError).optional() }).optional(),
    domain: section({
      name: text(DOMAIN, 'a domain such as `iot.example.com`').optional(),
      certificateArn: certificate('acm').optional(),
    })
      .superRefine(({ name, certificateArn }, context) => {
        if (name !== undefined && certificateArn === undefined) {
          refuse(
            context,
            ['certificateArn'],
            'your own domain needs a certificate of ACM in the same region',
          );
        }
        if (certificateArn !== undefined && name === undefined) {
          refuse(context, ['name'], 'set the domain that the certificate is for');
        }
      })
      .optional(),
    things: section({ demo: flag.default(true), certificateArn: certificate('iot').optional() })
      .superRefine(({ demo, certificateArn }, context) => {
        if (certificateArn !== undefined && !demo) {
          refuse(
            context,
            ['certificateArn'],
            'it is for the demo Thing, which `things.demo` leaves out: set one of the two only',
          );
        }
      })
      .prefault({}),
    readings: section({ table: flag.default(false), days: wholeNumber(1, 3650).default(365) }).prefault({}),
    alarms: section({
      email: text(EMAIL, 'an address for mail').optional(),
      refusals: wholeNumber(1, 1_000_000).default(100),
    }).prefault({}),
    iotLogging: oneOf(LOG_LEVELS).optional(),
    // Other settings may be wrong at the same time, so that each of these values may be missing.
  }).superRefine(
    (settings, context) => {
      if (settings.records === 'secret' && settings.function?.grants !== undefined) {
        refuse(context, ['function', 'grants'], 'it is for a table; a secret contains its grants');
      }
      if (settings.records === 'indexed' && settings.function?.grants !== undefined) {
        refuse(context, ['function', 'grants'], 'it is for a table; an indexed file contains its grants');
      }
      // An `indexedFile` that is wrong itself has its error already, and the function has none then.
      if (
        settings.records === 'indexed' &&
        settings.function !== undefined &&
        settings.function.indexedFile === undefined
      ) {
        refuse(context, ['function', 'indexedFile'], 'set it to the file that `latchkey fleet build` makes');
      }
      if (settings.records !== 'indexed' && settings.function?.indexedFile !== undefined) {
        refuse(context, ['function', 'indexedFile'], 'it is for `records`: `indexed`');
      }
      for (const name of ['LATCHKEY_JWT_GRANT_CLAIM', 'LATCHKEY_JWT_GRANTS']) {
        if (settings.records === 'table' && settings.function?.variables?.[name] !== undefined) {
          const why = "it can't be used with a table: the function would not start";
          refuse(context, ['function', 'variables', name], why);
        }
      }
      for (const [service, key] of [
        ['acm', 'domain'],
        ['iot', 'things'],
      ] as const) {
        const message = placeError(service, settings[key]?.certificateArn, settings);
        if (message !== undefined) {
          refuse(context, [key, 'certificateArn'], message);
        }
      }
    },
    { when: () => true },
  );
}

function functionSchema(folder: string) {
  return section({
    architecture: oneOf(ARCHITECTURES).default('arm64'),
    // With 512 MB a check of a chosen password's argon2id takes 141 ms.
    memoryMb: wholeNumber(128, 10_240).default(512),
    reservedConcurrency: wholeNumber(1, 100_000).optional(),
    logRetentionDays: oneOf(RETENTION_DAYS).default(30),
    bundle: file(folder).optional(),
    grants: file(folder, grantsError).optional(),
    indexedFile: file(folder, indexedFileError).optional(),
    variables: z
      .record(z.string(), text(/^/, 'a string'), { error: notAnObject })
      .superRefine((variables, context) => {
        for (const name of Object.keys(variables).filter((name) => !VARIABLES.includes(name))) {
          const follows = STACK_VARIABLES[name];
          const message =
            follows === undefined
              ? 'unknown variable; docs/authorizer.md and docs/stores.md list all variables'
              : `the stack sets it: it follows from ${follows}`;
          refuse(context, [name], message);
        }
      })
      .default({}),
  }).superRefine(({ bundle, architecture }, context) => {
    const message = bundle === undefined ? undefined : bundleError(bundle, architecture);
    if (message !== undefined) {
      refuse(context, ['bundle'], message);
    }
  });
}

/** An object of settings. An unknown key is an error, because a misspelt setting would have no effect. */
function section<T extends z.ZodRawShape>(shape: T) {
  return z.strictObject(shape, { error: notAnObject });
}

const flag = z.boolean({ error: ({ input }) => `${shown(input)} is neither \`true\` nor \`false\`` });

const policyName = z
  .union([z.string(), z.literal(false)])
  .refine((name) => name === false || POLICY_NAME.test(name), {
    error: ({ input }) => `${shown(input)} is neither a policy's name nor \`false\``,
  });

function text(shape: RegExp, hint: string) {
  const error = ({ input }: { input?: unknown }): string =>
    input === undefined ? `set it to ${hint}` : `${shown(input)} is not ${hint}`;
  return z.string({ error }).regex(shape, { error });
}

function oneOf<const T extends string | number>(choices: readonly T[]) {
  const list = choices.map((choice) => `\`${choice}\``).join(', ');
  return z.literal([...choices], { error: ({ input }) => `${shown(input)} is not one of ${list}` });
}

function wholeNumber(from: number, to: number) {
  const error = ({ input }: { input?: unknown }): string =>
    `${shown(input)} is not a whole number from ${from} to ${to}`;
  const isInRange = (value: number): boolean => Number.isInteger(value) && value >= from && value <= to;
  return z.number({ error }).refine(isInRange, { error });
}

/** A path relative to `folder`, as a full path. `contentError` says what is wrong with an existing file. */
function file(folder: string, contentError: (path: string) => string | undefined = () => undefined) {
  return text(/./, 'a path')
    .transform((path) => resolve(folder, path))
    .superRefine((path, context) => {
      const message = existsSync(path)
        ? contentError(path)
        : `\`${path}\` does not exist: a path is relative to the folder of the stage's file`;
      if (message !== undefined) {
        refuse(context, [], message);
      }
    });
}

/** A records file without devices, for the grants of a table. */
function grantsError(path: string): string | undefined {
  const grants = z.strictObject({
    version: z.literal(1),
    grants: z.looseObject({}),
  });
  return grants.safeParse(json(path)).success
    ? undefined
    : `\`${path}\` is not a file of grants: it has \`version\` 1 and \`grants\`, and no \`devices\``;
}

/** An indexed file of records. */
function indexedFileError(path: string): string | undefined {
  return indexedFileDigest(path) === undefined
    ? `\`${path}\` is not an indexed file, or was cut off: make it with \`latchkey fleet build\``
    : undefined;
}

/** A keyring that KMS has encrypted: a keyring in clear must not get into a function's package. */
function keyringError(path: string): string | undefined {
  const keyring = z.looseObject({ kms_ciphertext: z.string() });
  return keyring.safeParse(json(path)).success
    ? undefined
    : `\`${path}\` is not a keyring that KMS has encrypted; docs/migrating.md has the command`;
}

/** Names and paths of public keys, as names and keys in PEM. */
function publicKeys(folder: string) {
  const hint = 'one or two names, each with the path of a public key in PEM';
  return z
    .record(z.string(), text(/./, 'a path'), {
      error: ({ input }) =>
        input === undefined ? `signing needs ${hint}` : `${shown(input)} is not an object of ${hint}`,
    })
    .transform((paths, context) => {
      if (Object.keys(paths).length === 0) {
        refuse(context, [], `signing needs ${hint}`);
      }
      const keys = Object.entries(paths)
        .sort()
        .map(([name, path]): [string, string] => {
          const full = resolve(folder, path);
          const text = readText(full);
          const pem = text instanceof Error ? '' : text.trim();
          if (!/^-----BEGIN PUBLIC KEY-----\n[\s\S]+-----END PUBLIC KEY-----$/.test(pem)) {
            refuse(
              context,
              [name],
              `\`${full}\` is not a public key in PEM, as \`openssl rsa -pubout\` writes it; don't use the private key`,
            );
          }
          return [name, pem];
        });
      return Object.fromEntries(keys);
    });
}

function certificate(service: keyof typeof CERTIFICATES) {
  const { name, resource } = CERTIFICATES[service];
  return text(ARN, `an ARN such as \`arn:aws:${service}:REGION:ACCOUNT:${resource}/ID\``).refine(
    (arn) => {
      const [, actual, , , id] = ARN.exec(arn) ?? [];
      // A text that is not an ARN has its error already.
      return actual === undefined || (actual === service && id?.split('/')[0] === resource);
    },
    {
      error: ({ input }) =>
        `${shown(input)} is not a certificate of ${name}: its ARN begins with \`arn:aws:${service}:\` and has \`${resource}/\``,
    },
  );
}

/** What is wrong with the place of a certificate, which must be that of the stage. */
function placeError(
  service: keyof typeof CERTIFICATES,
  arn: string | undefined,
  stage: { readonly region: string; readonly account?: string | undefined },
): string | undefined {
  const [, actual, region, account] = ARN.exec(arn ?? '') ?? [];
  if (actual !== service || !REGION.test(stage.region)) {
    return undefined;
  }
  if (region !== stage.region) {
    return `the certificate is in \`${region}\` and the stage in \`${stage.region}\`: ${CERTIFICATES[service].where}, or change \`region\``;
  }
  return stage.account === undefined || account === stage.account
    ? undefined
    : `the certificate is in the account ${account} and the stage in ${stage.account}: use one of the stage's account, or change \`account\``;
}

function refuse(context: z.RefinementCtx<unknown>, path: string[], message: string): void {
  context.addIssue({ code: 'custom', path, message });
}

function atSetting(path: readonly PropertyKey[], message: string): string {
  return `\`${path.join('.')}\`: ${message}`;
}

function notAnObject({ code, input }: { code?: string; input?: unknown }): string | undefined {
  return code === 'invalid_type' ? `${shown(input)} is not an object` : undefined;
}

function shown(value: unknown): string {
  return `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``;
}

/** A file's content as JSON; what can't be read or parsed is an `Error`. */
function json(path: string): unknown {
  const text = readText(path);
  return text instanceof Error ? text : parseJson(text);
}

/** A file's text, or why it can't be read; a folder can't. */
function readText(path: string): string | Error {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}
