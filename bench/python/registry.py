"""Where the sides register, and what they share."""
import os
import shutil
import time

SIDES = {}
PREPARE = {}


class MissingPeer(Exception):
    pass


def side(op, name):
    def register(function):
        SIDES[op, name] = function
        return function

    return register


def prepare(op, name):
    def register(function):
        PREPARE[op, name] = function
        return function

    return register


def fresh(context, name):
    """A path in the side's directory at which nothing stands."""
    path = os.path.join(context["dir"], name)
    if os.path.isdir(path):
        shutil.rmtree(path)
    elif os.path.exists(path):
        os.remove(path)
    return path


now = time.perf_counter
