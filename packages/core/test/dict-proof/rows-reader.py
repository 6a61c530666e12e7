"""Loads the file with stock pickle, under the lock that mmappickle takes, while rows are appended. Arguments: the file, rows.

Without the lock pickle may read the front of the file before a growth and the back of it after.
"""
import fcntl
import json
import pickle
import sys

import numpy as np

path, rows = sys.argv[1], int(sys.argv[2])
print("ready", flush=True)
looks, seen = 0, 0
while seen < rows:
    with open(path, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        found = pickle.load(file)["rows"]
    count = len(found)
    assert count >= seen, (count, seen)
    expected = np.arange(count, dtype="f8")
    assert np.array_equal(found[:, 0], expected), count
    assert np.array_equal(found[:, 1], 3 * expected), count
    assert np.array_equal(found[:, 2], expected * expected), count
    if count > seen:
        looks += 1
        if looks == 1:
            print("some", flush=True)
    seen = count
print(json.dumps({"looks": looks, "seen": seen}), flush=True)
