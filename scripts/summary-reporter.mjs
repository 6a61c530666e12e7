/**
 * A vitest reporter that writes, as JSON, how many tests passed and were skipped, and one message for each failure: of a test, of a
 * file, or outside every test (an unhandled rejection, a worker that died). The JSON reporter of
 * vitest does not report the last kind.
 */
import { writeFileSync } from 'node:fs';
import { relative } from 'node:path';

/** The path of the report, relative to the root of the project. */
export const REPORT = '.reports/tests.json';

/** Maximum length of a failure's message. */
const LONGEST = 1500;

export default class SummaryReporter {
  onTestRunEnd(modules, unhandledErrors) {
    const counts = { passed: 0, skipped: 0 };
    const failures = [];
    for (const module of modules) {
      const path = relative('.', module.moduleId);
      for (const error of module.errors()) failures.push(`${path}: ${text(error)}`);
      for (const suite of module.children.allSuites())
        for (const error of suite.errors()) failures.push(`${path} > ${suite.fullName}: ${text(error)}`);
      for (const test of module.children.allTests()) {
        const { state, errors } = test.result();
        if (state in counts) counts[state] += 1;
        if (state === 'failed') failures.push(`${path} > ${test.fullName}: ${(errors ?? []).map(text).join('; ')}`);
        if (state === 'pending') failures.push(`${path} > ${test.fullName}: never ended`);
      }
    }
    for (const error of unhandledErrors) failures.push(`outside of every test: ${error.stack ?? text(error)}`);
    writeFileSync(REPORT, JSON.stringify({ counts, failures }));
  }
}

function text({ name, message }) {
  return `${name}: ${message}`.slice(0, LONGEST);
}
