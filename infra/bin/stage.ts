import { join } from 'node:path';

import { SettingsError } from '../lib/settings';

/** The repository; this file runs from `infra/build/bin`. */
export const REPOSITORY = join(__dirname, '..', '..', '..');

/** The folder of the stages' files: `infra/stages`, or the folder that `LATCHKEY_STAGES` names. */
export const STAGES = process.env['LATCHKEY_STAGES'] ?? join(REPOSITORY, 'infra', 'stages');

/** Runs a command. On a {@link SettingsError} it prints the messages and exits with 64, as the authorizer does. */
export function runCommand(command: () => void): void {
  try {
    command();
  } catch (error) {
    if (!(error instanceof SettingsError)) {
      throw error;
    }
    error.all.forEach((message) => console.error(message));
    process.exitCode = 64;
  }
}
