//! Requests through the connector, against a bare client that connects just as often.

use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt as _;
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use ringfence_model::capability::Asked;
use ringfence_model::capability::LimitCeiling;
use ringfence_model::capability::NetworkAsked;
use ringfence_model::grant::Grant;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use wasmtime_wasi_http::WasiBody;
use wasmtime_wasi_http::WasiHttpHooks as _;

use crate::bench::Row;
use crate::bench::Samples;
use crate::bench::text;
use crate::egress::Egress;
use crate::egress::Hooks;

/// Requests that one grant is good for.
const REQUESTS_PER_GRANT: u64 = 200;

/// Gets an answer of so many bytes from a server on this machine, over and over.
pub(super) async fn row(name: &'static str, millis: u64, bytes: usize) -> Result<Row, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(text)?;
    let address = listener.local_addr().map_err(text)?;
    let server = tokio::spawn(serve(listener, bytes));
    let measured = measure(millis, address, bytes).await;
    server.abort();
    let (floor, measured) = measured?;
    Ok(Row::of(name, floor.named("bare hyper client"), measured.named("through the connector"), Some(1.3)))
}

async fn measure(millis: u64, address: SocketAddr, bytes: usize) -> Result<(Samples, Samples), String> {
    let mut samples = (Samples::default(), Samples::default());
    let started = Instant::now();
    let mut hooks = hooks(address)?;
    let mut left = REQUESTS_PER_GRANT;
    while started.elapsed() < Duration::from_millis(millis) || samples.0.0.len() < 30 {
        if left == 0 {
            hooks = self::hooks(address)?;
            left = REQUESTS_PER_GRANT;
        }
        left -= 1;
        let one = Instant::now();
        let bare = bare(address).await?;
        samples.0.push(one.elapsed());
        let other = Instant::now();
        let ours = connected(&mut hooks, address).await?;
        samples.1.push(other.elapsed());
        if bare != bytes || ours != bytes {
            return Err(format!("{bare} and {ours} bytes came where {bytes} were sent"));
        }
    }
    Ok(samples)
}

/// One grant's hooks: what a guest's request goes through.
fn hooks(address: SocketAddr) -> Result<Hooks, String> {
    let network = NetworkAsked {
        http: vec![format!("GET http://{}:{}/", address.ip(), address.port()).parse().map_err(text)?],
        ..NetworkAsked::default()
    };
    let limits = LimitCeiling { received_bytes: Some(u64::MAX), ..LimitCeiling::default() };
    let grant = Grant::narrow(&Asked { network, limits, ..Asked::default() }, &[], &[]).map_err(text)?;
    Ok(Hooks(Egress::closed().call(grant.network(), None).map_err(text)?))
}

async fn connected(hooks: &mut Hooks, address: SocketAddr) -> Result<usize, String> {
    let body: WasiBody = Empty::new().map_err(|never| match never {}).boxed_unsync();
    let request = Request::builder().uri(format!("http://{address}/")).body(body).map_err(text)?;
    let (response, driver) = Box::into_pin(hooks.send_request(request, None, Box::new(async { Ok(()) })))
        .await
        .map_err(|error| error.to_string())?;
    let driver = tokio::spawn(Box::into_pin(driver));
    let collected = response.into_body().collect().await.map_err(|error| error.to_string())?;
    driver.abort();
    Ok(collected.to_bytes().len())
}

async fn bare(address: SocketAddr) -> Result<usize, String> {
    let stream = TcpStream::connect(address).await.map_err(text)?;
    stream.set_nodelay(true).map_err(text)?;
    let (mut sender, driver) = http1::handshake(TokioIo::new(stream)).await.map_err(text)?;
    let driver = tokio::spawn(driver);
    let request = Request::builder().uri("/").header("host", address.to_string()).body(Empty::<Bytes>::new());
    let response = sender.send_request(request.map_err(text)?).await.map_err(text)?;
    let collected = response.into_body().collect().await.map_err(text)?;
    driver.abort();
    Ok(collected.to_bytes().len())
}

/// Answers every connection once.
async fn serve(listener: TcpListener, bytes: usize) {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\nconnection: close\r\n\r\n");
    let answer: Arc<[u8]> = [head.into_bytes(), vec![b'x'; bytes]].concat().into();
    while let Ok((mut stream, _)) = listener.accept().await {
        let answer = Arc::clone(&answer);
        tokio::spawn(async move {
            let mut head = [0; 4096];
            let mut length = 0;
            while let Some(room) = head.get_mut(length..) {
                match stream.read(room).await {
                    Ok(read) if read > 0 => length += read,
                    _ => return,
                }
                if head.get(..length).is_some_and(|head| head.ends_with(b"\r\n\r\n")) {
                    break;
                }
            }
            // A client that went away has what it wanted.
            drop(stream.write_all(&answer).await);
        });
    }
}
