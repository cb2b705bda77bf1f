//! Every maximum in the system, named with its unit.
//!
//! A limit lives here and nowhere else; relations between limits are asserted when this crate is compiled. Limits that
//! an operator may lower are the defaults of a ring's ceiling ([`crate::ring::Ring::ceiling`]); nobody raises them. Where a
//! number is the machine's to say, such as how many calls run at the same time, its default stands here and its maximum.

/// Bytes in a mebibyte.
pub const MIB: u64 = 1024 * 1024;

/// Bytes of a component file.
pub const COMPONENT_BYTES_MAX: u64 = 64 * MIB;
/// Levels of components in one another, the outermost included.
pub const COMPONENT_DEPTH_MAX: usize = 32;
/// Components in one component, at any depth.
pub const COMPONENTS_PER_COMPONENT_MAX: u64 = 1_000;
/// Core modules in one component, at any depth.
pub const MODULES_PER_COMPONENT_MAX: u64 = 256;
/// Functions with a body in one component, at any depth.
pub const FUNCTION_BODIES_MAX: u64 = 200_000;
/// Bytes of one function's body.
pub const FUNCTION_BODY_BYTES_MAX: u64 = 2 * MIB;
/// Locals of all functions of one component.
pub const LOCALS_MAX: u64 = 4_000_000;
/// Data and element segments of all core modules of one component.
pub const SEGMENTS_MAX: u64 = 100_000;
/// Types, imports, exports, globals, aliases and the like in one component, each kind for itself, at any depth.
pub const ITEMS_MAX: u64 = 200_000;
/// Bytes of memory that compiling the largest component may take.
pub const COMPILE_MEMORY_BYTES_MAX: u64 = 4096 * MIB;
/// Bytes of memory that compiling the smallest component may take.
pub const COMPILE_MEMORY_BYTES_BASE: u64 = 512 * MIB;
/// Bytes of memory that each byte of a component adds to that: honest code takes about forty.
pub const COMPILE_MEMORY_BYTES_PER_BYTE: u64 = 64;
/// Bytes of memory below which the compiler can't do anything.
pub const COMPILE_MEMORY_BYTES_MIN: u64 = 64 * MIB;
/// Seconds of processor time that compiling the largest component may take, all threads together.
pub const COMPILE_CPU_SECONDS_MAX: u64 = 600;
/// Seconds of processor time that compiling the smallest component may take.
pub const COMPILE_CPU_SECONDS_BASE: u64 = 60;
/// Seconds of processor time that each mebibyte of a component adds to that: honest code takes about two.
pub const COMPILE_CPU_SECONDS_PER_MIB: u64 = 10;
/// Milliseconds of wall-clock time that compiling one component may take, whatever its size.
pub const COMPILE_WALL_MS_MAX: u64 = 600_000;
/// Threads that compile one component.
pub const COMPILE_THREADS_MAX: usize = 8;
/// Bytes of a component that a module was lifted to: the module, an adapter, and its interfaces once more.
pub const LIFTED_BYTES_MAX: u64 = 2 * COMPONENT_BYTES_MAX;
/// Bytes of a compiled component.
pub const COMPILED_BYTES_MAX: u64 = 512 * MIB;
/// Bytes of a manifest.
pub const MANIFEST_BYTES_MAX: u64 = 256 * 1024;
/// Bytes of the WIT doc comments that a component brings along.
pub const DOCS_BYTES_MAX: usize = 256 * 1024;
/// Bytes of a file that holds a key, a password, or what tokens are known by.
pub const KEY_FILE_BYTES_MAX: u64 = 4 * MIB;
/// Bytes of the operator's configuration.
pub const CONFIG_BYTES_MAX: u64 = MIB;
/// Bytes of the name that a tool is registered by.
pub const TOOL_NAME_BYTES_MAX: usize = 64;
/// Differences between two versions of a tool that are shown; more are only counted.
pub const DIFFERENCES_SHOWN_MAX: usize = 100;
/// Bytes of a tool's signature.
pub const SIGNATURE_BYTES_MAX: u64 = 16 * 1024;
/// Bytes of a bundle of cosign's: a signature, a certificate, entries of logs.
pub const COSIGN_BUNDLE_BYTES_MAX: u64 = 256 * 1024;
/// Bytes of a file of roots that bundles with certificates lead to: sigstore's has ten thousand.
pub const TRUSTED_ROOT_BYTES_MAX: u64 = 1024 * 1024;
/// Seconds that a registry may take for all of a tool.
pub const REGISTRY_WAIT_S: u64 = 300;
/// Seconds that a registry may take to answer, or between two parts of its answer.
pub const REGISTRY_CONNECT_WAIT_S: u64 = 20;
/// Functions of one tool.
pub const FUNCTIONS_PER_TOOL_MAX: usize = 1_024;
/// Fields of an input that the idempotency key of a call is made from.
pub const ID_FIELDS_MAX: usize = 16;
/// Bytes of a JSON Schema that a described tool brings along.
pub const SCHEMA_BYTES_MAX: usize = 256 * 1024;
/// Bytes of all JSON Schemas that a described tool brings along.
pub const SCHEMA_BYTES_PER_TOOL_MAX: usize = 1024 * 1024;
/// Levels of a JSON Schema once every reference in it is replaced by what it leads to: a validator recurses that deep.
pub const SCHEMA_DEPTH_MAX: usize = 512;
/// References of a JSON Schema that lead through one another.
pub const SCHEMA_REFERENCES_MAX: usize = 64;
/// Nodes of a JSON Schema once every reference in it is replaced by what it leads to.
pub const SCHEMA_NODES_MAX: u64 = 10_000;
/// Nodes of a value times nodes of the unfolded JSON Schema it is checked against: a few seconds at worst.
pub const SCHEMA_WORK_MAX: u64 = 50_000_000;

