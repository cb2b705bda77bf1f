//! Grants: what one call may do.
//!
//! A [`Grant`] has no public constructor but [`Grant::narrow`], which intersects what a call asks for with the ceiling
//! of every layer, and no operation but [`Grant::attenuate`], which shrinks it. So a grant can only shrink: no function
//! takes one and returns a wider one.
//!
//! A layer that does not cover what was asked *refuses*, by name, instead of silently taking it away: a tool that runs
//! with less than it was promised fails in ways nobody understands. Obligations of policies do shrink silently; they
//! are written in the record.

mod checks;
mod network;
mod reading;
mod refusal;

pub use refusal::Layer;
pub use refusal::Refusal;
pub use refusal::Setting;
pub use refusal::Wanted;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;
use serde::Serializer;

use crate::capability::Access;
use crate::capability::Asked;
use crate::capability::Ceiling;
use crate::capability::Folder;
use crate::capability::GuestPath;
use crate::capability::LimitCeiling;
use crate::capability::NetworkAsked;
use crate::decision::Narrowing;
use crate::digest::Digest;
use crate::egress::HostPattern;
use crate::egress::HttpRule;
use crate::egress::Network;
use crate::egress::Rule;
use crate::egress::SocketRule;
use crate::grant::checks::check_folder;
use crate::grant::checks::check_limits;
use crate::grant::checks::check_scratch;
use crate::grant::checks::check_sources;
use crate::grant::checks::check_variable;
use crate::grant::checks::refuse_host_state;
use crate::grant::checks::refuse_overlaps;
use crate::grant::checks::refuse_taken_scratch;
use crate::json;
use crate::limits;
use crate::time::Timestamp;

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

/// Whether `roots` hold `path`: for callers that have a guest path and a narrowing.
pub fn within(roots: &[GuestPath], path: &GuestPath) -> bool {
    roots.iter().any(|root| root.contains(path))
}

#[cfg(test)]
mod tests;
