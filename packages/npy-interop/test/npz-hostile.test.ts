import { readdirSync, writeFileSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { type ErrorCode, isMmdError, type MmdError } from '@mmdpickle/core';
import { MmapDict } from '@mmdpickle/core/node';
import { NPZ_LIMITS, type Npz, npyBytes, npzBytes, npzToMmd, openNpz } from '@mmdpickle/npy-interop';
import { TempDir } from '@mmdpickle/test-support';
import { describe, expect, test } from 'vitest';

const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
const END = 0x06054b50;

/** Positions of a record's signature, in order. */
function find(bytes: Uint8Array, signature: number): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found: number[] = [];
  for (let pos = 0; pos + 4 <= bytes.length; pos += 1) if (view.getUint32(pos, true) === signature) found.push(pos);
  return found;
}

/** Patches both the central directory entry and the local header of member `i`. */
function patch(bytes: Uint8Array, i: number, change: (central: DataView, local: DataView) => void): Uint8Array {
  const copy = bytes.slice();
  const at = (pos: number): DataView => new DataView(copy.buffer, pos);
  change(at(find(copy, CENTRAL)[i] as number), at(find(copy, LOCAL)[i] as number));
  return copy;
}

/** General purpose bits, for {@link patch}. */
const flags =
  (bits: number) =>
  (central: DataView, local: DataView): void => {
    central.setUint16(8, bits, true);
    local.setUint16(6, bits, true);
  };

/** Sets the compression method, for {@link patch}. */
const packedBy =
  (method: number) =>
  (central: DataView, local: DataView): void => {
    central.setUint16(10, method, true);
    local.setUint16(8, method, true);
  };

/** Puts the last member's name in UTF-8 into Info-ZIP's extra field; `crc` is that of the name it replaces. */
function renameInField(
  bytes: Uint8Array,
  was: string,
  name: string,
  crc = crc32(Buffer.from(was, 'latin1')),
): Uint8Array {
  const central = find(bytes, CENTRAL).at(-1) as number;
  const field = Buffer.concat([new Uint8Array(9), Buffer.from(name)]);
  field.writeUInt16LE(0x7075, 0);
  field.writeUInt16LE(field.length - 4, 2);
  field.writeUInt8(1, 4);
  field.writeUInt32LE(crc, 5);
  const at = central + 46 + was.length;
  const copy = Buffer.concat([bytes.subarray(0, at), field, bytes.subarray(at)]);
  copy.writeUInt16LE(field.length, central + 30);
  const end = find(copy, END)[0] as number;
  copy.writeUInt32LE(copy.readUInt32LE(end + 12) + field.length, end + 12);
  return copy;
}

function rename(bytes: Uint8Array, i: number, name: string): Uint8Array {
  return patch(bytes, i, (central, local) => {
    for (let k = 0; k < name.length; k += 1) {
      central.setUint8(46 + k, name.charCodeAt(k));
      local.setUint8(30 + k, name.charCodeAt(k));
    }
  });
}

const stored = await npzBytes({ aaaaa: new Float64Array([1, 2]), bbbbb: new Float64Array([3, 4]) });
/** Ends an archive as Info-ZIP does for piped input: with a zip64 end, and with a 32-bit end that would have sufficed. */
function endTwice(bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  const [end64, end] = [0x06064b50, END].map((signature) => new DataView(copy.buffer, find(copy, signature)[0]));
  for (const at of [8, 10]) end?.setUint16(at, end64?.getUint16(32, true) ?? 0, true);
  for (const at of [12, 16]) end?.setUint32(at, end64?.getUint32(at + 28 + (at - 12), true) ?? 0, true);
  return copy;
}

const zeros = new Uint8Array(1 << 20);
const endedTwice = endTwice(await npzBytes({ aaaaa: new Float64Array([1, 2]), bbbbb: zeros }, { zip64: true }));
const deflated = await npzBytes({ aaaaa: zeros, bbbbb: new Float64Array([3, 4]) }, { compress: true });

