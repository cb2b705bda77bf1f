//! Grants: what one call may do.
//!
//! A [`Grant`] has no public constructor but [`Grant::narrow`], which intersects what a call asks for with the ceiling
//! of every layer, and no operation but [`Grant::attenuate`], which shrinks it. So a grant can only shrink: no function
//! takes one and returns a wider one.
//!
//! A layer that does not cover what was asked *refuses*, by name, instead of silently taking it away: a tool that runs
//! with less than it was promised fails in ways nobody understands. Obligations of policies do shrink silently; they
//! are written in the record.

mod network;
mod reading;
mod refusal;

pub use refusal::Refusal;
pub use refusal::Setting;

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::Serialize;
use serde::Serializer;

use crate::capability::Access;
use crate::capability::Asked;
use crate::capability::Ceiling;
use crate::capability::FilesystemCeiling;
use crate::capability::Folder;
use crate::capability::GuestPath;
use crate::capability::LimitCeiling;
use crate::capability::NetworkAsked;
use crate::capability::Source;
use crate::capability::contains;
use crate::decision::Narrowing;
use crate::digest::Digest;
use crate::egress::HostPattern;
use crate::egress::HttpRule;
use crate::egress::Network;
use crate::egress::Rule;
use crate::egress::SocketRule;
use crate::json;
use crate::limits;
use crate::time::Timestamp;

/// Who bounds a grant, in the order the layers are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// The host itself: what is refused to everybody.
    Host,
    /// The tool's manifest: what its author asks for.
    Manifest,
    /// The operator's configuration.
    Operator,
    /// The ring the call runs in.
    Ring,
    /// The session the call belongs to.
    Session,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "host",
            Self::Manifest => "manifest",
            Self::Operator => "operator",
            Self::Ring => "ring",
            Self::Session => "session",
        })
    }
}

/// A capability that was asked for and refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// An address that is not public, for names to lead to.
    Address(Network),
    /// A clock.
    Clock(Source),
    /// An environment variable.
    Environment {
        /// Its name.
        name: String,
    },
    /// A folder, with this access.
    Folder(Folder),
    /// Folders that can't be granted together: the same guest path twice, or one tree both to read and to write.
    FolderPair(Folder, Folder),
    /// Requests over HTTP.
    Http(HttpRule),
    /// A limit above the ceiling.
    Limit {
        /// Its name, as in the configuration.
        name: &'static str,
        /// What was asked for.
        value: u64,
    },
    /// Names to look up.
    Name(HostPattern),
    /// Random bytes.
    Random(Source),
    /// A folder of the call's own, at this guest path.
    Scratch(GuestPath),
    /// A secret, by name.
    Secret(String),
    /// Sockets.
    Socket(SocketRule),
    /// More folders than any grant holds.
    TooManyFolders(usize),
    /// More rules of one kind than any grant holds.
    TooManyRules(usize),
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |folder: &Folder| format!("`{}` as `{}` ({})", folder.host, folder.guest, folder.access);
        match self {
            Self::Address(network) => write!(f, "address `{network}`"),
            Self::Clock(source) => write!(f, "a {source} clock"),
            Self::Environment { name } => write!(f, "environment variable `{name}`"),
            Self::Folder(folder) => write!(f, "folder {}", shown(folder)),
            Self::FolderPair(one, other) => write!(f, "folder {} together with {}", shown(one), shown(other)),
            Self::Http(rule) => write!(f, "requests `{rule}`"),
            Self::Limit { name, value } => write!(f, "`{name}` of {value}"),
            Self::Name(pattern) => write!(f, "looking up `{pattern}`"),
            Self::Random(Source::Fixed) => f.write_str("seeded random bytes"),
            Self::Random(Source::Real) => f.write_str("real random bytes"),
            Self::Scratch(guest) => write!(f, "a scratch folder as `{guest}`"),
            Self::Secret(name) => write!(f, "secret `{}`", crate::outcome::one_line(name)),
            Self::Socket(rule) => write!(f, "sockets `{rule}`"),
            Self::TooManyFolders(count) => write!(f, "{count} folders"),
            Self::TooManyRules(count) => write!(f, "{count} rules of one kind"),
        }
    }
}

/// Upper bounds on what one call may use; every one of them is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Files, folders and links created in all folders together. None at all is left out.
    #[serde(default, skip_serializing_if = "is_none")]
    pub files: u64,
    /// Units of fuel.
    pub fuel: u64,
    /// Open handles.
    pub handles: u64,
    /// Bytes of memory and tables, all of them together.
    pub memory_bytes: u64,
    /// Bytes of standard output, of standard error and of the returned value, each.
    pub output_bytes: u64,
    /// Milliseconds of wall-clock time.
    pub wall_ms: u64,
    /// Bytes added to all folders together. None at all is left out.
    #[serde(default, skip_serializing_if = "is_none")]
    pub write_bytes: u64,
}

/// How far a grant reaches into the world. The order is that of power.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// It can touch nothing: what it does is gone when it ends.
    Nothing,
    /// It can read, and change nothing.
    Reads,
    /// It can change something.
    Writes,
}

