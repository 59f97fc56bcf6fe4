import { RustFunction } from 'cargo-lambda-cdk';
import { Architecture, Code, Function, FunctionOptions, Runtime } from 'aws-cdk-lib/aws-lambda';
import { Construct } from 'constructs';

import { bundleFault } from './bundle';

/** The authorizer's program: its Rust sources, or what was built of them. */
export type AuthorizerCode =
  | {
      /** The folder of Latchkey's `Cargo.toml`; cargo-lambda builds it while the app is synthesized. */
      readonly workspace: string;
    }
  | {
      /** A folder or a zip file with the program `bootstrap`. */
      readonly bundle: string;
    };

const BINARY = 'authorizer';

/** The function with its code in it. */
export function createFunction(
  scope: Construct,
  id: string,
  code: AuthorizerCode,
  options: FunctionOptions,
): Function {
  if ('workspace' in code) {
    // It follows the lock file, as every other build of this workspace does.
    const bundling = { cargoLambdaFlags: ['--locked'] };
    return new RustFunction(scope, id, {
      ...options,
      manifestPath: code.workspace,
      binaryName: BINARY,
      bundling,
    });
  }
  const fault = bundleFault(code.bundle, `${(options.architecture ?? Architecture.ARM_64).name}`);
  if (fault !== undefined) {
    throw new Error(fault);
  }
  const bundle = Code.fromAsset(code.bundle);
  return new Function(scope, id, {
    ...options,
    runtime: Runtime.PROVIDED_AL2023,
    handler: 'bootstrap',
    code: bundle,
  });
}
