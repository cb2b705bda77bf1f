//! JSON-RPC on lines: one message on each, read strictly, and every fault answered without an end to the connection.
//!
//! A line is read by the same strict reader as every input (no key twice, no number that loses digits, no nesting
//! without end), so what a policy sees is what the line said. What is no message is answered here and goes no further:
//! the rest of the program sees well-formed messages only. Memory is bounded by the longest line, the requests that run,
//! given up or not, and the answers that wait for their reader; whoever does not read is not read from.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use ringfence_model::json;
use ringfence_model::limits;
use rmcp::RoleServer;
use rmcp::model::ErrorCode;
use rmcp::model::ErrorData;
use rmcp::model::GetExtensions as _;
use rmcp::model::JsonRpcMessage;
use rmcp::model::RequestId;
use rmcp::service::TxJsonRpcMessage;
use rmcp::transport::Transport;
use serde_json::Value;
use tokio::io::AsyncBufRead;
use tokio::io::AsyncBufReadExt as _;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt as _;
use tokio::io::BufReader;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::mcp::message;
use crate::mcp::message::Fault;
use crate::mcp::message::Received;
use crate::mcp::message::read;

/// A request that is not taken now: in the range that JSON-RPC leaves to servers.
const BUSY: ErrorCode = ErrorCode(-32_000);

type Sent = TxJsonRpcMessage<RoleServer>;

/// A connection whose messages are lines.
#[derive(Debug)]
pub struct Lines<R> {
    reader: BufReader<R>,
    line: Line,
    /// An answer to a line that was no message, until it is on its way: receiving may be given up at any time.
    reply: Option<Sent>,
    open: Open,
    answers: Option<mpsc::Sender<Sent>>,
    writer: Option<JoinHandle<io::Result<()>>>,
}

/// What is worked on, as its connection and its answers know it.
type Open = Arc<Mutex<Work>>;

/// The requests that are not answered yet, those that run, and the answers that wait for their reader.
#[derive(Debug, Default)]
struct Work {
    ids: HashSet<RequestId>,
    running: usize,
    unread: usize,
}

/// A request that runs. It goes with the request to its handler and ends with it: one that its sender gave up runs on
/// until it has come to an end.
struct Running(Open);

impl Drop for Running {
    fn drop(&mut self) {
        locked(&self.0).running -= 1;
    }
}

/// An answer that waits. Whoever has it knows that its id is free: it was before the answer could be read.
struct Unread(Open);

impl Unread {
    fn of(open: &Open, answered: Option<&RequestId>) -> Self {
        let mut work = locked(open);
        if let Some(id) = answered {
            work.ids.remove(id);
        }
        work.unread += 1;
        Self(Arc::clone(open))
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        locked(&self.0).unread -= 1;
    }
}

/// A line as far as it was read.
#[derive(Debug, Default)]
struct Line {
    bytes: Vec<u8>,
    is_too_long: bool,
}

/// What a line turned out to be.
enum Read {
    Message(Box<Received>),
    /// Nothing that is answered.
    Nothing,
    Wrong(Box<Sent>),
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// A connection that reads from one end and writes to the other.
    pub fn new<W: AsyncWrite + Send + Unpin + 'static>(read: R, write: W) -> Self {
        let (answers, waiting) = mpsc::channel(limits::ANSWERS_QUEUED_MAX);
        Self {
            reader: BufReader::new(read),
            line: Line::default(),
            reply: None,
            open: Open::default(),
            answers: Some(answers),
            writer: Some(tokio::spawn(write_all(write, waiting))),
        }
    }
}

async fn write_all<W: AsyncWrite + Unpin>(mut write: W, mut waiting: mpsc::Receiver<Sent>) -> io::Result<()> {
    while let Some(message) = waiting.recv().await {
        let mut line = match &message {
            // JSON-RPC wants an id there, and the library leaves out what could not be told.
            JsonRpcMessage::Error(error) if error.id.is_none() => {
                serde_json::to_vec(&message::refusal(None, &error.error))?
            }
            message => serde_json::to_vec(message)?,
        };
        line.push(b'\n');
        write.write_all(&line).await?;
        write.flush().await?;
    }
    Ok(())
}