/// Upper bounds on what one call may do over the network, all its connections together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct NetworkLimits {
    /// Connections open at a time.
    pub connections: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// Requests, connections and name lookups.
    pub requests: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
}

impl NetworkLimits {
    fn from_bounds(bounds: &LimitCeiling) -> Self {
        let at_most = |bound: Option<u64>, max: u64| bound.unwrap_or(max).min(max);
        Self {
            connections: at_most(bounds.connections, limits::CONNECTIONS_MAX),
            received_bytes: at_most(bounds.received_bytes, limits::NETWORK_BYTES_MAX),
            requests: at_most(bounds.requests, limits::REQUESTS_MAX),
            sent_bytes: at_most(bounds.sent_bytes, limits::NETWORK_BYTES_MAX),
        }
    }
}

/// What one call may reach over the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NetworkGrant {
    /// Addresses that are not public, and that names may lead to all the same.
    pub addresses: Vec<Network>,
    /// Requests over HTTP.
    pub http: Vec<HttpRule>,
    /// Bounds on all of it together.
    pub limits: NetworkLimits,
    /// Names that may be looked up.
    pub names: Vec<HostPattern>,
    /// Secrets, by name.
    pub secrets: Vec<String>,
    /// Sockets.
    pub sockets: Vec<SocketRule>,
}

impl NetworkGrant {
    fn new(asked: &NetworkAsked, limits: NetworkLimits) -> Self {
        let NetworkAsked { addresses, http, names, secrets, sockets } = asked.clone();
        Self { addresses, http, limits, names, secrets, sockets }
    }

    /// What was asked for, without the limits.
    fn asked(&self) -> NetworkAsked {
        let Self { addresses, http, names, secrets, sockets, limits: _ } = self.clone();
        NetworkAsked { addresses, http, names, secrets, sockets }
    }

    /// Whether nothing at all can be reached.
    pub fn is_nothing(&self) -> bool {
        self.http.is_empty() && self.names.is_empty() && self.sockets.is_empty() && self.secrets.is_empty()
    }

    fn attenuate(&mut self, narrowing: &Narrowing) {
        keep_within(&mut self.addresses, narrowing.addresses.as_deref());
        keep_within(&mut self.http, narrowing.http.as_deref());
        keep_within(&mut self.names, narrowing.names.as_deref());
        keep_within(&mut self.secrets, narrowing.secrets.as_deref());
        keep_within(&mut self.sockets, narrowing.sockets.as_deref());
    }
}

/// Cuts rules down to what bounds allow; no bounds, no cut. Where that makes more rules than a grant holds, the rest of
/// them is cut as well: a policy must not be able to grow a grant in size either.
fn keep_within<T: Rule>(rules: &mut Vec<T>, bounds: Option<&[T]>) {
    if let Some(bounds) = bounds {
        let kept = rules.iter().flat_map(|rule| bounds.iter().filter_map(|bound| rule.meet(bound)));
        *rules = kept.take(limits::RULES_MAX).collect();
    }
}

/// What one call may do: folders, environment variables, the network, limits. Serialised, it names the variables and
/// leaves out their values: those may be secret, and the record outlives them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Grant {
    #[serde(skip_serializing_if = "Option::is_none")]
    clock: Option<Timestamp>,
    #[serde(serialize_with = "names")]
    environment: BTreeMap<String, String>,
    folders: Vec<Folder>,
    limits: Limits,
    #[serde(skip_serializing_if = "NetworkGrant::is_nothing")]
    network: NetworkGrant,
    #[serde(skip_serializing_if = "Option::is_none")]
    scratch: Option<GuestPath>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
}

impl Grant {
    /// Narrows what is asked by every layer. `host_state` are folders of the host's own (its home, its caches): nothing
    /// that holds one or lies under one is ever granted (FS-26).
    pub fn narrow(asked: &Asked, layers: &[(Layer, Ceiling)], host_state: &[String]) -> Result<Self, Box<Refusal>> {
        refuse_host_state(&asked.folders, host_state)?;
        refuse_overlaps(&asked.folders)?;
        network::refuse_too_many(&asked.network)?;
        refuse_taken_scratch(asked)?;
        for (layer, ceiling) in layers {
            asked.folders.iter().try_for_each(|folder| check_folder(*layer, ceiling, folder))?;
            asked.environment.keys().try_for_each(|name| check_variable(*layer, ceiling, name))?;
            network::check(*layer, ceiling, &asked.network)?;
            check_sources(*layer, ceiling, asked)?;
            check_limits(*layer, &ceiling.limits, &asked.limits)?;
            check_scratch(*layer, &ceiling.limits, asked.scratch.as_ref())?;
        }
        let bounds = layers.iter().fold(asked.limits, |bounds, (_, ceiling)| bounds.intersect(&ceiling.limits));
        let granted = Self {
            clock: asked.clock,
            environment: asked.environment.clone(),
            folders: asked.folders.clone(),
            limits: Limits::from_bounds(&bounds),
            network: NetworkGrant::new(&asked.network, NetworkLimits::from_bounds(&bounds)),
            scratch: asked.scratch.clone(),
            seed: asked.seed,
        };
        Ok(granted.without_idle_quota())
    }

