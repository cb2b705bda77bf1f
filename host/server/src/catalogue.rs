//! The catalogue: every function that can be offered, each under a name that clients can hold.
//!
//! A name is made from the tool's and the function's alone, so it stays the same whatever else is registered. What fits
//! clients' limits is `TOOL_FUNCTION` as it is; what does not is cut, and told apart by a digest. Nothing here decides
//! who may call: [`Catalogue::offers`] takes away what a ring can't reach, so that nobody is shown what would be refused
//! for certain.

use ringfence_model::function_pattern::FunctionPattern;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use ringfence_model::capability::Asked;
use ringfence_model::digest::Digest;
use ringfence_model::limits;
use ringfence_model::ring::Ring;
use ringfence_runtime::toolbox::Function;
use ringfence_runtime::toolbox::Tool;

/// Hexadecimal digits that tell cut names apart; more, if these should ever be the same.
const DIGITS: [usize; 3] = [8, 16, 32];

/// What a tool is granted, as it is at the moment of a call.
#[derive(Clone)]
pub enum Grants {
    /// The same at each call.
    Fixed(Box<Asked>),
    /// Folders, variables and files that may be others, or gone. It may block; an error is for the operator, not for the agent.
    Sought(Arc<dyn Fn() -> Result<Asked, String> + Send + Sync>),
}

impl fmt::Debug for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(asked) => f.debug_tuple("Fixed").field(asked).finish(),
            Self::Sought(_) => f.write_str("Sought"),
        }
    }
}

impl Grants {
    /// What is granted now. It may block.
    pub fn seek(&self) -> Result<Asked, String> {
        match self {
            Self::Fixed(asked) => Ok(Asked::clone(asked)),
            Self::Sought(seek) => seek(),
        }
    }
}

/// A registered tool, loaded.
#[derive(Clone)]
pub struct Registered {
    /// The tool, under the name it is registered by.
    pub tool: Tool,
    /// The ring that its calls run in.
    pub ring: Ring,
    /// Whether its grant reaches a network.
    pub is_networked: bool,
    /// What it may do.
    pub grants: Grants,
}

/// A function that can be called from outside.
#[derive(Clone, Debug)]
pub struct Offer {
    name: String,
    registered: Arc<Registered>,
    /// Where it stands among the tool's functions.
    index: usize,
    wanted: Wanted,
}

/// What a call of it asks its tool for.
#[derive(Clone, Debug)]
enum Wanted {
    /// The function that is offered.
    Offered,
    /// Something that the tool does not have.
    Other(Option<String>),
}

/// Everything that can be offered, by name.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    offers: BTreeMap<String, Offer>,
}

impl Offer {
    /// The name that it is called by from outside.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same tool, asked for a function that it does not have.
    pub(crate) fn asking_for(&self, function: Option<&str>) -> Self {
        Self { wanted: Wanted::Other(function.map(str::to_owned)), ..self.clone() }
    }

    /// The name of the function that a call of it asks for.
    pub(crate) fn wanted(&self) -> Option<String> {
        match &self.wanted {
            Wanted::Other(other) => other.clone(),
            Wanted::Offered => self.function().map(|function| function.name.clone()),
        }
    }

    /// What it is called where nothing of a caller's may stand: by its name, or its tool's where it asks for something else.
    pub(crate) fn known_name(&self) -> &str {
        match &self.wanted {
            Wanted::Other(_) => &self.registered.tool.reference().name,
            Wanted::Offered => &self.name,
        }
    }

    /// Its tool.
    pub fn registered(&self) -> &Registered {
        &self.registered
    }

    /// The function; none, never: it was there when the catalogue was made.
    pub fn function(&self) -> Option<&Function> {
        self.registered.tool.functions().get(self.index)
    }
}

impl Catalogue {
    /// A catalogue of every function that can be called, of tools with different names.
    pub fn new(tools: impl IntoIterator<Item = Registered>) -> Self {
        let mut catalogue = Self::default();
        for registered in tools {
            catalogue.add(&Arc::new(registered));
        }
        catalogue
    }

    /// What is left of it without the tools that are gone.
    #[must_use]
    pub fn without(&self, is_gone: impl Fn(&Registered) -> bool) -> Self {
        let left = self.offers.iter().filter(|(_, offer)| !is_gone(offer.registered()));
        Self { offers: left.map(|(name, offer)| (name.clone(), offer.clone())).collect() }
    }

    /// The function by a name.
    pub fn offer(&self, name: &str) -> Option<&Offer> {
        self.offers.get(name)
    }

    /// A function of a tool, or the only one that it has to offer.
    pub fn function(&self, tool: &str, function: Option<&str>) -> Option<&Offer> {
        let of_tool = self.offers.values().filter(|offer| offer.registered.tool.reference().name == tool);
        let mut found = of_tool
            .filter(|offer| function.is_none_or(|name| offer.function().is_some_and(|function| function.name == name)));
        let only = found.next()?;
        found.next().is_none().then_some(only)
    }

    /// Everything that is offered of a tool.
    pub(crate) fn of_tool<'a>(&'a self, tool: &'a str) -> impl Iterator<Item = &'a Offer> {
        self.offers.values().filter(move |offer| offer.registered.tool.reference().name == tool)
    }

