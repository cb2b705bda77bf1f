//! A registry on this machine (OCI distribution): what pull and push need, and any lie that a test wants it to tell.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::task::Context;
use std::task::Poll;

use http_body_util::BodyExt as _;
use http_body_util::Full;
use http_body_util::combinators::BoxBody;
use hyper::Method;
use hyper::Request;
use hyper::Response;
use hyper::body::Bytes;
use hyper::body::Frame;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use ringfence_model::digest::Digest;

/// A registry that runs until it is dropped.
pub struct Registry {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    runtime: Option<tokio::runtime::Runtime>,
}

/// What a registry answers to a request instead of the truth.
#[derive(Clone, Default)]
pub struct Lie {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// Whether the body goes on for ever.
    pub endless: bool,
}

#[derive(Default)]
struct State {
    /// By path: blobs and manifests with their type.
    kept: BTreeMap<String, (Vec<u8>, String)>,
    lies: BTreeMap<String, Lie>,
    /// `Authorization` that every request must have.
    wanted: Option<String>,
    /// Method, path and `Authorization` of each request.
    seen: Vec<(String, String, Option<String>)>,
}

type Answer = Response<BoxBody<Bytes, Infallible>>;

impl Registry {
    /// Starts an empty one.
    pub fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(Mutex::new(State::default()));
        runtime.spawn(serve(listener, Arc::clone(&state)));
        Self { address, state, runtime: Some(runtime) }
    }

    /// `HOST:PORT`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// A reference to something in it.
    pub fn reference(&self, name: &str) -> String {
        format!("oci://{}/{name}", self.address)
    }

    /// Answers a path with a lie from now on.
    pub fn lie(&self, path: &str, lie: Lie) {
        self.state.lock().expect("the state").lies.insert(path.to_owned(), lie);
    }

    /// Tells the truth again.
    pub fn honest(&self) {
        self.state.lock().expect("the state").lies.clear();
    }

    /// Wants this `Authorization` from now on.
    pub fn want(&self, authorization: &str) {
        self.state.lock().expect("the state").wanted = Some(authorization.to_owned());
    }

    /// What is kept under a path.
    pub fn kept(&self, path: &str) -> Vec<u8> {
        self.state.lock().expect("the state").kept.get(path).unwrap_or_else(|| panic!("no {path}")).0.clone()
    }

    /// Method, path and `Authorization` of every request.
    pub fn seen(&self) -> Vec<(String, String, Option<String>)> {
        self.state.lock().expect("the state").seen.clone()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl State {
    fn put_manifest(&mut self, name: &str, tag: &str, body: &[u8], media_type: &str) {
        for reference in [tag, &Digest::of(body).to_string()] {
            self.kept.insert(format!("/v2/{name}/manifests/{reference}"), (body.to_vec(), media_type.to_owned()));
        }
    }

    fn answer(&mut self, method: &Method, path: &str, query: &str, media_type: &str, body: &[u8]) -> Answer {
        let is_read = method == Method::GET || method == Method::HEAD;
        if let Some(lie) = self.lies.get(path).filter(|_| is_read) {
            return told(lie);
        }
        if is_read && path == "/v2/" {
            return plain(200, &[], b"{}");
        }
        if is_read {
            let Some((kept, media_type)) = self.kept.get(path) else { return plain(404, &[], b"{}") };
            let digest = Digest::of(kept).to_string();
            let headers = [("content-type", media_type.clone()), ("docker-content-digest", digest)];
            return plain(200, &headers, if method == Method::HEAD { b"" } else { kept });
        }
        if method == Method::POST && path.ends_with("/blobs/uploads/") {
            return plain(202, &[("location", format!("{path}1"))], b"");
        }
        if let (Some((name, _)), Some(digest)) = (path.split_once("/blobs/uploads/"), query.strip_prefix("digest=")) {
            let digest = digest.replace("%3A", ":");
            if digest != Digest::of(body).to_string() {
                return plain(400, &[], b"{}");
            }
            let place = format!("{name}/blobs/{digest}");
            self.kept.insert(place.clone(), (body.to_vec(), "application/octet-stream".to_owned()));
            return plain(201, &[("location", place)], b"");
        }
        if let Some((name, tag)) = path.strip_prefix("/v2/").and_then(|path| path.split_once("/manifests/")) {
            self.put_manifest(name, tag, body, media_type);
            return plain(201, &[("location", path.to_owned())], b"");
        }
        plain(405, &[], b"{}")
    }
}

async fn serve(listener: tokio::net::TcpListener, state: Arc<Mutex<State>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        let service = service_fn(move |request| handle(Arc::clone(&state), request));
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn handle(state: Arc<Mutex<State>>, request: Request<Incoming>) -> Result<Answer, hyper::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let header = |name: &str| Some(parts.headers.get(name)?.to_str().ok()?.to_owned());
    let authorization = header("authorization");
    let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
    let mut state = state.lock().expect("the state");
    state.seen.push((parts.method.to_string(), path.to_owned(), authorization.clone()));
    if state.wanted.is_some() && state.wanted != authorization {
        return Ok(plain(401, &[("www-authenticate", "Basic realm=\"test\"".to_owned())], b"{}"));
    }
    Ok(state.answer(&parts.method, path, query, &header("content-type").unwrap_or_default(), &body))
}

fn told(lie: &Lie) -> Answer {
    let mut answer = plain(lie.status, &lie.headers, &lie.body);
    if lie.endless {
        *answer.body_mut() = Endless.boxed();
    }
    answer
}

fn plain(status: u16, headers: &[(&'static str, String)], body: &[u8]) -> Answer {
    let mut answer = Response::builder().status(status);
    for (name, value) in headers {
        answer = answer.header(*name, value);
    }
    answer.body(Full::new(Bytes::copy_from_slice(body)).boxed()).expect("an answer")
}

/// A body that goes on for ever.
struct Endless;

impl hyper::body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'x'; 16_384])))))
    }
}
