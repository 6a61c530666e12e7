/**
 * Looking into ascending numbers, such as the file offsets of entries.
 *
 * @module
 */

/** The first index of a number that is greater than `value`. */
export function firstAfter(numbers: Float64Array, value: number): number {
  let low = 0;
  let high = numbers.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (numbers[middle]! > value) high = middle;
    else low = middle + 1;
  }
  return low;
}
