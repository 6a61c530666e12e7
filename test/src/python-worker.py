"""Runs snippets that the tests send, one JSON line each, and answers with one JSON line.

Warnings are errors. A request is {"code": str, "args": {...}}; the code sees `args`, and what it
binds to `result` comes back. Bytes travel as {"$b64": text} in both directions.
"""
import base64
import json
import sys
import traceback
import warnings

warnings.simplefilter("error")


def decode(value):
    if isinstance(value, dict):
        if "$b64" in value:
            return base64.b64decode(value["$b64"])
        return {key: decode(item) for key, item in value.items()}
    if isinstance(value, list):
        return [decode(item) for item in value]
    return value


def encode(value):
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"$b64": base64.b64encode(bytes(value)).decode("ascii")}
    if isinstance(value, dict):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(item) for item in value]
    return value


COMPILED = {}
SHARED = {}
replies = sys.stdout
sys.stdout = sys.stderr
for line in sys.stdin:
    request = json.loads(line)
    code = request["code"]
    space = {"args": decode(request.get("args", {})), "shared": SHARED, "result": None}
    try:
        if code not in COMPILED:
            COMPILED[code] = compile(code, "<test>", "exec")
        exec(COMPILED[code], space)
        answer = json.dumps({"result": encode(space["result"])})
    except BaseException:
        answer = json.dumps({"error": traceback.format_exc()})
    replies.write(answer + "\n")
    replies.flush()
