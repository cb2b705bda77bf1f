//! The statements of a log in `SQLite`, and its schema.
//!
//! Owns every line of SQL. Each question is answered by an index, so none costs more as the log grows; a test asks
//! `SQLite` for the plan of each. The schema is a format: a change is a new version.

/// `RFL1`: what marks a `SQLite` file as a log.
pub(super) const APPLICATION_ID: i64 = 0x5246_4c31;
/// The version of the schema.
pub(super) const SCHEMA_VERSION: i64 = 5;
/// The first one that has facts.
pub(super) const SCHEMA_WITH_FACTS: i64 = 2;
/// The first one that has settlements.
pub(super) const SCHEMA_WITH_SETTLEMENTS: i64 = 3;
/// The first one that has contents by their entries.
pub(super) const SCHEMA_WITH_ENTRY_CONTENTS: i64 = 4;
/// The first one whose facts have what is listed.
pub(super) const SCHEMA_WITH_LISTS: i64 = 5;

/// What brings a schema up, by the version it leads to, in order. Each is one transaction.
pub(super) const MIGRATIONS: [(i64, &str); 4] = [
    (SCHEMA_WITH_FACTS, ADD_FACTS),
    (SCHEMA_WITH_SETTLEMENTS, ADD_SETTLEMENTS),
    (SCHEMA_WITH_ENTRY_CONTENTS, ADD_ENTRY_CONTENTS),
    (SCHEMA_WITH_LISTS, ADD_LISTS),
];

/// Gives a log without settlements, which is only read, the columns that the questions ask for. It is not written to.
pub(super) const SHOW_SETTLEMENTS: &str = "
PRAGMA temp_store = memory;
CREATE TEMP VIEW calls AS SELECT *, NULL AS settled, NULL AS settlement FROM main.calls;
";

/// The facts that lists are read from, out of what there is: sessions that are open, and questions that nobody has
/// answered. What is no JSON is left to whoever asks for it.
macro_rules! listed {
    () => {
        "
SELECT 'open-session' AS kind, json_extract(t, '$.principal') || '~' || replace(json_extract(t, '$.opened'), ':', '')
    || '~' || json_extract(t, '$.session') AS key, value
FROM (SELECT iif(json_valid(CAST(value AS TEXT)), CAST(value AS TEXT), '{}') AS t, value
    FROM main.facts WHERE kind = 'session')
WHERE json_extract(t, '$.opened') IS NOT NULL AND json_extract(t, '$.closed') IS NULL
UNION ALL
SELECT 'waiting', replace(json_extract(t, '$.expires'), ':', '') || '~' || printf('%020d', json_extract(t, '$.held')), value
FROM (SELECT iif(json_valid(CAST(value AS TEXT)), CAST(value AS TEXT), '{}') AS t, value
    FROM main.facts WHERE kind = 'approval')
WHERE json_extract(t, '$.state.is') = 'pending'"
    };
}

/// Shows what is listed of a log without that, which is only read. It is not written to.
pub(super) const SHOW_LISTS: &str = concat!(
    "PRAGMA temp_store = memory; CREATE TEMP VIEW facts AS SELECT kind, key, value FROM main.facts UNION ALL ",
    listed!(),
    ";"
);

const ADD_LISTS: &str = concat!(
    "BEGIN EXCLUSIVE; INSERT INTO main.facts (kind, key, value) ",
    listed!(),
    "; PRAGMA user_version = 5; COMMIT;"
);

/// What was stored before stays in `contents`, under its commitment.
const ADD_ENTRY_CONTENTS: &str = "
BEGIN EXCLUSIVE;
CREATE TABLE entry_contents (
    id INTEGER PRIMARY KEY,
    nonce BLOB NOT NULL,
    bytes BLOB NOT NULL
) STRICT;
PRAGMA user_version = 4;
COMMIT;
";

const ADD_SETTLEMENTS: &str = "
BEGIN EXCLUSIVE;
ALTER TABLE calls ADD COLUMN settled INTEGER;
ALTER TABLE calls ADD COLUMN settlement TEXT;
CREATE INDEX calls_unknown ON calls (begun) WHERE effect = 'unknown';
PRAGMA user_version = 3;
COMMIT;
";

