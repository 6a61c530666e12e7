"""The process of one CPython side; speaks the protocol of src/protocol.ts.

The sides stand in the modules beside this file. Each registers under the names of the operation and of
the side: `@side("reduce", "numpy-memmap")` over a function of the context that returns the function that
runs one round, and `@prepare(...)` over what writes its inputs. A round returns seconds, or
(seconds, metrics).
"""
import gc
import importlib
import json
import os
import sys
import time
import traceback

from registry import MissingPeer, PREPARE, SIDES


def reset_peak_rss():
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass


def peak_rss():
    try:
        with open("/proc/self/status") as file:
            for line in file:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def execute(command, state):
    what = command["do"]
    if what in ("inputs", "prepare", "start"):
        context = command["context"]
        os.makedirs(context["dir"], exist_ok=True)
        importlib.import_module("op_" + context["op"].replace("-", "_"))
        key = (context["op"], context["side"])
        if what == "start":
            if key not in SIDES:
                raise MissingPeer("no side %s for %s in python/" % (key[1], key[0]))
            state["round"] = SIDES[key](context)
            gc.collect()
            reset_peak_rss()
        elif what == "prepare" and key in PREPARE:
            PREPARE[key](context)
        return {"ok": True}
    if what == "round":
        gc.collect()
        before = time.process_time_ns()
        taken = state["round"](command["index"])
        seconds, metrics = taken if isinstance(taken, tuple) else (taken, None)
        answer = {"ns": seconds * 1e9, "cpuNs": time.process_time_ns() - before}
        if metrics is not None:
            answer["metrics"] = metrics
        return {"ok": True, "round": answer, "rss": peak_rss()}
    return {"ok": True}


def main():
    answers = os.fdopen(3, "w")
    state = {}
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = execute(command, state)
        except (ImportError, MissingPeer) as error:
            answer = {"missing": str(error)}
        except BaseException:
            answer = {"failed": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
        if command["do"] == "close":
            break


main()
