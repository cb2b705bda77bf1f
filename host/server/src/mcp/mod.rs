//! MCP: every function that is offered, as a tool of the protocol; the same handler whatever carries the messages.
//!
//! A list is made for its reader: what a seat can't reach is not in it, and can't be called by name either. A call that
//! its client gives up stops the guest. The idempotency key of a call, or its task and step, stand in its `_meta`, where what is in the record
//! of it stands in the result.

mod answer;
mod describe;
mod hold;
pub mod lines;
pub(crate) mod message;
mod progress;

use std::sync::Arc;

use ringfence_model::call::IdempotencyKey;
use ringfence_model::call::Input;
use ringfence_model::limits;
use ringfence_model::outcome::one_line;
use ringfence_runtime::pipeline::Denial;
use ringfence_runtime::pipeline::Response;
use ringfence_runtime::sandbox::Contact;
use ringfence_runtime::sandbox::Interrupt;
use ringfence_runtime::sandbox::interrupt;
use ringfence_runtime::toolbox::Function;
use rmcp::Peer;
use rmcp::RoleServer;
use rmcp::ServerHandler;
use rmcp::model::CallToolRequestParams;
use rmcp::model::CallToolResponse;
use rmcp::model::CompleteRequestParams;
use rmcp::model::CompleteResult;
use rmcp::model::CustomRequest;
use rmcp::model::CustomResult;
use rmcp::model::ErrorCode;
use rmcp::model::ErrorData;
use rmcp::model::Implementation;
use rmcp::model::InitializeRequestParams;
use rmcp::model::InitializeResult;
use rmcp::model::ListPromptsResult;
use rmcp::model::ListResourceTemplatesResult;
use rmcp::model::ListResourcesResult;
use rmcp::model::ListToolsResult;
use rmcp::model::PaginatedRequestParams;
use rmcp::model::ProtocolVersion;
use rmcp::model::ServerCapabilities;
use rmcp::model::ServerConfig;
use rmcp::model::SubscriptionFilter;
use rmcp::model::Tool;
use rmcp::service::QuitReason;
use rmcp::service::RequestContext;
use rmcp::service::SubscriptionContext;
use rmcp::service::serve_directly;
use rmcp::transport::Transport;
use serde_json::Value;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;

use crate::catalogue::Offer;
use crate::mcp::describe::Form;
use crate::mcp::hold::Said;
use crate::mcp::lines::Lines;
use crate::once;
use crate::once::Once;
use crate::once::text;
use crate::reach::Changes;
use crate::reach::Reach;
use crate::service::Kept;
use crate::service::Missed;
use crate::service::Seat;
use crate::service::Service;
use crate::service::ServiceError;
use crate::service::Wish;
use crate::telemetry::trace::Parent;
use crate::telemetry::trace::TRACEPARENT;

/// Every method that there is; all others are answered with "there is no such method".
pub const METHODS: &[&str] =
    &["initialize", "ping", "server/discover", "subscriptions/listen", "tools/call", "tools/list"];

const INSTRUCTIONS: &str = "\
Each tool runs in a sandbox under a grant of its operator, judged by policies, and every call is on record. A result with \
`isError` says in lines of text what was wrong and what to do: correct the arguments, wait, or ask a person. To make sure \
that a call is made once only, put a text of your own under `ringfence/idempotency-key` into its `_meta` and repeat it \
under the same text. A task of several calls that may be made again from its start has `ringfence/task` there instead, and \
`ringfence/step` for which of its calls this is.";

/// An agent's side of the server.
#[derive(Clone, Debug)]
pub struct Agent {
    service: Arc<Service>,
    seat: Seat,
    /// How a call is given up, where the connection is not all that says it.
    interrupt: Option<Interrupt>,
    /// What each call keeps until it has ended.
    keeps: Option<Arc<dyn Kept>>,
    /// Where calls stand in a trace that do not say it themselves.
    parent: Option<Parent>,
}

impl Agent {
    /// An agent that calls as whoever sits in a seat.
    pub fn new(service: Arc<Service>, seat: Seat) -> Self {
        Self { service, seat, interrupt: None, keeps: None, parent: None }
    }

    /// The same, with calls that stand in a trace.
    #[must_use]
    pub(crate) fn within(self, parent: Option<Parent>) -> Self {
        Self { parent, ..self }
    }