/// Bytes that one pattern of a guest's schema may take when compiled.
pub const PATTERN_BYTES_MAX: usize = 64 * 1024;

/// Decisions within a call that its trace tells of.
pub const TRACE_DECISIONS_MAX: usize = 256;
/// Of those, permits.
pub const TRACE_DECISIONS_ALLOWED_MAX: usize = 128;
/// Tools that were admitted and not called yet; of more than these, the admission is not written down with a call.
pub const ADMISSIONS_MAX: usize = 4_096;
/// Redactions that one policy may ask for in one decision.
pub const REDACTIONS_MAX: usize = 10_000;
/// Parts of one string that a redaction may take out.
pub const SPANS_MAX: usize = 10_000;
/// Bytes of a JSON Pointer.
pub const POINTER_BYTES_MAX: usize = 4_096;
/// Patterns of who may approve in one demand.
pub const APPROVERS_MAX: usize = 64;
/// Milliseconds that an approval may stand.
pub const APPROVAL_MS_MAX: u64 = 30 * 86_400_000;
/// Milliseconds that an answer may be kept for.
pub const CACHE_MS_MAX: u64 = 30 * 86_400_000;
/// Bytes of an agent's messages that are decided on together.
pub const TRANSCRIPT_BYTES_MAX: u64 = 4 * MIB;
/// Bytes of an outcome that policies are shown; a larger one is not handed back where one is asked.
pub const ANSWER_BYTES_MAX: usize = 40 * 1024 * 1024;

/// Bytes of a principal's name.
pub const PRINCIPAL_NAME_BYTES_MAX: usize = 256;
/// Bytes of a tool's or a function's name.
pub const NAME_BYTES_MAX: usize = 256;
/// Bytes of an idempotency key.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 256;
/// Bytes of a call's JSON input.
pub const INPUT_BYTES_MAX: u64 = 4 * MIB;
/// Bytes of a command's standard input.
pub const STDIN_BYTES_MAX: u64 = 64 * MIB;
/// Arguments of a command.
pub const ARGUMENTS_MAX: usize = 1_024;
/// Bytes of all arguments of a command, or of all its environment variables.
pub const ARGUMENT_BYTES_MAX: usize = 256 * 1024;
/// Levels of nesting of a JSON text; deeper than any sensible input, shallower than any stack.
pub const JSON_DEPTH_MAX: usize = 96;
/// Values in a JSON text: one that is next to nothing as a text takes a hundred times as much as a value.
pub const JSON_VALUES_MAX: usize = 200_000;
/// Values in a JSON text that is on record, or that an operator reads: it holds what came in, and more.
pub const JSON_RECORDED_VALUES_MAX: usize = 10 * JSON_VALUES_MAX;
/// Folders in one grant.
pub const FOLDERS_MAX: usize = 64;
/// Patterns that one folder of a grant denies.
pub const GLOBS_PER_FOLDER_MAX: usize = 64;
/// Bytes of one such pattern.
pub const GLOB_BYTES_MAX: usize = 256;
/// Bytes of a host or guest path in a grant.
pub const PATH_BYTES_MAX: usize = 4_096;

