//! The record: recovery, idempotency, and tampering found and named.