const HOSTILE: readonly {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly code: ErrorCode;
  /** True: found when the archive is opened, not only when the member is read. */
  readonly atOpen: boolean;
}[] = [
  { name: 'nothing', bytes: new Uint8Array(0), code: 'BAD_FORMAT', atOpen: true },
  {
    name: 'text',
    bytes: new TextEncoder().encode('not a zip file, but a text of some length'),
    code: 'BAD_FORMAT',
    atOpen: true,
  },
  { name: 'an npy file', bytes: npyBytes(new Float64Array(100)), code: 'BAD_FORMAT', atOpen: true },
  { name: 'a truncated archive', bytes: stored.subarray(0, 300), code: 'TRUNCATED', atOpen: true },
  { name: 'an archive without its last byte', bytes: stored.subarray(0, -1), code: 'TRUNCATED', atOpen: true },
  { name: 'a duplicate member name', bytes: rename(stored, 1, 'aaaaa'), code: 'CORRUPT', atOpen: true },
  { name: 'an absolute member name', bytes: rename(stored, 0, '/aaaa'), code: 'CORRUPT', atOpen: true },
  {
    name: 'a member name with a drive letter',
    bytes: rename(stored, 0, 'C:/aa'),
    code: 'CORRUPT',
    atOpen: true,
  },
  { name: 'a member name that leaves the archive', bytes: rename(stored, 0, '../aa'), code: 'CORRUPT', atOpen: true },
  {
    name: 'a name that leaves by backslashes',
    bytes: rename(stored, 0, 'a\\..\\'),
    code: 'CORRUPT',
    atOpen: true,
  },
  { name: 'a member name with a NUL', bytes: rename(stored, 0, 'aa\0aa'), code: 'CORRUPT', atOpen: true },
  {
    name: 'two members at the same bytes',
    bytes: patch(stored, 1, (central) => central.setUint32(42, 0, true)),
    code: 'CORRUPT',
    atOpen: true,
  },
  {
    name: 'a member that extends into the next',
    bytes: patch(stored, 0, (central, local) => {
      for (const [view, at] of [
        [central, 20],
        [local, 18],
      ] as const) {
        view.setUint32(at, 400, true);
        view.setUint32(at + 4, 400, true);
      }
    }),
    code: 'CORRUPT',
    atOpen: true,
  },
  {
    name: 'a member that overlaps the next by 1 B',
    bytes: patch(stored, 0, (central) => {
      const [first = 0, second = 0] = find(stored, LOCAL);
      for (const at of [20, 24]) central.setUint32(at, second - first - (30 + 'aaaaa.npy'.length) + 1, true);
    }),
    code: 'CORRUPT',
    atOpen: true,
  },
  {
    name: 'a directory that counts too few',
    bytes: patch(stored, 0, (_, local) => {
      const end = find(stored, END)[0] as number;
      new DataView(local.buffer).setUint16(end + 10, 1, true);
    }),
    code: 'CORRUPT',
    atOpen: true,
  },
  {
    name: 'a member that is marked as a directory',
    bytes: patch(stored, 0, (central) => central.setUint32(38, (0o040700 << 16) >>> 0, true)),
    code: 'CORRUPT',
    atOpen: true,
  },
  {
    name: 'a directory with conflicting ends',
    bytes: (() => {
      const copy = endedTwice.slice();
      new DataView(copy.buffer).setUint16((find(copy, 0x06064b50)[0] as number) + 32, 1, true);
      return copy;
    })(),
    code: 'CORRUPT',
    atOpen: true,
  },
  {
    // To one reader all of it is a comment; to Python, which looks for the last end record, it is an empty archive.
    name: 'a comment with a second directory end',
    bytes: (() => {
      const copy = Buffer.concat([stored, Buffer.from('PK\x05\x06'), new Uint8Array(19)]);
      copy.writeUInt16LE(23, stored.length - 2);
      return copy;
    })(),
    code: 'CORRUPT',
    atOpen: true,
  },
  {
    name: 'a member name of invalid UTF-8',
    bytes: patch(rename(stored, 0, '\xf0\x90\x80aa'), 0, flags(0x800)),
    code: 'CORRUPT',
    atOpen: true,
  },
  {
    name: 'an encrypted member',
    bytes: patch(stored, 0, flags(1)),
    code: 'UNSUPPORTED_VALUE',
    atOpen: false,
  },
  {
    name: 'a member that is a patch of other data',
    bytes: patch(stored, 0, flags(0x20)),
    code: 'UNSUPPORTED_VALUE',
    atOpen: false,
  },
  {
    name: 'a member with an unsupported method',
    bytes: patch(stored, 0, packedBy(12)),
    code: 'UNSUPPORTED_VALUE',
    atOpen: false,
  },
  {
    name: 'a size that deflate cannot reach',
    bytes: patch(deflated, 0, (central) => central.setUint32(24, 0xfffffff0, true)),
    code: 'CORRUPT',
    atOpen: true,
  },
  {
    name: 'a stored member with two sizes',
    bytes: patch(stored, 0, (central) => central.setUint32(24, 100, true)),
    code: 'CORRUPT',
    atOpen: true,
  },
  {
    name: 'a member that unpacks to too much',
    bytes: patch(deflated, 0, (central, local) => {
      central.setUint32(24, 4096, true);
      local.setUint32(22, 4096, true);
    }),
    code: 'CORRUPT',
    atOpen: false,
  },
  {
    name: 'a member that unpacks to too little',
    bytes: patch(deflated, 0, (central, local) => {
      central.setUint32(24, zeros.length + 129, true);
      local.setUint32(22, zeros.length + 129, true);
    }),
    code: 'CORRUPT',
    atOpen: false,
  },
  {
    name: 'a wrong CRC of a deflated member',
    bytes: patch(deflated, 0, (central, local) => {
      central.setUint32(16, 1, true);
      local.setUint32(14, 1, true);
    }),
    code: 'CORRUPT',
    atOpen: false,
  },
  {
    name: 'a wrong CRC of a stored member',
    bytes: patch(stored, 0, (central, local) => {
      central.setUint32(16, 1, true);
      local.setUint32(14, 1, true);
    }),
    code: 'CORRUPT',
    atOpen: false,
  },
  {
    name: 'a missing local header',
    bytes: patch(stored, 0, (_central, local) => local.setUint32(0, 0, true)),
    code: 'CORRUPT',
    atOpen: false,
  },
  {
    name: 'a local header that contradicts the directory',
    bytes: patch(stored, 0, (_central, local) => local.setUint16(8, 8, true)),
    code: 'CORRUPT',
    atOpen: false,
  },
  {
    name: 'a local header with a different name',
    bytes: patch(stored, 0, (_central, local) => local.setUint8(30, 0x7a)),
    code: 'CORRUPT',
    atOpen: false,
  },
  {
    name: 'a local header with different sizes',
    bytes: patch(stored, 0, (_central, local) => {
      local.setUint32(18, 1_000_000, true);
      local.setUint32(22, 1_000_000, true);
    }),
    code: 'CORRUPT',
    atOpen: false,
  },
  {
    name: 'a local header with another checksum',
    bytes: patch(stored, 0, (_central, local) => local.setUint32(14, 1, true)),
    code: 'CORRUPT',
    atOpen: false,
  },
  {
    name: 'a local header with different flags',
    bytes: patch(stored, 0, (_central, local) => local.setUint16(6, 0x41, true)),
    code: 'CORRUPT',
    atOpen: false,
  },
  {
    name: 'invalid compressed data',
    bytes: (() => {
      const copy = deflated.slice();
      copy.fill(0xff, 60, 200);
      return copy;
    })(),
    code: 'CORRUPT',
    atOpen: false,
  },
  {
    name: 'a member that is not an npy file',
    bytes: (() => {
      const copy = stored.slice();
      copy.fill(0x41, 64, 72);
      return copy;
    })(),
    code: 'BAD_FORMAT',
    atOpen: false,
  },
  {
    name: 'an npy header that exceeds its member',
    bytes: (() => {
      const copy = stored.slice();
      copy[new TextDecoder('latin1').decode(copy).indexOf('(2,)') + 1] = 0x33;
      return copy;
    })(),
    code: 'TRUNCATED',
    atOpen: false,
  },
  { name: 'an archive without its first bytes', bytes: stored.slice(10), code: 'CORRUPT', atOpen: true },
  {
    name: 'a directory that counts too many',
    bytes: (() => {
      const copy = stored.slice();
      new DataView(copy.buffer).setUint16((find(copy, END)[0] as number) + 10, 9, true);
      return copy;
    })(),
    code: 'CORRUPT',
    atOpen: true,
  },
];

