import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

/** Rust's names for Lambda's architectures. */
const TARGETS: Readonly<Record<string, string>> = {
  arm64: 'aarch64-unknown-linux-gnu',
  x86_64: 'x86_64-unknown-linux-gnu',
};

/** What keeps this machine's Rust from building for an architecture, or nothing. */
export function missingTarget(architecture: string): string | undefined {
  const target = TARGETS[architecture] ?? architecture;
  const printed = spawnSync('rustc', ['--print', 'target-libdir', '--target', target], { encoding: 'utf8' });
  if (printed.error !== undefined) {
    return 'there is no Rust: https://rustup.rs tells how to get it, or name a `function.bundle`';
  }
  if (printed.status === 0 && existsSync(printed.stdout.trim())) {
    return undefined;
  }
  return `this Rust builds nothing for \`function.architecture\` ${architecture}: run \`rustup target add ${target}\`, choose the other architecture, or name a \`function.bundle\``;
}
