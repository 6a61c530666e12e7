import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A fresh directory that is removed on dispose. */
export class TempDir implements Disposable {
  readonly path: string = mkdtempSync(join(tmpdir(), 'mmdpickle-test-'));

  /** A path inside the directory. */
  file(name: string): string {
    return join(this.path, name);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}
