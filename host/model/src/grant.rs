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
mod tests;