impl<R: AsyncRead + Send + Unpin> Transport<RoleServer> for Lines<R> {
    type Error = io::Error;

    fn send(&mut self, message: Sent) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let (answers, open) = (self.answers.clone(), Arc::clone(&self.open));
        async move {
            let answered = match &message {
                JsonRpcMessage::Response(response) => Some(&response.id),
                JsonRpcMessage::Error(error) => error.id.as_ref(),
                _ => None,
            };
            let _unread = Unread::of(&open, answered);
            match answers {
                Some(answers) => answers.send(message).await.map_err(|_| io::ErrorKind::BrokenPipe.into()),
                None => Err(io::ErrorKind::NotConnected.into()),
            }
        }
    }

    async fn receive(&mut self) -> Option<Received> {
        loop {
            if self.reply.is_some() {
                // Nothing more is read until this has been taken.
                let room = self.answers.as_ref()?.reserve().await.ok()?;
                if let Some(reply) = self.reply.take() {
                    room.send(reply);
                }
            }
            if !self.line.read(&mut self.reader).await? {
                continue;
            }
            let line = std::mem::take(&mut self.line);
            match line.understood(&self.open) {
                Read::Message(message) => return Some(*message),
                Read::Nothing => {}
                Read::Wrong(reply) => self.reply = Some(*reply),
            }
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        self.answers = None;
        match self.writer.take() {
            Some(writer) => writer.await.unwrap_or_else(|error| Err(io::Error::other(error))),
            None => Ok(()),
        }
    }
}

impl Line {
    /// Reads on. Whether the line is whole now; none at the end of input, where half a line says nothing. Can be given
    /// up at any time: what has been taken from the reader is in `self`.
    async fn read<R: AsyncBufRead + Unpin>(&mut self, reader: &mut R) -> Option<bool> {
        let available = reader.fill_buf().await.ok().filter(|available| !available.is_empty())?;
        let end = available.iter().position(|byte| *byte == b'\n');
        let part = available.get(..end.unwrap_or(available.len())).unwrap_or_default();
        if self.bytes.len() + part.len() > limits::MESSAGE_BYTES_MAX {
            self.is_too_long = true;
            self.bytes = Vec::new();
        }
        if !self.is_too_long {
            self.bytes.extend_from_slice(part);
        }
        let taken = part.len() + usize::from(end.is_some());
        reader.consume(taken);
        Some(end.is_some())
    }

    fn understood(self, open: &Open) -> Read {
        if self.is_too_long {
            let max = limits::MESSAGE_BYTES_MAX;
            return refused(None, ErrorData::invalid_request(format!("the message is longer than {max} bytes"), None));
        }
        let text = self.bytes.trim_ascii();
        if text.is_empty() {
            return Read::Nothing;
        }
        match json::parse(text) {
            Ok(value) => told(value, open),
            Err(error) => {
                let why = format!("the line is not JSON that can be read in one way: {error}");
                refused(None, ErrorData::parse_error(why, None))
            }
        }
    }
}

/// A message out of what is JSON at least.
fn told(value: Value, open: &Open) -> Read {
    match read(value) {
        Ok((message, Some(id))) => opened(message, id, open),
        Ok((message, None)) => {
            closed(&message, open);
            Read::Message(Box::new(message))
        }
        Err(Fault { is_notification: true, .. }) => Read::Nothing,
        Err(Fault { id, error, .. }) => refused(id, *error),
    }
}

/// A request that there is room for, under an id that no other has now.
fn opened(mut message: Received, id: RequestId, open: &Open) -> Read {
    let mut work = locked(open);
    if work.ids.contains(&id) {
        // Answered without an id: the id is that of the other, whose answer is still to come.
        return refused(None, ErrorData::invalid_request("`id` is that of a request that is worked on", None));
    }
    // A request has an id, or runs, or both.
    let count = work.ids.len().max(work.running) + work.unread;
    if count >= limits::REQUESTS_PER_CONNECTION_MAX {
        let why = format!("{count} requests are worked on; send this again when one is answered");
        return refused(Some(id), ErrorData::new(BUSY, why, None));
    }
    work.ids.insert(id);
    work.running += 1;
    drop(work);
    if let JsonRpcMessage::Request(request) = &mut message {
        request.request.extensions_mut().insert(Arc::new(Running(Arc::clone(open))));
    }
    Read::Message(Box::new(message))
}

