"""A writer and a reader that know the file only from format.md: sections 1, 5 and 6. One command per start:

    peer-writer.py write FILE NAME COUNT    increments 'counter' COUNT times and sets NAME to the last turn
    peer-writer.py read FILE                loads the file with stock pickle until a line arrives on stdin; prints a report
"""
import fcntl
import json
import os
import pickle
import struct
import sys
import threading

TERMINATOR = b"\x95" + struct.pack("<Q", 2) + b"d."


def entries(data):
    """(offset, end, key, live) of every entry, by FRAME lengths."""
    at = 24
    while at < len(data) - 11:
        assert data[at] == 0x95 and data[at + 9] == 0x8C, at
        (length,) = struct.unpack_from("<Q", data, at + 1)
        key = data[at + 11 : at + 11 + data[at + 10]].decode()
        end = at + 9 + length
        yield at, end, key, data[end - 2] == 0x88
        at = end
    assert at == len(data) - 11, at


def locked(path):
    """The file, opened and locked; again if a vacuum put another one in its place meanwhile."""
    while True:
        file = open(path, "r+b", buffering=0)
        fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_ino == os.stat(path).st_ino:
            return file
        file.close()


def put(file, data, key, value):
    """Appends an entry, marks the old ones dead, and raises the commit number."""
    old = [end - 2 for _, end, name, live in entries(data) if live and name == key]
    name = key.encode()
    body = b"\x8c" + bytes([len(name)]) + name + value + b"J" + struct.pack("<i", 0) + b"0" + b"\x880"
    entry = b"\x95" + struct.pack("<Q", len(body)) + body
    os.pwrite(file.fileno(), entry + TERMINATOR, len(data) - 11)
    for state in old:
        os.pwrite(file.fileno(), b"0", state)
    (number,) = struct.unpack_from("<i", data, 18)
    os.pwrite(file.fileno(), struct.pack("<i", (number + 1) % 2**31), 18)
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0)


def write(path, name, count):
    for turn in range(count):
        with locked(path) as file:
            data = os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0)
            assert data[-11:] == TERMINATOR, data[-11:]
            counter = pickle.loads(data)["counter"]
            data = put(file, data, "counter", b"J" + struct.pack("<i", counter + 1))
            put(file, data, name, b"J" + struct.pack("<i", turn + 1))


def read(path):
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), stop.set()), daemon=True).start()
    print("ready", flush=True)
    looks, last = 0, 0
    while not stop.is_set():
        with locked(path) as file:
            found = pickle.loads(os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0))
        assert found["counter"] >= last, (found["counter"], last)
        last = found["counter"]
        same = found.get("same", [])
        assert len(set(same)) <= 1 and len(same) in (0, 40), same
        looks += 1
    print(json.dumps({"looks": looks, "last": last}), flush=True)


if sys.argv[1] == "write":
    write(sys.argv[2], sys.argv[3], int(sys.argv[4]))
else:
    read(sys.argv[2])
