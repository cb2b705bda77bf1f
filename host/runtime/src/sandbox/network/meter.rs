//! What flows over sockets: every byte is counted, both ways, and every open socket is one of the call's connections.
//!
//! wasmtime's own functions do the work; those that hand out streams, pass datagrams on or close a socket are wrapped here.
//! What accepts connections is not: nobody listens. What makes sockets is not, either: these are doors of their own, and
//! keep each socket's place here.

use std::collections::HashMap;
use std::mem;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use wasmtime::StoreContextMut;
use wasmtime::component::Linker;
use wasmtime::component::Resource;
use wasmtime::component::ResourceType;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::DynInputStream;
use wasmtime_wasi::p2::DynOutputStream;
use wasmtime_wasi::p2::InputStream;
use wasmtime_wasi::p2::OutputStream;
use wasmtime_wasi::p2::Pollable;
use wasmtime_wasi::p2::SocketError;
use wasmtime_wasi::p2::StreamError;
use wasmtime_wasi::p2::StreamResult;
use wasmtime_wasi::p2::TcpSocket;
use wasmtime_wasi::p2::UdpSocket;
use wasmtime_wasi::p2::bindings::sockets::network;
use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode;
use wasmtime_wasi::p2::bindings::sockets::tcp::HostTcpSocket as _;
use wasmtime_wasi::p2::bindings::sockets::udp::HostIncomingDatagramStream as _;
use wasmtime_wasi::p2::bindings::sockets::udp::HostOutgoingDatagramStream as _;
use wasmtime_wasi::p2::bindings::sockets::udp::IncomingDatagram;
use wasmtime_wasi::p2::bindings::sockets::udp::IncomingDatagramStream;
use wasmtime_wasi::p2::bindings::sockets::udp::OutgoingDatagram;
use wasmtime_wasi::p2::bindings::sockets::udp::OutgoingDatagramStream;
use wasmtime_wasi::p2::pipe::ClosedInputStream;
use wasmtime_wasi::p2::pipe::ClosedOutputStream;
use wasmtime_wasi::sockets::WasiSocketsView as _;

use crate::egress::CallEgress;
use crate::egress::Refusal;
use crate::sandbox::state::State;

const TCP: &str = "wasi:sockets/tcp@0.2.12";
const UDP: &str = "wasi:sockets/udp@0.2.12";

const SEND_TCP: &str = "wasi:sockets/tcp#send";
const RECEIVE_TCP: &str = "wasi:sockets/tcp#receive";
const SEND_UDP: &str = "wasi:sockets/udp#send";
const RECEIVE_UDP: &str = "wasi:sockets/udp#receive";

/// The streams of one connection.
type Streams = (Resource<DynInputStream>, Resource<DynOutputStream>);

/// The places that a call's open sockets hold, by the sockets' numbers in its table.
#[derive(Debug, Default)]
pub(in crate::sandbox) struct OpenSockets(HashMap<u32, OwnedSemaphorePermit>);

impl OpenSockets {
    /// Keeps a socket's place until the socket is closed.
    pub(super) fn admit(&mut self, socket: u32, place: OwnedSemaphorePermit) {
        self.0.insert(socket, place);
    }

    fn release(&mut self, socket: u32) {
        self.0.remove(&socket);
    }
}

/// Wraps what is wrapped, in a linker that has wasmtime's own and allows shadowing.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut tcp = linker.instance(TCP)?;
    tcp.func_wrap(
        "[method]tcp-socket.finish-connect",
        |mut store: StoreContextMut<'_, State>, (socket,): (Resource<TcpSocket>,)| {
            Ok((finish_connect(store.data_mut(), socket)?,))
        },
    )?;
    tcp.resource("tcp-socket", ResourceType::host::<TcpSocket>(), |mut store, socket| {
        close::<TcpSocket>(store.data_mut(), socket)
    })?;
    let mut udp = linker.instance(UDP)?;
    udp.func_wrap(
        "[method]incoming-datagram-stream.receive",
        |mut store: StoreContextMut<'_, State>, (stream, max): (Resource<IncomingDatagramStream>, u64)| {
            Ok((receive(store.data_mut(), stream, max)?,))
        },
    )?;
    udp.func_wrap(
        "[method]outgoing-datagram-stream.send",
        |mut store: StoreContextMut<'_, State>,
         (stream, datagrams): (Resource<OutgoingDatagramStream>, Vec<OutgoingDatagram>)| {
            Ok((send(store.data_mut(), stream, datagrams)?,))
        },
    )?;
    udp.resource("udp-socket", ResourceType::host::<UdpSocket>(), |mut store, socket| {
        close::<UdpSocket>(store.data_mut(), socket)
    })
}

fn close<T: 'static>(state: &mut State, socket: u32) -> wasmtime::Result<()> {
    let (sockets, open) = state.socket_parts();
    drop(sockets.table.delete(Resource::<T>::new_own(socket))?);
    open.release(socket);
    Ok(())
}