    /// A grant that touches nothing, within limits.
    pub fn nothing(limits: Limits) -> Self {
        let network = NetworkGrant::new(&NetworkAsked::default(), NetworkLimits::from_bounds(&LimitCeiling::default()));
        let (environment, folders) = (BTreeMap::new(), Vec::new());
        let nothing = Self { clock: None, environment, folders, limits, network, scratch: None, seed: None };
        nothing.without_idle_quota()
    }

    /// Who can write nowhere has nothing to write.
    fn without_idle_quota(mut self) -> Self {
        let writes = self.folders.iter().any(|folder| folder.access == Access::ReadWrite);
        if !writes && self.scratch.is_none() {
            self.limits.files = 0;
            self.limits.write_bytes = 0;
        }
        self
    }

    /// Shrinks the grant as an obligation says. What the obligation does not mention stays.
    #[must_use]
    pub fn attenuate(mut self, narrowing: &Narrowing) -> Self {
        if let Some(roots) = &narrowing.folders {
            // A folder above a root can't be cut down to it, so it goes as a whole.
            self.folders.retain(|folder| roots.iter().any(|root| root.contains(&folder.guest)));
        }
        if narrowing.access == Some(Access::Read) {
            self.folders.iter_mut().for_each(|folder| folder.access = Access::Read);
        }
        if let Some(names) = &narrowing.environment {
            self.environment.retain(|name, _| names.contains(name));
        }
        self.network.attenuate(narrowing);
        let limits = &mut self.limits;
        limits.memory_bytes = narrowing.memory_bytes.unwrap_or(u64::MAX).min(limits.memory_bytes);
        limits.fuel = narrowing.fuel.unwrap_or(u64::MAX).min(limits.fuel);
        limits.wall_ms = narrowing.wall_ms.unwrap_or(u64::MAX).min(limits.wall_ms);
        self.without_idle_quota()
    }

    /// What the call would see of the world, values and all, as a digest: two calls under one idempotency key must agree
    /// in it, else the second would be handed what it can't reach itself. Limits don't count: a retry may have more time.
    pub fn reachable(&self) -> Digest {
        // Serialising strings can't fail.
        let mut parts = serde_json::json!([self.environment, self.folders]);
        let beyond = serde_json::json!({ "clock": self.clock, "network": self.network.asked(), "seed": self.seed });
        if let (serde_json::Value::Array(parts), false) = (&mut parts, self.is_plain()) {
            parts.push(beyond);
        }
        Digest::of(&json::canonical(&parts))
    }

    /// The folders.
    pub fn folders(&self) -> &[Folder] {
        &self.folders
    }

    /// The environment variables.
    pub fn environment(&self) -> &BTreeMap<String, String> {
        &self.environment
    }

    /// What may be reached over the network.
    pub fn network(&self) -> &NetworkGrant {
        &self.network
    }

    /// The time that the clocks show all along, unless they are real.
    pub fn clock(&self) -> Option<Timestamp> {
        self.clock
    }

    /// What random bytes are made from, unless they are random.
    pub fn seed(&self) -> Option<u64> {
        self.seed
    }

    fn is_plain(&self) -> bool {
        self.clock.is_none() && self.seed.is_none() && self.network.is_nothing()
    }

    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Where the guest sees an empty folder of the call's own.
    pub fn scratch(&self) -> Option<&GuestPath> {
        self.scratch.as_ref()
    }

