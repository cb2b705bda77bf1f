//! What a guest writes to standard output and standard error: kept in memory, up to a limit.
//!
//! The guest that writes beyond the limit is ended there and then: an output that is silently cut would be recorded
//! as if it were the whole.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use thiserror::Error;
use tokio::io::AsyncWrite;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::IsTerminal;
use wasmtime_wasi::cli::StdoutStream;
use wasmtime_wasi::p2::OutputStream;
use wasmtime_wasi::p2::Pollable;
use wasmtime_wasi::p2::StreamError;

use crate::sandbox::Sight;
use crate::sandbox::Watcher;

/// Bytes offered to a guest for one write.
const WRITE_BYTES_MAX: usize = 64 * 1024;

/// The guest wrote more than its limit.
#[derive(Clone, Copy, Debug, Error)]
#[error("the output limit is reached")]
pub(crate) struct OutputLimitReached;

/// Who is told of what is written, and as what.
pub(crate) type Told = (Watcher, fn(Vec<u8>) -> Sight);

/// One stream, shared between the guest that writes and the host that reads it afterwards.
#[derive(Clone, Debug)]
pub(crate) struct CappedOutput {
    bytes_max: usize,
    written: Arc<Mutex<Vec<u8>>>,
    watcher: Option<Told>,
}

impl CappedOutput {
    pub(crate) fn new(bytes_max: u64, watcher: Option<Told>) -> Self {
        Self { bytes_max: usize::try_from(bytes_max).unwrap_or(usize::MAX), written: Arc::default(), watcher }
    }

    /// How much may be written.
    pub(crate) fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// What was written so far; leaves nothing behind.
    pub(crate) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.written.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn append(&self, bytes: &[u8]) -> Result<(), OutputLimitReached> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let room = self.bytes_max.saturating_sub(written.len());
        let kept = bytes.get(..room).unwrap_or(bytes);
        written.extend_from_slice(kept);
        if let Some((watcher, sight)) = self.watcher.as_ref().filter(|_| !kept.is_empty()) {
            watcher.tell(sight(kept.to_vec()));
        }
        if bytes.len() > room { Err(OutputLimitReached) } else { Ok(()) }
    }
}

impl OutputStream for CappedOutput {
    fn write(&mut self, bytes: Bytes) -> Result<(), StreamError> {
        self.append(&bytes).map_err(|error| StreamError::Trap(wasmtime::Error::from(error)))
    }

    fn flush(&mut self) -> Result<(), StreamError> {
        Ok(())
    }

    fn check_write(&mut self) -> Result<usize, StreamError> {
        Ok(WRITE_BYTES_MAX)
    }
}

#[async_trait]
impl Pollable for CappedOutput {
    async fn ready(&mut self) {}
}

impl AsyncWrite for CappedOutput {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.append(bytes).map(|()| bytes.len()).map_err(io::Error::other))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl IsTerminal for CappedOutput {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for CappedOutput {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writing_beyond_the_limit_ends() {
        // OUT-01
        let output = CappedOutput::new(10, None);
        assert!(output.append(b"12345678").is_ok());
        assert!(output.append(b"9abc").is_err());
        assert_eq!(output.take(), b"123456789a");
    }
}
