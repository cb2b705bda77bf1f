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
    let mut ways_out: Vec<WayOut> = Vec::new();
    for way_out in refused.iter().filter_map(|call| reached.way_out(call)) {
        if !ways_out.contains(&way_out) && ways_out.len() < REACHED_HINTS_MAX {
            ways_out.push(way_out);
        }
    }
    let is_taken_away = ways_out.contains(&WayOut::TakenAway);
    let needed: Vec<_> = ways_out.into_iter().filter_map(WayOut::needed).collect();
    let lines = match reached.key {
        RingKey::Run => needed.iter().map(Needed::flagged).collect(),
        RingKey::Tool(_) if needed.is_empty() => Vec::new(),
        RingKey::Tool(name) => reached.lines(name, &needed),
    };
    is_taken_away.then(|| TAKEN_AWAY.to_owned()).into_iter().chain(lines).collect()
}

/// Ways out that are shown at once; more would not be read.
const REACHED_HINTS_MAX: usize = 4;

#[derive(PartialEq)]
enum WayOut {
    Needs(Needed),
    /// It was granted.
    TakenAway,
}

impl WayOut {
    fn needed(self) -> Option<Needed> {
        match self {
            Self::Needs(needed) => Some(needed),
            Self::TakenAway => None,
        }
    }
}

/// What a list of a grant would have to have on it, and the flag of the same meaning.
#[derive(PartialEq)]
struct Needed {
    key: &'static str,
    flag: &'static str,
    /// In place of which item.
    instead: Option<String>,
    more: String,
    needs_ring: bool,
}

impl Needed {
    /// For a shell: a tool chooses what it reaches for, so what is to be copied is quoted.
    fn flagged(&self) -> String {
        let Self { flag, more, needs_ring, .. } = self;
        let (more, ring) = (more.replace('\'', r"'\''"), if *needs_ring { RING_NEEDED } else { "" });
        format!("review first, then allow it for one call with `{flag} '{more}'`{ring}")
    }
}

const RING_NEEDED: &str = ", in a ring that can have it (`--ring 2`)";

impl Reached<'_> {
    fn way_out(&self, call: &HostCall) -> Option<WayOut> {
        let (what, why) = call.detail.as_deref()?.split_once(": ")?;
        if call.import.starts_with("wasi:filesystem/") {
            return self.folder(what, why).map(WayOut::Needs);
        }
        let network = &self.asked.network;
        let (key, flag, more, is_given) = match call.import.as_str() {
            _ if why.ends_with("no rule names it") => ("addresses", "--address", "NETWORK", false),
            _ if !why.starts_with("nothing granted allows it") => return None,
            "wasi:http/outgoing-handler#handle" => ("http", "--http", what, covers(&network.http, what)),
            "wasi:sockets/tcp#connect" | "wasi:sockets/udp#send" => {
                ("sockets", "--socket", what, covers(&network.sockets, what))
            }
            "wasi:sockets/ip-name-lookup#resolve-addresses" => ("names", "--name", what, covers(&network.names, what)),
            _ => return None,
        };
        let needs_ring = !Wanted::Secret(String::new()).fits(&self.ring.ceiling());
        let needed = Needed { key, flag, instead: None, more: more.to_owned(), needs_ring };
        Some(if is_given { WayOut::TakenAway } else { WayOut::Needs(needed) })
    }

    fn folder(&self, path: &str, why: &str) -> Option<Needed> {
        let path = GuestPath::new(path).ok()?;
        let folder = self.asked.folders.iter().find(|folder| folder.guest.contains(&path))?;
        let mut wider = folder.clone();
        match why {
            "granted to read only" => wider.access = Access::ReadWrite,
            "closed by a pattern of the grant" => {
                let inside = path.as_str().strip_prefix(folder.guest.as_str()).unwrap_or_default();
                wider.deny.retain(|pattern| !closes(pattern, inside.trim_start_matches('/')));
            }
            "more bytes than the quota has left" => wider.bytes_max = None,
            "more files than the quota has left" => wider.files_max = None,
            _ => return None,
        }
        // What a link led to has another path, and a quota may be the call's: what to say is not known here.
        if wider == *folder {
            return None;
        }
        let needs_ring = !Wanted::Folder(wider.clone()).fits(&self.ring.ceiling());
        Some(Needed { key: "folders", flag: "--dir", instead: Some(dir(folder)), more: dir(&wider), needs_ring })
    }

    /// The lines of a registered tool's grant, each list as a whole.
    fn lines(&self, name: &str, needed: &[Needed]) -> Vec<String> {
        let config = self.config.display();
        let mut lines = vec![format!("review first, then allow it in `{config}`, in place of what it says there:")];
        if needed.iter().any(|needed| needed.needs_ring) {
            lines.extend([format!("    [tools.{name}]"), "    ring = 2".to_owned()]);
        }
        lines.push(format!("    [tools.{name}.grant]"));
        for key in ["folders", "http", "sockets", "names", "addresses"] {
            let of_key: Vec<_> = needed.iter().filter(|needed| needed.key == key).collect();
            if !of_key.is_empty() {
                lines.push(format!("    {key} = {}", written(&self.widened(key, &of_key).into())));
            }
        }
        lines
    }

    fn widened(&self, key: &str, needed: &[&Needed]) -> Vec<String> {
        let network = &self.asked.network;
        let mut list = match key {
            "http" => texts(&network.http),
            "sockets" => texts(&network.sockets),
            "names" => texts(&network.names),
            "addresses" => texts(&network.addresses),
            _ => self.asked.folders.iter().map(dir).collect(),
        };
        for Needed { instead, more, .. } in needed {
            match instead {
                None => list.push(more.clone()),
                // One that was replaced already has its turn when it is refused again.
                Some(instead) => {
                    list.iter_mut().filter(|item| *item == instead).for_each(|item| item.clone_from(more));
                }
            }
        }
        list
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
    text.extend(deny.iter().map(|pattern| format!(",deny={pattern}")));
    for (word, bound) in [("bytes", bytes_max), ("files", files_max)] {
        text.extend(bound.map(|bound| format!(",{word}={bound}")));
    }
    text
}
