//! Times `ringfence serve` and `ringfence mcp` against the least that could be done, in turn, in one run:
//!
//! ```text
//! serving BINARY TOOL [--seconds N] [--files FILES] [--soak N] [--listeners N]
//! ```
//!
//! `BINARY` is the command, `TOOL` the component `echo`. The floor of HTTP is a bare server of hyper that sends bodies back,
//! without a framework; that of MCP on lines is a bare server of the protocol's library with one tool. `FILES` is the component
//! `files`, whose `stat` of a granted file is called on lines as well. `--soak N` serves
//! honest callers beside hostile ones for N seconds and looks for what was lost; `--listeners N` holds streams open,
//! each of which takes a file descriptor at both ends (`ulimit -n`).

use std::convert::Infallible;
use std::error::Error;
use std::io::BufRead as _;
use std::io::BufReader;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use http_body_util::BodyExt as _;
use http_body_util::Full;
use hyper::Request;
use hyper::Response;
use hyper::body::Bytes;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use ringfence_model::limits;
use rmcp::RoleServer;
use rmcp::ServerHandler;
use rmcp::model::CallToolRequestParams;
use rmcp::model::CallToolResponse;
use rmcp::model::CallToolResult;
use rmcp::model::ContentBlock;
use rmcp::model::ErrorData;
use rmcp::model::ServerCapabilities;
use rmcp::model::ServerConfig;
use rmcp::service::RequestContext;
use rmcp::service::ServiceExt as _;
use serde_json::Value;
use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::net::TcpStream;

type Failed = Box<dyn Error + Send + Sync>;

/// Connections at the same time.
const CONNECTIONS: usize = 32;
/// How often a soak looks at the server's memory: growth shows over minutes, and looking takes time from what is measured.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What the bare server of MCP is started with.
const ECHO: &str = "--echo-mcp";

/// What to do, as the command line has it.
struct Plan {
    binary: PathBuf,
    tool: PathBuf,
    files: Option<PathBuf>,
    seconds: u64,
    soak: Option<u64>,
    listeners: Option<usize>,
}

fn main() -> Result<(), Failed> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if args.first().is_some_and(|arg| arg == ECHO) {
        return runtime.block_on(echo_lines());
    }
    let plan = plan(args)?;
    runtime.block_on(async {
        if let Some(seconds) = plan.soak {
            return soak(&plan, Duration::from_secs(seconds)).await;
        }
        if let Some(listeners) = plan.listeners {
            return listen(&plan, listeners).await;
        }
        over_http(&plan).await?;
        over_lines(&plan).await
    })
}

fn plan(args: Vec<String>) -> Result<Plan, Failed> {
    let mut args = args.into_iter();
    let (binary, tool) = args.next().zip(args.next()).ok_or("BINARY and TOOL are missing")?;
    let (binary, tool) = (binary.into(), tool.into());
    let mut plan = Plan { binary, tool, files: None, seconds: 10, soak: None, listeners: None };
    while let Some(flag) = args.next() {
        let value = args.next().ok_or_else(|| format!("`{flag}` has no value"))?;
        if flag == "--files" {
            plan.files = Some(value.into());
            continue;
        }
        let number: u64 = value.parse()?;
        match flag.as_str() {
            "--listeners" => plan.listeners = Some(usize::try_from(number)?),
            "--seconds" => plan.seconds = number,
            "--soak" => plan.soak = Some(number),
            other => return Err(format!("`{other}` is no flag").into()),
        }
    }
    Ok(plan)
}

// --- What is measured ---

/// A server of ours, in a home of its own.
struct Served {
    child: Child,
    address: String,
    tokens: Vec<String>,
    home: tempfile::TempDir,
}