    /// The same, for one message: what is given up is told by others, and something is kept until its call has ended.
    #[must_use]
    pub fn for_one(self, interrupt: Interrupt, keeps: Arc<dyn Kept>) -> Self {
        Self { interrupt: Some(interrupt), keeps: Some(keeps), ..self }
    }

    /// Talks on lines until their end, or until `stop` ends. Calls that still run then are interrupted, and the record
    /// tells of each before this returns.
    pub async fn talk<R, W>(self, read: R, write: W, stop: impl Future<Output = ()>)
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let service = Arc::clone(&self.service);
        // A session that others close or move changes what is listed. Nobody looks for that without a session.
        let looking = Arc::clone(&service);
        let looking = tokio::spawn(async move { looking.keep_looking().await });
        self.serve(Lines::new(read, write), stop).await;
        looking.abort();
        service.idle().await;
    }

    async fn serve(self, transport: impl Transport<RoleServer> + 'static, stop: impl Future<Output = ()>) {
        // The lifecycle is the handler's: a client that begins with something else is answered, not hung up on.
        let (service, seat) = (Arc::clone(&self.service), self.seat.clone());
        let running = serve_directly(self, transport, None);
        let (ending, peer) = (running.cancellation_token(), running.peer().clone());
        let mut ended = std::pin::pin!(running.waiting());
        let quit: Result<QuitReason, _> = tokio::select! {
            quit = &mut ended => quit,
            () = stop => {
                // First, so that nobody takes for a caller's wish what is the host's.
                service.interrupt_all();
                ending.cancel();
                ended.await
            }
            () = tell_of_changes(&service, &seat, &peer) => return,
        };
        drop(quit);
    }

    async fn reach(&self) -> Result<Reach, ErrorData> {
        let unavailable = |error: ServiceError| ErrorData::internal_error(error.to_string(), None);
        self.service.reach(&self.seat).await.map_err(unavailable)
    }

    /// Makes a call that ends early when its client gives it up.
    async fn call(
        &self,
        offer: Offer,
        mut params: CallToolRequestParams,
        context: &Context,
    ) -> Result<CallToolResponse, ErrorData> {
        let key = asked_once(context)?.key(&offer);
        let Some(function) = offer.function() else { return Err(unknown(&params.name)) };
        let form = Form::of(&offer, function);
        let input = match form.input(params.arguments.take().unwrap_or_default()) {
            Ok(input) => input,
            Err(why) => return Ok(answer::bad_arguments(&why).into()),
        };
        if hold::is_declined(&params) {
            // Whoever makes a no up, of a call that nobody was asked about, leaves nothing behind.
            return Ok(match self.service.is_held(&self.seat, &offer, input.clone()).await {
                Ok(true) => answered(&self.decline(&offer, input, context).await, function, form),
                Ok(false) => answer::not_asked().into(),
                Err(error) => answer::not_made(error).into(),
            });
        }
        let mut response = self.make(&offer, (input.clone(), key.clone()), context).await;
        if let Ok(held @ Response { denial: Some(Denial::Held(approval)), .. }) = &response {
            if let Some(question) = hold::as_answer(context, &params, approval) {
                return Ok(question.with_meta(answer::recorded(held)).into());
            }
            // Over HTTP nothing ties what a client says to the request that it was asked in: each message stands for itself.
            let said = if self.interrupt.is_none() { hold::ask(context, approval).await } else { Said::Nothing };
            match said {
                Said::No => response = self.decline(&offer, input, context).await,
                Said::Yes if self.is_offered_still(&offer) => {
                    response = self.make(&offer, (input, key), context).await;
                }
                Said::Nothing | Said::Yes => {}
            }
        }
        Ok(answered(&response, function, form))
    }
}

impl Agent {
    /// Whether something is what is offered under its name now: while a question is open, it may have been revoked.
    fn is_offered_still(&self, offer: &Offer) -> bool {
        let catalogue = self.service.catalogue();
        let now = catalogue.offer(offer.name()).map(|now| now.registered().tool.reference());
        now == Some(offer.registered().tool.reference())
    }

