//! Progress: that something goes on in a call, to a client that has asked for it.
//!
//! What counts is what can be seen of a call: that it runs, what it writes, what it asks for. A line that a tool writes to
//! standard error comes along as text. However much happens, little is sent, and nothing waits for whoever reads it.

use std::time::Duration;

use ringfence_model::limits;
use ringfence_model::outcome::one_line;
use ringfence_runtime::sandbox::Sight;
use ringfence_runtime::sandbox::Sights;
use ringfence_runtime::sandbox::Watcher;
use ringfence_runtime::sandbox::watch;
use rmcp::Peer;
use rmcp::RoleServer;
use rmcp::model::ProgressNotificationParam;
use rmcp::model::ProgressToken;
use tokio::time::Instant;

use crate::mcp::Context;

/// What watches a call, if its client wants to be told; and what tells it, which ends when that has been let go and all is told.
pub(super) fn told(context: &Context) -> (Option<Watcher>, impl Future<Output = ()> + use<>) {
    let wanted = context.meta.get_progress_token().map(|token| (token, watch(limits::SIGHTS_BYTES_MAX)));
    let (watcher, seen) = match wanted {
        Some((token, (watcher, sights))) => (Some(watcher), Some((token, sights))),
        None => (None, None),
    };
    let peer = context.peer.clone();
    (watcher, async move {
        if let Some((token, sights)) = seen {
            tell(&peer, &token, sights).await;
        }
    })
}

async fn tell(peer: &Peer<RoleServer>, token: &ProgressToken, mut sights: Sights) {
    let (mut count, mut text, mut due) = (0_u32, None, Instant::now());
    while let Some(first) = sights.next().await {
        let mut next = Some(first);
        // Whatever happens at the same time is told of together.
        while let Some(sight) = next {
            count = count.saturating_add(1);
            text = said(&sight).or(text);
            next = tokio::time::timeout_at(due, sights.next()).await.unwrap_or_default();
        }
        due = Instant::now() + Duration::from_millis(limits::PROGRESS_MS);
        let mut progress = ProgressNotificationParam::new(token.clone(), f64::from(count));
        progress.message = text.take();
        if peer.notify_progress(progress).await.is_err() {
            return;
        }
    }
}

/// What can be said of what was seen, in a line.
fn said(sight: &Sight) -> Option<String> {
    match sight {
        Sight::Called(_) | Sight::Stdout(_) => None,
        Sight::Started { call, .. } => Some(format!("{call} runs")),
        Sight::Stderr(bytes) => {
            let text = String::from_utf8_lossy(bytes);
            let line = text.lines().rev().find(|line| !line.trim().is_empty())?;
            Some(one_line(line))
        }
    }
}
