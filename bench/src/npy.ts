/** An npy header built by hand, as a program without a library would write it before the data. */
export function npyHeader(descr: string, shape: readonly number[]): Uint8Array {
  const dims = shape.map((dim) => `${dim},`).join(' ');
  const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${dims}), }`;
  const length = Math.ceil((10 + text.length + 1) / 64) * 64;
  const bytes = new Uint8Array(length);
  bytes.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0]);
  new DataView(bytes.buffer).setUint16(8, length - 10, true);
  bytes.set(new TextEncoder().encode(`${text.padEnd(length - 11)}\n`), 10);
  return bytes;
}