impl Served {
    fn new(plan: &Plan, principals: usize) -> Result<Self, Failed> {
        let home = home(plan, "")?;
        let token = |number: usize| {
            let (name, principal) = (format!("t{number}"), format!("agent:a{number}"));
            let scopes = "call,audit,session";
            let made = run(plan, home.path(), &["token", "new", &name, "--as", &principal, "--scope", scopes])?;
            Ok::<_, Failed>(made.trim().to_owned())
        };
        let tokens = (0..principals).map(token).collect::<Result<_, _>>()?;
        let mut command = command(plan, home.path(), &["serve", "--listen", "127.0.0.1:0"]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        let address = line.trim().strip_prefix("listening on http://").ok_or("it does not listen")?.to_owned();
        Ok(Self { child, address, tokens, home })
    }

    fn token(&self, number: usize) -> String {
        self.tokens.get(number).cloned().unwrap_or_default()
    }

    fn resident(&self) -> Result<u64, Failed> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        // Pages that no file stands behind: others are the program's own, and come as it uses more of itself.
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).ok_or("no size")?;
        Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? * 1024)
    }

    fn target(&self, path: &'static str, body: &Value) -> Target {
        Target { address: self.address.clone(), path, token: self.token(0), body: Bytes::from(body.to_string()) }
    }

    fn stop(&mut self) -> Result<(), Failed> {
        let pid = i32::try_from(self.child.id())?;
        let pid = rustix::process::Pid::from_raw(pid).ok_or("no process")?;
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { Err(format!("the server ended with {status}").into()) }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Whoever has stopped it already is told so.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn home(plan: &Plan, more: &str) -> Result<tempfile::TempDir, Failed> {
    let home = tempfile::tempdir()?;
    run(plan, home.path(), &["init", "--origin", "bench.example/log"])?;
    let tool = plan.tool.to_str().ok_or("the tool's path is no text")?;
    run(plan, home.path(), &["tool", "add", tool])?;
    // As many places as there are connections, beside the one that no principal takes: the ring of what nobody vouches for has
    // four, and all others would wait.
    let places = format!("\n[rings.3]\nconcurrent-calls = {}\n", CONNECTIONS + 1);
    let room = |listeners| format!("\n[server]\nstreams = {}\n", streams(listeners));
    let room = plan.listeners.map(room).unwrap_or_default();
    configure(&home, &(places + &room + more))?;
    Ok(home)
}

fn configure(home: &tempfile::TempDir, more: &str) -> Result<(), Failed> {
    let path = home.path().join("home").join("ringfence.toml");
    let config = std::fs::read_to_string(&path)?;
    Ok(std::fs::write(&path, config + more)?)
}

/// How many streams a server has to have room for, so that many are held.
fn streams(listeners: usize) -> usize {
    listeners.next_multiple_of(limits::HTTP_STREAMS_PER_PRINCIPAL_SHARE).max(limits::HTTP_STREAMS_MAX)
}

fn command(plan: &Plan, home: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(&plan.binary);
    command.env_clear().env("RINGFENCE_HOME", home.join("home")).env("PATH", "/usr/bin:/bin").args(args);
    command
}

fn run(plan: &Plan, home: &Path, args: &[&str]) -> Result<String, Failed> {
    let ran = command(plan, home, args).stderr(Stdio::inherit()).output()?;
    if !ran.status.success() {
        return Err(format!("`{}` ended with {}", args.join(" "), ran.status).into());
    }
    Ok(String::from_utf8(ran.stdout)?)
}

/// A server that sends every body back: the least that a server can do.
async fn echo_http() -> Result<String, Failed> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(|request: Request<Incoming>| async move {
                let body =
                    request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
                Ok::<_, Infallible>(Response::new(Full::new(body)))
            });
            let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection);
        }
    });
    Ok(address)
}

/// A server of MCP that sends every text back.
struct Echo;

impl ServerHandler for Echo {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let text = request.arguments.as_ref().and_then(|arguments| arguments.get("value")).and_then(Value::as_str);
        Ok(CallToolResult::success(vec![ContentBlock::text(text.unwrap_or_default())]).into())
    }
}