/// Bytes of one rule of a network capability.
pub const RULE_BYTES_MAX: usize = 1_024;
/// Rules of one kind in one grant.
pub const RULES_MAX: usize = 256;
/// Bytes of a URL that a guest asks for.
pub const URL_BYTES_MAX: usize = 8 * 1024;
/// Bytes of one header of a request or an answer, and of all of them together.
pub const HEADER_BYTES_MAX: usize = 16 * 1024;
/// Bytes that one set of headers takes on the host while a guest builds it.
pub const FIELDS_BYTES_MAX: usize = 32 * 1024;
/// Headers of a request, and of an answer.
pub const HEADERS_MAX: usize = 100;
/// Connections and sockets one call may have open at a time.
pub const CONNECTIONS_MAX: u64 = 16;
/// Requests, connections, datagrams and name lookups of one call.
pub const REQUESTS_MAX: u64 = 1_000;
/// Bytes that one call may send over the network, and bytes it may receive.
pub const NETWORK_BYTES_MAX: u64 = 256 * MIB;
/// Milliseconds until a connection stands, TLS included.
pub const CONNECT_MS_MAX: u64 = 10_000;
/// Milliseconds until an answer starts, and between two pieces of it.
pub const ANSWER_MS_MAX: u64 = 60_000;
/// Addresses of one name that are looked at.
pub const ADDRESSES_PER_NAME_MAX: usize = 32;

/// Units of fuel of one call; about one each WebAssembly instruction.
pub const FUEL_PER_CALL_MAX: u64 = 1_000_000_000_000;
/// Units of fuel after which a tool lets other work on its thread go on; this bounds how late a deadline is noticed.
/// A host call costs the guest next to no fuel, however long it takes, so this also bounds how many of them fit in
/// between: a few thousand, each of them bounded in turn (RES-10).
pub const FUEL_YIELD_INTERVAL: u64 = 50_000;
/// Bytes of standard output, of standard error and of the returned value of one call, each.
pub const OUTPUT_BYTES_MAX: u64 = 8 * MIB;
/// Bytes that one call may add to all its folders together.
pub const WRITE_BYTES_MAX: u64 = 1024 * MIB;
/// Files, folders and links that one call may create in all its folders together.
pub const FILES_MAX: u64 = 100_000;
/// Open handles of one call.
pub const HANDLES_MAX: u64 = 1_024;
/// Bytes the host may allocate for one value that passes between guest and host.
pub const HOST_CALL_BYTES_MAX: u64 = 64 * MIB;
/// Bytes of random data a guest may ask for at once.
pub const RANDOM_BYTES_MAX: u64 = 4 * 1024;
/// Table elements of one call.
pub const TABLE_ELEMENTS_MAX: usize = 100_000;
/// Core instances, memories and tables in one component.
pub const CORE_INSTANCES_PER_COMPONENT_MAX: u32 = 64;
/// Calls and decisions that hold an instance at the same time. Each reserves address space, and no memory.
pub const INSTANCES_MAX: u32 = 1_024;
/// Calls that run at the same time in one host, unless the configuration has another number.
pub const CONCURRENT_CALLS: u32 = 64;
/// Calls that run at the same time in each ring, by its number, unless the configuration has another.
pub const CONCURRENT_CALLS_PER_RING: [u32; 4] = [32, 16, 8, 4];
/// Calls of one tool that run at the same time, unless the configuration has another number.
pub const CONCURRENT_CALLS_PER_TOOL: u32 = 32;
/// Calls of one principal that run at the same time, unless the configuration has another number.
pub const CONCURRENT_CALLS_PER_PRINCIPAL: u32 = 32;
/// The most that each of these can be configured to.
pub const CONCURRENT_CALLS_MAX: u32 = 512;
/// Calls that wait for others to end, in each ring.
pub const QUEUED_CALLS_PER_RING_MAX: u32 = 128;
/// Milliseconds that a call waits for others to end.
pub const QUEUE_WAIT_MS_MAX: u64 = 10_000;
/// Milliseconds after which whoever was told that the host is busy may try again.
pub const RETRY_AFTER_MS: u64 = 1_000;
/// Bytes of a guest's stack.
pub const STACK_BYTES_MAX: usize = 512 * 1024;
/// Bytes of the native stack a guest and the host calls below it share.
pub const ASYNC_STACK_BYTES: usize = 2 * 1024 * 1024;
/// Host calls kept in a trace; later ones are only counted.
pub const TRACE_EVENTS_MAX: usize = 256;
/// Of these, host calls that were let through: the rest of a trace is kept for refusals.
pub const TRACE_ALLOWED_MAX: usize = 128;
/// Bytes of one line of a guest's own text that is repeated in an error message.
pub const GUEST_TEXT_BYTES_MAX: usize = 512;

