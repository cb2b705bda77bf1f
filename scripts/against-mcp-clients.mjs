// The TypeScript half of `against-mcp-clients.py`, which starts it and says in one argument what to try. Prints a line of JSON.

import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import { promisify } from "node:util";

const task = JSON.parse(process.argv[2]);
const from = createRequire(`${task.modules}/any.js`);
const execute = promisify(execFile);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** What a command prints. A log is one process's at a time: another is waited for, and not by who has to send something. */
async function run(world, ...words) {
  for (const started = Date.now(); ; await pause(100)) {
    const ran = await execute(task.binary, ["--home", world.home, ...words]).catch((error) => error);
    if (!(ran instanceof Error)) return ran.stdout;
    if (!ran.stderr?.includes("in use") || Date.now() - started > task.patience * 1000) throw ran;
  }
}

/** The classes of one of the two SDKs, and what of them differs. */
function sdk() {
  if (task.which === "sdk") {
    const { Client } = from("@modelcontextprotocol/sdk/client/index.js");
    const { StdioClientTransport } = from("@modelcontextprotocol/sdk/client/stdio.js");
    const { StreamableHTTPClientTransport } = from("@modelcontextprotocol/sdk/client/streamableHttp.js");
    const { ElicitRequestSchema, ToolListChangedNotificationSchema } = from("@modelcontextprotocol/sdk/types.js");
    const call = (client, params, options) => client.callTool(params, undefined, options);
    return { Client, StdioClientTransport, StreamableHTTPClientTransport, call, asked: ElicitRequestSchema, changed: ToolListChangedNotificationSchema };
  }
  const { Client, StreamableHTTPClientTransport } = from("@modelcontextprotocol/client");
  const { StdioClientTransport } = from("@modelcontextprotocol/client/stdio");
  const call = (client, params, options) => client.callTool(params, options);
  return { Client, StdioClientTransport, StreamableHTTPClientTransport, call, asked: "elicitation/create", changed: "notifications/tools/list_changed" };
}

async function approve(world, text) {
  const approval = text.match(/apr_[0-9a-f]+/)[0];
  if (!world.url) return run(world, "approve", approval);
  const headers = { authorization: `Bearer ${world.operator}`, "content-type": "application/json" };
  return fetch(`${world.url}/v1/approvals/${approval}/approve`, { method: "POST", headers, body: "{}" });
}

/** A client that is connected, and what it has seen. */
async function connected(kit, world) {
  const seen = { asked: 0, changed: 0, errors: [] };
  const options = { capabilities: { elicitation: { form: {} } } };
  if (task.which === "client") options.versionNegotiation = { mode: task.mode };
  const client = new kit.Client({ name: "against-mcp-clients", version: "1" }, options);
  client.setRequestHandler(kit.asked, async (request) => {
    seen.asked += 1;
    await approve(world, request.params.message);
    return { action: "accept", content: {} };
  });
  client.setNotificationHandler(kit.changed, () => { seen.changed += 1; });
  client.onerror = (error) => seen.errors.push(String(error));
  const transport = world.url
    ? new kit.StreamableHTTPClientTransport(new URL(`${world.url}/mcp`), { requestInit: { headers: { authorization: `Bearer ${world.token}` } } })
    : new kit.StdioClientTransport({ command: task.binary, args: ["--home", world.home, "mcp", "--as", "agent:a"] });
  await client.connect(transport);
  const version = client.getNegotiatedProtocolVersion?.() ?? transport.protocolVersion ?? "2025-11-25";
  return { client, transport, seen, version };
}

async function until(holds) {
  const started = Date.now();
  while (!(await holds())) {
    if (Date.now() - started > task.patience * 1000) return false;
    await pause(100);
  }
  return true;
}

async function cancelled(world) {
  const entries = (await run(world, "log", "export")).trim().split("\n").map((line) => JSON.parse(line));
  return entries.filter((entry) => entry.kind === "finished" && entry.body.code === "host.cancelled").length;
}

async function tried(kit) {
  const world = task.plain;
  const { client, transport, seen, version } = await connected(kit, world);
  const saw = { version, list: (await client.listTools()).tools.some((tool) => tool.name === "files_read") };
  let progress = 0;
  const read = { name: "files_read", arguments: { path: "/docs/a.txt" } };
  const told = { onprogress: () => { progress += 1; } };
  const made = await kit.call(client, read, told);
  // Of what it reads at once this SDK handles an answer before a notification in front of it, which it then takes for a stranger's.
  for (let more = 0; more < 5 && !progress; more += 1) await kit.call(client, read, told);
  saw.call = !made.isError && made.content[0].text === "hello";
  saw.structured = made.structuredContent?.result === "hello";
  saw.progress = progress > 0;
  const failed = await kit.call(client, { name: "files_read", arguments: { path: "/docs/none" } });
  saw.error = failed.isError === true && failed.content[0].text.includes("[tool.error]");
  const before = await cancelled(world);
  const giveUp = new AbortController();
  setTimeout(() => giveUp.abort("enough"), 1500);
  await kit.call(client, { name: "spin_run", arguments: {} }, { signal: giveUp.signal }).catch(() => {});
  saw.cancel = await until(async () => (await cancelled(world)) > before);
  await pause(500);
  // An answer that nobody waits for would be one.
  const errors = seen.errors.filter((error) => !error.includes("progress notification for an unknown token"));
  saw.cancel &&= errors.length === 0 || errors.join("; ");
  const subscription = version >= "2026-07-28" ? await client.listen({ toolsListChanged: true }) : undefined;
  const hasEcho = JSON.parse(await run(world, "tool", "list", "--format", "json")).some((tool) => tool.name === "echo");
  await run(world, "tool", ...(hasEcho ? ["remove", "echo"] : ["add", `${task.guests}/tools/echo.wasm`]));
  process.kill(task.pid ?? transport.pid, "SIGHUP");
  saw.changed = await until(() => seen.changed > 0);
  await subscription?.close();
  await client.close();
  return saw;
}

async function held(kit) {
  const world = task.holding;
  const { client, seen } = await connected(kit, world);
  const call = () => kit.call(client, { name: "files_read", arguments: { path: "/docs/a.txt" } });
  let made = await call();
  if (made.isError && !seen.asked) {
    await approve(world, made.content[0].text);
    made = await call();
  }
  await client.close();
  return made.content[0].text === "hello" && (seen.asked ? "asked" : "made again");
}

const kit = sdk();
console.log(JSON.stringify({ ...(await tried(kit)), held: await held(kit) }));
process.exit(0);
