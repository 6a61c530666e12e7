"""Loads pairs of pickles, the fixture and what mmdpickle wrote for it, and reports whether they are equal."""
import io
import json
import sys
import warnings

if args["directory"] not in sys.path:
    sys.path.insert(0, args["directory"])
sys.dont_write_bytecode = True
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import copyreg
    import fixture_classes
    import render


def told(error):
    return "%s: %s" % (type(error).__name__, error)


result = []
for row in args["rows"]:
    for label, code in row["extensions"].items():
        copyreg.add_extension("fixture_classes", label, code)
    try:
        buffers = [b["data"] if b["readonly"] else bytearray(b["data"]) for b in row["buffers"]]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                theirs = render.render(render.real(row["theirs"], row["encoding"], buffers), live=True)
        except Exception as error:
            result.append({"unloadable": told(error)})
            continue
        answer = []
        for ours in row["ours"]:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error" if row["strict"] else "ignore")
                    value = render.real(ours, row["encoding"])
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    mine = render.render(value, live=True)
                answer.append(None if mine == theirs else "differs:\n%s\n%s" % (json.dumps(theirs)[:3000], json.dumps(mine)[:3000]))
            except Exception as error:
                answer.append(told(error))
        result.append({"answers": answer})
    finally:
        for label, code in row["extensions"].items():
            copyreg.remove_extension("fixture_classes", label, code)
