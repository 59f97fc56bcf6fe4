import { copyFileSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { RemovalPolicy } from 'aws-cdk-lib';
import { Code, LayerVersion } from 'aws-cdk-lib/aws-lambda';
import { Construct } from 'constructs';

/** Where Lambda puts a layer's files. */
export const FOLDER = '/opt';

/**
 * Files beside the program, as a layer, so that a new keyring needs no new build.
 *
 * `files` are the paths of what is copied, by the name that each has in the layer.
 */
export function filesLayer(
  scope: Construct,
  id: string,
  layerVersionName: string,
  files: Readonly<Record<string, string>>,
): LayerVersion {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-layer-'));
  Object.entries(files).forEach(([name, path]) => copyFileSync(path, join(folder, name)));
  return new LayerVersion(scope, id, {
    layerVersionName,
    code: Code.fromAsset(folder),
    description: 'grants and keyring of the authorizer',
    // The next layer is another version; a function that runs has its own copy.
    removalPolicy: RemovalPolicy.DESTROY,
  });
}
