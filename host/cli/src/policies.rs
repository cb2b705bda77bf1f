//! The policies of a configuration: found, held to their pins, schemas, scopes and cases, put in force, and archived.
//!
//! A set is put in force as a whole or not at all: while one policy of it is wrong, nothing is permitted, because nothing
//! runs. What is wrong is told with the line of the configuration that put the policy there.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;

use ringfence_model::digest::Digest;
use ringfence_model::limits;
use ringfence_model::outcome::one_line;
use ringfence_runtime::engine::Engine;
use ringfence_runtime::policy::Policy;
use ringfence_runtime::policy::PolicyError;
use ringfence_runtime::policy::PolicySet;
use ringfence_runtime::policy::archive::Archive;
use ringfence_runtime::policy::cases::Cases;

use crate::commands;
use crate::config::Config;
use crate::config::policies::PolicyTable;
use crate::config::policies::line_of;
use crate::config::policies::no_settings;
use crate::error::CommandError;
use crate::files;
use crate::home::Home;

/// The policy that is in force where nothing is configured.
const DEFAULT: &str = "ring-default";

/// The policies that a configuration names, and where the paths in it start.
#[derive(Clone, Debug)]
pub struct Policies {
    tables: Option<BTreeMap<String, PolicyTable>>,
    folder: PathBuf,
    /// The configuration itself.
    path: PathBuf,
}

/// A policy that is ready to be asked, and what it was made from.
#[derive(Debug)]
pub struct Loaded {
    pub policy: Policy,
    pub component: Cow<'static, [u8]>,
}

/// The set in force, each of its policies in the archive.
pub fn put_in_force(engine: &Engine, home: &Home) -> Result<PolicySet, CommandError> {
    archived(home, Policies::of(Some(home)).load_all(engine)?)
}

/// Policies that are asked in addition for one call. They are archived as well: they are part of the decision.
pub fn asked_too(engine: &Engine, home: &Home, names: &[String]) -> Result<PolicySet, CommandError> {
    let policies = Policies::of(Some(home));
    archived(home, names.iter().map(|name| policies.load(engine, name)).collect::<Result<_, _>>()?)
}

fn archived(home: &Home, loaded: Vec<Loaded>) -> Result<PolicySet, CommandError> {
    let archive = archive(home);
    for Loaded { policy, component } in &loaded {
        archive.keep(policy, component)?;
    }
    Ok(PolicySet::new(loaded.into_iter().map(|loaded| loaded.policy).collect()))
}

/// What was in force in a home.
pub fn archive(home: &Home) -> Archive {
    Archive::new(home.archive_path())
}

/// A built-in policy by name.
pub fn builtin(name: &str) -> Result<&'static [u8], CommandError> {
    let found = ringfence_policies::ALL.iter().find(|policy| policy.name == name);
    found.map(|policy| policy.component).ok_or_else(|| {
        let names: Vec<_> = ringfence_policies::ALL.iter().map(|policy| policy.name.to_owned()).collect();
        CommandError::unknown_policy(name, &names)
    })
}

/// Reads a table of cases.
pub fn read_cases(path: &Path) -> Result<Cases, CommandError> {
    let text = String::from_utf8_lossy(&commands::read(path)?).into_owned();
    Cases::parse(&text).map_err(|error| CommandError::bad_cases(path, &error.to_string()))
}

impl Policies {
    /// Those of a home; without one, nothing is configured.
    pub fn of(home: Option<&Home>) -> Self {
        match home {
            Some(home) => Self {
                tables: home.config().policies.clone(),
                folder: home.folder().to_owned(),
                path: home.config_path(),
            },
            None => Self { tables: None, folder: PathBuf::from("."), path: PathBuf::new() },
        }
    }

    /// Those of a configuration, or of the one in a folder.
    pub fn read(path: &Path) -> Result<Self, CommandError> {
        let path = if path.is_dir() { path.join("ringfence.toml") } else { path.to_owned() };
        // A home without a configuration has the default; a name that leads nowhere is a mistake.
        if !path.exists() && !path.parent().is_some_and(|folder| folder.join("log.sqlite").exists()) {
            return Err(CommandError::file(&path, &std::io::ErrorKind::NotFound.into()));
        }
        let Config { policies, .. } = Config::read(&path)?;
        Ok(Self { tables: policies, folder: path.parent().unwrap_or(Path::new(".")).to_owned(), path })
    }

    /// The names of those in force, in order.
    pub fn in_force(&self) -> Vec<&str> {
        match &self.tables {
            None => vec![DEFAULT],
            Some(tables) => tables.keys().map(String::as_str).collect(),
        }
    }

