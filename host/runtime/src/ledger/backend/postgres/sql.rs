//! The statements of a log in `PostgreSQL`, and its schema.
//!
//! Owns every line of SQL. Each question is answered by an index, so none costs more as the log grows. Every name stands
//! with its schema, so that nobody's search path decides what is meant. The schema is a format: a change is a new version.

/// The version of the schema.
pub(super) const SCHEMA_VERSION: i64 = 3;

/// What brings a schema up, by the version it leads to, in order. Each is one transaction.
pub(super) const MIGRATIONS: &[(i64, &str)] = &[(2, ADD_HOSTS), (3, ADD_LISTS)];

/// What lets several hosts share a log: who they are, whose calls are whose, and whether anything was written since.
/// Whoever comes second waits for the pen, and finds that there is nothing left to do.
const ADD_HOSTS: &str = "
DO $$ BEGIN
    PERFORM pg_advisory_xact_lock(1380338737);
    IF (SELECT version FROM ringfence.head) < 2 THEN
        ALTER TABLE ringfence.head ADD COLUMN batches bigint NOT NULL DEFAULT 0;
        ALTER TABLE ringfence.calls ADD COLUMN epoch bigint;
        CREATE TABLE ringfence.hosts (
            epoch bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
            expires timestamptz NOT NULL,
            is_fenced boolean NOT NULL DEFAULT false
        );
        UPDATE ringfence.head SET version = 2;
    END IF;
END $$
";

/// The facts that lists are read from, out of what there is: sessions that are open, and questions that nobody has
/// answered.
const ADD_LISTS: &str = "
DO $$ BEGIN
    PERFORM pg_advisory_xact_lock(1380338737);
    IF (SELECT version FROM ringfence.head) < 3 THEN
        INSERT INTO ringfence.facts (kind, key, value)
            SELECT 'open-session', (t->>'principal') || '~' || replace(t->>'opened', ':', '') || '~' || (t->>'session'), value
            FROM (SELECT convert_from(value, 'UTF8')::json AS t, value FROM ringfence.facts WHERE kind = 'session') s
            WHERE t->>'closed' IS NULL
            UNION ALL
            SELECT 'waiting', replace(t->>'expires', ':', '') || '~' || lpad(t->>'held', 20, '0'), value
            FROM (SELECT convert_from(value, 'UTF8')::json AS t, value FROM ringfence.facts WHERE kind = 'approval') a
            WHERE t->'state'->>'is' = 'pending';
        UPDATE ringfence.head SET version = 3;
    END IF;
END $$
";

/// How a connection behaves: what is committed is on the server's disk, and nobody waits for ever.
pub(super) const SETTINGS: &str = "
SET synchronous_commit = on;
SET search_path = pg_catalog;
SET lock_timeout = '3s';
SET idle_in_transaction_session_timeout = '10s';
SET client_min_messages = error;
";

/// A connection that changes nothing, and sees the log as of one moment, however long it looks.
pub(super) const READ_ONLY: &str = "\
    SET idle_in_transaction_session_timeout = 0; BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";

/// What has to be known of a server before it is trusted with a log.
pub(super) const SERVER: &str = "\
    SELECT current_setting('server_version_num')::bigint, \
    current_setting('fsync') = 'on' AND current_setting('full_page_writes') = 'on', pg_is_in_recovery()";

pub(super) const HAS_LOG: &str = "SELECT to_regclass('ringfence.head') IS NOT NULL";
pub(super) const VERSION: &str = "SELECT version, length FROM ringfence.head";

/// A log that another one is copied into has its version below zero: no host knows such a version.
pub(super) const BEGIN_TO_FILL: &str = "UPDATE ringfence.head SET version = -abs(version) RETURNING version";
pub(super) const FINISH_FILLING: &str =
    "UPDATE ringfence.head SET version = -version WHERE version < 0 RETURNING version";
pub(super) const DROP_UNFINISHED: &str = "\
    DROP TABLE IF EXISTS ringfence.head, ringfence.entries, ringfence.contents, ringfence.calls, ringfence.nodes, \
    ringfence.checkpoints, ringfence.facts, ringfence.hosts";

/// The pen is a lock; its number is `RFL1`. It goes with the connection, and a connection that has it and says nothing
/// ends, so whoever stopped with it keeps nobody waiting for ever.
pub(super) const TAKE_PEN: &str = "\
    SET idle_session_timeout = '10s'; SELECT pg_advisory_lock(1380338737)";
pub(super) const GIVE_PEN: &str = "\
    SELECT pg_advisory_unlock(1380338737); SET idle_session_timeout = 0";
pub(super) const BATCHES: &str = "SELECT batches FROM ringfence.head";

/// The time is the server's, so that no clock of a host matters.
pub(super) const ENTER: &str = "\
    INSERT INTO ringfence.hosts (expires) VALUES (clock_timestamp() + interval '10 s') RETURNING epoch";
pub(super) const RENEW: &str = "\
    UPDATE ringfence.hosts SET expires = clock_timestamp() + interval '10 s' WHERE epoch = $1 AND NOT is_fenced \
    RETURNING epoch";
