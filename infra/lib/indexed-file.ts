import { createHash } from 'node:crypto';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/** The header of crates/indexed-file: magic, version, length, and the digest of all before in the last 32 bytes. */
const HEADER_BYTES = 512;
const SEALED_BYTES = 480;
const MAGIC = 'LATCHKEYINDEXED\n';
const VERSION = 1;

/**
 * The digest of an indexed file, 64 hex digits; undefined for another file, and for one that was cut off. It covers the
 * whole file, and only the header is read for it.
 */
export function indexedFileDigest(path: string): string | undefined {
  const header = Buffer.alloc(HEADER_BYTES);
  const file = openSync(path, 'r');
  try {
    if (readSync(file, header, 0, HEADER_BYTES, 0) !== HEADER_BYTES) {
      return undefined;
    }
    const stored = header.subarray(SEALED_BYTES).toString('hex');
    const digest = createHash('sha256').update(header.subarray(0, SEALED_BYTES)).digest('hex');
    const isIndexed =
      header.subarray(0, MAGIC.length).toString('latin1') === MAGIC &&
      header.readUInt32LE(MAGIC.length) === VERSION &&
      header.readBigUInt64LE(MAGIC.length + 4) === BigInt(fstatSync(file).size);
    return isIndexed && digest === stored ? digest : undefined;
  } finally {
    closeSync(file);
  }
}
