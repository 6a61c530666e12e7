// Usage: node register.mjs [file] [mean | maximum]
import { ndarray } from '@mmdpickle/core';
import { MmapDict } from '@mmdpickle/core/node';
import { EmptyNDArray } from '@mmdpickle/stubs';
import { findKeypoints, findShift, makeImages } from './algorithm.mjs';

const [path = 'scene.mmdpickle', way = 'mean'] = process.argv.slice(2);
using(MmapDict.open(path), (dict) => {
  const steps = { computed: 0, cached: 0 };

  /** The value of a key; computed and stored if it is missing. */
  function cached(key, compute) {
    if (dict.has(key)) steps.cached += 1;
    else {
      dict.set(key, compute());
      steps.computed += 1;
    }
    return dict.get(key);
  }

  if (!dict.has('image/0')) {
    dict.update(makeImages(5).map((image, n) => [`image/${n}`, image]));
  }
  const count = [...dict.keys()].filter((key) => key.startsWith('image/')).length;
  const keypoints = Array.from({ length: count }, (_, n) =>
    cached(`keypoints/${n}`, () => findKeypoints(dict.get(`image/${n}`), 40)),
  );
  const shifts = keypoints.map((points, n) =>
    cached(`transform/${n}`, () => ndarray(Int32Array.from(findShift(keypoints[0], points)))),
  );
  cached(`result/${way}`, () => new EmptyNDArray(dict.get('image/0').shape));
  combine(dict, shifts, way);
  console.log(`${steps.computed} steps computed, ${steps.cached} taken from ${path}`);
  for (const [n, shift] of shifts.entries()) console.log(`image/${n} is shifted by ${shift.toNested().join(', ')}`);
});

/** Combines the images, writing straight to the mapping of the file, where the result is allocated. */
function combine(dict, shifts, way) {
  const result = dict.get(`result/${way}`);
  const [height, width] = result.shape;
  const images = shifts.map((_, n) => dict.get(`image/${n}`));
  for (let row = 0; row < height; row += 1) {
    for (let column = 0; column < width; column += 1) {
      const values = images
        .map((image, n) => [image, row + shifts[n].get(0), column + shifts[n].get(1)])
        .filter(([, r, c]) => r >= 0 && r < height && c >= 0 && c < width)
        .map(([image, r, c]) => image.get(r, c));
      result.set(row, column, way === 'mean' ? values.reduce((a, b) => a + b, 0) / values.length : Math.max(...values));
    }
  }
}

function using(dict, work) {
  try {
    work(dict);
  } finally {
    dict.close();
  }
}
