//! The listener: connections, each bounded in number, in the size of its heads and in how long it may take over them.
//!
//! Told to stop, it takes no more connections, lets requests that are worked on end, and leaves.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use ringfence_model::limits;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::sync::watch;

use crate::http::Server;
use crate::http::gate;

/// How long is waited after a connection could not be taken: there may be no more files to be had.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `stop` ends; then requests that are worked on have `HTTP_STOP_MS_MAX` to end, and calls are interrupted
/// after that. When this returns, every call is on record.
pub async fn serve(server: Arc<Server>, listener: TcpListener, stop: impl Future<Output = ()>) {
    let connections = Arc::new(Semaphore::new(limits::HTTP_CONNECTIONS_MAX));
    let (stopping, stopped) = watch::channel(false);
    let mut stop = std::pin::pin!(stop);
    loop {
        // Ownership: no connection is taken that there is no place for; the others wait in the system's queue.
        let Ok(place) = Arc::clone(&connections).acquire_owned().await else { break };
        let taken = tokio::select! {
            biased;
            () = &mut stop => break,
            taken = listener.accept() => taken,
        };
        match taken {
            Ok((stream, _)) => {
                tokio::spawn(connection(Arc::clone(&server), stream, stopped.clone(), place));
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
    drop(listener);
    stopping.send_replace(true);
    let all = u32::try_from(limits::HTTP_CONNECTIONS_MAX).unwrap_or(u32::MAX);
    let wait = Duration::from_millis(limits::HTTP_STOP_MS_MAX);
    let _ = tokio::time::timeout(wait, connections.acquire_many(all)).await;
    server.service().interrupt_all();
    server.service().idle().await;
    // What was interrupted is answered, too, if its caller still listens.
    let _ = tokio::time::timeout(wait, connections.acquire_many(all)).await;
}

/// Ends when the server is told to stop, or is gone.
async fn told(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

async fn connection(
    server: Arc<Server>,
    stream: TcpStream,
    mut stopped: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
) {
    let service = service_fn(move |request| {
        let server = Arc::clone(&server);
        async move { Ok::<_, Infallible>(gate::answer(&server, request).await) }
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
    let ended: Result<(), hyper::Error> = tokio::select! {
        ended = &mut connection => ended,
        () = told(&mut stopped) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    // A client that goes away, or says nonsense, ends its own connection and nothing else.
    drop(ended);
}