    /// What a caller in `ring` can call, by name; everything, for one without a ring of its own.
    pub fn offers(&self, ring: Option<Ring>) -> impl Iterator<Item = &Offer> {
        self.offers.values().filter(move |offer| offer.is_within(ring))
    }

    /// Whether whoever lists both sees the same.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let seen = |catalogue: &Self| -> Vec<_> {
            let offers = catalogue.offers.values();
            offers
                .map(|offer| {
                    let Offer { name, registered: tool, index, .. } = offer;
                    // An operator can have a function treated as of another effect, with the tool as it was.
                    let effect = offer.function().map(|function| function.effect);
                    (name.clone(), tool.tool.reference().digest, tool.ring, tool.is_networked, *index, effect)
                })
                .collect()
        };
        seen(self) == seen(other)
    }

    /// How many functions there are.
    pub fn len(&self) -> usize {
        self.offers.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.offers.is_empty()
    }

    fn add(&mut self, registered: &Arc<Registered>) {
        let tool = &registered.tool;
        let callable = |function: &&Function| {
            function.unsupported.is_none() && registered.ring.reaches(function.effect.required_ring())
        };
        let mut cut = Vec::new();
        for (index, function) in tool.functions().iter().enumerate().filter(|(_, function)| callable(function)) {
            let offer =
                |name: String| Offer { name, registered: Arc::clone(registered), index, wanted: Wanted::Offered };
            match plain(&tool.reference().name, &function.name) {
                Some(name) => drop(self.offers.insert(name.clone(), offer(name))),
                None => cut.push((function, index)),
            }
        }
        // Names that stand as they are come first: no function can take another's by calling itself like a cut one.
        for (function, index) in cut {
            let names = DIGITS.into_iter().map(|digits| shortened(&tool.reference().name, &function.name, digits));
            let free = names.into_iter().find(|name| !self.offers.contains_key(name));
            let Some(name) = free else { continue };
            self.offers.insert(
                name.clone(),
                Offer { name, registered: Arc::clone(registered), index, wanted: Wanted::Offered },
            );
        }
    }
}

impl Offer {
    /// Whether a caller in `ring` may have it run in its own.
    pub fn is_within(&self, ring: Option<Ring>) -> bool {
        ring.is_none_or(|ring| ring.reaches(self.registered.ring))
    }

    /// Whether it is a function that a pattern means.
    pub(crate) fn is_covered_by(&self, pattern: &FunctionPattern) -> bool {
        let tool = &self.registered.tool.reference().name;
        self.function().is_some_and(|function| pattern.covers(tool, &function.name))
    }
}

/// `TOOL_FUNCTION`, if clients can hold it. A tool's name has no `_`, so the first one is where the function begins.
fn plain(tool: &str, function: &str) -> Option<String> {
    let name = format!("{tool}_{function}");
    let fits = !function.is_empty() && name.len() <= limits::OFFER_NAME_BYTES_MAX && name.bytes().all(is_held);
    (fits && !tool.contains('_')).then_some(name)
}

/// As much of `TOOL_FUNCTION` as clients can hold, and a digest of all of it.
fn shortened(tool: &str, function: &str, digits: usize) -> String {
    let digest = Digest::of(format!("{tool}\n{function}").as_bytes()).to_string();
    let digest: String = digest.rsplit(':').next().unwrap_or_default().chars().take(digits).collect();
    let whole = format!("{tool}_{function}");
    let held = whole.chars().map(|c| if c.is_ascii() && is_held(c as u8) { c } else { '_' });
    let start: String = held.take(limits::OFFER_NAME_BYTES_MAX - digits - 1).collect();
    format!("{start}_{digest}")
}

/// What every client takes in a name.
const fn is_held(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

impl fmt::Debug for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registered").field("tool", &self.tool).field("ring", &self.ring).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_every_client() {
        // AGT-02
        let long = "x".repeat(256);
        let tools = ["files", "a", &"t".repeat(64)];
        let functions = ["read", "files.read", "ring:fence/files@0.1.0.read", "a b", "é", "", "a_b", "a.b", &long];
        let mut seen = std::collections::BTreeSet::new();
        for tool in tools {
            for function in functions {
                let name = plain(tool, function).unwrap_or_else(|| shortened(tool, function, 8));
                let fits = name.len() <= limits::OFFER_NAME_BYTES_MAX && name.bytes().all(is_held);
                assert!(fits && !name.is_empty(), "{tool} {function}: {name}");
                assert!(seen.insert(name.clone()), "{tool} {function}: {name} is taken");
                let again = plain(tool, function).unwrap_or_else(|| shortened(tool, function, 8));
                assert_eq!(name, again);
            }
        }
        assert_eq!(plain("files", "read").as_deref(), Some("files_read"));
        assert!(shortened("files", "a.b", 8).starts_with("files_a_b_"));
    }

    #[test]
    fn no_tool_takes_the_name_of_another() {
        // AGT-02: `a` with `b_c` and `a_b` with `c` would both be `a_b_c`.
        assert_eq!(plain("a", "b_c").as_deref(), Some("a_b_c"));
        assert_eq!(plain("a_b", "c"), None);
        assert_ne!(shortened("a_b", "c", 8), "a_b_c");
    }
}
