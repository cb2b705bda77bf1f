//! Requests over HTTP: the hooks that every request of a guest goes through, and the one sender behind them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::Response;
use http_body_util::BodyExt as _;
use hyper::body::Body;
use hyper::body::Frame;
use hyper::body::Incoming;
use hyper::body::SizeHint;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use ringfence_model::decision::OutgoingKind;
use ringfence_model::egress::HostPattern;
use ringfence_model::egress::HttpTarget;
use ringfence_model::limits;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tokio::time::Sleep;
use tokio::time::sleep;
use tokio::time::timeout;
use wasmtime_wasi_http::Error;
use wasmtime_wasi_http::RequestOptions;
use wasmtime_wasi_http::WasiBody;
use wasmtime_wasi_http::WasiHttpHooks;

use crate::egress::CallEgress;
use crate::egress::Outgoing;
use crate::egress::Refusal;
use crate::egress::call::Unreachable;
use crate::egress::connect;
use crate::egress::connect::Connection;
use crate::egress::resolve::ResolveError;
use crate::egress::target;

const IMPORT: &str = "wasi:http/outgoing-handler#handle";

/// Bytes read at once: with less, a long answer takes longer.
const READ_BYTES_MAX: usize = 256 * 1024;

/// What drives a connection while its answer is read.
type Driver = Box<dyn Future<Output = Result<(), Error>> + Send>;

/// What wasmtime's implementation of wasi:http asks about each request.
#[derive(Debug)]
pub(crate) struct Hooks(pub(crate) CallEgress);

impl WasiHttpHooks for Hooks {
    /// This one, and not its sibling for single names: it alone is asked about trailers as well (NET-16).
    fn forbidden_header_filter(&mut self) -> Arc<dyn Fn(&http::HeaderName) -> bool + Send + Sync> {
        Arc::new(target::is_forbidden)
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _processed: Driver,
    ) -> Box<dyn Future<Output = Result<(Response<WasiBody>, Driver), Error>> + Send> {
        let admitted = admit(&self.0, request);
        let call = self.0.clone();
        Box::new(async move {
            let admitted = admitted?;
            let what = admitted.target.to_string();
            let refusal = call.ask(admitted.outgoing.clone()).await.err();
            call.note(IMPORT, &what, refusal.as_ref());
            if refusal.is_some() {
                return Err(Error::HttpRequestDenied);
            }
            send(&call, admitted, Timeouts::clamped(options)).await.map_err(|failure| failure.report(&call, &what))
        })
    }
}

/// A request that the grant allows.
struct Admitted {
    /// What of the grant allows it.
    hosts: Vec<HostPattern>,
    /// What somebody may have to be asked about.
    outgoing: Outgoing,
    permit: OwnedSemaphorePermit,
    request: Request<WasiBody>,
    target: HttpTarget,
}

fn admit(call: &CallEgress, request: Request<WasiBody>) -> Result<Admitted, Error> {
    let refuse = |what: &str, refusal: Refusal, error: Error| {
        call.note(IMPORT, what, Some(&refusal));
        error
    };
    let target = match target::parse(&request) {
        Ok(target) => target,
        Err(refusal) => return Err(refuse("a request", refusal, Error::HttpRequestUriInvalid)),
    };
    let what = target.to_string();
    let denied = |refusal| refuse(&what, refusal, Error::HttpRequestDenied);
    let hosts = call.decide(&target).map_err(denied)?;
    let mut request = target::rewrite(request, &target).map_err(denied)?;
    let outgoing = outgoing(call, &request, &target);
    call.placeholders().fill(&mut request, &target).map_err(denied)?;
    call.count_request().map_err(denied)?;
    let permit = call.connection().map_err(|full| refuse(&what, full, Error::ConnectionLimitReached))?;
    Ok(Admitted { hosts, outgoing, permit, request, target })
}

