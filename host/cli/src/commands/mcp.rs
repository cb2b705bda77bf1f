//! `ringfence mcp`: the registered tools as a server of the Model Context Protocol, over standard input and output.

use std::sync::Arc;

use ringfence_model::ring::Ring;
use ringfence_server::http::metrics::Metrics;
use ringfence_server::mcp::Agent;
use ringfence_server::service::Seat;
use tokio::signal::unix::SignalKind;

use crate::args::McpArgs;
use crate::commands;
use crate::commands::serving;
use crate::commands::serving::Serving;
use crate::error::CommandError;
use crate::error::nothing_offered_hints;
use crate::exit::Exit;
use crate::home::Home;
use crate::output::Output;
use crate::telemetry::Reporting;

pub fn run(home: Home, args: &McpArgs, output: Output) -> Result<Exit, CommandError> {
    let seat = seat(&home, args)?;
    let reporting = Reporting::of(&home)?;
    let Serving { service, log } = serving::open(home, &args.tools, output)?;
    if service.catalogue().is_empty() {
        output.note("warning: no function is offered");
        output.hints(&nothing_offered_hints());
    }
    commands::serve_on_all(async move {
        let stop = serving::asked_to_stop(output)?;
        let hang_up = serving::listen_for(SignalKind::hangup())?;
        let minder = tokio::spawn(Arc::clone(&log).mind());
        let metrics = Arc::new(Metrics::default());
        let counted = Arc::clone(&metrics);
        service.tell(Box::new(move |fate| counted.called(fate)));
        let sending = reporting.start(&service, &metrics, output);
        let reloader = tokio::spawn(serving::reload(Arc::clone(&log), Arc::clone(&service), hang_up, Vec::new()));
        Agent::new(service, seat).talk(tokio::io::stdin(), tokio::io::stdout(), stop).await;
        reloader.abort();
        minder.abort();
        let let_go = serving::let_go(log).await;
        if let Some(sending) = sending {
            sending.end().await;
        }
        let_go
    })?;
    Ok(Exit::Done)
}

/// Who calls: whose session it is, whom the command acts for, or who runs it.
fn seat(home: &Home, args: &McpArgs) -> Result<Seat, CommandError> {
    let ring = args.ring.map(Ring::try_from).transpose();
    let ring = ring.map_err(|error| CommandError::command_line(error.to_string()))?;
    let principal = match args.session {
        Some(id) => home.ledger_read_only()?.open_session_by(id)?.principal,
        None => commands::acting_for(args.principal.as_ref())?,
    };
    Ok(Seat { principal, session: args.session, ring })
}
