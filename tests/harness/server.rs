//! `ringfence serve` as a program meets it: a server that runs, and requests as they are written.

use std::fs;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::process::Child;
use std::process::ChildStderr;
use std::process::Command;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::time::Duration;
use std::time::Instant;

use ringfence_artifacts as guests;
use serde_json::Value;
use serde_json::json;

use crate::harness::Home;
use crate::harness::command;

/// How long anything may take that is answered at once.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Spins until it is stopped.
pub const SPINNER: &str = r#"(component
    (core module $m (func (export "spin") (loop $forever (br $forever))))
    (core instance $i (instantiate $m))
    (func (export "spin") (canon lift (core func $i "spin"))))"#;

/// A server that runs.
pub struct Server {
    child: Child,
    pub address: String,
    /// What it tells its operator, a line each.
    notes: Mutex<Receiver<String>>,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Server {
    pub fn new(home: &Home) -> Self {
        Self::with(home, &[])
    }

    /// A server with more on its command line.
    pub fn with(home: &Home, more: &[&str]) -> Self {
        let (mut server, stderr) = Self::unread(home, more);
        let (sender, notes) = mpsc::channel();
        // It ends with the server; who looks for nothing leaves the notes where they are.
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                eprintln!("{line}");
                let _ = sender.send(line);
            }
        });
        server.notes = Mutex::new(notes);
        server
    }

    /// A server that may never have more file descriptors than these.
    pub fn within(home: &Home, descriptors: u32) -> Self {
        let plain = command(&home.path(), ["serve", "--listen", "127.0.0.1:0"]);
        let mut limited = Command::new("/bin/sh");
        limited.args(["-c", "ulimit -n \"$0\" && exec \"$@\"", &descriptors.to_string()]);
        limited.arg(plain.get_program()).args(plain.get_args()).env_clear();
        limited.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Self::started(limited).0
    }

    /// A server whose notes nobody reads yet.
    pub fn unread(home: &Home, more: &[&str]) -> (Self, ChildStderr) {
        Self::started(command(&home.path(), ["serve", "--listen", "127.0.0.1:0"].iter().chain(more)))
    }

    fn started(mut command: Command) -> (Self, ChildStderr) {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary runs");
        let stderr = child.stderr.take().expect("notes");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("output")).read_line(&mut line).expect("a line");
        let at = line.trim().strip_prefix("listening on ").and_then(|url| url.split_once("://"));
        let address = at.unwrap_or_else(|| panic!("{line}")).1.to_owned();
        (Self { child, address, notes: Mutex::new(mpsc::channel().1) }, stderr)
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream
    }

    /// Opens a stream of events.
    pub fn events(&self, method: &str, path: &str, headers: &str, body: &str) -> Events {
        let mut stream = self.connect();
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\n{headers}accept: text/event-stream\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}",
            self.address
        );
        stream.write_all(request.as_bytes()).expect("written");
        let mut events = Events { stream: BufReader::new(stream), head: String::new(), text: String::new() };
        while !events.head.ends_with("\r\n\r\n") {
            assert!(events.stream.read_line(&mut events.head).expect("a head") > 0, "{}", events.head);
        }
        assert!(is_events(events.head.as_bytes()), "{}", events.head);
        events
    }

    /// Sends bytes and reads whatever comes until the end.
    pub fn raw(&self, bytes: &[u8]) -> Answer {
        let mut stream = self.connect();
        let _ = stream.write_all(bytes);
        let mut said = Vec::new();
        let mut part = [0; 16 * 1024];
        // Of a stream of events the head tells enough: it goes on for as long as somebody reads.
        while !said.windows(4).any(|four| four == b"\r\n\r\n") || !is_events(&said) {
            match stream.read(&mut part) {
                Ok(0) | Err(_) => break,
                Ok(length) => said.extend_from_slice(&part[..length]),
            }
        }
        Answer::of(&said)
    }

    pub fn ask(&self, method: &str, path: &str, token: Option<&str>, body: &str) -> Answer {
        let authorization = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
        self.ask_with(method, path, &format!("host: {}\r\n{authorization}", self.address), body)
    }

    pub fn ask_with(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let kind = if body.is_empty() { "" } else { "content-type: application/json\r\n" };
        let length = body.len();
        self.raw(
            format!(
                "{method} {path} HTTP/1.1\r\n{headers}{kind}accept: application/json, text/event-stream\r\n\
             content-length: {length}\r\nconnection: close\r\n\r\n{body}"
            )
            .as_bytes(),
        )
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn stop(mut self) -> i32 {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).expect("a pid")).expect("a pid");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("a signal");
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().expect("a status") {
                return status.code().unwrap_or(-1);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the server does not end");
    }

    /// The next line that it tells its operator.
    pub fn note(&self) -> String {
        self.notes.lock().expect("the notes").recv_timeout(PATIENCE).expect("a note")
    }

    /// Has it read tokens, policies and tools anew, and waits until it has told of both. What it told meanwhile.
    pub fn hang_up(&self) -> Vec<String> {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).expect("a pid")).expect("a pid");
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).expect("a signal");
        let notes = self.notes.lock().expect("the notes");
        let mut told = Vec::new();
        for what in ["tokens were", "policies and tools were"] {
            while !told.last().is_some_and(|note: &String| note.contains(what)) {
                told.push(notes.recv_timeout(PATIENCE).expect("a note"));
            }
        }
        told
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Answer {
    /// An answer, out of the bytes it came in.
    pub fn of(said: &[u8]) -> Self {
        let end = said.windows(4).position(|four| four == b"\r\n\r\n").map_or(said.len(), |at| at + 4);
        let head = String::from_utf8_lossy(&said[..end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Self { status, head, body: said[end..].to_vec() }
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.head, String::from_utf8_lossy(&self.body)))
    }

    /// Asserts a status, and that it is a problem if it is not a success.
    #[track_caller]
    pub fn is(&self, status: u16) -> Value {
        let shown = String::from_utf8_lossy(&self.body).into_owned();
        assert_eq!(self.status, status, "{} {shown}", self.head);
        if status < 400 {
            return serde_json::from_slice(&self.body).unwrap_or(Value::Null);
        }
        assert!(self.head.contains("content-type: application/problem+json"), "{} {shown}", self.head);
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert!(
            problem["code"].is_string() && problem["detail"].is_string() && problem["title"].is_string(),
            "{problem}"
        );
        problem
    }
}

