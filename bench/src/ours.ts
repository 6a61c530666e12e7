/** Our own packages, imported on demand, so that a room that is not built yet is a missing side and not a failed run. */

import { importPeer } from './peer-import.ts';

type Node = typeof import('@mmdpickle/core/node');
type NDArrays = typeof import('@mmdpickle/core/ndarray');
type Pickle = typeof import('@mmdpickle/core/pickle');
type Stubs = typeof import('@mmdpickle/stubs');
type Npy = typeof import('@mmdpickle/npy-interop');
type Rx = typeof import('@mmdpickle/rx');

export const ours = {
  node: (): Promise<Node> => importPeer<Node>('@mmdpickle/core/node'),
  ndarray: (): Promise<NDArrays> => importPeer<NDArrays>('@mmdpickle/core/ndarray'),
  pickle: (): Promise<Pickle> => importPeer<Pickle>('@mmdpickle/core/pickle'),
  stubs: (): Promise<Stubs> => importPeer<Stubs>('@mmdpickle/stubs'),
  npy: (): Promise<Npy> => importPeer<Npy>('@mmdpickle/npy-interop'),
  rx: (): Promise<Rx> => importPeer<Rx>('@mmdpickle/rx'),
};
