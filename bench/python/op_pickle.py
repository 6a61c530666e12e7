"""CPython's pickle module, which is the C implementation, with its garbage collector as users have it: on."""
import os
import pickle

from registry import now, side


@side("pickle", "cpython")
def start(context):
    with open(os.path.join(context["sharedDir"], "input.pickle"), "rb") as file:
        data = file.read()
    if context["params"]["how"] == "load":

        def round_(index):
            began = now()
            value = pickle.loads(data)
            taken = now() - began
            len(value)
            return taken

        return round_
    value = pickle.loads(data)

    def round_(index):
        began = now()
        pickle.dumps(value, 4)
        return now() - began

    return round_