async fn echo_lines() -> Result<(), Failed> {
    let running = Echo.serve((tokio::io::stdin(), tokio::io::stdout())).await?;
    running.waiting().await?;
    Ok(())
}

// --- Requests ---

/// What is asked, and of whom.
#[derive(Clone)]
struct Target {
    address: String,
    path: &'static str,
    token: String,
    body: Bytes,
}

/// How long requests took, and how many there were in a second.
struct Timing {
    per_second: f64,
    median: Duration,
    p99: Duration,
}

impl Timing {
    fn of(mut took: Vec<Duration>, elapsed: Duration) -> Result<Self, Failed> {
        took.sort_unstable();
        let at = |part: usize| took.get(took.len() * part / 100).or(took.last()).copied().ok_or("nothing was answered");
        let count = u32::try_from(took.len())?;
        Ok(Self { per_second: f64::from(count) / elapsed.as_secs_f64(), median: at(50)?, p99: at(99)? })
    }
}

/// Asks over some connections for a while, each one request after the other.
async fn load(target: &Target, wall: Duration) -> Result<Timing, Failed> {
    let started = Instant::now();
    let asking: Vec<_> = (0..CONNECTIONS).map(|_| tokio::spawn(ask_until(target.clone(), started + wall))).collect();
    let mut took = Vec::new();
    for asked in asking {
        took.extend(asked.await??);
    }
    Timing::of(took, started.elapsed())
}

async fn ask_until(target: Target, end: Instant) -> Result<Vec<Duration>, Failed> {
    let stream = TcpStream::connect(&target.address).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut took = Vec::new();
    while Instant::now() < end {
        let request = Request::post(target.path)
            .header("host", &target.address)
            .header("authorization", format!("Bearer {}", target.token))
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .body(Full::new(target.body.clone()))?;
        let started = Instant::now();
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        if !status.is_success() {
            return Err(format!("{status}: {}", String::from_utf8_lossy(&body)).into());
        }
        took.push(started.elapsed());
        sender.ready().await?;
    }
    Ok(took)
}

/// Measures something and its floor in turn, several times, and prints the median ratios.
async fn compare(name: &str, floor: &Target, measured: &Target, seconds: u64) -> Result<(), Failed> {
    const TURNS: u64 = 5;
    let wall = Duration::from_millis(seconds * 1_000 / (2 * TURNS)).max(Duration::from_millis(200));
    let mut ratios: Vec<(f64, f64, Timing, Timing)> = Vec::new();
    for _ in 0..TURNS {
        let (least, ours) = (load(floor, wall).await?, load(measured, wall).await?);
        ratios.push((
            ours.per_second / least.per_second,
            ours.p99.as_secs_f64() / least.p99.as_secs_f64(),
            least,
            ours,
        ));
    }
    ratios.sort_by(|one, other| one.0.total_cmp(&other.0));
    let (rate, late, least, ours) = ratios.swap_remove(ratios.len() / 2);
    println!(
        "{name}: {:.0} requests/s, {:.2} of {:.0}; median {:?} and {:?}; 99th percentile {:?}, {late:.2} of {:?}",
        ours.per_second, rate, least.per_second, ours.median, least.median, ours.p99, least.p99
    );
    Ok(())
}

async fn over_http(plan: &Plan) -> Result<(), Failed> {
    let mut served = Served::new(plan, 1)?;
    let echo = echo_http().await?;
    let call = served.target("/v1/calls", &api_call());
    let tool = served.target("/mcp", &mcp_call(1));
    for (name, target) in [("/v1/calls", call), ("/mcp", tool)] {
        let floor = Target { address: echo.clone(), ..target.clone() };
        compare(name, &floor, &target, plan.seconds).await?;
    }
    served.stop()
}

fn api_call() -> Value {
    json!({ "tool": "echo", "function": "string", "input": { "value": "hello" } })
}