fn outgoing(call: &CallEgress, request: &Request<WasiBody>, target: &HttpTarget) -> Outgoing {
    if call.judge().is_none() {
        return Outgoing::plain(OutgoingKind::Http, String::new(), 0);
    }
    let mut headers: Vec<_> = request.headers().keys().map(|name| name.as_str().to_owned()).collect();
    headers.sort();
    Outgoing {
        headers,
        method: target.method.clone(),
        path: target.path.decoded(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        scheme: target.scheme.to_string(),
        secrets: call.placeholders().named_in(request.headers()),
        ..Outgoing::plain(OutgoingKind::Http, target.host.to_string(), target.port)
    }
}

/// Why a request that was allowed came to nothing.
enum Failure {
    Http(Error),
    Refused(Refusal, Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Http(error)
    }
}

impl Failure {
    /// What the guest is told; what was refused is noted with its reason (NET-28: no address and no text of ours).
    fn report(self, call: &CallEgress, what: &str) -> Error {
        match self {
            Self::Http(error) => error,
            Self::Refused(refusal, error) => {
                call.note(IMPORT, what, Some(&refusal));
                error
            }
        }
    }
}

impl From<Unreachable> for Failure {
    fn from(unreachable: Unreachable) -> Self {
        match unreachable {
            Unreachable::Refused(refusal) => Self::Refused(refusal, Error::DestinationIpProhibited),
            Unreachable::Resolve(ResolveError::TimedOut) => Self::Http(Error::DnsTimeout),
            Unreachable::Resolve(ResolveError::NotFound) => {
                Self::Http(Error::DnsError { rcode: Some("NXDOMAIN".to_owned()), info_code: None })
            }
            Unreachable::Resolve(ResolveError::Unavailable) => {
                Self::Http(Error::DnsError { rcode: Some("SERVFAIL".to_owned()), info_code: None })
            }
        }
    }
}

/// How long a guest waits: as long as it likes, up to our own limits (NET-18).
#[derive(Clone, Copy, Debug)]
struct Timeouts {
    answer: Duration,
    connect: Duration,
    pause: Duration,
}

impl Timeouts {
    fn clamped(options: Option<RequestOptions>) -> Self {
        let options = options.unwrap_or_default();
        let clamp = |wanted: Option<Duration>, max_ms: u64| {
            let max = Duration::from_millis(max_ms);
            wanted.unwrap_or(max).clamp(Duration::from_millis(1), max)
        };
        Self {
            answer: clamp(options.first_byte_timeout, limits::ANSWER_MS_MAX),
            connect: clamp(options.connect_timeout, limits::CONNECT_MS_MAX),
            pause: clamp(options.between_bytes_timeout, limits::ANSWER_MS_MAX),
        }
    }
}

async fn send(
    call: &CallEgress,
    admitted: Admitted,
    timeouts: Timeouts,
) -> Result<(Response<WasiBody>, Driver), Failure> {
    let Admitted { hosts, permit, request, target, .. } = admitted;
    let connected = timeout(timeouts.connect, open(call, &target, &hosts)).await;
    let connection = connected.map_err(|_| Error::ConnectionTimeout)??;
    let (mut sender, driver) = http1::Builder::new()
        .max_headers(limits::HEADERS_MAX)
        .max_buf_size(READ_BYTES_MAX)
        .handshake(TokioIo::new(connection))
        .await
        .map_err(Error::Hyper)?;
    let sent = call.clone();
    let request = request.map(|body| CountedBody { body, call: sent });
    let mut driver = Box::pin(driver);
    let mut answer = Box::pin(timeout(timeouts.answer, sender.send_request(request)));
    let mut is_over = false;
    let answered = tokio::select! {
        answered = &mut answer => answered,
        ended = &mut driver => {
            is_over = true;
            ended.map_err(Error::Hyper)?;
            answer.await
        }
    };
    let response = answered.map_err(|_| Error::HttpResponseTimeout)?.map_err(Error::Hyper)?;
    check(call, &response, &target)?;
    let response = response.map(|body| Answer::new(body, call.clone(), timeouts.pause, permit).boxed_unsync());
    let driver: Driver = Box::new(async move { if is_over { Ok(()) } else { driver.await.map_err(Error::Hyper) } });
    Ok((response, driver))
}

async fn open(call: &CallEgress, target: &HttpTarget, hosts: &[HostPattern]) -> Result<Connection, Failure> {
    let addresses = call.addresses(&target.host, hosts).await?;
    let stream = connect::tcp(&addresses, target.port).await.map_err(Error::Connect)?;
    let secured = Connection::new(stream, target.scheme, &target.host, call.egress()).await;
    Ok(secured.map_err(Error::Tls)?)
}

/// Refuses an answer whose head is too long or whose body would be, or that wants to speak something else from here on.
fn check(call: &CallEgress, response: &Response<Incoming>, target: &HttpTarget) -> Result<(), Failure> {
    if response.status() == http::StatusCode::SWITCHING_PROTOCOLS {
        return Err(Error::HttpUpgradeFailed.into());
    }
    let head: usize = response.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if head > limits::HEADER_BYTES_MAX {
        return Err(Error::HttpResponseHeaderSectionSize(u32::try_from(head).ok()).into());
    }
    // To a HEAD, a length is that of an answer that does not come.
    match response.body().size_hint().exact().filter(|_| target.method != "HEAD") {
        Some(length) if length > call.receivable() => {
            Err(Failure::Refused(Refusal::RECEIVED, Error::HttpResponseBodySize(Some(length))))
        }
        _ => Ok(()),
    }
}

/// A request's body, counted before it leaves.
struct CountedBody {
    body: WasiBody,
    call: CallEgress,
}

impl Body for CountedBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let bytes = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()).map_or(0, Bytes::len);
        if let Err(refusal) = self.call.send(bytes) {
            self.call.note(IMPORT, "a request's body", Some(&refusal));
            return Poll::Ready(Some(Err(Error::HttpRequestBodySize(None))));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's body: counted before the guest gets it, never waited for too long, and a connection while it lasts. It comes as it
/// was sent: nothing is unpacked (NET-19).
struct Answer {
    body: Incoming,
    call: CallEgress,
    pause: Duration,
    paused: Pin<Box<Sleep>>,
    _permit: OwnedSemaphorePermit,
}

impl Answer {
    fn new(body: Incoming, call: CallEgress, pause: Duration, permit: OwnedSemaphorePermit) -> Self {
        Self { body, call, pause, paused: Box::pin(sleep(pause)), _permit: permit }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                ready!(self.paused.as_mut().poll(cx));
                return Poll::Ready(Some(Err(Error::ConnectionReadTimeout)));
            }
        };
        let next = Instant::now() + self.pause;
        self.paused.as_mut().reset(next);
        let bytes = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()).map_or(0, Bytes::len);
        if let Err(refusal) = self.call.receive(bytes) {
            self.call.note(IMPORT, "an answer's body", Some(&refusal));
            return Poll::Ready(Some(Err(Error::HttpResponseBodySize(None))));
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Error::Hyper)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