/// Fuel of one policy decision: about a fifth of a second at worst.
pub const POLICY_FUEL_MAX: u64 = 200_000_000;
/// Bytes of memory of one policy decision.
pub const POLICY_MEMORY_BYTES_MAX: u64 = 64 * MIB;
/// Bytes the host may allocate for one verdict.
pub const POLICY_REPLY_BYTES_MAX: u64 = 256 * 1024;
/// Policies in one set.
pub const POLICIES_PER_SET_MAX: usize = 32;
/// Cases in one table.
pub const CASES_MAX: usize = 10_000;
/// Policies that a replay holds loaded at a time.
pub const REPLAY_POLICIES_MAX: usize = 64;
/// Decisions that a replay or a comparison lists one by one; later ones are only counted.
pub const DECISIONS_LISTED_MAX: usize = 10_000;
/// Reasons in one verdict.
pub const REASONS_MAX: usize = 32;
/// Codes of reasons that an entry keeps of one verdict.
pub const REASONS_RECORDED_MAX: usize = 8;
/// Bytes of a reason's code.
pub const REASON_CODE_BYTES_MAX: usize = 64;
/// Bytes of a reason's text.
pub const REASON_TEXT_BYTES_MAX: usize = 512;
/// Obligations in one verdict.
pub const OBLIGATIONS_MAX: usize = 32;

