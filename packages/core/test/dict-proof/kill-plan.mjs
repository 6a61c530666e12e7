// The steps of the writer that is killed, the same for the writer and the model.

/** A number in [0, 1) for a step, the same in every run. */
function random(step, salt) {
  let t = (step * 0x9e3779b1 + salt * 0x85ebca6b) >>> 0;
  t = Math.imul(t ^ (t >>> 15), t | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
}

const pick = (step, salt, count) => Math.floor(random(step, salt) * count);
const key = (step, salt) => `key ${pick(step, salt, 12)}`;

/** Rows of a growable array: row r holds r and r * 0.5. */
export const rowsFrom = (first, count) =>
  Float64Array.from({ length: 2 * count }, (_, i) => (first + (i >> 1)) * (i % 2 ? 0.5 : 1));

/** Number of keys that nobody changes: enough for an index. */
export const STILL = 70;

/** The source of an empty growable array. */
export const emptyRows = { arraySource: true, dtype: 'float64', shape: [0, 2], capacity: 8 };

/**
 * Applies a step to a target with `set`, `delete`, `batch`, `append(count)`, `rows()`, `vacuum`, `reclaim` and `reopen`.
 */
export function apply(step, target) {
  const kind = pick(step, 1, 100);
  if (kind < 25) target.set(key(step, 2), step);
  else if (kind < 35) target.set(key(step, 2), new Float64Array(pick(step, 3, 60)).fill(step));
  else if (kind < 40) target.set('large', new Uint8Array(20_000 + pick(step, 3, 60_000)).fill(step));
  else if (kind < 50) target.delete(key(step, 2));
  else if (kind < 65) {
    target.batch(() => {
      target.set(key(step, 2), `batch ${step}`);
      target.delete(key(step, 3));
      target.set(key(step, 4), [step, step, step]);
      target.delete(key(step, 5));
    });
  } else if (kind < 95) {
    if (target.rows() > 3000) target.set('rows', emptyRows);
    else target.append(1 + pick(step, 2, 9));
  } else if (kind < 96) target.vacuum();
  else if (kind < 97) target.reclaim();
  else target.reopen();
}