fn mcp_call(id: u64) -> Value {
    let params = json!({ "name": "echo_string", "arguments": { "value": "hello" } });
    json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params })
}

// --- Lines ---

/// A server of MCP on lines, and a client that waits for each answer.
struct Lines {
    _child: tokio::process::Child,
    input: tokio::process::ChildStdin,
    output: tokio::io::Lines<tokio::io::BufReader<tokio::process::ChildStdout>>,
}

impl Lines {
    async fn new(command: Command) -> Result<Self, Failed> {
        let mut command = tokio::process::Command::from(command);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let (input, output) = child.stdin.take().zip(child.stdout.take()).ok_or("no pipes")?;
        let output = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(output));
        let mut lines = Self { _child: child, input, output };
        let info = json!({ "protocolVersion": "2025-06-18", "capabilities": {},
            "clientInfo": { "name": "bench", "version": "1" } });
        lines.ask(&json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": info })).await?;
        lines.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await?;
        Ok(lines)
    }

    async fn say(&mut self, message: &Value) -> Result<(), Failed> {
        self.input.write_all(format!("{message}\n").as_bytes()).await?;
        Ok(self.input.flush().await?)
    }

    async fn ask(&mut self, message: &Value) -> Result<Value, Failed> {
        self.say(message).await?;
        let line = self.output.next_line().await?.ok_or("the server ended")?;
        let answer: Value = serde_json::from_str(&line)?;
        if answer.get("error").is_none_or(Value::is_null) { Ok(answer) } else { Err(format!("{answer}").into()) }
    }

    async fn calls(&mut self, call: fn(u64) -> Value, wall: Duration) -> Result<Vec<Duration>, Failed> {
        let (end, mut took, mut id) = (Instant::now() + wall, Vec::new(), 1);
        while Instant::now() < end {
            let (started, call) = (Instant::now(), call(id));
            self.ask(&call).await?;
            took.push(started.elapsed());
            id += 1;
        }
        Ok(took)
    }
}

/// With the log where it is by default, and in memory; and, if there is such a tool, a file that is looked at.
async fn over_lines(plan: &Plan) -> Result<(), Failed> {
    let in_memory = "\n[log]\nstore = \"memory\"\n";
    on_lines(plan, "mcp on lines", &home(plan, "")?, mcp_call).await?;
    on_lines(plan, "mcp on lines, log in memory", &home(plan, in_memory)?, mcp_call).await?;
    let Some(files) = &plan.files else { return Ok(()) };
    let home = home(plan, "")?;
    run(plan, home.path(), &["tool", "add", files.to_str().ok_or("a path is no text")?])?;
    std::fs::create_dir(home.path().join("docs"))?;
    std::fs::write(home.path().join("docs").join("a"), "hello")?;
    let grant = format!("\n[tools.files.grant]\nfolders = [\"{}/docs::/docs:ro\"]\n", home.path().display());
    configure(&home, &(grant + in_memory))?;
    on_lines(plan, "mcp on lines, `files` stat, log in memory", &home, mcp_stat).await
}

fn mcp_stat(id: u64) -> Value {
    let params = json!({ "name": "files_stat", "arguments": { "path": "/docs/a" } });
    json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params })
}

async fn on_lines(plan: &Plan, name: &str, home: &tempfile::TempDir, call: fn(u64) -> Value) -> Result<(), Failed> {
    let mut ours = Lines::new(command(plan, home.path(), &["mcp"])).await?;
    let answer = ours.ask(&call(0)).await?;
    if answer.pointer("/result/isError").is_some_and(|is_error| *is_error != false) {
        return Err(format!("{answer}").into());
    }
    let mut bare = Command::new(std::env::current_exe()?);
    bare.arg(ECHO);
    let mut floor = Lines::new(bare).await?;
    let (ratio, least, measured) = in_turn(&mut floor, (&mut ours, call), plan).await?;
    println!("{name}: median {:?}, {ratio:.2} of {:?}", measured.median, least.median);
    Ok(())
}