    async fn make(
        &self,
        offer: &Offer,
        (input, key): (Input, Option<IdempotencyKey>),
        context: &Context,
    ) -> Result<Response, ServiceError> {
        let (raise, interrupt) = interrupt();
        let (watcher, told) = progress::told(context);
        let contact = Contact { interrupt, watcher };
        let (keeps, parent) = (self.keeps.clone(), self.parent(context));
        let wish = Wish { offer: offer.clone(), input, key, contact, keeps, parent };
        let made = async {
            let mut made = std::pin::pin!(self.service.call(&self.seat, wish));
            tokio::select! {
                response = &mut made => response,
                () = self.given_up(context) => {
                    raise.raise();
                    made.await
                }
            }
        };
        // What is told of a call comes before its answer.
        tokio::join!(made, told).0
    }

    /// Has it written down that whoever was asked about a call has said no.
    async fn decline(&self, offer: &Offer, input: Input, context: &Context) -> Result<Response, ServiceError> {
        let (keeps, parent) = (self.keeps.clone(), self.parent(context));
        let wish = Wish { offer: offer.clone(), input, key: None, contact: Contact::none(), keeps, parent };
        self.service.decline(&self.seat, wish).await
    }

    /// Has it written down that something was asked for which is not there for who sits here.
    async fn refuse(&self, reach: Reach, params: CallToolRequestParams, context: &Context) -> Result<(), ServiceError> {
        let input = Input { value: params.arguments.map(Value::Object), ..Input::default() };
        let (tool, keeps, parent) = (params.name.into_owned(), self.keeps.clone(), self.parent(context));
        self.service.refuse(&self.seat, reach, Missed { tool, function: None, input, keeps, parent }).await
    }

    /// Where a call stands in a trace. What can't be read is as if it were not there (API-15).
    fn parent(&self, context: &Context) -> Option<Parent> {
        let said = context.meta.get(TRACEPARENT).and_then(Value::as_str);
        said.and_then(|text| text.parse().ok()).or(self.parent)
    }

    /// Ends when whoever has sent a request does not want it any more.
    async fn given_up(&self, context: &Context) {
        let Some(interrupt) = &self.interrupt else { return context.ct.cancelled().await };
        // Up to 2025 who is gone may come again for the answer; from 2026 on going away is how a request is given up.
        let is_bound = context.protocol_version() >= Some(ProtocolVersion::V_2026_07_28);
        tokio::select! {
            () = interrupt.wait() => {}
            () = context.ct.cancelled(), if is_bound => {}
        }
    }
}

type Context = RequestContext<RoleServer>;

/// Tells a client whenever its list of tools may be another one. Never ends.
async fn tell_of_changes(service: &Service, seat: &Seat, peer: &Peer<RoleServer>) {
    let mut changes = Changes::of(service, seat);
    loop {
        changes.next(service, seat).await;
        // Who has not said hello has seen no list, and who is gone needs none.
        if peer.peer_info().is_some() {
            drop(peer.notify_tool_list_changed().await);
        }
    }
}

