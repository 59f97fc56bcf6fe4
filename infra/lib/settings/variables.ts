import { Reader } from './reader';

/**
 * What `function.variables` may set: the settings of docs/authorizer.md and docs/stores.md. The function does not
 * start with another name, and that would show only when the first device connects.
 */
export const VARIABLES: readonly string[] = [
  'LATCHKEY_ALIBABA_FRESHNESS_SECONDS',
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

/** What the stack sets itself, each with the setting that decides it. */
export const OWN_VARIABLES: Readonly<Record<string, string>> = {
  LATCHKEY_DATA_KEYS: 'vendorSecrets.keyring',
  LATCHKEY_GRANTS: 'function.grants',
  LATCHKEY_METRICS: 'the stage, whose dashboard looks there',
  LATCHKEY_STORE: 'records',
};

export function readVariables(reader: Reader): Record<string, string> {
  const variables = reader.texts('variables');
  for (const name of Object.keys(variables).filter((name) => !VARIABLES.includes(name))) {
    const decider = OWN_VARIABLES[name];
    const where =
      decider === undefined
        ? 'docs/authorizer.md and docs/stores.md list them'
        : `it follows from ${decider}`;
    reader.mistake(
      `variables.${name}`,
      decider === undefined ? `there is no such variable; ${where}` : where,
    );
  }
  return variables;
}
