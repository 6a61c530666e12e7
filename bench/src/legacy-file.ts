/** A dict with one array, byte for byte as Python's mmappickle 1.0 writes it: its data is unaligned. */

import { closeSync, openSync, writeSync } from 'node:fs';

function short(text: string): Buffer {
  return Buffer.concat([Buffer.from([0x8c, text.length]), Buffer.from(text, 'latin1')]);
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function binInt(value: number): Buffer {
  const bytes = Buffer.alloc(6, 0x30);
  bytes[0] = 0x4a;
  bytes.writeInt32LE(value, 1);
  return bytes;
}

/**
 * Writes a dict `{'x': float64 array of count elements}` whose bytes are given in pieces.
 * @returns the offset of the data
 */
export function writeLegacyFile(path: string, count: number, pieces: Iterable<Uint8Array>): number {
  const stackGlobal = (module: string, name: string): Buffer =>
    Buffer.concat([short(module), short(name), Buffer.from([0x93])]);
  const shape = Buffer.alloc(6, 0x85);
  shape[0] = 0x4a;
  shape.writeInt32LE(count, 1);
  const head = Buffer.concat([
    short('x'),
    stackGlobal('numpy.core.fromnumeric', 'reshape'),
    stackGlobal('numpy.core.multiarray', 'fromstring'),
    Buffer.from([0x8e]),
    u64(count * 8),
  ]);
  const tail = Buffer.concat([short('float64'), Buffer.from([0x86, 0x52]), shape, Buffer.from([0x86, 0x52])]);
  const end = Buffer.concat([binInt(0), Buffer.from([0x88, 0x30])]);
  const frame = (length: number): Buffer => Buffer.concat([Buffer.from([0x95]), u64(length)]);
  const start = Buffer.concat([
    Buffer.from([0x80, 0x04]),
    frame(13),
    binInt(1),
    binInt(0),
    Buffer.from('('),
    frame(head.length + count * 8 + tail.length + end.length),
    head,
  ]);
  const fd = openSync(path, 'w');
  writeSync(fd, start);
  for (const piece of pieces) writeSync(fd, piece);
  writeSync(fd, Buffer.concat([tail, end, frame(2), Buffer.from('d.')]));
  closeSync(fd);
  return start.length;
}