pub(super) const GIVE_UP: &str = "UPDATE ringfence.hosts SET expires = '-infinity' WHERE epoch = $1 RETURNING epoch";
pub(super) const IS_HOST: &str = "SELECT 1 FROM ringfence.hosts WHERE epoch = $1 AND NOT is_fenced";
pub(super) const LEASE: &str = "\
    SELECT h.is_fenced, h.expires >= clock_timestamp() FROM ringfence.calls c \
    JOIN ringfence.hosts h ON h.epoch = c.epoch WHERE c.call = $1";
/// Under the head's row, so that no batch of theirs is under way.
pub(super) const TAKE_OVER: &str = "
BEGIN;
SELECT 1 FROM ringfence.head FOR UPDATE;
UPDATE ringfence.hosts SET is_fenced = true WHERE expires < clock_timestamp() AND NOT is_fenced;
DELETE FROM ringfence.hosts h WHERE is_fenced AND expires < clock_timestamp() - interval '1 day'
    AND NOT EXISTS (SELECT 1 FROM ringfence.calls c WHERE c.epoch = h.epoch AND c.ended IS NULL);
COMMIT
";

/// Whoever makes a log waits for whoever makes one at the same time, and looks then.
pub(super) const BEGIN_TO_MAKE: &str = "BEGIN; SELECT pg_advisory_xact_lock(1380338737)";

pub(super) const SCHEMA: &str = "
CREATE SCHEMA IF NOT EXISTS ringfence;
CREATE TABLE ringfence.head (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    version bigint NOT NULL,
    length bigint NOT NULL
);
INSERT INTO ringfence.head (version, length) VALUES (1, 0);
CREATE TABLE ringfence.entries (
    idx bigint PRIMARY KEY,
    hash bytea NOT NULL,
    bytes bytea NOT NULL
);
CREATE TABLE ringfence.contents (
    commitment bytea PRIMARY KEY,
    nonce bytea NOT NULL,
    bytes bytea NOT NULL
);
CREATE TABLE ringfence.calls (
    call text COLLATE \"C\" PRIMARY KEY,
    principal text COLLATE \"C\" NOT NULL,
    key bytea,
    fingerprint bytea,
    reach text NOT NULL,
    begun bigint,
    ended bigint,
    effect text,
    settled bigint,
    settlement text
);
CREATE INDEX calls_by_key ON ringfence.calls (principal, key, begun) WHERE key IS NOT NULL;
CREATE INDEX calls_open ON ringfence.calls (begun) WHERE ended IS NULL;
CREATE INDEX calls_unknown ON ringfence.calls (begun) WHERE effect = 'unknown';
CREATE TABLE ringfence.nodes (
    level bigint NOT NULL,
    idx bigint NOT NULL,
    hash bytea NOT NULL,
    PRIMARY KEY (level, idx)
);
CREATE TABLE ringfence.checkpoints (
    size bigint PRIMARY KEY,
    note text NOT NULL
);
CREATE TABLE ringfence.facts (
    kind text COLLATE \"C\" NOT NULL,
    key text COLLATE \"C\" NOT NULL,
    value bytea NOT NULL,
    PRIMARY KEY (kind, key)
);
";

pub(super) const LAST_ENTRY: &str = "SELECT idx, hash, bytes FROM ringfence.entries ORDER BY idx DESC LIMIT 1";
pub(super) const ENTRY: &str = "SELECT idx, hash, bytes FROM ringfence.entries WHERE idx = $1";
pub(super) const ENTRIES: &str = "SELECT idx, hash, bytes FROM ringfence.entries WHERE idx >= $1 ORDER BY idx LIMIT $2";
pub(super) const CONTENT: &str = "SELECT nonce, bytes FROM ringfence.contents WHERE commitment = $1";
pub(super) const CONTENT_LENGTH: &str =
    "SELECT octet_length(bytes)::bigint FROM ringfence.contents WHERE commitment = $1";
pub(super) const CALL: &str = "\
    SELECT call, principal, key, fingerprint, reach, begun, ended, effect, settled, settlement FROM ringfence.calls \
    WHERE call = $1";
pub(super) const CALL_BY_KEY: &str = "\
    SELECT call, principal, key, fingerprint, reach, begun, ended, effect, settled, settlement FROM ringfence.calls \
    WHERE principal = $1 AND key = $2 AND begun IS NOT NULL ORDER BY begun DESC LIMIT 1";
pub(super) const OPEN_CALLS: &str = "\
    SELECT call, principal, key, fingerprint, reach, begun, ended, effect, settled, settlement FROM ringfence.calls \
    WHERE ended IS NULL ORDER BY begun";
pub(super) const UNKNOWN_CALLS: &str = "\
    SELECT call, principal, key, fingerprint, reach, begun, ended, effect, settled, settlement FROM ringfence.calls \
    WHERE effect = 'unknown' AND begun >= $1 ORDER BY begun LIMIT $2";
pub(super) const FACT: &str = "SELECT value FROM ringfence.facts WHERE kind = $1 AND key = $2";
pub(super) const FACTS: &str = "\
    SELECT key, value FROM ringfence.facts WHERE kind = $1 AND key > $2 ORDER BY key LIMIT $3";
