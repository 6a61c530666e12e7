"""numpy's open_memmap in mode w+ (sparse), and posix_fallocate alone (reserved)."""
import os

from registry import fresh, now, side


@side("allocate", "numpy-memmap")
def start_numpy(context):
    from numpy.lib.format import open_memmap

    shape = (context["params"]["rows"], context["params"]["planeBytes"] // 8)

    def round_(index):
        path = fresh(context, "run.npy")
        began = now()
        array = open_memmap(path, "w+", "<f8", shape)
        taken = now() - began
        del array
        os.remove(path)
        return taken

    return round_


@side("allocate", "posix-fallocate")
def start_fallocate(context):
    size = context["params"]["rows"] * context["params"]["planeBytes"]

    def round_(index):
        path = fresh(context, "run.raw")
        fd = os.open(path, os.O_RDWR | os.O_CREAT)
        began = now()
        os.posix_fallocate(fd, 0, size)
        taken = now() - began
        os.close(fd)
        os.remove(path)
        return taken

    return round_
