// A small registration by shifts, just large enough that its steps are worth storing.
import { ndarray } from '@mmdpickle/core';

const SIZE = 96;

/** Crops of one scene of stars, each shifted, with noise. */
export function makeImages(count) {
  const random = seeded(7);
  const stars = Array.from({ length: 60 }, () => [random() * 160, random() * 160, 80 + random() * 170]);
  return Array.from({ length: count }, (_, n) => {
    const [dy, dx] = n === 0 ? [30, 30] : [30 + Math.round(random() * 16 - 8), 30 + Math.round(random() * 16 - 8)];
    const pixels = new Float32Array(SIZE * SIZE).map((_, i) => {
      const row = Math.floor(i / SIZE) + dy;
      const column = (i % SIZE) + dx;
      const light = stars.reduce((sum, [y, x, b]) => sum + b * Math.exp(-((row - y) ** 2 + (column - x) ** 2) / 3), 0);
      return light + random() * 6;
    });
    return ndarray(pixels, [SIZE, SIZE]);
  });
}

/** Rows and columns of the brightest local maxima. */
export function findKeypoints(image, most) {
  const [height, width] = image.shape;
  const pixels = image.typed();
  const found = [];
  for (let row = 1; row < height - 1; row += 1) {
    for (let column = 1; column < width - 1; column += 1) {
      const at = row * width + column;
      const around = [-width - 1, -width, -width + 1, -1, 1, width - 1, width, width + 1];
      if (around.every((step) => pixels[at] > pixels[at + step])) found.push([pixels[at], row, column]);
    }
  }
  const points = found.sort((a, b) => b[0] - a[0]).slice(0, most);
  return ndarray(Int32Array.from(points.flatMap(([, row, column]) => [row, column])), [points.length, 2]);
}

/** The shift that most pairs of keypoints agree on. */
export function findShift(from, to) {
  const votes = new Map();
  for (const [y, x] of from.toNested()) {
    for (const [v, u] of to.toNested()) {
      const shift = `${v - y},${u - x}`;
      votes.set(shift, (votes.get(shift) ?? 0) + 1);
    }
  }
  const [best] = [...votes].sort((a, b) => b[1] - a[1])[0];
  return best.split(',').map(Number);
}

function seeded(seed) {
  let state = seed;
  return () => {
    state = (state * 1103515245 + 12345) % 2 ** 31;
    return state / 2 ** 31;
  };
}
