import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deflateRawSync } from 'node:zlib';

import { bundleError } from '../lib/bundle';
import { file, program } from './support/fixture';

interface Member {
  readonly name: string;
  readonly data: Buffer;
  readonly isDeflated?: boolean;
}

/** An archive as `zip` writes it, without checksums. */
function archive(members: readonly Member[], comment = ''): Buffer {
  const locals: Buffer[] = [];
  const central: Buffer[] = [];
  let offset = 0;
  for (const { name, data, isDeflated } of members) {
    const content = isDeflated ? deflateRawSync(data) : data;
    const sizes = Buffer.alloc(8);
    sizes.writeUInt32LE(content.length, 0);
    sizes.writeUInt32LE(data.length, 4);
    const method = isDeflated ? [8, 0] : [0, 0];
    const nameLength = [name.length, 0];
    const zeros = Buffer.alloc(8);
    const local = [0x50, 0x4b, 3, 4, 20, 0, 0, 0, ...method, ...zeros, ...sizes, ...nameLength, 0, 0];
    locals.push(Buffer.from(local), Buffer.from(name), content);
    const at = Buffer.alloc(4);
    at.writeUInt32LE(offset);
    const header = [0x50, 0x4b, 1, 2, 20, 0, 20, 0, 0, 0, ...method, ...zeros, ...sizes, ...nameLength];
    central.push(Buffer.from([...header, ...Buffer.alloc(12), ...at]), Buffer.from(name));
    offset += local.length + name.length + content.length;
  }
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(members.length, 8);
  end.writeUInt16LE(members.length, 10);
  end.writeUInt32LE(Buffer.concat(central).length, 12);
  end.writeUInt32LE(offset, 16);
  end.writeUInt16LE(comment.length, 20);
  return Buffer.concat([...locals, ...central, end, Buffer.from(comment)]);
}

const other = { name: 'devices.json', data: Buffer.from('{}') };

test('a stored and a deflated program are found', () => {
  for (const isDeflated of [false, true]) {
    const zip = archive([other, { name: 'bootstrap', data: program('arm64'), isDeflated }], 'a comment');
    assert.equal(bundleError(file('bundle.zip', zip), 'arm64'), undefined);
  }
});

test('a truncated, a damaged and an incomplete archive are refused', () => {
  const refused =
    /is neither a folder nor a zip file with the program `bootstrap`: `cargo lambda build --release` makes one,/;
  const zip = archive([other, { name: 'bootstrap', data: program('arm64'), isDeflated: true }]);
  for (let length = 0; length < zip.length; length += 1) {
    const path = file('bundle.zip', zip.subarray(0, length));
    assert.match(bundleError(path, 'arm64') ?? '', refused, `${length} bytes`);
  }
  const damaged = Buffer.from(zip);
  damaged.fill(0xff, zip.indexOf('bootstrap') + 9, zip.indexOf('bootstrap') + 20);
  assert.match(bundleError(file('bundle.zip', damaged), 'arm64') ?? '', refused);
  assert.match(bundleError(file('bundle.zip', archive([other])), 'arm64') ?? '', refused);
});

test('a zipped bundle is checked for its architecture', () => {
  const zip = file('bundle.zip', archive([{ name: 'bootstrap', data: program('x86_64'), isDeflated: true }]));
  assert.equal(bundleError(zip, 'x86_64'), undefined);
  assert.match(bundleError(zip, 'arm64') ?? '', /was built for x86_64/);
});