/// Times both in turn, several times: the turn with the median ratio.
async fn in_turn(
    floor: &mut Lines,
    (ours, call): (&mut Lines, fn(u64) -> Value),
    plan: &Plan,
) -> Result<(f64, Timing, Timing), Failed> {
    let wall = Duration::from_millis(plan.seconds * 100).max(Duration::from_millis(200));
    let mut ratios = Vec::new();
    for _ in 0..5 {
        let least = Timing::of(floor.calls(mcp_call, wall).await?, wall)?;
        let measured = Timing::of(ours.calls(call, wall).await?, wall)?;
        ratios.push((measured.median.as_secs_f64() / least.median.as_secs_f64(), least, measured));
    }
    ratios.sort_by(|one, other| one.0.total_cmp(&other.0));
    let middle = ratios.len() / 2;
    Ok(ratios.swap_remove(middle))
}

// --- Memory ---

/// Streams that wait for a changed list: over HTTP the protocol has no sessions, so this is what idles.
async fn listen(plan: &Plan, listeners: usize) -> Result<(), Failed> {
    if listeners > limits::HTTP_STREAMS_CONFIGURED_MAX {
        let max = limits::HTTP_STREAMS_CONFIGURED_MAX;
        return Err(format!("`--listeners` is at most {max}: a server holds no more streams open at a time").into());
    }
    let each = (streams(listeners) / limits::HTTP_STREAMS_PER_PRINCIPAL_SHARE).max(1);
    let mut served = Served::new(plan, listeners.div_ceil(each).max(1))?;
    let before = served.resident()?;
    let mut held = Vec::new();
    for (number, token) in (0..listeners).map(|number| (number, served.token(number / each))) {
        let mut stream = TcpStream::connect(&served.address).await?;
        let request = format!(
            "GET /mcp HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\naccept: text/event-stream\r\n\r\n",
            served.address
        );
        stream.write_all(request.as_bytes()).await?;
        let mut status = [0; 12];
        stream.read_exact(&mut status).await?;
        if &status != b"HTTP/1.1 200" {
            return Err(format!("listener {number}: {}", String::from_utf8_lossy(&status)).into());
        }
        held.push(stream);
    }
    let with = served.resident()?;
    let kib = with.saturating_sub(before) / 1024 / u64::try_from(listeners.max(1))?;
    println!("{listeners} idle streams: {before} bytes resident before, {with} with them, {kib} KiB each");
    drop(held);
    served.stop()
}

// --- Soak ---

/// What the honest callers were answered.
#[derive(Default)]
struct Answered {
    calls: Mutex<Vec<String>>,
    refused: AtomicU64,
    faults: AtomicU64,
}

