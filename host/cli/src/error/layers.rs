//! What would have let a refused capability through: the lines, and the file or the flag they belong to.
//!
//! A refusal brings the settings of its layer; here they get the place where that layer is written down. Nothing is widened:
//! whoever follows a hint should look first, and each says so.

use std::path::Path;
use std::str::FromStr;

use ringfence_model::capability::Access;
use ringfence_model::capability::Asked;
use ringfence_model::capability::Folder;
use ringfence_model::capability::GuestPath;
use ringfence_model::egress::Rule;
use ringfence_model::grant::Layer;
use ringfence_model::grant::Refusal;
use ringfence_model::grant::Setting;
use ringfence_model::grant::Wanted;
use ringfence_model::outcome::HostCall;
use ringfence_model::outcome::one_line;
use ringfence_model::ring::Ring;
use ringfence_runtime::sandbox::closes;

use crate::error::RingKey;
use crate::home::Home;

/// The way out of what a layer refuses.
pub(super) fn hints(refusal: &Refusal, ring: Ring, key: RingKey<'_>, home: &Home) -> Vec<String> {
    let (settings, config) = (&refusal.allowed_by[..], &home.config_path());
    let in_config = |table: &str| {
        let review = format!("review first, then allow it in `{}`, in place of what it says there:", config.display());
        with_lines(review, table, settings)
    };
    match (refusal.layer, &refusal.wanted) {
        (Layer::Host, Wanted::FolderPair(..)) => {
            vec!["open the tree once, with the access that is really needed".to_owned()]
        }
        (Layer::Host, _) => vec!["this is refused to everybody".to_owned()],
        (Layer::Manifest, _) => {
            let whose = "the tool's own manifest does not ask for this; its author would, an operator can't, with:";
            with_lines(whose.to_owned(), "capabilities", settings)
        }
        (Layer::Operator, Wanted::Secret(name)) if !home.config().secrets.contains_key(name) => vec![
            format!("review first, then say in `{}` what it is and where it may go:", config.display()),
            format!("    [secrets.{}]", one_line(name)),
            "    file = \"/FILE\"".to_owned(),
            "    headers = [\"authorization\"]".to_owned(),
            "    hosts = [\"HOST\"]".to_owned(),
        ],
        (Layer::Operator, _) => in_config("operator"),
        (Layer::Ring, wanted) if wanted.fits(&ring.ceiling()) => in_config(&format!("rings.{ring}")),
        (Layer::Ring, wanted) => match wider_ring(wanted, ring) {
            Some(other) => key.hints(other, config),
            None => vec!["no ring allows that much".to_owned()],
        },
        (Layer::Session, _) => {
            let review =
                "review first: a session keeps what it was opened with; one that allows this is opened `--within`:";
            with_lines(review.to_owned(), "", settings)
        }
    }
}

/// The least privileged ring above this one that could allow something, unless the operator lowers that one, too.
fn wider_ring(wanted: &Wanted, ring: Ring) -> Option<Ring> {
    let mut above = Ring::ALL.into_iter().rev().filter(|other| other.number() < ring.number());
    above.find(|other| wanted.fits(&other.ceiling()))
}

fn with_lines(first: String, table: &str, settings: &[Setting]) -> Vec<String> {
    let mut lines = vec![first];
    let mut within = String::new();
    for Setting { is_limit, key, value } in settings {
        let table = match (table, is_limit) {
            ("", true) => "limits".to_owned(),
            (table, true) => format!("{table}.limits"),
            (table, false) => table.to_owned(),
        };
        if table != within {
            lines.push(format!("    [{table}]"));
            within = table;
        }
        lines.push(format!("    {key} = {}", written(value)));
    }
    lines
}

/// A value as TOML has it. All of ours have a form there.
fn written(value: &serde_json::Value) -> String {
    toml::Value::try_from(value).map(|value| value.to_string()).unwrap_or_default()
}

/// What a call was given, where it is written down, and where it ran.
#[derive(Debug)]
pub struct Reached<'a> {
    pub asked: &'a Asked,
    pub config: &'a Path,
    pub key: RingKey<'a>,
    pub ring: Ring,
}

/// The flags or lines that would allow what a tool reached for while it ran.
pub fn reached_hints(refused: &[HostCall], reached: &Reached<'_>) -> Vec<String> {
    let mut hints: Vec<Vec<String>> = Vec::new();
    for way_out in refused.iter().filter_map(|call| reached.way_out(call)) {
        if !hints.contains(&way_out) && hints.len() < REACHED_HINTS_MAX {
            hints.push(way_out);
        }
    }
    hints.concat()
}

/// Ways out that are shown at once; more would not be read.
const REACHED_HINTS_MAX: usize = 4;

/// A key of a grant, the flag of the same meaning, what is under it, and what has to be.
struct Needed {
    key: &'static str,
    flag: &'static str,
    now: Vec<String>,
    more: String,
}