    /// Those in force, each as it has to be; or what is wrong with the first that is not.
    pub fn load_all(&self, engine: &Engine) -> Result<Vec<Loaded>, CommandError> {
        self.in_force().into_iter().map(|name| self.load(engine, name)).collect()
    }

    /// The set in force.
    pub fn set(&self, engine: &Engine) -> Result<PolicySet, CommandError> {
        Ok(PolicySet::new(self.load_all(engine)?.into_iter().map(|loaded| loaded.policy).collect()))
    }

    /// A policy by name: the configuration's, else a built-in one with empty settings.
    pub fn load(&self, engine: &Engine, name: &str) -> Result<Loaded, CommandError> {
        let Some(table) = self.table(name) else {
            let component = Cow::Borrowed(builtin(name)?);
            let policy = Policy::load(engine, name, &component, &no_settings())?;
            return Ok(Loaded { policy, component });
        };
        let component = self.component(name)?;
        self.check_pin(name, table, &component)?;
        let loaded = Policy::load(engine, name, &component, &table.settings);
        let policy = loaded.and_then(|policy| policy.within(table.scope()));
        let policy = policy.map_err(|error| self.placed(&place_of(name, &error), error.into()))?;
        self.check_cases(engine, name, table, &component)?;
        Ok(Loaded { policy, component })
    }

    /// The bytes of a policy's component, whatever is pinned.
    pub fn component(&self, name: &str) -> Result<Cow<'static, [u8]>, CommandError> {
        match self.table(name).and_then(|table| table.component.as_ref()) {
            Some(path) => commands::read(&self.folder.join(path))
                .map(Cow::Owned)
                .map_err(|error| self.placed(&["policies", name, "component"].map(str::to_owned), error)),
            None => builtin(name)
                .map(Cow::Borrowed)
                .map_err(|error| self.placed(&["policies", name].map(str::to_owned), error)),
        }
    }

    pub fn table(&self, name: &str) -> Option<&PolicyTable> {
        self.tables.as_ref()?.get(name)
    }

    /// The names of all that are configured.
    pub fn configured(&self) -> impl Iterator<Item = &str> {
        self.tables.iter().flatten().map(|(name, _)| name.as_str())
    }

    fn check_pin(&self, name: &str, table: &PolicyTable, component: &[u8]) -> Result<(), CommandError> {
        let actual = Digest::of(component);
        match table.digest {
            Some(pinned) if pinned != actual => Err(self.placed(
                &["policies", name, "digest"].map(str::to_owned),
                CommandError::other_policy(name, &actual, &pinned),
            )),
            _ => Ok(()),
        }
    }

    /// A policy is in force only if it says of its own cases what its author says it must.
    fn check_cases(
        &self,
        engine: &Engine,
        name: &str,
        table: &PolicyTable,
        component: &[u8],
    ) -> Result<(), CommandError> {
        let Some(path) = table.cases.as_ref().map(|path| self.folder.join(path)) else { return Ok(()) };
        let key = ["policies", name, "cases"].map(str::to_owned);
        let cases = read_cases(&path).map_err(|error| self.placed(&key, error))?;
        let results = cases.run(engine, name, component).map_err(|error| self.placed(&key, error.into()))?;
        let failed: Vec<_> = results.iter().filter(|result| !result.passed).collect();
        match failed.first() {
            None => Ok(()),
            Some(first) => Err(self.placed(&key, CommandError::failed_cases(name, failed.len(), first, &path))),
        }
    }

    /// An error with the line of the configuration that it is about.
    fn placed(&self, keys: &[String], mut error: CommandError) -> CommandError {
        let text = files::read_text(&self.path, limits::CONFIG_BYTES_MAX).unwrap_or_default();
        if let Some(line) = line_of(&text, keys) {
            error.message =
                format!("{} (`{}`, line {line})", error.message, one_line(&self.path.display().to_string()));
        }
        error
    }
}

/// The keys that lead to what an error is about.
fn place_of(name: &str, error: &PolicyError) -> Vec<String> {
    let policy = vec!["policies".to_owned(), name.to_owned()];
    let rest: Vec<String> = match error {
        PolicyError::BadSettings { pointer, .. } => {
            let parts = pointer.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~"));
            std::iter::once("settings".to_owned()).chain(parts).collect()
        }
        PolicyError::NeverAsked { .. } => vec!["points".to_owned()],
        _ => vec!["component".to_owned()],
    };
    policy.into_iter().chain(rest).collect()
}