    /// How far it reaches into the world, whatever the tool says of itself. A scratch folder is not the world: it is gone
    /// when the call ends.
    pub fn reach(&self) -> Reach {
        let of = |folder: &Folder| match folder.access {
            Access::Read => Reach::Reads,
            Access::ReadWrite => Reach::Writes,
        };
        // A request may change something at the other end, whatever its method promises.
        let network = if self.network.is_nothing() { Reach::Nothing } else { Reach::Writes };
        self.folders.iter().map(of).chain([network]).max().unwrap_or(Reach::Nothing)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_none(count: &u64) -> bool {
    *count == 0
}

fn names<S: Serializer>(environment: &BTreeMap<String, String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(environment.keys())
}

impl Limits {
    /// The bounds, and for a missing one what nobody may exceed.
    pub fn from_bounds(bounds: &LimitCeiling) -> Self {
        let at_most = |bound: Option<u64>, max: u64| bound.unwrap_or(max).min(max);
        Self {
            files: at_most(bounds.files, limits::FILES_MAX),
            fuel: at_most(bounds.fuel, limits::FUEL_PER_CALL_MAX),
            handles: at_most(bounds.handles, limits::HANDLES_MAX),
            memory_bytes: at_most(bounds.memory_bytes, 1024 * limits::MIB),
            output_bytes: at_most(bounds.output_bytes, limits::OUTPUT_BYTES_MAX),
            wall_ms: at_most(bounds.wall_ms, 600_000),
            write_bytes: at_most(bounds.write_bytes, limits::WRITE_BYTES_MAX),
        }
    }
}

fn refuse_host_state(folders: &[Folder], host_state: &[String]) -> Result<(), Box<Refusal>> {
    let touches = |folder: &&Folder| {
        host_state.iter().any(|state| contains(state, &folder.host) || contains(&folder.host, state))
    };
    let Some(folder) = folders.iter().find(touches) else { return Ok(()) };
    let nearest = "no folder that holds its own state or lies under it";
    Err(Refusal::new(Layer::Host, Wanted::Folder(folder.clone()), nearest))
}

/// FS-12: one tree granted twice could be read-only by one name and writable by the other.
fn refuse_overlaps(folders: &[Folder]) -> Result<(), Box<Refusal>> {
    if folders.len() > limits::FOLDERS_MAX {
        let nearest = format!("at most {} folders", limits::FOLDERS_MAX);
        return Err(Refusal::new(Layer::Host, Wanted::TooManyFolders(folders.len()), nearest));
    }
    for (index, one) in folders.iter().enumerate() {
        for other in folders.iter().skip(index + 1) {
            let nested = contains(&one.host, &other.host) || contains(&other.host, &one.host);
            if one.guest == other.guest || (nested && !is_plain_twin(one, other)) {
                let nearest =
                    "each guest path once, and no tree both to read and to write, or twice with a quota or a pattern";
                return Err(Refusal::new(Layer::Host, Wanted::FolderPair(one.clone(), other.clone()), nearest));
            }
        }
    }
    Ok(())
}

/// Whether one tree may be seen by two names: with the same access, and nothing that the other name would get around.
fn is_plain_twin(one: &Folder, other: &Folder) -> bool {
    let is_plain = |folder: &Folder| folder.deny.is_empty() && folder.bytes_max.is_none() && folder.files_max.is_none();
    one.access == other.access && is_plain(one) && is_plain(other)
}

fn refuse_taken_scratch(asked: &Asked) -> Result<(), Box<Refusal>> {
    match &asked.scratch {
        Some(scratch) if asked.folders.iter().any(|folder| folder.guest == *scratch) => {
            Err(Refusal::new(Layer::Host, Wanted::Scratch(scratch.clone()), "each guest path once"))
        }
        _ => Ok(()),
    }
}

fn check_scratch(layer: Layer, ceiling: &LimitCeiling, scratch: Option<&GuestPath>) -> Result<(), Box<Refusal>> {
    let Some(scratch) = scratch else { return Ok(()) };
    let needed = [
        ("write-bytes", ceiling.write_bytes, SCRATCH_BYTES_SUGGESTED),
        ("files", ceiling.files, SCRATCH_FILES_SUGGESTED),
    ];
    let missing: Vec<_> = needed.into_iter().filter(|(_, bound, _)| *bound == Some(0)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let refusal = Refusal::new(layer, Wanted::Scratch(scratch.clone()), "nothing to be written anywhere");
    Err(missing.into_iter().fold(refusal, |refusal, (name, _, value)| refusal.allowed_by_limit(name, value)))
}

/// What a layer would have to leave for a scratch folder to be of use, where it leaves nothing.
const SCRATCH_BYTES_SUGGESTED: u64 = limits::MIB;
const SCRATCH_FILES_SUGGESTED: u64 = 100;

fn check_folder(layer: Layer, ceiling: &Ceiling, folder: &Folder) -> Result<(), Box<Refusal>> {
    let refuse = |nearest: &str| Refusal::new(layer, Wanted::Folder(folder.clone()), nearest);
    let wider = |nearest: &str| Err(refuse(nearest).allowed_by("filesystem", folder.access));
    match ceiling.filesystem.map(FilesystemCeiling::access) {
        Some(None) => return wider("no folders"),
        Some(Some(access)) if access < folder.access => return wider(&format!("folders to {access} only")),
        _ => {}
    }
    let own = LimitCeiling { write_bytes: folder.bytes_max, files: folder.files_max, ..LimitCeiling::default() };
    check_limits(layer, &ceiling.limits, &own)?;
    let Some(roots) = &ceiling.folders else { return Ok(()) };
    if roots.iter().any(|root| contains(root, &folder.host)) {
        return Ok(());
    }
    let nearest = match &roots[..] {
        [] => "no folders, because its list of them is empty".to_owned(),
        roots => format!("folders under {}", listed(roots)),
    };
    Err(refuse(&nearest).allowed_by_list("folders", roots, &folder.host))
}

fn check_variable(layer: Layer, ceiling: &Ceiling, name: &str) -> Result<(), Box<Refusal>> {
    let Some(names) = &ceiling.environment else { return Ok(()) };
    if names.iter().any(|known| known == name) {
        return Ok(());
    }
    let nearest = if names.is_empty() { "none".to_owned() } else { listed(names) };
    let refusal = Refusal::new(layer, Wanted::Environment { name: name.to_owned() }, nearest);
    Err(refusal.allowed_by_list("environment", names, &name))
}

fn check_sources(layer: Layer, ceiling: &Ceiling, asked: &Asked) -> Result<(), Box<Refusal>> {
    let source = |is_fixed| if is_fixed { Source::Fixed } else { Source::Real };
    let (clock, random) = (source(asked.clock.is_some()), source(asked.seed.is_some()));
    for (key, wanted, ceiling, asked, nearest) in [
        ("clock", Wanted::Clock(clock), ceiling.clock, clock, "a fixed clock only"),
        ("random", Wanted::Random(random), ceiling.random, random, "seeded random bytes only"),
    ] {
        if ceiling.is_some_and(|ceiling| asked > ceiling) {
            return Err(Refusal::new(layer, wanted, nearest).allowed_by(key, asked));
        }
    }
    Ok(())
}

fn check_limits(layer: Layer, ceiling: &LimitCeiling, asked: &LimitCeiling) -> Result<(), Box<Refusal>> {
    for (name, ceiling, asked) in [
        ("memory-bytes", ceiling.memory_bytes, asked.memory_bytes),
        ("fuel", ceiling.fuel, asked.fuel),
        ("wall-ms", ceiling.wall_ms, asked.wall_ms),
        ("output-bytes", ceiling.output_bytes, asked.output_bytes),
        ("handles", ceiling.handles, asked.handles),
        ("sent-bytes", ceiling.sent_bytes, asked.sent_bytes),
        ("received-bytes", ceiling.received_bytes, asked.received_bytes),
        ("requests", ceiling.requests, asked.requests),
        ("connections", ceiling.connections, asked.connections),
        ("write-bytes", ceiling.write_bytes, asked.write_bytes),
        ("files", ceiling.files, asked.files),
    ] {
        if let (Some(max), Some(value)) = (ceiling, asked)
            && value > max
        {
            let refusal = Refusal::new(layer, Wanted::Limit { name, value }, format!("at most {max}"));
            return Err(refusal.allowed_by_limit(name, value));
        }
    }
    Ok(())
}

fn listed<T: fmt::Display>(names: &[T]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// Whether `roots` hold `path`: for callers that have a guest path and a narrowing.
pub fn within(roots: &[GuestPath], path: &GuestPath) -> bool {
    roots.iter().any(|root| root.contains(path))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::egress::tests::http_rule;
    use crate::glob::Glob;
    use crate::ring::Ring;

    fn folder(host: &str, guest: &str, access: Access) -> Folder {
        let guest = GuestPath::new(guest).expect("a guest path");
        Folder { access, bytes_max: None, deny: Vec::new(), files_max: None, guest, host: host.to_owned() }
    }

    fn asked(folders: Vec<Folder>) -> Asked {
        Asked { folders, ..Asked::default() }
    }

    fn refusal(asked: &Asked, layers: &[(Layer, Ceiling)]) -> Refusal {
        *Grant::narrow(asked, layers, &["/home/ringfence".to_owned()]).expect_err("a refusal")
    }

    #[test]
    fn covered_folder_is_granted() {
        let wanted = folder("/srv/docs", "/docs", Access::Read);
        let layers = [(Layer::Ring, Ring::Sandbox.ceiling())];
        let grant = Grant::narrow(&asked(vec![wanted.clone()]), &layers, &[]).expect("a grant");
        assert_eq!(grant.folders(), [wanted]);
        assert_eq!(grant.reach(), Reach::Reads);
    }

    #[test]
    fn refusing_layer_is_named() {
        let write = asked(vec![folder("/srv/docs", "/docs", Access::ReadWrite)]);
        let operator = Ceiling { folders: Some(vec!["/srv/other".to_owned()]), ..Ceiling::default() };
        let manifest = Ceiling { filesystem: Some(FilesystemCeiling::None), ..Ceiling::default() };
        for (layer, ceiling, nearest) in [
            (Layer::Ring, Ring::Sandbox.ceiling(), "folders to read only"),
            (Layer::Operator, operator, "folders under `/srv/other`"),
            (Layer::Manifest, manifest, "no folders"),
        ] {
            let refusal = refusal(&write, &[(layer, ceiling)]);
            assert_eq!((refusal.layer, refusal.nearest.as_str()), (layer, nearest));
        }
    }

    #[test]
    fn overlapping_trees_are_refused() {
        // FS-12
        let read = folder("/data", "/data", Access::Read);
        for other in [
            folder("/data/tmp", "/tmp", Access::ReadWrite),
            folder("/", "/all", Access::ReadWrite),
            folder("/other", "/data", Access::Read),
        ] {
            let refused = Grant::narrow(&asked(vec![read.clone(), other.clone()]), &[], &[]).expect_err("a refusal");
            assert!(matches!(refused.wanted, Wanted::FolderPair(..)), "{other:?}");
        }
        let beside = folder("/data-2", "/two", Access::ReadWrite);
        assert!(Grant::narrow(&asked(vec![read, beside]), &[], &[]).is_ok());
    }

    #[test]
    fn second_name_never_gets_around() {
        // FS-12, FS-19: what one name closes or counts, another name of the same tree would open.
        let closed = |tree| Folder {
            deny: vec![Glob::new("private").expect("a pattern")],
            ..folder(tree, "/one", Access::ReadWrite)
        };
        let counted = |tree| Folder { bytes_max: Some(1), ..folder(tree, "/one", Access::ReadWrite) };
        let plain = |tree| folder(tree, "/one", Access::ReadWrite);
        for (one, allowed) in [(closed("/a"), false), (counted("/a"), false), (plain("/a"), true), (closed("/b"), true)]
        {
            for tree in ["/a", "/a/under"] {
                let both = asked(vec![one.clone(), folder(tree, "/two", Access::ReadWrite)]);
                assert_eq!(Grant::narrow(&both, &[], &[]).is_ok(), allowed, "{one:?} {tree}");
            }
        }
    }

    #[test]
    fn quota_above_ceiling_is_refused() {
        // FS-19
        let wanted = |bytes_max, files_max| {
            asked(vec![Folder { bytes_max, files_max, ..folder("/a", "/a", Access::ReadWrite) }])
        };
        let layers = [(Layer::Ring, Ring::Standard.ceiling())];
        for (bytes, files, allowed) in
            [(Some(1), Some(1), true), (Some(1 << 40), None, false), (None, Some(1 << 40), false), (None, None, true)]
        {
            assert_eq!(Grant::narrow(&wanted(bytes, files), &layers, &[]).is_ok(), allowed, "{bytes:?} {files:?}");
        }
        let limits = *Grant::narrow(&wanted(None, None), &layers, &[]).expect("a grant").limits();
        assert_eq!((limits.write_bytes, limits.files), (256 * limits::MIB, 10_000));
    }

    #[test]
    fn reader_has_no_quota_to_record() {
        let grant = |access| Grant::narrow(&asked(vec![folder("/a", "/a", access)]), &[], &[]).expect("a grant");
        let json = |grant: &Grant| serde_json::to_string(grant.limits()).expect("JSON");
        assert!(!json(&grant(Access::Read)).contains("write_bytes"));
        let writer = grant(Access::ReadWrite);
        assert!(json(&writer).contains("write_bytes") && json(&writer).contains("files"));
        let narrowed = writer.attenuate(&Narrowing { access: Some(Access::Read), ..Narrowing::default() });
        assert!(!json(&narrowed).contains("write_bytes"));
    }

    #[test]
    fn empty_list_of_an_obligation_takes_all() {
        let network = serde_json::json!({
            "addresses": ["10.0.0.0/8"], "http": ["GET https://a.test/"], "names": ["a.test"], "secrets": ["A"],
            "sockets": ["tcp://a.test:1"],
        });
        let asked = Asked {
            environment: [("A".to_owned(), String::new())].into(),
            network: serde_json::from_value(network).expect("rules"),
            ..asked(vec![folder("/a", "/a", Access::Read)])
        };
        let grant = Grant::narrow(&asked, &[], &[]).expect("a grant");
        let held = |grant: &Grant| {
            let NetworkGrant { addresses, http, names, secrets, sockets, limits: _ } = grant.network();
            let network = [addresses.len(), http.len(), names.len(), secrets.len(), sockets.len()];
            [[grant.folders().len(), grant.environment().len()].as_slice(), &network].concat()
        };
        assert_eq!(held(&grant.clone().attenuate(&Narrowing::default())), [1; 7]);
        for (index, narrowing) in [
            Narrowing { folders: Some(Vec::new()), ..Narrowing::default() },
            Narrowing { environment: Some(Vec::new()), ..Narrowing::default() },
            Narrowing { addresses: Some(Vec::new()), ..Narrowing::default() },
            Narrowing { http: Some(Vec::new()), ..Narrowing::default() },
            Narrowing { names: Some(Vec::new()), ..Narrowing::default() },
            Narrowing { secrets: Some(Vec::new()), ..Narrowing::default() },
            Narrowing { sockets: Some(Vec::new()), ..Narrowing::default() },
        ]
        .into_iter()
        .enumerate()
        {
            let mut left = [1; 7];
            left[index] = 0;
            assert_eq!(held(&grant.clone().attenuate(&narrowing)), left, "{narrowing:?}");
        }
    }

    #[test]
    fn scratch_is_no_part_of_the_world() {
        // FS-25
        let wanted = Asked { scratch: Some(GuestPath::new("/tmp").expect("a path")), ..Asked::default() };
        let grant = Grant::narrow(&wanted, &[(Layer::Ring, Ring::Sandbox.ceiling())], &[]).expect("a grant");
        assert_eq!((grant.reach(), grant.limits().files), (Reach::Nothing, 1_000));
        let limits = LimitCeiling { write_bytes: Some(0), ..LimitCeiling::default() };
        let closed = refusal(&wanted, &[(Layer::Operator, Ceiling { limits, ..Ceiling::default() })]);
        assert_eq!(closed.layer, Layer::Operator);
        let taken = Asked { folders: vec![folder("/a", "/tmp", Access::Read)], ..wanted };
        assert_eq!(refusal(&taken, &[]).layer, Layer::Host);
    }

    #[test]
    fn host_state_is_never_granted() {
        // FS-26
        for host in ["/home/ringfence", "/home/ringfence/cache", "/home", "/"] {
            assert_eq!(refusal(&asked(vec![folder(host, "/x", Access::Read)]), &[]).layer, Layer::Host, "{host}");
        }
        assert!(Grant::narrow(&asked(vec![folder("/home/r", "/x", Access::Read)]), &[], &["/home/rf".into()]).is_ok());
    }

    #[test]
    fn network_is_refused_by_the_narrowest_layer() {
        // NET-26
        let list = |text: &str| Some(vec![text.parse().expect("a rule")]);
        let asking = |http: &str| Asked {
            network: NetworkAsked { http: vec![http.parse().expect("a rule")], ..NetworkAsked::default() },
            ..Asked::default()
        };
        let operator = Ceiling { http: list("* https://*.example.com/"), ..Ceiling::default() };
        for (http, layer, ceiling, wanted) in [
            ("GET https://a.example.com/", Layer::Ring, Ring::Sandbox.ceiling(), Some("no network")),
            (
                "GET https://*.example.com/",
                Layer::Ring,
                Ring::Standard.ceiling(),
                Some("hosts that are named one by one"),
            ),
            ("GET https://a.example.com/", Layer::Ring, Ring::Standard.ceiling(), None),
            ("GET https://*/", Layer::Ring, Ring::Privileged.ceiling(), None),
            ("GET https://a.example.com/", Layer::Operator, operator.clone(), None),
            (
                "GET http://a.example.com/",
                Layer::Operator,
                operator.clone(),
                Some("requests within `* https://*.example.com/`"),
            ),
            ("GET https://127.0.0.1/", Layer::Operator, operator, Some("requests within `* https://*.example.com/`")),
            (
                "GET https://a.example.com/",
                Layer::Manifest,
                Ceiling { http: Some(Vec::new()), ..Ceiling::default() },
                Some("no requests"),
            ),
        ] {
            let narrowed = Grant::narrow(&asking(http), &[(layer, ceiling)], &[]);
            let refused = narrowed.err().map(|refusal| (refusal.layer, refusal.nearest));
            assert_eq!(refused, wanted.map(|nearest| (layer, nearest.to_owned())), "{http}");
        }
    }

    #[test]
    fn empty_list_refuses_each_capability() {
        let network = NetworkAsked {
            addresses: vec!["10.0.0.0/8".parse().expect("a network")],
            http: vec!["https://a.example/".parse().expect("a rule")],
            names: vec!["a.example".parse().expect("a pattern")],
            secrets: vec!["token".to_owned()],
            sockets: vec!["tcp://a.example:1".parse().expect("a rule")],
        };
        let asked = Asked { network, ..Asked::default() };
        assert!(Grant::narrow(&asked, &[(Layer::Session, Ceiling::default())], &[]).is_ok());
        for ceiling in [
            Ceiling { addresses: Some(Vec::new()), ..Ceiling::default() },
            Ceiling { http: Some(Vec::new()), ..Ceiling::default() },
            Ceiling { names: Some(Vec::new()), ..Ceiling::default() },
            Ceiling { secrets: Some(Vec::new()), ..Ceiling::default() },
            Ceiling { sockets: Some(Vec::new()), ..Ceiling::default() },
            Ceiling { clock: Some(Source::Fixed), ..Ceiling::default() },
            Ceiling { random: Some(Source::Fixed), ..Ceiling::default() },
        ] {
            assert_eq!(refusal(&asked, &[(Layer::Session, ceiling)]).layer, Layer::Session);
        }
    }

    #[test]
    fn limit_above_ceiling_is_refused() {
        let limits = LimitCeiling { memory_bytes: Some(1 << 40), ..LimitCeiling::default() };
        let refusal = refusal(&Asked { limits, ..Asked::default() }, &[(Layer::Ring, Ring::Sandbox.ceiling())]);
        assert_eq!(
            refusal.to_string(),
            "`memory-bytes` of 1099511627776 was asked for, but the ring layer allows at most 268435456"
        );
    }

    #[test]
    fn lowest_limit_of_all_layers_holds() {
        let ceiling = |fuel| Ceiling { limits: LimitCeiling { fuel, ..LimitCeiling::default() }, ..Ceiling::default() };
        let layers =
            [(Layer::Operator, ceiling(Some(7))), (Layer::Ring, ceiling(Some(9))), (Layer::Manifest, ceiling(None))];
        assert_eq!(Grant::narrow(&Asked::default(), &layers, &[]).expect("a grant").limits().fuel, 7);
    }

    #[test]
    fn variable_must_be_listed() {
        let wanted = Asked { environment: [("KEY".to_owned(), "v".to_owned())].into(), ..Asked::default() };
        let ceiling =
            |names: Option<Vec<String>>| (Layer::Manifest, Ceiling { environment: names, ..Ceiling::default() });
        assert!(Grant::narrow(&wanted, &[ceiling(None)], &[]).is_ok());
        assert!(Grant::narrow(&wanted, &[ceiling(Some(vec!["KEY".into()]))], &[]).is_ok());
        assert_eq!(refusal(&wanted, &[ceiling(Some(Vec::new()))]).nearest, "none");
    }

    #[test]
    fn recorded_grant_holds_no_values() {
        let environment = [("TOKEN".to_owned(), "canary".to_owned())].into();
        let grant = Grant::narrow(&Asked { environment, ..Asked::default() }, &[], &[]).expect("a grant");
        let recorded = serde_json::to_string(&grant).expect("JSON");
        assert!(recorded.contains("TOKEN") && !recorded.contains("canary"), "{recorded}");
    }

    #[test]
    fn other_values_and_folders_are_other_reach() {
        let grant = |host: &str, value: &str| {
            let environment = [("USER".to_owned(), value.to_owned())].into();
            let folders = vec![folder(host, "/in", Access::Read)];
            Grant::narrow(&Asked { folders, environment, ..Asked::default() }, &[], &[]).expect("a grant").reachable()
        };
        assert_eq!(grant("/a", "alice"), grant("/a", "alice"));
        assert_ne!(grant("/a", "alice"), grant("/b", "alice"));
        assert_ne!(grant("/a", "alice"), grant("/a", "bob"));
    }

    #[test]
    fn narrowing_takes_folders_away() {
        let folders = vec![folder("/a", "/docs", Access::ReadWrite), folder("/b", "/secret", Access::ReadWrite)];
        let grant = Grant::narrow(&asked(folders), &[], &[]).expect("a grant");
        let roots = Some(vec![GuestPath::new("/docs").expect("a path")]);
        let narrowed =
            grant.attenuate(&Narrowing { folders: roots, access: Some(Access::Read), ..Narrowing::default() });
        assert_eq!(narrowed.folders(), [folder("/a", "/docs", Access::Read)]);
        assert_eq!(narrowed.reach(), Reach::Reads);
    }

    proptest! {
        #[test]
        fn attenuation_never_widens(
            access in prop::option::of(prop_oneof![Just(Access::Read), Just(Access::ReadWrite)]),
            roots in prop::option::of(prop::collection::vec(prop::sample::select(vec!["/", "/docs", "/docs/a", "/x"]), 0..3)),
            names in prop::option::of(prop::collection::vec(prop::sample::select(vec!["A", "B"]), 0..3)),
            asked_http in prop::collection::vec(http_rule(), 0..3),
            bounds in prop::option::of(prop::collection::vec(http_rule(), 0..3)),
            limits in (prop::option::of(any::<u64>()), prop::option::of(any::<u64>()), prop::option::of(any::<u64>())),
        ) {
            let closed = Folder {
                bytes_max: Some(7),
                deny: vec![Glob::new("private").expect("a pattern")],
                files_max: Some(7),
                ..folder("/b", "/x", Access::ReadWrite)
            };
            let wanted = Asked {
                folders: vec![folder("/a", "/docs", Access::Read), closed],
                environment: [("A".to_owned(), String::new())].into(),
                network: NetworkAsked { http: asked_http, ..NetworkAsked::default() },
                ..Asked::default()
            };
            let before = Grant::narrow(&wanted, &[], &[]).expect("a grant");
            let narrowing = Narrowing {
                access,
                folders: roots.map(|roots| roots.into_iter().map(|r| GuestPath::new(r).expect("a path")).collect()),
                environment: names.map(|names| names.into_iter().map(str::to_owned).collect()),
                http: bounds,
                memory_bytes: limits.0,
                fuel: limits.1,
                wall_ms: limits.2,
                ..Narrowing::default()
            };
            let after = before.clone().attenuate(&narrowing);
            let held = |folder: &Folder| before.folders().iter().any(|b| {
                b.access >= folder.access && Folder { access: b.access, ..folder.clone() } == *b
            });
            prop_assert!(after.folders().iter().all(held));
            prop_assert!(after.environment().keys().all(|name| before.environment().contains_key(name)));
            prop_assert!(after.limits().fuel <= before.limits().fuel);
            prop_assert!(after.limits().memory_bytes <= before.limits().memory_bytes);
            prop_assert!(after.limits().wall_ms <= before.limits().wall_ms);
            let allowed = |rule: &HttpRule| before.network().http.iter().any(|b| b.covers(rule));
            prop_assert!(after.network().http.iter().all(allowed));
            prop_assert!(after.limits().write_bytes <= before.limits().write_bytes);
            prop_assert!(after.limits().files <= before.limits().files);
            prop_assert!(after.reach() <= before.reach());
        }
    }
}