impl Reached<'_> {
    fn way_out(&self, call: &HostCall) -> Option<Vec<String>> {
        let detail = call.detail.as_deref().unwrap_or_default();
        let (what, why) = detail.split_once(": ")?;
        if call.import.starts_with("wasi:filesystem/") {
            return self.folder(what, why);
        }
        let network = &self.asked.network;
        let more = what.to_owned();
        let (needed, is_taken_away) = match call.import.as_str() {
            _ if why.ends_with("no rule names it") => {
                let now = texts(&network.addresses);
                (Needed { key: "addresses", flag: "--address", now, more: "NETWORK".to_owned() }, false)
            }
            _ if !why.starts_with("nothing granted allows it") => return None,
            "wasi:http/outgoing-handler#handle" => {
                (Needed { key: "http", flag: "--http", now: texts(&network.http), more }, covers(&network.http, what))
            }
            "wasi:sockets/tcp#connect" | "wasi:sockets/udp#send" => {
                let now = texts(&network.sockets);
                (Needed { key: "sockets", flag: "--socket", now, more }, covers(&network.sockets, what))
            }
            "wasi:sockets/ip-name-lookup#resolve-addresses" => (
                Needed { key: "names", flag: "--name", now: texts(&network.names), more },
                covers(&network.names, what),
            ),
            _ => return None,
        };
        if is_taken_away {
            return Some(vec![TAKEN_AWAY.to_owned()]);
        }
        Some(self.written(needed, !Wanted::Secret(String::new()).fits(&self.ring.ceiling())))
    }

    fn folder(&self, path: &str, why: &str) -> Option<Vec<String>> {
        let path = GuestPath::new(path).ok()?;
        let (others, folder): (Vec<_>, Vec<_>) =
            self.asked.folders.iter().partition(|folder| !folder.guest.contains(&path));
        let [folder] = folder[..] else { return None };
        let mut wider = folder.clone();
        match why {
            "granted to read only" => wider.access = Access::ReadWrite,
            "closed by a pattern of the grant" => {
                let inside = path.as_str().strip_prefix(folder.guest.as_str()).unwrap_or_default();
                wider.deny.retain(|pattern| !closes(pattern, inside.trim_start_matches('/')));
                // Through a link it has another path, which is not known here.
                if wider.deny.len() == folder.deny.len() {
                    return None;
                }
            }
            "more bytes than the quota has left" if folder.bytes_max.is_some() => wider.bytes_max = None,
            "more files than the quota has left" if folder.files_max.is_some() => wider.files_max = None,
            _ => return None,
        }
        let now = others.into_iter().map(dir).collect();
        let needs_ring = wider.access == Access::ReadWrite && !Wanted::Folder(wider.clone()).fits(&self.ring.ceiling());
        Some(self.written(Needed { key: "folders", flag: "--dir", now, more: dir(&wider) }, needs_ring))
    }

    fn written(&self, needed: Needed, needs_ring: bool) -> Vec<String> {
        let Needed { key, flag, mut now, more } = needed;
        let RingKey::Tool(name) = self.key else {
            let ring = if needs_ring { ", in a ring that can have it (`--ring 2`)" } else { "" };
            let more = more.replace('\'', r"'\''");
            return vec![format!("review first, then allow it for one call with `{flag} '{more}'`{ring}")];
        };
        now.push(more);
        let review =
            format!("review first, then allow it in `{}`, in place of what it says there:", self.config.display());
        let mut lines = vec![review];
        if needs_ring {
            lines.extend([format!("    [tools.{name}]"), "    ring = 2".to_owned()]);
        }
        lines.extend([format!("    [tools.{name}.grant]"), format!("    {key} = {}", written(&now.into()))]);
        lines
    }
}

const TAKEN_AWAY: &str = "this was granted, and a policy in force took it away: `ringfence policy explain` shows which";

/// Whether what was asked for would have let it through.
fn covers<R: Rule + FromStr>(rules: &[R], what: &str) -> bool {
    what.parse::<R>().is_ok_and(|what| rules.iter().any(|rule| rule.covers(&what)))
}

fn texts<T: ToString>(rules: &[T]) -> Vec<String> {
    rules.iter().map(ToString::to_string).collect()
}

/// A folder as `--dir` takes it.
fn dir(folder: &Folder) -> String {
    let Folder { access, bytes_max, deny, files_max, guest, host } = folder;
    let access = match access {
        Access::Read => "ro",
        Access::ReadWrite => "rw",
    };
    let mut text = format!("{host}::{guest}:{access}");
    for pattern in deny {
        text.push_str(&format!(",deny={pattern}"));
    }
    for (word, bound) in [("bytes", bytes_max), ("files", files_max)] {
        text.push_str(&bound.map(|bound| format!(",{word}={bound}")).unwrap_or_default());
    }
    text
}
