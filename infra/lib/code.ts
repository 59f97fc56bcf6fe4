import { chmodSync, copyFileSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { RemovalPolicy } from 'aws-cdk-lib';
import { Architecture, Code, Function, FunctionOptions, LayerVersion, Runtime } from 'aws-cdk-lib/aws-lambda';
import { RustFunction } from 'cargo-lambda-cdk';
import { Construct } from 'constructs';

import { bundleError, PROGRAM } from './bundle';

/** The authorizer's program: its Rust sources, or a built one. */
export type AuthorizerCode =
  | {
      /** The folder of Latchkey's `Cargo.toml`; cargo-lambda builds it while the app is synthesized. */
      readonly workspace: string;
    }
  | {
      /** A folder or a zip file with the program `bootstrap`. */
      readonly bundle: string;
    };

/** The binary's name in the workspace. */
const BINARY = 'authorizer';
/** The folder of a layer's files in Lambda. */
export const LAYER_FOLDER = '/opt';

/** The function with its code. */
export function createFunction(
  scope: Construct,
  id: string,
  code: AuthorizerCode,
  options: FunctionOptions,
): Function {
  if ('workspace' in code) {
    // As every other build of this workspace, it keeps to the lock file.
    const bundling = { cargoLambdaFlags: ['--locked'] };
    return new RustFunction(scope, id, {
      ...options,
      manifestPath: code.workspace,
      binaryName: BINARY,
      bundling,
    });
  }
  const error = bundleError(code.bundle, `${(options.architecture ?? Architecture.ARM_64).name}`);
  if (error !== undefined) {
    throw new Error(error);
  }
  return new Function(scope, id, {
    ...options,
    runtime: Runtime.PROVIDED_AL2023,
    handler: PROGRAM,
    code: Code.fromAsset(code.bundle),
  });
}

/**
 * Files next to the program, as a layer, so that a new keyring needs no new build.
 *
 * `files` are the names in the layer, with the paths of the files to copy.
 */
export function filesLayer(
  scope: Construct,
  id: string,
  layerVersionName: string,
  files: Readonly<Record<string, string>>,
): LayerVersion {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-layer-'));
  for (const [name, path] of Object.entries(files)) {
    copyFileSync(path, join(folder, name));
    // The function runs as another user than the one who unpacks the layer.
    chmodSync(join(folder, name), 0o644);
  }
  return new LayerVersion(scope, id, {
    layerVersionName,
    code: Code.fromAsset(folder),
    description: 'records, grants and keyring of the authorizer',
    // The next layer is another version; a running function has its own copy.
    removalPolicy: RemovalPolicy.DESTROY,
  });
}
