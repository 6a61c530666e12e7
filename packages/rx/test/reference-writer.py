"""What Python's mmappickle does to a file, in a few lines: append, replace and delete under flock."""
import fcntl
import mmap
import struct

COMMIT = 18
TERMINATOR = b"\x95" + struct.pack("<Q", 2) + b"d."


def entries(data):
    offset = 24
    while data[offset:offset + 11] != TERMINATOR:
        length = struct.unpack_from("<Q", data, offset + 1)[0]
        key = data[offset + 11:offset + 11 + data[offset + 10]].decode()
        end = offset + 9 + length
        yield key, end - 2, data[end - 2] == 0x88
        offset = end


def change(path, work, mapped=False):
    with open(path, "r+b") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        data = f.read()

        def put(offset, data):
            if mapped:
                with mmap.mmap(f.fileno(), 0) as view:
                    view[offset:offset + len(data)] = data
            else:
                f.seek(offset)
                f.write(data)
                f.flush()

        work(data, put)
        put(COMMIT, struct.pack("<i", struct.unpack_from("<i", data, COMMIT)[0] + 1))


def delete(path, key, mapped=False):
    def work(data, put):
        for name, state, live in entries(data):
            if live and name == key:
                put(state, b"0")
    change(path, work, mapped)


def store(path, key, number):
    def work(data, put):
        body = b"\x8c" + bytes([len(key)]) + key.encode() + b"J" + struct.pack("<i", number) + b"J\0\0\0\0000\x880"
        old = [state for name, state, live in entries(data) if live and name == key]
        put(len(data) - 11, b"\x95" + struct.pack("<Q", len(body)) + body + TERMINATOR)
        for state in old:
            put(state, b"0")
    change(path, work)
