"""Writes the input of the pickle cases: pickle_input.py kind count path."""
import pickle
import random
import sys


def make(kind, count):
    following = random.Random(1)
    if kind == "records":
        return [
            {
                "seq": i,
                "time": 1_700_000_000.25 + i * 0.05,
                "sensor": "s%d" % (i % 40),
                "value": following.random(),
                "ok": i % 7 != 0,
            }
            for i in range(count)
        ]
    if kind == "ints":
        return [following.randrange(-(2**31), 2**31) >> following.randrange(24) for _ in range(count)]
    if kind == "floats":
        return [following.random() for _ in range(count)]
    if kind == "strings":
        return ["item %d of %s" % (i, following.choice(["north", "süd", "ouest"])) for i in range(count)]
    if kind == "nested":
        return [{"a": [i, [i + 1, (i + 2, None)]], "b": {"c": {"d": (True, [])}}} for i in range(count)]
    raise ValueError(kind)


if __name__ == "__main__":
    kind, count, path = sys.argv[1:]
    with open(path, "wb") as file:
        pickle.dump(make(kind, int(count)), file, 4)
