import { inflateRawSync } from 'node:zlib';

/** Signatures and places of PKWARE's APPNOTE.TXT, sections 4.3.7, 4.3.12 and 4.3.16. */
const END = 0x06054b50;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
const END_LENGTH = 22;
const CENTRAL_LENGTH = 46;
const LOCAL_LENGTH = 30;
const STORED = 0;
const DEFLATED = 8;

/** A file of a zip archive, or nothing where there is none or where it is no archive. */
export function entry(zip: Buffer, name: string): Buffer | undefined {
  try {
    return find(zip, name);
  } catch (error) {
    if (error instanceof RangeError || (error as NodeJS.ErrnoException).code?.startsWith('Z_')) {
      return undefined;
    }
    throw error;
  }
}

function find(zip: Buffer, name: string): Buffer | undefined {
  const end = zip.lastIndexOf(signature(END));
  if (end < 0 || zip.length - end < END_LENGTH) {
    return undefined;
  }
  let at = zip.readUInt32LE(end + 16);
  for (let left = zip.readUInt16LE(end + 10); left > 0 && zip.readUInt32LE(at) === CENTRAL; left -= 1) {
    const nameLength = zip.readUInt16LE(at + 28);
    const header = zip.subarray(at, at + CENTRAL_LENGTH);
    const found = zip.toString('utf8', at + CENTRAL_LENGTH, at + CENTRAL_LENGTH + nameLength);
    if (found === name) {
      return content(zip, header);
    }
    at += CENTRAL_LENGTH + nameLength + header.readUInt16LE(30) + header.readUInt16LE(32);
  }
  return undefined;
}

function content(zip: Buffer, header: Buffer): Buffer | undefined {
  const local = header.readUInt32LE(42);
  if (zip.readUInt32LE(local) !== LOCAL) {
    return undefined;
  }
  const start = local + LOCAL_LENGTH + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
  const data = zip.subarray(start, start + header.readUInt32LE(20));
  const method = header.readUInt16LE(10);
  return method === STORED ? data : method === DEFLATED ? inflateRawSync(data) : undefined;
}

function signature(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
