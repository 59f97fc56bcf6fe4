import { join } from 'node:path';

/** The repository; this file runs from `infra/build/bin`. */
export const REPOSITORY = join(__dirname, '..', '..', '..');

/** Where the stages' files are: beside the app, or in a folder of whoever keeps them elsewhere. */
export const STAGES = process.env['LATCHKEY_STAGES'] ?? join(REPOSITORY, 'infra', 'stages');
