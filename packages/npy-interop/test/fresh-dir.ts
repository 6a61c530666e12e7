import { TempDir } from '@mmdpickle/test-support';
import { afterEach, beforeEach } from 'vitest';

/** A directory that every test of the file, or of the `describe`, that asks for it finds empty. */
export function freshDir(): Pick<TempDir, 'path' | 'file'> {
  let dir: TempDir;
  beforeEach(() => {
    dir = new TempDir();
  });
  afterEach(() => dir[Symbol.dispose]());
  return {
    get path() {
      return dir.path;
    },
    file: (name) => dir.file(name),
  };
}