pub(super) const NODE: &str = "SELECT hash FROM ringfence.nodes WHERE level = $1 AND idx = $2";
pub(super) const LATEST_CHECKPOINT: &str = "SELECT size, note FROM ringfence.checkpoints ORDER BY size DESC LIMIT 1";
pub(super) const CHECKPOINT_COVERING: &str =
    "SELECT size, note FROM ringfence.checkpoints WHERE size >= $1 ORDER BY size LIMIT 1";

/// Whoever writes holds this row, so batches come one after the other whatever else goes wrong.
pub(super) const TAKE_HEAD: &str = "SELECT length FROM ringfence.head FOR UPDATE";
pub(super) const MOVE_HEAD: &str = "UPDATE ringfence.head SET length = $1, batches = batches + 1 RETURNING batches";
pub(super) const PUT_ENTRIES: &str = "\
    INSERT INTO ringfence.entries (idx, hash, bytes) SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::bytea[])";
pub(super) const PUT_CONTENT: &str = "\
    INSERT INTO ringfence.contents (commitment, nonce, bytes) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
pub(super) const REMOVE_CONTENTS: &str = "DELETE FROM ringfence.contents WHERE commitment = ANY ($1::bytea[])";
pub(super) const PUT_CALL: &str = "\
    INSERT INTO ringfence.calls \
    (call, principal, key, fingerprint, reach, begun, ended, effect, settled, settlement, epoch) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (call) DO UPDATE SET \
    principal = excluded.principal, key = excluded.key, fingerprint = excluded.fingerprint, \
    reach = excluded.reach, begun = excluded.begun, ended = excluded.ended, effect = excluded.effect, \
    settled = excluded.settled, settlement = excluded.settlement, epoch = excluded.epoch";
pub(super) const PUT_NODES: &str = "\
    INSERT INTO ringfence.nodes (level, idx, hash) SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bytea[]) \
    ON CONFLICT DO NOTHING";
pub(super) const PUT_FACT: &str = "\
    INSERT INTO ringfence.facts (kind, key, value) VALUES ($1, $2, $3) \
    ON CONFLICT (kind, key) DO UPDATE SET value = excluded.value";
pub(super) const REMOVE_FACT: &str = "DELETE FROM ringfence.facts WHERE kind = $1 AND key = $2";
pub(super) const PUT_CHECKPOINT: &str = "\
    INSERT INTO ringfence.checkpoints (size, note) VALUES ($1, $2) ON CONFLICT (size) DO UPDATE SET note = excluded.note";

/// The version of the table of heads, which stands with each of them.
pub(super) const HEADS_VERSION: i64 = 1;

pub(super) const HAS_HEADS: &str = "SELECT to_regclass('ringfence_heads.heads') IS NOT NULL";
/// Its number is `RFH1`. Whoever comes second waits, and finds that there is nothing left to do.
pub(super) const MAKE_HEADS: &str = "
DO $$ BEGIN
    PERFORM pg_advisory_xact_lock(1380337713);
    IF to_regclass('ringfence_heads.heads') IS NULL THEN
        CREATE SCHEMA IF NOT EXISTS ringfence_heads;
        CREATE TABLE ringfence_heads.heads (
            origin text COLLATE \"C\" PRIMARY KEY,
            version bigint NOT NULL,
            note text NOT NULL
        );
    END IF;
END $$
";
pub(super) const HEAD: &str = "\
    SELECT version, CASE WHEN octet_length(note) <= $2 THEN note END FROM ringfence_heads.heads WHERE origin = $1";
/// A head of a log that had none, and one in the place of another: each compares and swaps in one statement.
pub(super) const PUT_HEAD: &str = "\
    INSERT INTO ringfence_heads.heads (origin, version, note) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING \
    RETURNING version";
pub(super) const SWAP_HEAD: &str = "\
    UPDATE ringfence_heads.heads SET note = $3 WHERE origin = $1 AND version = $2 AND note = $4 RETURNING version";
/// Like the pen, it goes with the connection, and a connection that has it and says nothing ends.
pub(super) const MIND_SILENCE: &str = "SET idle_session_timeout = '10s'";
pub(super) const ALLOW_SILENCE: &str = "SET idle_session_timeout = 0";
pub(super) const HOLD_HEAD: &str = "SELECT pg_advisory_lock(hashtextextended($1, 1380337713))";
pub(super) const RELEASE_HEAD: &str = "SELECT pg_advisory_unlock(hashtextextended($1, 1380337713))";

/// Deleted rows stay where they were until their table is written anew.
pub(super) const SCRUB: &str = "VACUUM (FULL) ringfence.contents";

#[cfg(test)]
pub(super) const QUESTIONS: &[&str] = &[
    LAST_ENTRY,
    ENTRY,
    ENTRIES,
    CONTENT,
    CONTENT_LENGTH,
    CALL,
    CALL_BY_KEY,
    OPEN_CALLS,
    UNKNOWN_CALLS,
    FACT,
    FACTS,
    NODE,
    LATEST_CHECKPOINT,
    CHECKPOINT_COVERING,
    IS_HOST,
    LEASE,
];
