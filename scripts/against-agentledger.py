#!/usr/bin/env python3
"""Times a recorded call of ours against the ledgered tool call of AgentLedger (PyPI `agentledger-runtime`), in turn.

usage: against-agentledger.py BINARY [ROUNDS] [SECONDS]

Both write to SQLite in the same folder's file system, both wait until it is on disk, and neither tool does anything: what is
timed is the record. Ours is `durable blind call` and `64 callers` of `BINARY bench --only record`; theirs is
`AgentContext.call_tool` of a tool with a side effect, alone and 64 at the same time.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time

from agentledger.runtime import Runtime

CALLERS = 64


def runtime(folder):
    made = Runtime.local(folder)

    @made.tool(name="note", side_effect="external_write", idempotency=True)
    def note(args):
        return {"ok": True}

    return made


async def called(made, agents, repeat):
    """The seconds that each call took, and all of them together."""
    barrier = asyncio.Barrier(agents)
    took, spans = [], []

    async def agent(ctx, state):
        await barrier.wait()
        began = time.perf_counter()
        for number in range(repeat):
            started = time.perf_counter()
            await ctx.call_tool("note", {"number": number, "_logical_operation": f"note-{number}"})
            took.append(time.perf_counter() - started)
        spans.append((began, time.perf_counter()))

    runs = [made.create_run(initial_state={})[0] for _ in range(agents)]
    done = await asyncio.gather(*(made.run_once(agent, run_id=run) for run in runs))
    if not all(done):
        raise SystemExit("error: a run of AgentLedger failed")
    return took, max(end for _, end in spans) - min(began for began, _ in spans)


def theirs(seconds):
    with tempfile.TemporaryDirectory() as folder, runtime(folder) as made:
        took, crowds, started = [], [], time.perf_counter()
        while time.perf_counter() - started < seconds:
            took += asyncio.run(called(made, 1, 50))[0]
        started = time.perf_counter()
        while time.perf_counter() - started < seconds:
            crowds.append(asyncio.run(called(made, CALLERS, 1))[1])
        return statistics.median(took), statistics.median(crowds)


def ours(binary, seconds):
    command = [binary, "bench", "--only", "record", "--seconds", str(seconds), "--format", "json"]
    ran = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    rows = {row["name"]: row["measured"]["median_ns"] / 1e9 for row in json.loads(ran.stdout)["rows"]}
    return rows["durable blind call"], rows["64 callers"]


def main():
    binary = sys.argv[1]
    rounds, seconds = (int(sys.argv[at]) if len(sys.argv) > at else 3 for at in (2, 3))
    pairs = [(ours(binary, seconds), theirs(seconds)) for _ in range(rounds)]
    for at, (what, wanted) in enumerate([("one caller", 5), (f"{CALLERS} callers", 100)]):
        our = statistics.median(mine[at] for mine, _ in pairs)
        their = statistics.median(other[at] for _, other in pairs)
        ratio = statistics.median(other[at] / mine[at] for mine, other in pairs)
        missed = "" if ratio >= wanted else "  MISSED"
        print(f"{what}: {our * 1e3:.3f} ms and {their * 1e3:.3f} ms, {ratio:.1f} times as fast, {wanted} wanted{missed}")


main()
