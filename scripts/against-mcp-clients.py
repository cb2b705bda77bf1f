#!/usr/bin/env python3
"""Tries official SDK clients of MCP against `ringfence mcp` and `ringfence serve`, and prints what was seen as a table.

usage: against-mcp-clients.py BINARY GUESTS [MODULES]

GUESTS is the folder `target/guests` that `make build` fills. The Python SDK is that of the interpreter (`pip install mcp`), of
version 1 or 2. With MODULES, a `node_modules` that has `@modelcontextprotocol/sdk` or `@modelcontextprotocol/client`, the
TypeScript SDKs are tried as well, by the script of the same name beside this one. Everything else is made in a folder that is
removed again. Ends with 1 if anything was not as it should be.
"""

import asyncio
import contextlib
import importlib.metadata
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

PATIENCE = 15
CHECKS = ["list", "call", "structured", "error", "progress", "cancel", "changed", "held"]
GOOD = ["yes", "asked", "made again", "none"]
SDK = importlib.metadata.version("mcp")
NEWEST = "2026-07-28"


class World:
    """A home with tools, and what is done to it from outside."""

    def __init__(self, binary, guests, folder, name, is_holding):
        self.binary, self.guests, self.home = binary, guests, str(folder / name)
        self.run("init", "--origin", "clients.example/log")
        self.run("tool", "add", f"{guests}/tools/files.wasm")
        self.run("tool", "add", f"{guests}/wasm32-wasip1/release/spin_forever.wasm", "--name", "spin")
        docs = folder / "docs"
        docs.mkdir(exist_ok=True)
        (docs / "a.txt").write_text("hello")
        lines = [f"[tools.files.grant]\nfolders = ['{docs}::/docs:ro']"]
        if is_holding:
            policy = f"{guests}/wasm32-unknown-unknown/release/examples/scripted.wasm"
            asks = '{ call = [{ is = "approve", by = ["operator:*"], valid-ms = 600000, reason = "x" }] }'
            lines.append(f"[policies.scripted]\ncomponent = '{policy}'\nsettings = {asks}")
        with open(f"{self.home}/ringfence.toml", "a") as config:
            config.write("\n" + "\n".join(lines) + "\n")
        self.token = self.run("token", "new", "agent", "--as", "agent:a", "--scope", "call").strip()
        self.operator = self.run("token", "new", "op", "--as", "operator:o", "--scope", "approve").strip()

    def run(self, *words):
        """What a command prints. A log is one process's at a time: another is waited for."""
        started = time.monotonic()
        while True:
            ran = subprocess.run([self.binary, "--home", self.home, *words], capture_output=True, text=True)
            if not ran.returncode:
                return ran.stdout
            if "in use" not in ran.stderr or time.monotonic() - started > PATIENCE:
                raise RuntimeError(f"`{' '.join(words)}`: {ran.stderr}")
            time.sleep(0.1)

    @contextlib.contextmanager
    def serving(self):
        command = [self.binary, "--home", self.home, "serve", "--listen", "127.0.0.1:0"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            yield server.pid, server.stdout.readline().strip().removeprefix("listening on ")
        finally:
            server.terminate()
            server.wait(60)

    def exchange(self, pid):
        """Makes the list of tools another one, and has the server look."""
        has_echo = any(tool["name"] == "echo" for tool in json.loads(self.run("tool", "list", "--format", "json")))
        self.run("tool", *(["remove", "echo"] if has_echo else ["add", f"{self.guests}/tools/echo.wasm"]))
        os.kill(pid, signal.SIGHUP)

    def approve(self, approval, url):
        if not url:
            self.run("approve", approval)
            return
        headers = {"authorization": f"Bearer {self.operator}", "content-type": "application/json"}
        urllib.request.urlopen(urllib.request.Request(f"{url}/v1/approvals/{approval}/approve", b"{}", headers))

    def cancelled(self):
        """How many calls ended because their caller had given them up."""
        entries = map(json.loads, self.run("log", "export").splitlines())
        return sum(entry["kind"] == "finished" and entry["body"]["code"] == "host.cancelled" for entry in entries)


def child(home):
    """The `ringfence mcp` that an SDK has started."""
    return int(subprocess.check_output(["pgrep", "-P", str(os.getpid()), "-f", f"{home} mcp"]).split()[0])


class Version1:
    """A session of SDK 1."""

    def __init__(self, world, url, seen, ask):
        self.world, self.url, self.seen, self.ask = world, url, seen, ask

    async def __aenter__(self):
        from mcp import ClientSession, StdioServerParameters, types
        from mcp.client.stdio import stdio_client
        from mcp.client.streamable_http import streamablehttp_client

        async def told(message):
            self.seen.append(repr(message))

        async def asked(_context, params):
            await self.ask(params.message)
            return types.ElicitResult(action="accept", content={})

        self.stack = contextlib.AsyncExitStack()
        if self.url:
            ends = streamablehttp_client(f"{self.url}/mcp", headers={"authorization": f"Bearer {self.world.token}"})
        else:
            args = ["--home", self.world.home, "mcp", "--as", "agent:a"]
            ends = stdio_client(StdioServerParameters(command=self.world.binary, args=args))
        read, write, *_ = await self.stack.enter_async_context(ends)
        more = {"elicitation_callback": asked} if hasattr(types, "ElicitResult") else {}
        self.session = await self.stack.enter_async_context(ClientSession(read, write, message_handler=told, **more))
        self.version = (await self.session.initialize()).protocolVersion
        return self

    async def __aexit__(self, *error):
        await self.stack.aclose()

    async def names(self):
        return [tool.name for tool in (await self.session.list_tools()).tools]

    async def call(self, name, arguments, progress=None):
        made = await self.session.call_tool(name, arguments, **({"progress_callback": progress} if progress else {}))
        return made.isError, made.content[0].text, getattr(made, "structuredContent", None)

    async def give_up(self, name):
        """This SDK has no way of its own to say it: the protocol's words are sent."""
        from mcp import types

        number = self.session._request_id
        call = asyncio.create_task(self.call(name, {}))
        await asyncio.sleep(1.5)
        params = types.CancelledNotificationParams(requestId=number, reason="enough")
        note = types.CancelledNotification(method="notifications/cancelled", params=params)
        await self.session.send_notification(types.ClientNotification(note))
        await asyncio.sleep(1)
        call.cancel()
        with contextlib.suppress(BaseException):
            await call

    async def listen(self):
        return contextlib.nullcontext()


class Version2:
    """A client of SDK 2."""

    def __init__(self, world, url, seen, ask, mode):
        self.world, self.url, self.seen, self.ask, self.mode = world, url, seen, ask, mode

    async def __aenter__(self):
        import httpx2
        from mcp import Client, StdioServerParameters, types
        from mcp.client.streamable_http import streamable_http_client

        async def told(message):
            self.seen.append(repr(message))

        async def asked(_context, params):
            await self.ask(params.message)
            return types.ElicitResult(action="accept", content={})

        if self.url:
            http = httpx2.AsyncClient(headers={"authorization": f"Bearer {self.world.token}"}, timeout=60)
            server = streamable_http_client(f"{self.url}/mcp", http_client=http)
        else:
            args = ["--home", self.world.home, "mcp", "--as", "agent:a"]
            server = StdioServerParameters(command=self.world.binary, args=args)
        self.client = Client(server, mode=self.mode, message_handler=told, elicitation_callback=asked)
        await self.client.__aenter__()
        self.version = self.client.protocol_version
        return self

    async def __aexit__(self, *error):
        await self.client.__aexit__(*error)

    async def names(self):
        return [tool.name for tool in (await self.client.list_tools()).tools]

    async def call(self, name, arguments, progress=None):
        made = await self.client.call_tool(name, arguments, progress_callback=progress)
        return made.is_error, made.content[0].text, made.structured_content

    async def give_up(self, name):
        import anyio

        with anyio.move_on_after(1.5):
            await self.call(name, {})

    async def listen(self):
        if self.version < NEWEST:
            return contextlib.nullcontext()
        return self.client.listen(tools_list_changed=True)


async def until(holds):
    started = time.monotonic()
    while not await asyncio.to_thread(holds):
        if time.monotonic() - started > PATIENCE:
            return False
        await asyncio.sleep(0.1)
    return True


async def tried(made, world, pid, url, seen):
    """What was seen of each thing that needs nobody's approval."""
    async with made as client:
        saw = {"version": client.version, "list": "files_read" in await client.names()}
        told = []

        async def progress(done, _total, message):
            told.append((done, message))

        is_error, text, structured = await client.call("files_read", {"path": "/docs/a.txt"}, progress)
        saw["call"], saw["structured"] = (is_error, text) == (False, "hello"), structured == {"result": "hello"}
        saw["progress"] = bool(told)
        is_error, text, _ = await client.call("files_read", {"path": "/docs/none"})
        saw["error"] = is_error and "[tool.error]" in text
        before = await asyncio.to_thread(world.cancelled)
        await client.give_up("spin_run")
        saw["cancel"] = await until(lambda: world.cancelled() > before)
        async with await client.listen() as subscription:
            await asyncio.to_thread(lambda: world.exchange(pid or child(world.home)))
            if subscription is None:
                saw["changed"] = await until(lambda: any("ToolListChanged" in message for message in seen))
            else:
                saw["changed"] = bool(await asyncio.wait_for(anext(aiter(subscription)), PATIENCE))
        return saw


async def held(make, world, url):
    """How a call completes that somebody has to approve."""
    asked = []

    async def ask(message):
        asked.append(message)
        await asyncio.to_thread(world.approve, re.search("apr_[0-9a-f]+", message).group(), url)

    async with make(ask) as client:
        is_error, text, _ = await client.call("files_read", {"path": "/docs/a.txt"})
        if is_error and not asked:
            await ask(text)
            asked.clear()
            is_error, text, _ = await client.call("files_read", {"path": "/docs/a.txt"})
        return (is_error, text) == (False, "hello") and ("asked" if asked else "made again")


async def python(plain, holding, server, mode):
    def make(world, url, seen, ask):
        return Version1(world, url, seen, ask) if SDK.startswith("1.") else Version2(world, url, seen, ask, mode)

    (pid, url), (_, holding_url) = server or ((None, None), (None, None))
    seen = []

    async def nobody(_message):
        raise AssertionError("nobody is asked")

    saw = await tried(make(plain, url, seen, nobody), plain, pid, url, seen)
    saw["held"] = await held(lambda ask: make(holding, holding_url, [], ask), holding, holding_url)
    return saw


def typescript(modules, plain, holding, server, which, mode):
    (pid, url), (_, holding_url) = server or ((None, None), (None, None))
    beside = pathlib.Path(__file__).with_suffix(".mjs")
    world = lambda it, at: {"home": it.home, "url": at, "token": it.token, "operator": it.operator}
    task = {"modules": str(modules), "binary": plain.binary, "guests": plain.guests, "which": which, "mode": mode}
    task |= {"pid": pid, "plain": world(plain, url), "holding": world(holding, holding_url), "patience": PATIENCE}
    ran = subprocess.run(["node", beside, json.dumps(task)], stdout=subprocess.PIPE, timeout=180)
    said = [line for line in ran.stdout.decode().splitlines() if line.startswith("{")]
    return json.loads(said[-1]) if said else {}


def rows(plain, holding, modules):
    """Clients, each with how it is tried."""
    modes = ["legacy"] if SDK.startswith("1.") else ["legacy", "auto"]
    for mode in modes:
        yield f"Python {SDK}", lambda server, mode=mode: asyncio.run(python(plain, holding, server, mode))
    for which, mode in [("sdk", "legacy"), ("client", "legacy"), ("client", "auto")] if modules else []:
        package = modules / "@modelcontextprotocol" / which / "package.json"
        if package.exists():
            name = f"TypeScript {json.loads(package.read_text())['version']}"
            yield name, lambda server, it=(which, mode): typescript(modules, plain, holding, server, *it)


def main():
    binary, guests = (str(pathlib.Path(word).resolve()) for word in sys.argv[1:3])
    modules = pathlib.Path(sys.argv[3]).resolve() if len(sys.argv) > 3 else None
    is_well = True
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        plain, holding = (World(binary, guests, folder, name, name == "holding") for name in ("plain", "holding"))
        print(f"| client | over | version | {' | '.join(CHECKS)} |\n|{'---|' * (3 + len(CHECKS))}")
        for is_http in (False, True):
            with contextlib.ExitStack() as servers:
                server = [servers.enter_context(world.serving()) for world in (plain, holding)] if is_http else None
                for name, tries in rows(plain, holding, modules):
                    try:
                        saw = tries(server)
                    except Exception as error:
                        print(f"error: {name}: {error!r}", file=sys.stderr)
                        saw = {}
                    cells = [{True: "yes", False: "no"}.get(saw.get(check, False), saw.get(check)) for check in CHECKS]
                    is_well &= all(cell in GOOD for cell in cells)
                    over = "HTTP" if is_http else "lines"
                    print(f"| {name} | {over} | {saw.get('version', '?')} | {' | '.join(cells)} |", flush=True)
    sys.exit(0 if is_well else 1)


main()
