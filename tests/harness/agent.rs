//! Clients of `ringfence mcp`: a library's, as agents have one, and one that writes whatever lines it likes.

use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Write as _;
use std::process::Child;
use std::process::ChildStdin;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;
use std::time::Instant;

use rmcp::RoleClient;
use rmcp::model::CallToolRequestParams;
use rmcp::model::ProtocolVersion;
use rmcp::service::ClientLifecycleMode;
use rmcp::service::ClientServiceExt as _;
use rmcp::service::RunningService;
use rmcp::service::ServiceError;
use serde_json::Value;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::harness::Home;
use crate::harness::command;

/// How long anything may take that is answered at once.
const PATIENCE: Duration = Duration::from_mins(1);

/// A client of the protocol's own library.
pub struct Agent {
    runtime: Runtime,
    client: Option<RunningService<RoleClient, ()>>,
    child: tokio::process::Child,
}

impl Agent {
    /// Starts `ringfence mcp` and shakes hands, as versions up to 2025 do.
    pub fn new(home: &Home, args: &[&str]) -> Self {
        Self::with(home, args, ClientLifecycleMode::Initialize)
    }

    /// Starts `ringfence mcp` and asks what it is, as versions from 2026 on do.
    pub fn discovering(home: &Home, args: &[&str]) -> Self {
        Self::with(
            home,
            args,
            ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] },
        )
    }

    fn with(home: &Home, args: &[&str], lifecycle: ClientLifecycleMode) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads");
        let all = ["mcp"].iter().chain(args);
        let mut command = tokio::process::Command::from(command(&home.path(), all));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).kill_on_drop(true);
        let (child, client) = runtime.block_on(async {
            let mut child = command.spawn().expect("the binary runs");
            let ends = (child.stdout.take().expect("output"), child.stdin.take().expect("input"));
            let client = ().serve_with_lifecycle(ends, lifecycle).await.expect("a handshake");
            (child, client)
        });
        Self { runtime, client: Some(client), child }
    }

    fn client(&self) -> &RunningService<RoleClient, ()> {
        self.client.as_ref().expect("a client")
    }

    /// Every tool, whatever page it is on.
    pub fn tools(&self) -> Vec<Value> {
        let listed = self.runtime.block_on(self.client().list_all_tools()).expect("a list");
        listed.iter().map(|tool| json!(tool)).collect()
    }

    /// The names of every tool.
    pub fn names(&self) -> Vec<String> {
        self.tools().iter().map(|tool| tool["name"].as_str().expect("a name").to_owned()).collect()
    }

    /// Calls a tool.
    pub fn call(&self, name: &str, arguments: Value) -> Value {
        self.try_call(name, arguments, None).expect("a result")
    }

    /// Calls a tool under an idempotency key.
    pub fn call_once(&self, name: &str, arguments: Value, key: &str) -> Value {
        self.try_call(name, arguments, Some(key)).expect("a result")
    }

    pub fn try_call(&self, name: &str, arguments: Value, key: Option<&str>) -> Result<Value, ServiceError> {
        let params = params(name, arguments, key);
        let made = self.runtime.block_on(self.client().call_tool(params));
        made.map(|result| json!(result))
    }

    /// Calls a tool and gives it up after a while, as a user does who presses a key.
    pub fn give_up(&self, name: &str, arguments: Value, after: Duration) {
        let call = self.client().call_tool(params(name, arguments, None));
        let ended = self.runtime.block_on(async { tokio::time::timeout(after, call).await });
        assert!(ended.is_err(), "it ended by itself: {ended:?}");
    }

    /// Says goodbye, and gives the exit code.
    pub fn leave(mut self) -> i32 {
        let (client, child) = (self.client.take(), &mut self.child);
        self.runtime.block_on(async {
            client.expect("a client").cancel().await.expect("the client ends");
            let ended = tokio::time::timeout(PATIENCE, child.wait()).await.expect("the server ends");
            ended.expect("a status").code().expect("a code")
        })
    }
}

fn params(name: &str, arguments: Value, key: Option<&str>) -> CallToolRequestParams {
    let mut params = json!({ "name": name });
    params["arguments"] = arguments;
    if let Some(key) = key {
        params["_meta"] = json!({ "ringfence/idempotency-key": key });
    }
    serde_json::from_value(params).expect("params")
}

/// A client that writes lines.
pub struct Raw {
    child: Child,
    input: Option<ChildStdin>,
    lines: mpsc::Receiver<String>,
}

impl Raw {
    /// Starts `ringfence mcp` and says nothing.
    pub fn new(home: &Home, args: &[&str]) -> Self {
        let mut command = command(&home.path(), ["mcp"].iter().chain(args));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the binary runs");
        let (input, output) = (child.stdin.take(), child.stdout.take().expect("output"));
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                if line.map(|line| sender.send(line)).is_err() {
                    return;
                }
            }
        });
        Self { child, input, lines }
    }

    /// Starts it and shakes hands.
    pub fn initialized(home: &Home, args: &[&str]) -> Self {
        let mut raw = Self::new(home, args);
        let info = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
        let answer = raw.ask("initialize", &info);
        assert_eq!(answer["result"]["protocolVersion"], "2025-06-18", "{answer}");
        raw.say(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
        raw
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes a line.
    pub fn say(&mut self, line: &str) {
        let input = self.input.as_mut().expect("an open input");
        input.write_all(line.as_bytes()).and_then(|()| input.write_all(b"\n")).expect("written");
    }

    /// The next line that is said.
    #[track_caller]
    pub fn hear(&self) -> Value {
        let line = self.lines.recv_timeout(PATIENCE).expect("an answer");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// Whether nothing is said for a while.
    pub fn is_silent(&self) -> bool {
        self.lines.recv_timeout(Duration::from_millis(300)).is_err()
    }

    /// Sends a request, and gives the next line.
    #[track_caller]
    pub fn ask(&mut self, method: &str, params: &Value) -> Value {
        self.say(&json!({ "jsonrpc": "2.0", "id": method, "method": method, "params": params }).to_string());
        self.hear()
    }

    /// Closes its input and waits for its end.
    pub fn leave(mut self) -> i32 {
        drop(self.input.take());
        self.ends()
    }

    /// Waits for its end.
    pub fn ends(mut self) -> i32 {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().expect("a status") {
                return status.code().unwrap_or(-1);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.child.kill().expect("killed");
        panic!("the server does not end");
    }
}