/// Bytes of the name that a function is offered by to agents: clients take no longer ones.
pub const OFFER_NAME_BYTES_MAX: usize = 64;
/// Functions on one page of a list that agents are shown.
pub const OFFERS_PER_PAGE_MAX: usize = 100;
/// Bytes of descriptions and schemas after which such a page ends.
pub const OFFERS_PAGE_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of one message of an agent's client.
pub const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes of the id of such a message.
pub const MESSAGE_ID_BYTES_MAX: usize = 256;
/// Bytes of the name of a version of that protocol.
pub const PROTOCOL_VERSION_BYTES_MAX: usize = 32;
/// Bytes of what keeps the ids of one client's requests from those of another who shares its token.
pub const CLIENT_ID_BYTES_MAX: usize = 128;
/// Requests of one connection that are worked on at the same time.
pub const REQUESTS_PER_CONNECTION_MAX: usize = 128;
/// Answers of one connection that wait for their reader.
pub const ANSWERS_QUEUED_MAX: usize = 16;
/// Milliseconds that somebody at a client has to answer a question.
pub const ELICITATION_MS_MAX: u64 = 600_000;
/// Milliseconds that taking a question back may take.
pub const ELICITATION_END_MS_MAX: u64 = 1_000;
/// Milliseconds between two notifications that something goes on in a call.
pub const PROGRESS_MS: u64 = 100;
/// Bytes of a schema that is repeated to an agent whose input does not fit it.
pub const SCHEMA_SHOWN_BYTES_MAX: usize = 2_048;
/// Refused host calls that an agent is told of with a result.
pub const REFUSED_SHOWN_MAX: usize = 4;
/// Milliseconds that a log is kept open after a call of a process that shares it with others.
pub const LOG_LINGER_MS: u64 = 250;
/// Milliseconds that a host has the pen of a shared log, after which nobody else of it is let in before other hosts had it.
pub const LOG_PEN_MS: u64 = 50;
/// Milliseconds that a host of a shared log may not be heard of before others take over its calls.
pub const HOST_LEASE_MS: u64 = 10_000;
/// Milliseconds before the end of its lease from which a host stops what it runs.
pub const HOST_LEASE_MARGIN_MS: u64 = 1_000;
/// Milliseconds between two checkpoints of a process that keeps the log open, if anything was recorded.
pub const CHECKPOINT_MS: u64 = 1_000;
/// Connections that a server of HTTP has at the same time, of which [`HTTP_STREAMS_MAX`] are for streams: of more, for more.
pub const HTTP_CONNECTIONS_MAX: usize = 1_024;
/// File descriptors that connections leave to everything else, where a process may have twice as many; else they leave half.
pub const DESCRIPTORS_KEPT: u64 = 2_048;
/// Requests that it works on at the same time.
pub const HTTP_REQUESTS_MAX: usize = 512;
/// Requests of one principal that it reads or works on at the same time.
pub const HTTP_REQUESTS_PER_PRINCIPAL_MAX: usize = HTTP_REQUESTS_MAX / 4;
/// Bytes of bodies that it holds at the same time.
pub const HTTP_BODIES_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of bodies of one principal that it holds at the same time.
pub const HTTP_BODIES_BYTES_PER_PRINCIPAL_MAX: usize = HTTP_BODIES_BYTES_MAX / 4;
/// Answers of a server of HTTP that are sent as they come about, at the same time, unless it is configured otherwise.
pub const HTTP_STREAMS_MAX: usize = 256;
/// Of how many of these one goes to one principal.
pub const HTTP_STREAMS_PER_PRINCIPAL_SHARE: usize = 8;
/// Answers of these to one principal.
pub const HTTP_STREAMS_PER_PRINCIPAL_MAX: usize = HTTP_STREAMS_MAX / HTTP_STREAMS_PER_PRINCIPAL_SHARE;
/// Answers of a server that are sent as they come about, at the same time, if its operator wants more than by default.
pub const HTTP_STREAMS_CONFIGURED_MAX: usize = 16_384;
/// Bytes of the input that is kept of a call which could not be tried.
pub const UNREACHED_INPUT_BYTES_MAX: usize = 64 * 1024;
/// Calls that could not be tried which are written down of one principal, in a minute.
pub const UNREACHED_PER_MINUTE_MAX: u32 = 120;
/// Calls of one principal that may be refused in a minute before a server turns them away; those that are under way by then
/// come on top.
pub const DENIED_PER_MINUTE_MAX: u32 = 300;
/// Bytes of the inputs of these, each of which is kept with its refusal.
pub const DENIED_BYTES_PER_MINUTE_MAX: usize = 64 * 1024 * 1024;
/// Questions that wait for somebody's answer, which are looked at for one page of those that wait for whoever asks.
pub const APPROVALS_READ_MAX: usize = 1_000;
/// Bytes of the input that an approver is shown of what is held.
pub const APPROVAL_INPUT_BYTES_MAX: usize = 64 * 1024;
/// Milliseconds that an answer lasts that tells of the log: whoever reads it comes again.
pub const HTTP_STREAM_MS_MAX: u64 = 3_600_000;
/// Events of one stream that wait for their reader.
pub const STREAM_EVENTS_QUEUED_MAX: usize = 4;
/// Milliseconds after which a stream says that it is still there.
pub const STREAM_SILENCE_MS_MAX: u64 = 15_000;
/// Entries that one stream reads at a time.
pub const EVENTS_READ_MAX: usize = 64;
/// Milliseconds after which a stream looks whether it may go on, while its reader keeps it waiting.
pub const STREAM_CHECK_MS: u64 = 1_000;
/// Milliseconds before a stream reads on after a part of the log of which it may show nothing.
pub const EVENTS_PAUSE_MS: u64 = 5;
/// Milliseconds after which a server looks for what other processes have written.
pub const EVENTS_POLL_MS: u64 = 5_000;
/// The same, while a call runs.
pub const EVENTS_BUSY_POLL_MS: u64 = 250;
/// Bytes of what happened in a call that wait for whoever watches it.
pub const SIGHTS_BYTES_MAX: usize = 1024 * 1024;
/// Milliseconds after which a server tries again that could not open its log.
pub const READY_RETRY_MS: u64 = 2_000;
/// Bytes that one value of a document takes, in the forms that it has at the same time.
pub const JSON_VALUE_BYTES: usize = 200;
/// Bytes of the values that bodies become, as long as they are worked on.
pub const HTTP_VALUES_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Bytes of the values of one principal's bodies.
pub const HTTP_VALUES_BYTES_PER_PRINCIPAL_MAX: usize = HTTP_VALUES_BYTES_MAX / 4;
/// Connections of these that have not agreed on TLS yet; of more, the oldest is hung up on.
pub const HTTP_HANDSHAKES_MAX: usize = HTTP_CONNECTIONS_MAX / 4;
/// Bytes of a file of revocation lists.
pub const REVOCATIONS_BYTES_MAX: u64 = 16 * MIB;
/// Files of revocation lists.
pub const REVOCATION_FILES_MAX: usize = 16;
/// Milliseconds that agreeing on TLS may take.
pub const HTTP_HANDSHAKE_MS_MAX: u64 = 10_000;
/// Names in a client's certificate; one with more of them is nobody's.
pub const CERTIFICATE_NAMES_MAX: usize = 64;
/// Bytes of such a name.
pub const CERTIFICATE_NAME_BYTES_MAX: usize = 2_048;
/// Milliseconds for which a certificate that is believed is not looked at again.
pub const CERTIFICATE_BELIEVED_MS: u64 = 10_000;
/// Calls that wait to be told of to a collector of telemetry; later ones are not told of.
pub const TELEMETRY_CALLS_QUEUED_MAX: usize = 2_048;
/// Calls that a collector is told of at a time.
pub const TELEMETRY_BATCH_CALLS_MAX: usize = 256;
/// Milliseconds that are waited for more calls to tell of at a time.
pub const TELEMETRY_BATCH_MS: u64 = 1_000;
/// Milliseconds after which a collector is told of numbers again.
pub const TELEMETRY_METRICS_MS: u64 = 60_000;
/// Milliseconds that telling it once may take.
pub const TELEMETRY_POST_MS_MAX: u64 = 10_000;
/// How often it is told of the same.
pub const TELEMETRY_TRIES_MAX: u32 = 5;
/// Milliseconds before the second time, and twice as many before each that follows.
pub const TELEMETRY_RETRY_MS: u64 = 1_000;
/// Milliseconds that telling of what is left may hold up the end of a server.
pub const TELEMETRY_END_MS_MAX: u64 = 3_000;
/// Bytes of a collector's answer.
pub const TELEMETRY_ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Headers that a collector is sent besides those of every request.
pub const TELEMETRY_HEADERS_MAX: usize = 16;
/// Bytes of the file that they stand in.
pub const TELEMETRY_HEADERS_BYTES_MAX: usize = 16 * 1024;
/// Bytes of the name that a host calls itself there.
pub const TELEMETRY_NAME_BYTES_MAX: usize = 128;
/// Bytes of the head of a request.
pub const HTTP_HEAD_BYTES_MAX: usize = 16 * 1024;
/// Headers of a request.
pub const HTTP_HEADERS_MAX: usize = 64;
/// Milliseconds until the head of a request is there.
pub const HTTP_HEAD_MS_MAX: u64 = 10_000;
/// Milliseconds until the body of a request is there.
pub const HTTP_BODY_MS_MAX: u64 = 30_000;
/// Bytes of a body that says little.
pub const HTTP_SMALL_BODY_BYTES_MAX: usize = 16 * 1024;
/// Bytes of one value in a query.
pub const HTTP_QUERY_VALUE_BYTES_MAX: usize = 256;
/// Items on one page of a list.
pub const HTTP_PAGE_ITEMS_MAX: usize = 100;
/// Bytes of items after which such a page ends.
pub const HTTP_PAGE_BYTES_MAX: usize = 1024 * 1024;
/// Entries of the log on one page.
pub const LOG_PAGE_ENTRIES_MAX: usize = 256;
/// Milliseconds that a request may take that runs nothing.
pub const HTTP_QUICK_MS_MAX: u64 = 30_000;
/// Milliseconds that a request may take that makes a call: longer than any ring lets one run and wait.
pub const HTTP_CALL_MS_MAX: u64 = 660_000;
/// Sessions of one principal that are open at the same time, where a server opens one.
pub const SESSIONS_PER_PRINCIPAL_MAX: usize = 64;
/// Functions, or tools with all of theirs, that a session may be held to.
pub const SESSION_FUNCTIONS_MAX: usize = 64;
/// Bytes of a file that says what bounds a session: what it says stands in an entry.
pub const SESSION_CEILING_BYTES_MAX: u64 = 16 * 1024;
/// Milliseconds after which a connection ends whose client takes nothing of what it is sent.
pub const HTTP_WRITE_MS_MAX: u64 = 20_000;
/// Bytes of answers that wait for their readers, for everybody together.
pub const HTTP_UNREAD_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Bytes of answers to one principal that wait: more of them, and the oldest goes.
pub const HTTP_UNREAD_BYTES_PER_PRINCIPAL_MAX: usize = HTTP_UNREAD_BYTES_MAX / 4;
/// Bytes of an answer that are handed on at a time; one that is no larger is not counted.
pub const HTTP_PIECE_BYTES: usize = 64 * 1024;
/// Milliseconds that calls have to end in when a server is told to stop.
pub const HTTP_STOP_MS_MAX: u64 = 20_000;
/// Milliseconds that connections have to end in after the calls.
pub const HTTP_CLOSE_MS_MAX: u64 = 2_000;

