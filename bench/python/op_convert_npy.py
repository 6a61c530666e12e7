"""numpy: save what numpy.load mapped."""
import os

from registry import fresh, now, side


@side("convert-npy", "numpy")
def start(context):
    import numpy

    source = os.path.join(context["sharedDir"], "input.npy")

    def round_(index):
        path = fresh(context, "copy.npy")
        began = now()
        numpy.save(path, numpy.load(source, mmap_mode="r"))
        return now() - began

    return round_
