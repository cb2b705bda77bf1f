#!/usr/bin/env python3
"""Checks the chain of an exported log, one entry a line: prints OK, or the first bad index. Standard library only."""
import hashlib
import json
import sys


def first_bad(lines):
    before, carried = None, "sha256:" + "0" * 64
    for index, line in enumerate(lines):
        try:
            entry = json.loads(line)
            spelled = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        except ValueError:
            return index
        if entry.get("prev") != carried:
            return before if before is not None else index
        if spelled != line or entry.get("index") != index or entry.get("v") != 1:
            return index
        before, carried = index, "sha256:" + hashlib.sha256(b"\x00" + line).hexdigest()
    return None


bad = first_bad(open(sys.argv[1], "rb").read().splitlines())
print("OK" if bad is None else bad)
sys.exit(0 if bad is None else 5)
