//! What the `wit` folder of a project says: whether it is a policy, and which world it is built for.
//!
//! It looks for lines and does not parse: the language's own tools do, and the component is checked when it is loaded.

use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;

use ringfence_model::limits;

use crate::build::BuildError;
use crate::files;

/// The package whose world a policy is built for.
const POLICY_PACKAGE: &str = "ringfence:policy";

/// What a component is meant to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A component that decides and imports nothing.
    Policy,
    /// A component that is run.
    Tool,
}

/// A `wit` folder; an empty one if there is none.
#[derive(Debug)]
pub struct Wit {
    folder: PathBuf,
    kind: Kind,
    worlds: BTreeSet<String>,
}

impl Wit {
    pub fn read(folder: &Path) -> Result<Self, BuildError> {
        let mut wit = Self { folder: folder.to_owned(), kind: Kind::Tool, worlds: BTreeSet::new() };
        if folder.is_dir() {
            for entry in std::fs::read_dir(folder).map_err(BuildError::file(folder))? {
                let path = entry.map_err(BuildError::file(folder))?.path();
                if path.extension().is_some_and(|extension| extension == "wit") {
                    wit.add(&files::read_text(&path, limits::CONFIG_BYTES_MAX).map_err(BuildError::file(&path))?);
                }
            }
        }
        Ok(wit)
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The only world.
    pub fn world(&self) -> Result<&str, BuildError> {
        let mut worlds = self.worlds.iter();
        match (worlds.next(), worlds.next()) {
            (Some(world), None) => Ok(world),
            (first, _) => {
                let why = if first.is_none() { "it declares no world" } else { "it declares more than one world" };
                Err(BuildError::Project { path: self.folder.clone(), why: why.to_owned() })
            }
        }
    }

    fn add(&mut self, text: &str) {
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
            if line.contains(POLICY_PACKAGE) {
                self.kind = Kind::Policy;
            }
            if let Some(rest) = line.strip_prefix("world ") {
                let name = rest.trim_start().trim_start_matches('%');
                self.worlds.extend(name.split([' ', '{']).next().map(ToOwned::to_owned));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wit(text: &str) -> Wit {
        let mut wit = Wit { folder: PathBuf::from("wit"), kind: Kind::Tool, worlds: BTreeSet::new() };
        wit.add(text);
        wit
    }

    #[test]
    fn kind_follows_the_package() {
        assert_eq!(wit("package ringfence:policy@0.1.0;").kind(), Kind::Policy);
        assert_eq!(wit("world mine {\n    export ringfence:policy/judge@0.1.0;\n}").kind(), Kind::Policy);
        assert_eq!(wit("/// Unlike ringfence:policy.\npackage a:b;").kind(), Kind::Tool);
    }

    #[test]
    fn only_world_is_the_one() {
        assert_eq!(wit("world greet {\n}").world().ok(), Some("greet"));
        assert_eq!(wit("  world %use{").world().ok(), Some("use"));
        assert!(wit("// world none").world().is_err());
        assert!(wit("world a {\n}\nworld b {\n}").world().is_err());
    }
}