async function caught(run: () => Promise<unknown>): Promise<unknown> {
  try {
    return await run();
  } catch (error) {
    return error;
  }
}

describe('hostile npz files', () => {
  test('members with code page 437 names are laid out one after the other and do not overlap', async () => {
    const npz = await openNpz(rename(deflated, 0, '\x82aaaa'));
    expect(npz.keys()).toEqual(['éaaaa', 'bbbbb']);
    expect((await npz.get('éaaaa')).shape).toEqual([zeros.length]);
    // As in numpy.load: nothing says that these bytes are UTF-8.
    expect((await openNpz(rename(deflated, 0, '\xc3\xa9aaa'))).keys()).toEqual(['├⌐aaa', 'bbbbb']);
  });

  test('a UTF-8 name in an extra field is used, as in Python 3.12 and later, unless it belongs to a different name', async () => {
    const named = await openNpz(renameInField(stored, 'bbbbb.npy', 'π/μ.npy'));
    expect(named.keys()).toEqual(['aaaaa', 'π/μ']);
    expect((await named.get('π/μ')).toNested()).toEqual([3, 4]);
    expect((await openNpz(renameInField(stored, 'bbbbb.npy', 'π.npy', 1))).keys()).toEqual(['aaaaa', 'bbbbb']);
    for (const name of ['../π.npy', '']) {
      const error = await caught(() => openNpz(renameInField(stored, 'bbbbb.npy', name)));
      expect(error).toMatchObject({ code: 'CORRUPT' });
    }
  });

  test('a zip64 end that the 32-bit end repeats is not part of the directory', async () => {
    const npz = await openNpz(endedTwice);
    expect(npz.keys()).toEqual(['aaaaa', 'bbbbb']);
    expect((await npz.get('aaaaa')).toNested()).toEqual([1, 2]);
  });

  test('a locator that points past the end means the same from memory and from a path', async () => {
    const bytes = await npzBytes({ a: new Uint8Array(3) }, { zip64: true });
    const view = new DataView(bytes.buffer);
    view.setBigUint64(bytes.length - 34, BigInt(bytes.length + 5), true);
    using temp = new TempDir();
    writeFileSync(temp.file('bad.npz'), bytes);
    const keys = async (source: string | Uint8Array) => {
      using npz = source instanceof Uint8Array ? undefined : await openNpz(source);
      return (npz ?? (await openNpz(source as Uint8Array))).keys();
    };
    const fromPath = await caught(() => keys(temp.file('bad.npz')));
    const fromBytes = await caught(() => keys(bytes));
    expect(fromBytes).toEqual(fromPath);
  });

  test.each(HOSTILE)('$name: $code, from memory', async ({ bytes, code, atOpen }) => {
    const opened = await caught(() => openNpz(bytes, { name: 'bad.npz' }));
    const error = atOpen
      ? opened
      : await caught(async () => {
          expect(opened).not.toBeInstanceOf(Error);
          const npz = opened as Awaited<ReturnType<typeof openNpz>>;
          return npz.get(npz.keys()[0] as string);
        });
    expect(isMmdError(error)).toBe(true);
    expect((error as MmdError).code).toBe(code);
    expect((error as MmdError).message).toContain('bad.npz');
    expect(typeof (error as MmdError).offset).toBe('number');
  });

  test.each(HOSTILE)('$name: $code, from a path', async ({ bytes, code }) => {
    using temp = new TempDir();
    writeFileSync(temp.file('bad.npz'), bytes);
    const error = await caught(async () => {
      using npz = await openNpz(temp.file('bad.npz'));
      const key = npz.keys()[0] as string;
      await npz.get(key);
      await npz.verify(key);
    });
    expect(isMmdError(error)).toBe(true);
    expect((error as MmdError).code).toBe(code);
    expect(readdirSync(temp.path)).toEqual(['bad.npz']);
  });

  const ways = {
    get: (npz: Npz, key: string): Promise<unknown> => npz.get(key),
    bytes: (npz: Npz, key: string): Promise<unknown> => npz.bytes(key),
    verify: (npz: Npz, key: string): Promise<unknown> => npz.verify(key),
    unpack: (npz: Npz, key: string): Promise<unknown> => npz.unpack(key, () => {}),
  };

  test.each(HOSTILE.filter(({ atOpen, code }) => !atOpen && ['CORRUPT', 'UNSUPPORTED_VALUE'].includes(code)))(
    '$name: $code, however the member is read',
    async ({ bytes, code }) => {
      const npz = await openNpz(bytes);
      const key = npz.keys()[0] as string;
      for (const read of Object.values(ways)) await expect(read(npz, key)).rejects.toMatchObject({ code });
    },
  );

  test.each([
    { what: 'signature', change: (local: DataView) => local.setUint32(0, 0, true) },
    { what: 'method', change: (local: DataView) => local.setUint16(8, 0, true) },
    { what: 'flags', change: (local: DataView) => local.setUint16(6, 1, true) },
    { what: 'checksum', change: (local: DataView) => local.setUint32(14, 1, true) },
    { what: 'packed size', change: (local: DataView) => local.setUint32(18, 1, true) },
    { what: 'size', change: (local: DataView) => local.setUint32(22, 1, true) },
    { what: 'name', change: (local: DataView) => local.setUint8(30, 0x7a) },
    { what: 'longer name', change: (local: DataView) => local.setUint16(26, 10, true) },
    { what: 'shorter name', change: (local: DataView) => local.setUint16(26, 8, true) },
  ])('a different $what in front of a member is CORRUPT, stored or compressed, however it is read', async (row) => {
    for (const archive of [stored, deflated]) {
      if (archive === stored && row.what === 'method') continue;
      const npz = await openNpz(patch(archive, 0, (_central, local) => row.change(local)));
      for (const read of [...Object.values(ways), (some: Npz, key: string) => some.dataOffset(key)])
        await expect(read(npz, 'aaaaa')).rejects.toMatchObject({ code: 'CORRUPT' });
      expect((await npz.get('bbbbb')).toNested()).toEqual([3, 4]);
    }
  });

  test('an npy header whose claimed end is after its stored member is not read from the following bytes', async () => {
    for (const key of ['aaaaa', 'bbbbb']) {
      const copy = stored.slice();
      const start = await (await openNpz(copy)).dataOffset(key);
      new DataView(copy.buffer).setUint16(start + 8, 144, true);
      const npz = await openNpz(copy);
      await expect(npz.header(key)).rejects.toMatchObject({ code: 'TRUNCATED' });
      await expect(npz.get(key)).rejects.toMatchObject({ code: 'TRUNCATED' });
    }
  });

  test('a member of exactly the allowed size is read by every method, one that is a byte larger by none', async () => {
    for (const archive of [stored, deflated]) {
      const { size } = (await openNpz(archive)).member('aaaaa');
      for (const read of Object.values(ways)) {
        const [npz, tight] = await Promise.all(
          [size, size - 1].map((memberBytes) => openNpz(archive, { limits: { memberBytes } })),
        );
        await read(npz as Npz, 'aaaaa');
        await expect(read(tight as Npz, 'aaaaa')).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED', found: size });
      }
    }
  });

  test.each([
    { what: 'is encrypted', method: 'stored', change: flags(1) },
    { what: 'is encrypted', method: 'stored', change: flags(0x40) },
    { what: 'is compressed with method 9 (deflate64)', method: 9, change: packedBy(9) },
    { what: 'is compressed with method 12 (bzip2)', method: 12, change: packedBy(12) },
    { what: 'is compressed with method 14 (lzma)', method: 14, change: packedBy(14) },
    { what: 'is compressed with method 93 (zstd)', method: 93, change: packedBy(93) },
    { what: 'is compressed with method 95 (xz)', method: 95, change: packedBy(95) },
    { what: 'is compressed with method 77', method: 77, change: packedBy(77) },
  ])('a member that $what is reported when it is read, and the others are read', async ({ what, method, change }) => {
    using temp = new TempDir();
    writeFileSync(temp.file('some.npz'), patch(stored, 0, change));
    const unsupported = { code: 'UNSUPPORTED_VALUE', message: expect.stringContaining(`"aaaaa.npy" ${what}`) };
    for (const source of [patch(stored, 0, change), temp.file('some.npz')]) {
      await using npz = await openNpz(source as Uint8Array);
      expect(npz.keys()).toEqual(['aaaaa', 'bbbbb']);
      expect(npz.member('aaaaa')).toMatchObject({ method, name: 'aaaaa.npy' });
      expect((await npz.get('bbbbb')).toNested()).toEqual([3, 4]);
      for (const read of ['get', 'header', 'bytes', 'verify', 'dataOffset'] as const)
        await expect(npz[read]('aaaaa')).rejects.toMatchObject(unsupported);
      await expect(npz.unpack('aaaaa', () => {})).rejects.toMatchObject(unsupported);
    }
    using dict = MmapDict.open(temp.file('some.mmdpickle'));
    await expect(npzToMmd(temp.file('some.npz'), dict)).rejects.toMatchObject(unsupported);
    expect((await npzToMmd(temp.file('some.npz'), dict, { keys: ['bbbbb'] })).keys).toEqual(['bbbbb']);
  });

  test('a member over the budget is not unpacked', async () => {
    const npz = await openNpz(deflated, { limits: { memberBytes: 1000 } });
    await expect(npz.get('aaaaa')).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED', maximum: 1000 });
    expect((await npz.get('bbbbb')).toNested()).toEqual([3, 4]);
  });

  test('errors say what to do', async () => {
    const npz = await openNpz(deflated, { limits: { memberBytes: 1000 } });
    await expect(npz.get('aaaaa')).rejects.toThrow(/over the limit of 1000; raise limits\.memberBytes/);
    await expect(openNpz(stored, { limits: { members: 1 } })).rejects.toThrow(/raise limits\.members/);
    await expect(openNpz(npyBytes(new Float64Array(100)))).rejects.toThrow(/not a zip file/);
    expect(() => npyBytes([1, 2] as never)).toThrow(/expected a typed array or an NDArray, found a list/);
  });

  test('archives with more members than the budget are not read', async () => {
    await expect(openNpz(stored, { limits: { members: 1 } })).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
  });

  test('an archive with more members than fit into memory is LIMIT_EXCEEDED, not the end of the process', async () => {
    // Empty members: the archive is only a directory, and a few megabytes hold a thousand times the budget.
    const many = await npzBytes(Array.from({ length: 2000 }, (_, i) => [`k${i}`, new Uint8Array(0)] as const));
    await expect(openNpz(many, { limits: { members: 1999 } })).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
    expect((await openNpz(many)).size).toBe(2000);
    expect(NPZ_LIMITS.members * 9000).toBeLessThan(500e6);
  });

  test.each([
    { name: 'zero sizes in a local header', at: 14, bytes: 12 },
    { name: 'the time in a local header', at: 10, bytes: 4 },
  ])('$name: accepted, as in Python', async ({ at, bytes }) => {
    const archive = patch(stored, 0, (_central, local) => {
      for (let i = 0; i < bytes; i += 1) local.setUint8(at + i, 0);
    });
    const npz = await openNpz(archive);
    expect((await npz.get('aaaaa')).toNested()).toEqual([1, 2]);
  });

  test('every changed byte of an archive is an error or another archive, never a crash', async () => {
    const small = await npzBytes({ a: new Uint8Array([1, 2, 3]) }, { compress: true });
    for (let pos = 0; pos < small.length; pos += 1) {
      for (const value of [0x00, 0xff, (small[pos] as number) ^ 1]) {
        const changed = small.slice();
        changed[pos] = value;
        const error = await caught(async () => {
          const npz = await openNpz(changed);
          for (const key of npz.keys()) await npz.get(key);
        });
        if (error instanceof Error) expect(isMmdError(error)).toBe(true);
      }
    }
  });
});

test('a local header that puts the data past the end of the archive is reported as such', async () => {
  const bytes = await npzBytes({ a: new Float64Array(4) });
  new DataView(bytes.buffer).setUint16(28, 0xffff, true);
  const npz = await openNpz(bytes);
  await expect(npz.dataOffset('a')).rejects.toMatchObject({
    code: 'TRUNCATED',
    message: expect.stringContaining('ends inside its data'),
  });
});