impl ServerHandler for Agent {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().enable_tool_list_changed().build())
            .with_server_info(Implementation::new("ringfence", env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
    }

    async fn initialize(
        &self,
        request: InitializeRequestParams,
        context: Context,
    ) -> Result<InitializeResult, ErrorData> {
        let agreed = self.negotiate_initialize(&request)?;
        let mut peer = request;
        peer.protocol_version = agreed.protocol_version.clone();
        context.peer.set_peer_info(peer);
        Ok(agreed)
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        _context: Context,
    ) -> Result<ListToolsResult, ErrorData> {
        let after = request.and_then(|request| request.cursor).map(cursor).transpose()?;
        let (reach, catalogue) = (self.reach().await?, self.service.catalogue());
        let offers = catalogue.offers(None).filter(|offer| reach.covers(offer));
        let rest = offers.filter(|offer| after.as_deref().is_none_or(|after| offer.name() > after));
        Ok(page(rest))
    }

    async fn call_tool(&self, request: CallToolRequestParams, context: Context) -> Result<CallToolResponse, ErrorData> {
        let (reach, catalogue) = (self.reach().await?, self.service.catalogue());
        // What can't be reached is not there: nobody learns more of it by its name (API-13).
        let offer = catalogue.offer(&request.name).filter(|offer| reach.covers(offer)).cloned();
        let Some(offer) = offer else {
            let error = unknown(&request.name);
            return match self.refuse(reach, request, &context).await {
                Ok(()) => Err(error),
                Err(failed) => Ok(answer::not_made(failed).into()),
            };
        };
        self.call(offer, request, &context).await
    }

    /// The library takes out what is not declared; whoever wants nothing else listens to nothing.
    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    async fn listen(&self, subscription: SubscriptionContext) -> Result<(), ErrorData> {
        let is_told = subscription.accepted().tools_list_changed == Some(true);
        let mut changes = Changes::of(&self.service, &self.seat);
        loop {
            tokio::select! {
                () = self.given_up(subscription.request_context()) => return Ok(()),
                () = self.service.stopped() => return Ok(()),
                () = changes.next(&self.service, &self.seat), if is_told => {}
            }
            if subscription.sink().notify_tool_list_changed().await.is_err() {
                return Ok(());
            }
        }
    }

    // The protocol library would answer these with empty lists; what is not in the table of methods is not there.

    async fn complete(&self, _request: CompleteRequestParams, _context: Context) -> Result<CompleteResult, ErrorData> {
        Err(no_method("completion/complete"))
    }

    async fn list_prompts(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: Context,
    ) -> Result<ListPromptsResult, ErrorData> {
        Err(no_method("prompts/list"))
    }

    async fn list_resources(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: Context,
    ) -> Result<ListResourcesResult, ErrorData> {
        Err(no_method("resources/list"))
    }

    async fn list_resource_templates(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: Context,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Err(no_method("resources/templates/list"))
    }

    async fn on_custom_request(&self, request: CustomRequest, _context: Context) -> Result<CustomResult, ErrorData> {
        let method = one_line(&request.method);
        if METHODS.contains(&method.as_str()) {
            return Err(ErrorData::invalid_params(format!("`params` are not those of `{method}`"), None));
        }
        Err(no_method(&method))
    }
}

fn answered(response: &Result<Response, ServiceError>, function: &Function, form: Form) -> CallToolResponse {
    match response {
        Ok(response) => answer::result(response, function, form).into(),
        Err(error) => answer::not_made(*error).into(),
    }
}

fn no_method(method: &str) -> ErrorData {
    ErrorData::new(ErrorCode::METHOD_NOT_FOUND, format!("there is no method `{method}`"), None)
}

/// As many as fit a page, and where the next one begins.
fn page<'a>(offers: impl Iterator<Item = &'a Offer>) -> ListToolsResult {
    let (mut tools, mut bytes): (Vec<Tool>, usize) = (Vec::new(), 0);
    for (offer, function) in offers.filter_map(|offer| Some((offer, offer.function()?))) {
        if tools.len() >= limits::OFFERS_PER_PAGE_MAX || bytes >= limits::OFFERS_PAGE_BYTES_MAX {
            let next_cursor = tools.last().map(|last| last.name.to_string());
            return ListToolsResult { tools, next_cursor, ..ListToolsResult::default() };
        }
        let tool = describe::tool(offer, function);
        bytes += serde_json::to_vec(&tool).map_or(0, |tool| tool.len());
        tools.push(tool);
    }
    ListToolsResult { tools, ..ListToolsResult::default() }
}

/// The name after which a page begins. Whoever makes one up sees what they would have seen anyway.
fn cursor(text: String) -> Result<String, ErrorData> {
    let fits = (1..=limits::OFFER_NAME_BYTES_MAX).contains(&text.len()) && text.is_ascii();
    if fits { Ok(text) } else { Err(ErrorData::invalid_params("`cursor` is none that was given out", None)) }
}

fn asked_once(context: &Context) -> Result<Once, ErrorData> {
    let said = |name: &'static str| text(name, context.meta.get(name)).map(|text| (name, text));
    let read = || {
        let (key, task) = (said("ringfence/idempotency-key")?, said("ringfence/task")?);
        Once::read(&once::Said { key, task, step: said("ringfence/step")? })
    };
    read().map_err(|why| ErrorData::invalid_params(why, None))
}

fn unknown(name: &str) -> ErrorData {
    ErrorData::invalid_params(format!("there is no tool `{}`", one_line(name)), None)
}
