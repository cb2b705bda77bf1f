//! Steps: how long each part of a call took, for whoever watches over the host. Nothing is decided by it.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

/// A part of a call that may take time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The policies are asked.
    Decide,
    /// A place among the calls that run is waited for.
    Enter,
    /// The intent becomes durable.
    Begin,
    /// The tool runs.
    Run,
    /// The policies judge the outcome.
    Judge,
    /// The outcome becomes durable.
    Finish,
}

impl Step {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Decide => "decide",
            Self::Enter => "enter",
            Self::Begin => "begin",
            Self::Run => "run",
            Self::Judge => "judge",
            Self::Finish => "finish",
        }
    }
}

/// A step that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Which.
    pub step: Step,
    /// When it began.
    pub began: Instant,
    /// How long it took.
    pub took: Duration,
}

/// Notes the steps of one call.
#[derive(Debug, Default)]
pub(super) struct Stopwatch(Mutex<Vec<Taken>>);

impl Stopwatch {
    /// Does something, and notes how long that took.
    pub(super) async fn time<T>(&self, step: Step, work: impl Future<Output = T>) -> T {
        let began = Instant::now();
        let done = work.await;
        let taken = Taken { step, began, took: began.elapsed() };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(taken);
        done
    }

    /// What was noted.
    pub(super) fn taken(self) -> Vec<Taken> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}
