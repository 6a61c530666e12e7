"""Loads several pickles of one value, reports whether they agree, and pickles the value with Python's own pickler."""
import pickle
import pickletools
import sys

if args["directory"] not in sys.path:
    sys.path.insert(0, args["directory"])
sys.dont_write_bytecode = True
import render

pickles = list(args["pickles"]) + [pickletools.optimize(data) for data in args["pickles"]]
pickles += [b"\x80\x04" + entry + b"." for entry in args["entries"]]
values = [render.real(data) for data in pickles]
trees = [render.render(value) for value in values]
for index, tree in enumerate(trees):
    assert tree == trees[0], "pickle %d gives another value: %r and %r" % (index, tree, trees[0])
result = {"tree": trees[0], "again": [pickle.dumps(values[0], protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]}