/// Remarks of a server that wait for whoever reads its standard error.
pub const REMARKS_WAITING_MAX: usize = 256;
/// Milliseconds that a server which ends waits until its last remarks are read.
pub const REMARKS_FLUSH_MS_MAX: u64 = 1_000;

/// Bytes of one ledger entry: what an auditor has to hold in memory at a time. In a bundle of published entries the
/// length is written in two bytes.
pub const ENTRY_BYTES_MAX: usize = u16::MAX as usize;
/// Bytes of a checkpoint.
pub const CHECKPOINT_BYTES_MAX: usize = 16 * 1024;
/// Bytes of a receipt.
pub const RECEIPT_BYTES_MAX: u64 = MIB;
/// Bytes of a proof that a log goes on: a checkpoint, and the hashes of one proof.
pub const EXTENSION_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a bundle.
pub const BUNDLE_BYTES_MAX: u64 = 256 * MIB;
/// Entries of a bundle.
pub const BUNDLE_ENTRIES_MAX: usize = 10_000;
/// Bytes of a bundle's first line, which names everything in it.
pub const BUNDLE_HEADER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Contents of one entry in a bundle: no entry commits to more.
pub const CONTENTS_PER_ENTRY_MAX: usize = 7;
/// Contents that one entry says were removed; of more there are several entries.
pub const REMOVED_PER_ENTRY_MAX: usize = 500;
/// Bytes of what an operator writes down beside a removal.
pub const REMARK_BYTES_MAX: usize = 512;
/// Files of a backup.
pub const BACKUP_FILES_MAX: usize = 10_000;
/// Bytes of the list of a backup's files.
pub const BACKUP_LIST_BYTES_MAX: u64 = 16 * MIB;
/// Bytes of one content that a page shows.
pub const PAGE_CONTENT_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a page, but for what the last entry on it makes it longer.
pub const PAGE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Bytes of what is said about one finding: it may repeat what was found.
pub const FINDING_TEXT_BYTES_MAX: usize = 4 * 1024;
/// Hashes in an inclusion proof: enough for 2^64 entries.
pub const PROOF_HASHES_MAX: usize = 64;
/// Keys of one log, one after the other: what a verifier has to hold in memory.
pub const LOG_KEYS_MAX: usize = 1_000;
/// The largest integer an entry may hold: every JSON reader keeps it exactly (RFC 7493).
pub const ENTRY_INTEGER_MAX: u64 = (1 << 53) - 1;

