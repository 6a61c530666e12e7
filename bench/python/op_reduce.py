"""numpy over numpy.memmap: its own reductions, and fancy indexing for the random reads."""
import os

from registry import now, side

RANDOM_READS = 1_000_000


@side("reduce", "numpy-memmap")
def start(context):
    import numpy

    params = context["params"]
    path = os.path.join(context["sharedDir"], "input.bin")
    how = params["how"]
    indices = numpy.random.default_rng(7).integers(0, params["count"], RANDOM_READS)

    def open_():
        return numpy.memmap(path, dtype=numpy.dtype(params["dtype"]), mode="r", offset=params["offset"], shape=(params["count"],))

    kept = None if params["reopen"] else open_()

    def compute(array):
        if how == "sum":
            return array.sum()
        if how == "minmax":
            return array.max() - array.min()
        if how == "mean":
            return array.mean()
        return array[indices].sum()

    def round_(index):
        began = now()
        compute(open_() if kept is None else kept)
        return now() - began

    return round_
