// A camera of 48 x 64 pixels that watches a lamp move. It reuses one buffer, as real cameras do.
import { interval, map } from 'rxjs';

export const SHAPE = [48, 64];

export function camera(ms) {
  const [height, width] = SHAPE;
  const buffer = new Uint8Array(height * width);
  return interval(ms).pipe(
    map((tick) => {
      const x = width * (0.5 + 0.4 * Math.sin(tick / 9));
      const y = height * (0.5 + 0.4 * Math.cos(tick / 13));
      for (let row = 0; row < height; row += 1) {
        for (let column = 0; column < width; column += 1) {
          buffer[row * width + column] = 255 * Math.exp(-((row - y) ** 2 + (column - x) ** 2) / 40);
        }
      }
      return buffer;
    }),
  );
}
