import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A fresh directory that is removed on dispose. */
export class TempDir implements Disposable {
  readonly path: string;

  /** @param parent - where it is made: by default the folder of temporary files */
  constructor(parent: string = tmpdir()) {
    this.path = mkdtempSync(join(parent, 'mmdpickle-test-'));
  }

  /** A path inside the directory. */
  file(name: string): string {
    return join(this.path, name);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}