/// A request that its sender gives up is not answered, so its id is free; its place is, when it has ended.
fn closed(message: &Received, open: &Open) {
    if let JsonRpcMessage::Notification(notification) = message
        && let rmcp::model::ClientNotification::CancelledNotification(cancelled) = &notification.notification
        && let Some(id) = &cancelled.params.request_id
    {
        locked(open).ids.remove(id);
    }
}

fn refused(id: Option<RequestId>, error: ErrorData) -> Read {
    Read::Wrong(Box::new(Sent::error(error, id)))
}

fn locked(open: &Open) -> MutexGuard<'_, Work> {
    // A set of ids and a count are whole between any two steps.
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of lines: the methods that got through, and the answers.
    async fn spoken(input: &[u8]) -> (usize, Vec<Value>) {
        handled(input, drop).await
    }

    /// The same, of lines whose messages are handled.
    async fn handled(input: &[u8], mut handle: impl FnMut(Received)) -> (usize, Vec<Value>) {
        let (client, server) = tokio::io::duplex(1 << 16);
        let (read, write) = tokio::io::split(server);
        let mut lines = Lines::new(read, write);
        let (mut from_server, mut to_server) = tokio::io::split(client);
        let input = input.to_vec();
        let writer = tokio::spawn(async move {
            to_server.write_all(&input).await.expect("written");
            to_server.shutdown().await.expect("closed");
        });
        let reader = tokio::spawn(async move {
            let mut said = Vec::new();
            tokio::io::AsyncReadExt::read_to_end(&mut from_server, &mut said).await.expect("read");
            said
        });
        let mut through = 0;
        while let Some(message) = lines.receive().await {
            through += 1;
            handle(message);
        }
        lines.close().await.expect("closed");
        drop(lines);
        writer.await.expect("written");
        let said = String::from_utf8(reader.await.expect("read")).expect("text");
        (through, said.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect())
    }

    #[tokio::test]
    async fn malformed_lines_are_answered_rightly() {
        // MAL-05
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let batch = format!("[{}]", vec![r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#; 1000].join(","));
        let long_id = format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"ping"}}"#, "i".repeat(10_000));
        let ping = r#"{"jsonrpc":"2.0","id":"ok","method":"ping"}"#;
        for (line, code, id) in [
            ("{", -32_700, Value::Null),
            ("nonsense", -32_700, Value::Null),
            (&deep, -32_700, Value::Null),
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping"} x"#, -32_700, Value::Null),
            (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#, -32_700, Value::Null),
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":1e400}}"#, -32_700, Value::Null),
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":18446744073709551616}}"#, -32_700, Value::Null),
            (&batch, -32_600, Value::Null),
            ("[]", -32_600, Value::Null),
            ("7", -32_600, Value::Null),
            (r#"{"id":1,"method":"ping"}"#, -32_600, Value::Null),
            (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, -32_600, Value::Null),
            (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, -32_600, Value::Null),
            (r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, -32_600, Value::Null),
            (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, -32_600, Value::Null),
            (&long_id, -32_600, Value::Null),
            (r#"{"jsonrpc":"2.0","id":4,"method":7}"#, -32_600, 4.into()),
            (r#"{"jsonrpc":"2.0","id":4}"#, -32_600, 4.into()),
            (r#"{"jsonrpc":"2.0","id":"b","method":"tools/call","params":[1]}"#, -32_602, "b".into()),
        ] {
            let (through, said) = spoken(format!("{line}\n{ping}\n").as_bytes()).await;
            let shown: String = line.chars().take(80).collect();
            assert_eq!((through, said.len()), (1, 1), "{shown}: {said:?}");
            assert_eq!((&said[0]["error"]["code"], &said[0]["id"]), (&code.into(), &id), "{shown}: {said:?}");
        }
    }

    #[tokio::test]
    async fn lines_that_say_nothing_are_passed_over() {
        let quiet = "\n\r\n  \n{\"jsonrpc\":\"2.0\",\"method\":\"a/b\",\"params\":3}\n";
        let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        let (through, said) = spoken(format!("{quiet}{ping}\r\n{{\"jsonrpc\":").as_bytes()).await;
        assert_eq!((through, said.len()), (1, 0), "{said:?}");
        let (through, said) = spoken(b"\xff\xfe\n").await;
        assert_eq!((through, &said[0]["error"]["code"]), (0, &(-32_700).into()));
    }

    #[tokio::test]
    async fn endless_line_takes_no_memory() {
        // MAL-05
        let mut input = vec![b'x'; limits::MESSAGE_BYTES_MAX + (1 << 20)];
        input.extend_from_slice(b"\n{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n");
        let (through, said) = spoken(&input).await;
        assert_eq!((through, &said[0]["error"]["code"]), (1, &(-32_600).into()));
        let mut line = Line::default();
        let mut endless = BufReader::new(tokio::io::repeat(b'x'));
        for _ in 0..2 * limits::MESSAGE_BYTES_MAX / (8 * 1024) {
            assert_eq!(line.read(&mut endless).await, Some(false));
            assert!(line.bytes.capacity() <= 2 * limits::MESSAGE_BYTES_MAX);
        }
        assert!(line.is_too_long && line.bytes.is_empty());
    }

    #[tokio::test]
    async fn answered_id_is_free_before_it_is_read() {
        // A reader that is quicker than whoever sent the answer may use the id again.
        let (client, server) = tokio::io::duplex(128);
        let (read, write) = tokio::io::split(server);
        let mut lines = Lines::new(read, write);
        let (_nobody_reads, mut to_server) = tokio::io::split(client);
        let answer = |id| Sent::error(ErrorData::invalid_request("no", None), id);
        for _ in 0..2 * limits::ANSWERS_QUEUED_MAX {
            tokio::spawn(lines.send(answer(None)));
        }
        for _ in 0..3 {
            to_server.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n").await.expect("written");
            let received = tokio::time::timeout(std::time::Duration::from_secs(10), lines.receive()).await;
            assert!(received.is_ok_and(|message| matches!(message, Some(JsonRpcMessage::Request(_)))));
            let waits = tokio::spawn(lines.send(answer(Some(RequestId::Number(1)))));
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            assert!(!waits.is_finished());
        }
    }

    #[tokio::test]
    async fn requests_at_a_time_are_bounded() {
        let request = |id: usize| format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"ping\"}}\n");
        let max = limits::REQUESTS_PER_CONNECTION_MAX;
        let (through, said) = spoken((0..max + 3).map(request).collect::<String>().as_bytes()).await;
        assert_eq!((through, said.len()), (max, 3));
        assert!(said.iter().all(|answer| answer["error"]["code"] == BUSY.0), "{said:?}");
        let cancel = "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":1}}\n";
        let (through, said) = spoken(format!("{}{}{cancel}{}", request(1), request(1), request(1)).as_bytes()).await;
        assert_eq!((through, said.len()), (3, 1), "{said:?}");
        assert_eq!((&said[0]["error"]["code"], &said[0]["id"]), (&(-32_600).into(), &Value::Null));
    }

    #[tokio::test]
    async fn given_up_requests_count_until_they_end() {
        let max = limits::REQUESTS_PER_CONNECTION_MAX;
        let pair = |id: usize| {
            format!(
                "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"ping\"}}\n\
                 {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{{\"requestId\":{id}}}}}\n"
            )
        };
        let pairs = (0..max + 3).map(pair).collect::<String>();
        let mut running = Vec::new();
        let (through, said) = handled(pairs.as_bytes(), |message| running.push(message)).await;
        assert_eq!((through, said.len()), (2 * max + 3, 3));
        assert!(said.iter().all(|answer| answer["error"]["code"] == BUSY.0), "{said:?}");
        let (through, said) = handled(pairs.as_bytes(), drop).await;
        assert_eq!((through, said.len()), (2 * (max + 3), 0), "{said:?}");
    }
}
