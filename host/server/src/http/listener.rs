//! The listener: connections, bounded in number, in how long they may take to agree on TLS, in the size of their heads, in
//! how long these may take to come and in how long an answer may wait for its reader.
//!
//! Told to stop, it takes no more connections, lets calls end whether or not somebody still waits for them, and leaves
//! when the record tells of each. It doesn't wait long for anybody to read.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use ringfence_model::limits;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::sync::oneshot;
use tokio::sync::watch;

use crate::http::Server;
use crate::http::gate;
use crate::http::metrics::Handshake;
use crate::http::metrics::Number;
use crate::http::patience::Impatient;
use crate::http::peer::Peer;
use crate::http::tls::Identity;

/// How long is waited after a connection could not be taken: there may be no more files to be had.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How far a server is from its end, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Serving,
    /// Each connection ends with the request that it is at.
    Ending,
    /// Each connection ends at once.
    Over,
}

/// Serves until `stop` ends; then calls have `HTTP_STOP_MS_MAX` to end, and are interrupted after that. When this returns,
/// every call is on record, and no other can begin.
pub async fn serve(server: Arc<Server>, listener: TcpListener, stop: impl Future<Output = ()>) {
    let connections_max = server.connections_max();
    let handshakes_max = server.identity().map(|_| limits::HTTP_HANDSHAKES_MAX);
    let places = Places::new(connections_max, handshakes_max);
    let open = Arc::clone(&places.open);
    server.metrics.watch(Number::Connections, move || open.load(Ordering::Relaxed));
    let kept = Arc::clone(server.service());
    let kept = tokio::spawn(async move { tokio::join!(kept.keep_ready(), kept.keep_looking()) });
    let (stage, at) = watch::channel(Stage::Serving);
    let mut stop = std::pin::pin!(stop);
    while let Some((taken, place)) = next(&listener, &places, stop.as_mut()).await {
        match taken {
            Ok(stream) => {
                tokio::spawn(connected(Arc::clone(&server), stream, at.clone(), place));
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
    drop(listener);
    kept.abort();
    stage.send_replace(Stage::Ending);
    // Not for connections: a client that is gone has left its call behind, and one that idles has none.
    let _ = tokio::time::timeout(Duration::from_millis(limits::HTTP_STOP_MS_MAX), server.service().idle()).await;
    server.service().interrupt_all();
    server.service().idle().await;
    // What there is to say is said to whoever listens.
    let all = u32::try_from(connections_max).unwrap_or(u32::MAX);
    let close = Duration::from_millis(limits::HTTP_CLOSE_MS_MAX);
    let connections = &places.connections;
    let _ = tokio::time::timeout(close, connections.acquire_many(all)).await;
    stage.send_replace(Stage::Over);
    let _ = connections.acquire_many(all).await;
    server.service().idle().await;
}

/// How many connections there may be, and how many of them may be about to agree on TLS.
struct Places {
    connections: Arc<Semaphore>,
    handshakes: Option<Handshakes>,
    /// How many are taken.
    open: Arc<AtomicUsize>,
}

/// A connection, counted for as long as it is there.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(open))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a connection takes.
struct Place {
    _connection: OwnedSemaphorePermit,
    _counted: Counted,
    /// Let go of once both ends have agreed: whoever never does takes no room from those who have. It ends by itself when
    /// somebody else has been given it.
    handshake: Option<oneshot::Receiver<()>>,
}

/// Connections that are about to agree on TLS, the oldest first. Nobody waits for one of them: a few that never say a word
/// would keep everybody else from being taken.
struct Handshakes {
    places: usize,
    begun: Mutex<VecDeque<oneshot::Sender<()>>>,
}

impl Handshakes {
    fn new(places: usize) -> Self {
        Self { places, begun: Mutex::default() }
    }

    /// A place, which is that of the oldest if there is no other.
    fn take(&self) -> oneshot::Receiver<()> {
        let (place, taken) = oneshot::channel();
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        begun.retain(|place| !place.is_closed());
        if begun.len() >= self.places {
            begun.pop_front();
        }
        begun.push_back(place);
        taken
    }
}

impl Places {
    fn new(connections: usize, handshakes: Option<usize>) -> Self {
        let (connections, handshakes) = (Arc::new(Semaphore::new(connections)), handshakes.map(Handshakes::new));
        Self { connections, handshakes, open: Arc::default() }
    }
}

/// The next connection, with its place; none once the server is told to stop.
async fn next(
    listener: &TcpListener,
    places: &Places,
    stop: impl Future<Output = ()>,
) -> Option<(io::Result<TcpStream>, Place)> {
    let taken = async {
        // Ownership: no connection is taken that there is no place for; the others wait in the system's queue.
        let connection = Arc::clone(&places.connections).acquire_owned().await.ok()?;
        let accepted = listener.accept().await.map(|(stream, _)| stream);
        let handshake = places.handshakes.as_ref().filter(|_| accepted.is_ok()).map(Handshakes::take);
        Some((accepted, Place { _connection: connection, _counted: Counted::new(&places.open), handshake }))
    };
    tokio::select! {
        biased;
        () = stop => None,
        taken = taken => taken,
    }
}

/// Ends when the server has come to a stage, or is gone.
async fn reached(at: &mut watch::Receiver<Stage>, stage: Stage) {
    let _ = at.wait_for(|at| *at >= stage).await;
}

/// A connection from its first byte to its last.
async fn connected(server: Arc<Server>, stream: TcpStream, mut at: watch::Receiver<Stage>, mut place: Place) {
    let patience = Duration::from_millis(limits::HTTP_WRITE_MS_MAX);
    // Below TLS, which keeps back what a reader does not take.
    let stream = Impatient::new(stream, patience);
    let Some(identity) = server.identity() else { return connection(server, stream, None, at).await };
    let agreed = tokio::select! {
        agreed = agreed(&identity, stream) => agreed,
        () = given_away(place.handshake.as_mut()) => Err(Handshake::Slow),
        () = reached(&mut at, Stage::Ending) => return,
    };
    drop(place.handshake.take());
    match agreed {
        Ok((stream, peer)) => {
            server.metrics.shaken(Handshake::Done);
            connection(server, stream, peer, at).await;
        }
        Err(handshake) => server.metrics.shaken(handshake),
    }
}

/// Ends when somebody else has been given a place.
async fn given_away(handshake: Option<&mut oneshot::Receiver<()>>) {
    match handshake {
        // Nothing is ever sent: it is dropped.
        Some(place) => {
            let _ = place.await;
        }
        None => std::future::pending().await,
    }
}

/// Agrees on TLS in time, or says what became of that.
async fn agreed<S>(
    identity: &Identity,
    stream: S,
) -> Result<(impl AsyncRead + AsyncWrite + Unpin, Option<Peer>), Handshake>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let time = Duration::from_millis(limits::HTTP_HANDSHAKE_MS_MAX);
    let agreed = tokio::time::timeout(time, identity.accept(stream)).await.map_err(|_| Handshake::Slow)?;
    agreed.map_err(|_| Handshake::Failed)
}

async fn connection<S>(server: Arc<Server>, stream: S, peer: Option<Peer>, mut at: watch::Receiver<Stage>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let peer = peer.map(Arc::new);
    let service = service_fn(move |request| {
        let (server, peer) = (Arc::clone(&server), peer.clone());
        async move { Ok::<_, Infallible>(gate::answer(&server, peer.as_ref(), request).await) }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(limits::HTTP_HEAD_MS_MAX))
        .max_buf_size(limits::HTTP_HEAD_BYTES_MAX)
        .max_headers(limits::HTTP_HEADERS_MAX)
        .keep_alive(true);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    // A client that goes away, or says nonsense, ends its own connection and nothing else.
    tokio::select! {
        _ = &mut connection => return,
        () = reached(&mut at, Stage::Ending) => connection.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        _ = connection => {}
        () = reached(&mut at, Stage::Over) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn full_server_hears_that_it_is_to_stop() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let address = listener.local_addr().expect("an address");
        let _first = TcpStream::connect(address).await.expect("a connection");
        let _second = TcpStream::connect(address).await.expect("a connection");
        for places in [Places::new(1, None), Places::new(1, Some(1))] {
            let taken = tokio::time::timeout(SOON, next(&listener, &places, std::future::pending())).await;
            let Ok(Some((Ok(_stream), _place))) = taken else { panic!("nothing was taken") };
            let stop = tokio::time::sleep(Duration::from_millis(50));
            let taken = tokio::time::timeout(SOON, next(&listener, &places, stop)).await;
            assert!(matches!(taken, Ok(None)));
        }
    }

    #[test]
    fn oldest_handshake_makes_room() {
        // MAL-07
        let handshakes = Handshakes::new(2);
        let (mut first, second) = (handshakes.take(), handshakes.take());
        assert_eq!(first.try_recv(), Err(oneshot::error::TryRecvError::Empty));
        let mut third = handshakes.take();
        assert_eq!(first.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        // One that has come to its end has no place to be given away.
        drop(second);
        let _fourth = handshakes.take();
        assert_eq!(third.try_recv(), Err(oneshot::error::TryRecvError::Empty));
    }
}