const _: () = {
    assert!(STACK_BYTES_MAX * 2 <= ASYNC_STACK_BYTES, "host calls need stack below the guest's");
    assert!(CONCURRENT_CALLS_MAX < INSTANCES_MAX, "decisions and descriptions need instances beside running calls");
    assert!(OUTPUT_BYTES_MAX <= HOST_CALL_BYTES_MAX, "a value within its limit must fit through a host call");
    assert!(FUEL_PER_CALL_MAX <= ENTRY_INTEGER_MAX, "fuel used is written in entries");
    assert!(FUEL_YIELD_INTERVAL < FUEL_PER_CALL_MAX);
    assert!(POLICY_FUEL_MAX < FUEL_PER_CALL_MAX);
    assert!(TRACE_ALLOWED_MAX < TRACE_EVENTS_MAX, "what is refused always has room in a trace");
    assert!(
        POLICIES_PER_SET_MAX * (512 + NAME_BYTES_MAX + REASONS_RECORDED_MAX * (REASON_CODE_BYTES_MAX + 3))
            < ENTRY_BYTES_MAX,
        "what every policy of a set said must fit an entry"
    );
    assert!(
        COMPILE_MEMORY_BYTES_MIN < COMPILE_MEMORY_BYTES_BASE && COMPILE_MEMORY_BYTES_BASE < COMPILE_MEMORY_BYTES_MAX
    );
    assert!(
        COMPONENT_BYTES_MAX + COMPILED_BYTES_MAX < COMPILE_MEMORY_BYTES_MAX,
        "a component must fit beside its code"
    );
    assert!(COMPILE_CPU_SECONDS_BASE < COMPILE_CPU_SECONDS_MAX);
    assert!(
        SESSION_FUNCTIONS_MAX * (TOOL_NAME_BYTES_MAX + NAME_BYTES_MAX + 4) < ENTRY_BYTES_MAX / 2,
        "what a session is held to fits an entry"
    );
    assert!(JSON_DEPTH_MAX < 128, "the parser's own limit must not strike first");
    assert!(INPUT_BYTES_MAX <= HOST_CALL_BYTES_MAX);
    assert!(REMOVED_PER_ENTRY_MAX * 64 + REMARK_BYTES_MAX * 12 < ENTRY_BYTES_MAX, "what was removed fits an entry");
    let names = BUNDLE_ENTRIES_MAX * 20 + BUNDLE_ENTRIES_MAX * CONTENTS_PER_ENTRY_MAX * 34;
    assert!(names + 2 * CHECKPOINT_BYTES_MAX < BUNDLE_HEADER_BYTES_MAX, "a first line holds everything it may name");
    assert!(STDIN_BYTES_MAX * 2 < BUNDLE_BYTES_MAX, "a bundle has room for the largest call");
    assert!(JSON_DEPTH_MAX < SCHEMA_DEPTH_MAX, "a schema without references is never too deep");
    assert!(SCHEMA_BYTES_MAX <= SCHEMA_BYTES_PER_TOOL_MAX);
    assert!(TOOL_NAME_BYTES_MAX <= NAME_BYTES_MAX, "a registered tool's name is written in entries");
    assert!(INPUT_BYTES_MAX * 2 <= 8 * MIB && MESSAGE_BYTES_MAX == 8 * 1024 * 1024, "an input must fit a message");
    assert!(TOOL_NAME_BYTES_MAX <= OFFER_NAME_BYTES_MAX);
    assert!(MESSAGE_BYTES_MAX <= HTTP_BODIES_BYTES_PER_PRINCIPAL_MAX, "the largest message has room");
    assert!(MESSAGE_BYTES_MAX + JSON_VALUES_MAX * JSON_VALUE_BYTES <= HTTP_VALUES_BYTES_PER_PRINCIPAL_MAX);
    assert!(HTTP_STREAMS_MAX < HTTP_CONNECTIONS_MAX, "there are connections beside streams");
    assert!(
        HTTP_REQUESTS_PER_PRINCIPAL_MAX * HTTP_PAGE_BYTES_MAX <= HTTP_UNREAD_BYTES_PER_PRINCIPAL_MAX,
        "a page for each request"
    );
    assert!(READY_RETRY_MS > LOG_LINGER_MS && EVENTS_POLL_MS > LOG_LINGER_MS, "others get at the log in between");
    assert!(SCHEMA_NODES_MAX < SCHEMA_WORK_MAX, "a small value can be checked against any schema");
};
