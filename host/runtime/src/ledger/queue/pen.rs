//! The pen of a log that several hosts share: one host at a time has it.
//!
//! It is had for all of this process who are inside: the first takes it and learns what others have written, the last one
//! out gives it back. Whoever comes when it was taken a while ago waits for the next time, so that other hosts get it, too.

use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use ringfence_audit::chain::Head;
use ringfence_audit::hash;
use ringfence_model::limits;

use crate::ledger::backend::Backend;
use crate::ledger::error::LedgerError;
use crate::ledger::queue::Queue;
use crate::ledger::queue::lock;

impl Queue {
    /// While what is returned is held no other host writes, so what is read stays true until something is written on it.
    /// `on_news` is called before anybody is let in, if others have written since this host had it last.
    pub(in crate::ledger) fn pen(&self, on_news: impl FnOnce()) -> Result<Pen<'_>, LedgerError> {
        if !self.is_shared {
            return Ok(Pen(None));
        }
        let mut inside = lock(&self.inside);
        while inside.is_moving || (inside.count > 0 && inside.is_over()) {
            inside = self.moved.wait(inside).unwrap_or_else(PoisonError::into_inner);
        }
        if inside.count > 0 {
            inside.count += 1;
            return Ok(Pen(Some(self)));
        }
        inside.is_moving = true;
        drop(inside);
        let mut moving = Moving { queue: self, is_taken: false };
        self.take_pen(on_news)?;
        moving.is_taken = true;
        Ok(Pen(Some(self)))
    }

    fn take_pen(&self, on_news: impl FnOnce()) -> Result<(), LedgerError> {
        let mut door = lock(&self.door);
        door.check()?;
        // Until somebody has looked it stays news, whatever fails meanwhile.
        let taken = door.backend.take_pen();
        door.is_stale |= !matches!(taken, Ok(false));
        taken?;
        if !door.is_stale {
            return Ok(());
        }
        drop(door);
        let seen = self.durable();
        let end = self.read(|backend| Ok(end_of(backend, seen))).flatten().inspect_err(|_| {
            let _ = lock(&self.door).backend.give_pen();
        })?;
        let mut line = lock(&self.line);
        (line.durable, line.head) = (end, end);
        on_news();
        drop(line);
        lock(&self.door).is_stale = false;
        Ok(())
    }
}

/// The pen, for as long as it is held. In a log that nobody else writes to there is nothing to hold.
#[derive(Debug)]
#[must_use]
pub(crate) struct Pen<'a>(Option<&'a Queue>);

impl Drop for Pen<'_> {
    fn drop(&mut self) {
        let Some(queue) = self.0 else { return };
        let mut inside = lock(&queue.inside);
        inside.count = inside.count.saturating_sub(1);
        if inside.count > 0 {
            return;
        }
        inside.is_moving = true;
        drop(inside);
        let _moving = Moving { queue, is_taken: false };
        // If it fails, the connection is gone, and the pen with it. Others need it also where this log has stopped.
        let _ = lock(&queue.door).backend.give_pen();
    }
}

/// Who of this process writes while it has the pen.
#[derive(Debug, Default)]
pub(super) struct Inside {
    count: usize,
    /// Somebody takes the pen or gives it back.
    is_moving: bool,
    since: Option<Instant>,
}

impl Inside {
    fn is_over(&self) -> bool {
        self.since.is_none_or(|since| since.elapsed() > Duration::from_millis(limits::LOG_PEN_MS))
    }
}

/// While the pen is taken or given back. When that is over, and a panic ends it too, whoever waits looks again.
struct Moving<'a> {
    queue: &'a Queue,
    /// Whether whoever moves it is inside then.
    is_taken: bool,
}

impl Drop for Moving<'_> {
    fn drop(&mut self) {
        let mut inside = lock(&self.queue.inside);
        inside.is_moving = false;
        if self.is_taken {
            inside.count = 1;
            inside.since = Some(Instant::now());
        }
        self.queue.moved.notify_all();
    }
}

/// Where the chain ends now. What this host has seen of it has to be there still (AUD-24).
fn end_of(backend: &dyn Backend, seen: Head) -> Result<Head, LedgerError> {
    if let Some(index) = seen.next_index.checked_sub(1) {
        let is_same = backend.entry(index)?.is_some_and(|entry| entry.hash == seen.hash);
        if !is_same {
            let why = "it is not the entry that this host has seen there".to_owned();
            return Err(LedgerError::Corrupt { index, why });
        }
    }
    let Some(last) = backend.head()? else { return Ok(Head::empty()) };
    if hash::leaf(&last.bytes) != last.hash {
        return Err(LedgerError::Corrupt { index: last.index, why: "its bytes do not have its hash".to_owned() });
    }
    Ok(Head { next_index: last.index.saturating_add(1), hash: last.hash })
}
