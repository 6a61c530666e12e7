import { TempDir } from '@mmdpickle/test-support';
import { afterEach, beforeEach } from 'vitest';

/** A directory that is empty at the start of every test in the file or `describe` that calls this. */
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