/// What a function answers: a code of the interface's own, or the end of the call.
fn answered<T>(state: &mut State, result: Result<T, SocketError>) -> wasmtime::Result<Result<T, ErrorCode>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(error) => network::Host::convert_error_code(&mut state.sockets(), error).map(Err),
    }
}

fn finish_connect(state: &mut State, socket: Resource<TcpSocket>) -> wasmtime::Result<Result<Streams, ErrorCode>> {
    let connected = state.sockets().finish_connect(socket);
    if let Ok((input, output)) = &connected {
        let call = state.egress().clone();
        let table = state.sockets().table;
        let stream = table.get_mut(input)?;
        let inner = mem::replace(stream, Box::new(ClosedInputStream));
        *stream = Box::new(Input { inner, call: call.clone(), is_over: false });
        let stream = table.get_mut(output)?;
        let inner = mem::replace(stream, Box::new(ClosedOutputStream));
        *stream = Box::new(Output { inner, call, is_over: false });
    }
    answered(state, connected)
}

/// Hands out datagrams as long as they fit; what does not is lost, as datagrams are.
fn receive(
    state: &mut State,
    stream: Resource<IncomingDatagramStream>,
    max: u64,
) -> wasmtime::Result<Result<Vec<IncomingDatagram>, ErrorCode>> {
    let received = state.sockets().receive(stream, max);
    let received = received.and_then(|mut datagrams| {
        let call = state.egress();
        let fitting = datagrams.iter().take_while(|datagram| call.receive(datagram.data.len()).is_ok()).count();
        if fitting < datagrams.len() {
            call.note(RECEIVE_UDP, "a datagram", Some(&Refusal::RECEIVED));
        }
        if fitting == 0 && !datagrams.is_empty() {
            return Err(ErrorCode::AccessDenied.into());
        }
        datagrams.truncate(fitting);
        Ok(datagrams)
    });
    answered(state, received)
}

/// Sends datagrams as long as they fit, and counts those that were sent.
fn send(
    state: &mut State,
    stream: Resource<OutgoingDatagramStream>,
    mut datagrams: Vec<OutgoingDatagram>,
) -> wasmtime::Result<Result<u64, ErrorCode>> {
    let call = state.egress().clone();
    let lengths: Vec<_> = datagrams.iter().map(|datagram| datagram.data.len()).collect();
    let fitting = lengths.iter().take_while(|length| call.send(**length).is_ok()).count();
    if fitting < datagrams.len() {
        call.note(SEND_UDP, "a datagram", Some(&Refusal::SENT));
    }
    if fitting == 0 && !datagrams.is_empty() {
        return Ok(Err(ErrorCode::AccessDenied));
    }
    datagrams.truncate(fitting);
    let sent = state.sockets().send(stream, datagrams);
    let count = sent.as_ref().map_or(0, |count| usize::try_from(*count).unwrap_or(usize::MAX));
    let unsent = lengths.iter().take(fitting).skip(count).sum();
    call.take_back(unsent);
    answered(state, sent)
}

/// What comes in over a connection. It ends at the limit: what came next was never handed out.
struct Input {
    inner: DynInputStream,
    call: CallEgress,
    is_over: bool,
}

#[async_trait]
impl InputStream for Input {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if self.is_over {
            return Err(StreamError::Closed);
        }
        let bytes = self.inner.read(size.min(within(self.call.receivable())))?;
        self.call.receive(bytes.len()).map_err(|refusal| {
            self.is_over = true;
            refuse(&self.call, RECEIVE_TCP, &refusal)
        })?;
        Ok(bytes)
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}

#[async_trait]
impl Pollable for Input {
    async fn ready(&mut self) {
        if !self.is_over {
            self.inner.ready().await;
        }
    }
}

/// What goes out over a connection, counted before it does.
struct Output {
    inner: DynOutputStream,
    call: CallEgress,
    is_over: bool,
}

#[async_trait]
impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if self.is_over {
            return Err(StreamError::Closed);
        }
        self.call.send(bytes.len()).map_err(|refusal| {
            self.is_over = true;
            refuse(&self.call, SEND_TCP, &refusal)
        })?;
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.inner.flush()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        if self.is_over {
            return Err(StreamError::Closed);
        }
        Ok(self.inner.check_write()?.min(within(self.call.sendable())))
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}

#[async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {
        if !self.is_over {
            self.inner.ready().await;
        }
    }
}

/// Bytes that are asked for at once. One is, where none is left: it tells more than is allowed from an end that lies exactly
/// there, and a wait that would never end from one that does.
fn within(left: u64) -> usize {
    usize::try_from(left).unwrap_or(usize::MAX).max(1)
}

fn refuse(call: &CallEgress, import: &str, refusal: &Refusal) -> StreamError {
    call.note(import, "a connection", Some(refusal));
    StreamError::LastOperationFailed(refusal.clone().into())
}