const ADD_FACTS: &str = "
BEGIN EXCLUSIVE;
CREATE TABLE facts (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;
PRAGMA user_version = 2;
COMMIT;
";

pub(super) const SCHEMA: &str = "
BEGIN EXCLUSIVE;
CREATE TABLE entries (
    idx INTEGER PRIMARY KEY,
    hash BLOB NOT NULL,
    bytes BLOB NOT NULL
) STRICT;
CREATE TABLE contents (
    commitment BLOB PRIMARY KEY,
    nonce BLOB NOT NULL,
    bytes BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE entry_contents (
    id INTEGER PRIMARY KEY,
    nonce BLOB NOT NULL,
    bytes BLOB NOT NULL
) STRICT;
CREATE TABLE calls (
    call TEXT PRIMARY KEY,
    principal TEXT NOT NULL,
    key BLOB,
    fingerprint BLOB,
    reach TEXT NOT NULL,
    begun INTEGER,
    ended INTEGER,
    effect TEXT,
    settled INTEGER,
    settlement TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX calls_by_key ON calls (principal, key, begun) WHERE key IS NOT NULL;
CREATE INDEX calls_open ON calls (begun) WHERE ended IS NULL;
CREATE INDEX calls_unknown ON calls (begun) WHERE effect = 'unknown';
CREATE TABLE nodes (
    level INTEGER NOT NULL,
    idx INTEGER NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (level, idx)
) STRICT, WITHOUT ROWID;
CREATE TABLE checkpoints (
    size INTEGER PRIMARY KEY,
    note TEXT NOT NULL
) STRICT;
CREATE TABLE facts (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;
PRAGMA application_id = 0x52464c31;
PRAGMA user_version = 5;
COMMIT;
";

pub(super) const LAST_INDEX: &str = "SELECT max(idx) FROM entries";
pub(super) const LAST_ENTRY: &str = "SELECT idx, hash, bytes FROM entries ORDER BY idx DESC LIMIT 1";
pub(super) const ENTRY: &str = "SELECT idx, hash, bytes FROM entries WHERE idx = ?1";
pub(super) const ENTRIES: &str = "SELECT idx, hash, bytes FROM entries WHERE idx >= ?1 ORDER BY idx LIMIT ?2";
pub(super) const CONTENT: &str = "SELECT nonce, bytes FROM entry_contents WHERE id = ?1";
pub(super) const CONTENT_LENGTH: &str = "SELECT length(bytes) FROM entry_contents WHERE id = ?1";
pub(super) const OLD_CONTENT: &str = "SELECT nonce, bytes FROM contents WHERE commitment = ?1";
pub(super) const OLD_CONTENT_LENGTH: &str = "SELECT length(bytes) FROM contents WHERE commitment = ?1";
pub(super) const CALL: &str = "\
    SELECT call, principal, key, fingerprint, reach, begun, ended, effect, settled, settlement FROM calls \
    WHERE call = ?1";
pub(super) const CALL_BY_KEY: &str = "\
    SELECT call, principal, key, fingerprint, reach, begun, ended, effect, settled, settlement FROM calls \
    WHERE principal = ?1 AND key = ?2 ORDER BY begun DESC LIMIT 1";
pub(super) const OPEN_CALLS: &str = "\
    SELECT call, principal, key, fingerprint, reach, begun, ended, effect, settled, settlement FROM calls \
    WHERE ended IS NULL ORDER BY begun";
pub(super) const UNKNOWN_CALLS: &str = "\
    SELECT call, principal, key, fingerprint, reach, begun, ended, effect, settled, settlement FROM calls \
    WHERE effect = 'unknown' AND begun >= ?1 ORDER BY begun LIMIT ?2";
pub(super) const FACT: &str = "SELECT value FROM facts WHERE kind = ?1 AND key = ?2";
pub(super) const FACTS: &str = "\
    SELECT key, value FROM facts WHERE kind = ?1 AND key > ?2 ORDER BY key LIMIT ?3";
pub(super) const NODE: &str = "SELECT hash FROM nodes WHERE level = ?1 AND idx = ?2";
pub(super) const LATEST_CHECKPOINT: &str = "SELECT size, note FROM checkpoints ORDER BY size DESC LIMIT 1";
pub(super) const CHECKPOINT_COVERING: &str =
    "SELECT size, note FROM checkpoints WHERE size >= ?1 ORDER BY size LIMIT 1";

pub(super) const PUT_ENTRY: &str = "INSERT INTO entries (idx, hash, bytes) VALUES (?1, ?2, ?3)";
pub(super) const PUT_CONTENT: &str = "\
    INSERT INTO entry_contents (id, nonce, bytes) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
pub(super) const REMOVE_CONTENT: &str = "DELETE FROM entry_contents WHERE id = ?1";
pub(super) const REMOVE_OLD_CONTENT: &str = "DELETE FROM contents WHERE commitment = ?1";
pub(super) const PUT_CALL: &str = "\
    INSERT INTO calls (call, principal, key, fingerprint, reach, begun, ended, effect, settled, settlement) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT (call) DO UPDATE SET \
    principal = excluded.principal, key = excluded.key, fingerprint = excluded.fingerprint, \
    reach = excluded.reach, begun = excluded.begun, ended = excluded.ended, effect = excluded.effect, \
    settled = excluded.settled, settlement = excluded.settlement";
pub(super) const PUT_NODE: &str = "INSERT INTO nodes (level, idx, hash) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
pub(super) const PUT_FACT: &str = "\
    INSERT INTO facts (kind, key, value) VALUES (?1, ?2, ?3) ON CONFLICT (kind, key) DO UPDATE SET value = excluded.value";
pub(super) const REMOVE_FACT: &str = "DELETE FROM facts WHERE kind = ?1 AND key = ?2";
pub(super) const PUT_CHECKPOINT: &str = "\
    INSERT INTO checkpoints (size, note) VALUES (?1, ?2) ON CONFLICT (size) DO UPDATE SET note = excluded.note";

#[cfg(test)]
pub(super) const QUESTIONS: &[&str] = &[
    LAST_INDEX,
    LAST_ENTRY,
    ENTRY,
    ENTRIES,
    CONTENT,
    CONTENT_LENGTH,
    OLD_CONTENT,
    OLD_CONTENT_LENGTH,
    REMOVE_CONTENT,
    REMOVE_OLD_CONTENT,
    CALL,
    CALL_BY_KEY,
    OPEN_CALLS,
    UNKNOWN_CALLS,
    FACT,
    FACTS,
    NODE,
    LATEST_CHECKPOINT,
    CHECKPOINT_COVERING,
];
