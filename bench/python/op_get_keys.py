"""h5py: one scalar dataset per record; CPython: the whole pickle, since it has no other way."""
import os
import pickle

from registry import fresh, now, prepare, side

M = 0xFFFFFFFF


def seeded(seed):
    """mulberry32, as in src/seeded.ts."""
    state = seed & M
    while True:
        state = (state + 0x6D2B79F5) & M
        mixed = ((state ^ (state >> 15)) * (state | 1)) & M
        mixed ^= (mixed + ((mixed ^ (mixed >> 7)) * (mixed | 61) & M)) & M
        yield ((mixed ^ (mixed >> 14)) & M) / 4294967296


def record_key(i):
    return "rec/%07d" % i


def record(i):
    return {
        "seq": i,
        "time": 1_700_000_000.25 + i * 0.05,
        "sensor": "s%d" % (i % 40),
        "value": ((i * 2654435761) % 1_000_003) / 1_000_003,
        "ok": i % 7 != 0,
    }


def picked(context, index):
    params = context["params"]
    following = seeded(index + 1)

    def some():
        return [record_key(int(next(following) * params["keys"])) for _ in range(params["gets"])]

    return [some() for _ in range(max(params["opens"], 1))]


@prepare("get-keys", "h5py")
def prepare_h5py(context):
    import h5py
    import numpy

    kind = numpy.dtype([("seq", "i8"), ("time", "f8"), ("sensor", "S4"), ("value", "f8"), ("ok", "?")])
    with h5py.File(fresh(context, "run.h5"), "w", libver="latest") as file:
        for i in range(context["params"]["keys"]):
            file.create_dataset(record_key(i), data=numpy.array(tuple(record(i).values()), kind))


@side("get-keys", "h5py")
def start_h5py(context):
    import h5py

    path = os.path.join(context["dir"], "run.h5")
    kept = None if context["params"]["opens"] > 0 else h5py.File(path, "r")

    def round_(index):
        rounds = picked(context, index)
        began = now()
        for keys in rounds:
            file = kept or h5py.File(path, "r")
            for key in keys:
                last = file[key][()]
            if kept is None:
                file.close()
        taken = now() - began
        assert last["seq"] == int(rounds[-1][-1][4:])
        return taken

    return round_


@prepare("get-keys", "cpython")
def prepare_cpython(context):
    with open(fresh(context, "run.pickle"), "wb") as file:
        pickle.dump({record_key(i): record(i) for i in range(context["params"]["keys"])}, file, 4)


@side("get-keys", "cpython")
def start_cpython(context):
    path = os.path.join(context["dir"], "run.pickle")

    def load():
        with open(path, "rb") as file:
            return pickle.load(file)

    kept = None if context["params"]["opens"] > 0 else load()

    def round_(index):
        rounds = picked(context, index)
        began = now()
        for keys in rounds:
            loaded = kept or load()
            for key in keys:
                last = loaded[key]
        taken = now() - began
        assert last["seq"] == int(rounds[-1][-1][4:])
        return taken

    return round_
