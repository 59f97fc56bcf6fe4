import { Mistakes } from '../lib/settings/mistakes';

/** Runs it, and shows what a person got wrong without a stack trace; 64 is what the authorizer ends with, too. */
export function orExit(run: () => void): void {
  try {
    run();
  } catch (error) {
    if (!(error instanceof Mistakes)) {
      throw error;
    }
    error.all.forEach((mistake) => console.error(mistake));
    process.exitCode = 64;
  }
}
