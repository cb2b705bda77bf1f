//! An output stream into a file: each write is charged before it is made, on the thread that makes it.

use std::fs::File;
use std::io;
use std::mem;
use std::os::unix::fs::FileExt as _;

use bytes::Bytes;
use rustix::io::ReadWriteFlags;
use rustix::io::pwritev2;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::OutputStream;
use wasmtime_wasi::p2::Pollable;
use wasmtime_wasi::p2::StreamError;
use wasmtime_wasi::runtime::AbortOnDropJoinHandle;
use wasmtime_wasi::runtime::spawn_blocking;

use crate::sandbox::filesystem::Late;
use crate::sandbox::filesystem::lookup::Target;
use crate::sandbox::filesystem::refusal::Failure;
use crate::sandbox::filesystem::refusal::QuotaReached;
use crate::sandbox::filesystem::refusal::Refusal;

/// Bytes offered to a guest for one write.
const WRITE_BYTES_MAX: usize = 64 * 1024;

/// Where the next write goes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Position {
    At(u64),
    End,
}

/// The stream.
pub(super) struct QuotaStream {
    target: Target,
    position: Position,
    state: State,
    late: Late,
}

enum State {
    Closed,
    Failed(Failure),
    Idle,
    Writing(AbortOnDropJoinHandle<Result<u64, Failure>>),
}

impl QuotaStream {
    /// A stream into a file. What it is refused is noted in `late`.
    pub(super) fn new(target: Target, position: Position, late: Late) -> Self {
        Self { target, position, state: State::Idle, late }
    }

    /// Ends the stream with what went wrong.
    fn fail(&mut self, failure: Failure) -> StreamError {
        self.state = State::Closed;
        match failure {
            Failure::Refused(refusal) => {
                self.late.note(self.target.shown(), refusal);
                StreamError::LastOperationFailed(QuotaReached.into())
            }
            Failure::System(error) => StreamError::LastOperationFailed(error.into()),
        }
    }

    /// An error if the stream can't go on; whether it waits for a write otherwise.
    fn is_busy(&mut self) -> Result<bool, StreamError> {
        match mem::replace(&mut self.state, State::Closed) {
            State::Closed => Err(StreamError::Closed),
            State::Failed(failure) => Err(self.fail(failure)),
            State::Idle => {
                self.state = State::Idle;
                Ok(false)
            }
            State::Writing(task) => {
                self.state = State::Writing(task);
                Ok(true)
            }
        }
    }
}

#[async_trait]
impl OutputStream for QuotaStream {
    fn write(&mut self, bytes: Bytes) -> Result<(), StreamError> {
        if self.is_busy()? {
            return Err(StreamError::Trap(wasmtime::Error::msg("a stream was written to before it was ready")));
        }
        let (target, position) = (self.target.clone(), self.position);
        self.state = State::Writing(spawn_blocking(move || write(&target, position, &bytes)));
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StreamError> {
        self.is_busy().map(drop)
    }

    fn check_write(&mut self) -> Result<usize, StreamError> {
        Ok(if self.is_busy()? { 0 } else { WRITE_BYTES_MAX })
    }

    async fn cancel(&mut self) {
        if let State::Writing(task) = mem::replace(&mut self.state, State::Closed) {
            task.cancel().await;
        }
    }
}

#[async_trait]
impl Pollable for QuotaStream {
    async fn ready(&mut self) {
        if let State::Writing(task) = &mut self.state {
            let written = task.await;
            self.state = match written {
                Ok(written) => {
                    if let Position::At(position) = &mut self.position {
                        *position = position.saturating_add(written);
                    }
                    State::Idle
                }
                Err(failure) => State::Failed(failure),
            };
        }
    }
}

fn write(target: &Target, position: Position, bytes: &[u8]) -> Result<u64, Failure> {
    let (file, quota) = (&target.file, &target.folder.quota);
    let length = u64::try_from(bytes.len()).map_err(|_| Refusal::QuotaBytes)?;
    match position {
        Position::At(offset) => {
            quota.charge_write(file, Some(offset), length)?;
            file.write_all_at(bytes, offset)?;
        }
        Position::End => {
            quota.charge_write(file, None, length)?;
            append(file, bytes)?;
        }
    }
    Ok(length)
}

/// At the end, wherever that is by then.
fn append(file: &File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = pwritev2(file, &[io::IoSlice::new(bytes)], 0, ReadWriteFlags::APPEND)?;
        bytes = match bytes.get(written..) {
            Some(rest) if written > 0 => rest,
            _ => return Err(io::ErrorKind::WriteZero.into()),
        };
    }
    Ok(())
}