/// Honest callers beside slow readers, resets and floods; at the end every call that was answered has to be on record.
async fn soak(plan: &Plan, wall: Duration) -> Result<(), Failed> {
    let mut served = Served::new(plan, 5)?;
    let (end, answered) = (Instant::now() + wall, Arc::new(Answered::default()));
    let mut working = Vec::new();
    for number in 0..8 {
        let target = Target { token: served.token(number % 2), ..served.target("/v1/calls", &api_call()) };
        working.push(tokio::spawn(honest(target, end, Arc::clone(&answered))));
    }
    for (number, fault) in [Fault::Flood, Fault::Reset, Fault::SlowReader].into_iter().enumerate() {
        for _ in 0..4 {
            let target = Target { token: served.token(2 + number), ..served.target("/v1/calls", &api_call()) };
            working.push(tokio::spawn(hostile(target, fault, end, Arc::clone(&answered))));
        }
    }
    tokio::time::sleep(wall / 5).await;
    let warm = served.resident()?;
    let mut peak = warm;
    while Instant::now() < end {
        tokio::time::sleep(LOOK_EVERY).await;
        peak = peak.max(served.resident()?);
    }
    for work in working {
        work.await??;
    }
    let last = served.resident()?;
    served.stop()?;
    run(plan, served.home.path(), &["log", "verify"])?;
    let export = run(plan, served.home.path(), &["log", "export"])?;
    let finished: std::collections::HashSet<String> = export
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|entry| entry.get("kind").is_some_and(|kind| kind == "finished"))
        .filter_map(|entry| Some(entry.pointer("/body/call")?.as_str()?.to_owned()))
        .collect();
    let calls = std::mem::take(&mut *answered.calls.lock().unwrap_or_else(PoisonError::into_inner));
    let missing = calls.iter().filter(|call| !finished.contains(*call)).count();
    println!(
        "soak of {wall:?}: {} calls answered, {} told to come again, {} faults; {missing} lost; resident {warm} warm, {peak} \
         at most, {last} at the end",
        calls.len(),
        answered.refused.load(Ordering::Relaxed),
        answered.faults.load(Ordering::Relaxed),
    );
    if missing == 0 { Ok(()) } else { Err(format!("{missing} calls are not on record").into()) }
}

fn text(target: &Target, extra: &str, length: usize) -> String {
    format!(
        "POST {} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n{extra}\
         content-length: {length}\r\n\r\n",
        target.path, target.address, target.token
    )
}

async fn honest(target: Target, end: Instant, answered: Arc<Answered>) -> Result<(), Failed> {
    while Instant::now() < end {
        let mut stream = TcpStream::connect(&target.address).await?;
        stream.write_all(text(&target, "connection: close\r\n", target.body.len()).as_bytes()).await?;
        stream.write_all(&target.body).await?;
        let mut said = Vec::new();
        stream.read_to_end(&mut said).await?;
        let said = String::from_utf8_lossy(&said).into_owned();
        let (head, body) = said.split_once("\r\n\r\n").ok_or("no answer")?;
        if head.starts_with("HTTP/1.1 429") {
            answered.refused.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(200)).await;
            continue;
        }
        if !head.starts_with("HTTP/1.1 200") {
            return Err(format!("an honest caller got {head} {body}").into());
        }
        let shown: Value = serde_json::from_str(body)?;
        let call = shown.get("call").and_then(Value::as_str).ok_or("no call")?.to_owned();
        answered.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Fault {
    Flood,
    Reset,
    SlowReader,
}

async fn hostile(target: Target, fault: Fault, end: Instant, answered: Arc<Answered>) -> Result<(), Failed> {
    while Instant::now() < end {
        answered.faults.fetch_add(1, Ordering::Relaxed);
        // Whatever becomes of these is theirs to know: the server may hang up on them at any time.
        drop(misbehave(&target, fault).await);
    }
    Ok(())
}

async fn misbehave(target: &Target, fault: Fault) -> Result<(), Failed> {
    let mut stream = TcpStream::connect(&target.address).await?;
    let request = text(target, "", target.body.len());
    match fault {
        Fault::Flood => {
            let one = [request.as_bytes(), &target.body].concat();
            stream.write_all(&one.repeat(64)).await?;
            let mut said = [0; 4096];
            // Whatever is said is said to somebody who does not listen.
            let _ = stream.read(&mut said).await?;
        }
        Fault::Reset => {
            stream.write_all(request.as_bytes()).await?;
            stream.write_all(target.body.get(..target.body.len() / 2).unwrap_or_default()).await?;
            stream.set_zero_linger()?;
        }
        Fault::SlowReader => {
            let extra = "accept: text/event-stream\r\n";
            stream.write_all(text(target, extra, target.body.len()).as_bytes()).await?;
            stream.write_all(&target.body).await?;
            for _ in 0..20 {
                tokio::time::sleep(Duration::from_millis(100)).await;
                stream.read_u8().await?;
            }
        }
    }
    Ok(())
}