/// Makes a token.
pub fn token(home: &Home, name: &str, principal: &str, scopes: &str) -> String {
    let made = home.run(["token", "new", name, "--as", principal, "--scope", scopes]);
    made.code(0).text().trim().to_owned()
}

pub fn extend(home: &Home, lines: &str) {
    let path = home.path().join("ringfence.toml");
    home.configure(&format!("{}\n{lines}", fs::read_to_string(path).expect("the configuration")));
}

/// A home with `files` registered to read one folder.
pub fn reading() -> Home {
    let home = Home::new();
    home.file("docs/a.txt", "hello");
    home.run(["tool", "add", guests::TOOL_FILES]).code(0);
    extend(&home, &format!("[tools.files.grant]\nfolders = ['{}']\n", home.dir("docs", "/docs", "ro")));
    home
}

pub fn read() -> String {
    json!({ "tool": "files", "function": "read", "input": { "path": "/docs/a.txt" } }).to_string()
}

/// The head of a request whose body is still to come.
pub fn head(server: &Server, method: &str, path: &str, token: Option<&str>, length: usize) -> String {
    let authorization = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: {}\r\n{authorization}content-type: application/json\r\n\
         content-length: {length}\r\n\r\n",
        server.address
    )
}

/// A connection that has sent bytes and says no more.
pub fn stalled(server: &Server, bytes: &[u8]) -> TcpStream {
    let mut stream = server.connect();
    stream.write_all(bytes).expect("written");
    stream
}

/// Waits until a request gets a status.
#[track_caller]
pub fn eventually(status: u16, ask: impl Fn() -> Answer) {
    let started = Instant::now();
    while ask().status != status {
        assert!(started.elapsed() < PATIENCE, "{:?}", ask());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn is_events(head: &[u8]) -> bool {
    String::from_utf8_lossy(head).to_ascii_lowercase().contains("content-type: text/event-stream")
}

/// A stream of events as it comes.
#[derive(Debug)]
pub struct Events {
    pub stream: BufReader<TcpStream>,
    pub head: String,
    /// What has come and was not looked at.
    text: String,
}

/// An event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub id: Option<u64>,
    pub name: String,
    pub data: Value,
}

impl Events {
    /// The next event; none once the stream has ended.
    pub fn next(&mut self) -> Option<Event> {
        let began = Instant::now();
        loop {
            // What says that the stream is alive is no event.
            assert!(began.elapsed() < PATIENCE, "nothing but silence: {}", self.head);
            while let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
                if let Some(data) = field("data") {
                    let id = field("id").map(|id| id.parse().expect("an id"));
                    let name = field("event").expect("a name").to_owned();
                    return Some(Event { id, name, data: serde_json::from_str(data).expect("JSON") });
                }
            }
            let chunk = self.chunk()?;
            self.text += &chunk;
        }
    }

    /// Events until one of a name, which is the last.
    pub fn until(&mut self, name: &str) -> Vec<Event> {
        let mut seen = Vec::new();
        while seen.last().is_none_or(|event: &Event| event.name != name) {
            seen.push(self.next().unwrap_or_else(|| panic!("no `{name}`: {seen:?}")));
        }
        seen
    }

    fn chunk(&mut self) -> Option<String> {
        let mut size = String::new();
        self.stream.read_line(&mut size).ok()?;
        let size = usize::from_str_radix(size.trim(), 16).ok().filter(|size| *size > 0)?;
        let mut bytes = vec![0; size + 2];
        self.stream.read_exact(&mut bytes).ok()?;
        Some(String::from_utf8(bytes[..size].to_vec()).expect("text"))
    }
}
