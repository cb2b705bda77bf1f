//! Edits to the configuration: one tool's table in or out, where the log is, everything else as its operator wrote it.
//!
//! An edit is read, checked with the parser that will read it, and put in place in one step; whoever holds the lock of
//! the store may edit, and a file that somebody changed meanwhile is left alone.

use std::fs;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;

use ringfence_model::limits;
use toml_edit::DocumentMut;
use toml_edit::Item;
use toml_edit::RawString;
use toml_edit::Table;

use crate::config::Config;
use crate::config::ConfigError;
use crate::config::tools::Name;
use crate::files;

/// A configuration that is being edited.
#[derive(Debug)]
pub struct Edit {
    path: PathBuf,
    /// What was read; none if there was no file.
    before: Option<String>,
    document: DocumentMut,
}

impl Edit {
    /// Reads a configuration to edit it. The file that a link leads to is the one that is edited.
    pub fn open(path: &Path) -> Result<Self, ConfigError> {
        // Checked by its own reader first: that one is strict, and names lines.
        Config::read(path)?;
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let before = match files::read_text(&path, limits::CONFIG_BYTES_MAX) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(unusable(&path, &error.to_string())),
        };
        let document = before.as_deref().unwrap_or_default().parse::<DocumentMut>();
        let document = document.map_err(|error| unusable(&path, &error.message().replace('\n', "; ")))?;
        Ok(Self { path, before, document })
    }

    /// Sets keys of a tool's table, which is made if it is not there. A key without a value is taken out.
    pub fn set(&mut self, name: &Name, keys: &[(&str, Option<String>)]) -> Result<(), ConfigError> {
        let table = self.table(name)?;
        for (key, value) in keys {
            match value {
                Some(value) => match table.get_mut(key).and_then(Item::as_value_mut) {
                    // The comments around a value are its operator's.
                    Some(known) => {
                        let decor = known.decor().clone();
                        *known = value.as_str().into();
                        *known.decor_mut() = decor;
                    }
                    None => drop(table.insert(key, toml_edit::value(value.as_str()))),
                },
                None => drop(table.remove(key)),
            }
        }
        Ok(())
    }

    /// Sets keys of the log's table, which is made if it is not there. A key without a value is taken out.
    pub fn set_log(&mut self, keys: &[(&str, Option<String>)]) -> Result<(), ConfigError> {
        let not_a_table = unusable(&self.path, "`log` is not a table");
        let table = self.document.entry("log").or_insert_with(|| Item::Table(Table::new()));
        let table = table.as_table_like_mut().ok_or(not_a_table)?;
        for (key, value) in keys {
            match value {
                Some(value) => drop(table.insert(key, toml_edit::value(value.as_str()))),
                None => drop(table.remove(key)),
            }
        }
        Ok(())
    }

    /// Takes a part of a tool's table out.
    pub fn clear(&mut self, name: &Name, part: &str) -> Result<(), ConfigError> {
        self.table(name)?.remove(part);
        Ok(())
    }

    /// Takes a tool's table out. The comments before it stay, at the end.
    pub fn remove(&mut self, name: &Name) {
        let tools = self.document.get_mut("tools").and_then(Item::as_table_like_mut);
        let removed = tools.and_then(|tools| tools.remove(name.as_str()));
        let Some(Item::Table(table)) = removed else { return };
        let comments = table.decor().prefix().and_then(RawString::as_str).unwrap_or_default();
        let trailing = self.document.trailing().as_str().unwrap_or_default();
        let both = format!("{}{trailing}", comments.strip_suffix('\n').unwrap_or(comments));
        self.document.set_trailing(both);
    }

    /// Puts the edited configuration in the place of the one that was read, and answers with what it says.
    pub fn write(self) -> Result<Config, ConfigError> {
        let text = self.document.to_string();
        if u64::try_from(text.len()).unwrap_or(u64::MAX) > limits::CONFIG_BYTES_MAX {
            return Err(unusable(&self.path, &format!("it would be larger than {} bytes", limits::CONFIG_BYTES_MAX)));
        }
        let config = Config::parse(&text).map_err(|(line, why)| ConfigError::Malformed {
            path: self.path.display().to_string(),
            line,
            why,
        })?;
        if files::read_text(&self.path, limits::CONFIG_BYTES_MAX).ok() != self.before {
            return Err(unusable(&self.path, "somebody else has changed it meanwhile"));
        }
        replace(&self.path, text.as_bytes()).map_err(|error| unusable(&self.path, &error.to_string()))?;
        Ok(config)
    }

    /// The table of a tool; new tables stand at the end, as `[tools.NAME]`.
    fn table(&mut self, name: &Name) -> Result<&mut dyn toml_edit::TableLike, ConfigError> {
        let path = &self.path;
        let not_a_table = || unusable(path, "`tools` is not a table");
        // The comments at the end of the file stay before what comes behind it.
        let trailing = self.document.trailing().as_str().unwrap_or_default().to_owned();
        let mut new = Table::new();
        new.decor_mut().set_prefix(format!("{trailing}\n"));
        let tools = self.document.entry("tools").or_insert_with(|| {
            let mut tools = Table::new();
            tools.set_implicit(true);
            Item::Table(tools)
        });
        let tools = tools.as_table_like_mut().ok_or_else(not_a_table)?;
        if !tools.contains_key(name.as_str()) {
            tools.insert(name.as_str(), Item::Table(new));
            self.document.set_trailing("");
        }
        let tool = self.document.get_mut("tools").and_then(|tools| tools.get_mut(name.as_str()));
        tool.and_then(Item::as_table_like_mut).ok_or_else(not_a_table)
    }
}

/// Writes a file under its name in one step, durably, with the mode that it had.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    if let Ok(metadata) = fs::metadata(path) {
        file.as_file().set_permissions(metadata.permissions())?;
    }
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

fn unusable(path: &Path, why: &str) -> ConfigError {
    ConfigError::NotWritten { path: path.display().to_string(), why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PINS: [(&str, &str); 4] = [
        ("source", "/a.wasm"),
        ("digest", "sha256:0000000000000000000000000000000000000000000000000000000000000000"),
        ("description-digest", "sha256:0000000000000000000000000000000000000000000000000000000000000000"),
        ("signer", "none"),
    ];

    fn pins() -> Vec<(&'static str, Option<String>)> {
        PINS.iter().map(|(key, value)| (*key, Some((*value).to_owned()))).collect()
    }

    fn edited(before: &str, edit: impl FnOnce(&mut Edit)) -> Result<String, ConfigError> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ringfence.toml");
        fs::write(&path, before).expect("a file");
        let mut open = Edit::open(&path)?;
        edit(&mut open);
        open.write()?;
        Ok(fs::read_to_string(&path).expect("a file"))
    }

    #[test]
    fn other_words_stay_as_written() {
        let before = "# mine\n[run]   # here\nring = 3 # low\n\n[policies.ring-default]\n# last\n";
        let name: Name = "files".parse().expect("a name");
        let added = edited(before, |edit| edit.set(&name, &pins()).expect("set")).expect("written");
        assert!(added.starts_with(&format!("{before}\n[tools.files]\nsource = \"/a.wasm\"\n")), "{added}");
        let other: Name = "other".parse().expect("a name");
        let both = edited(&added, |edit| edit.set(&other, &pins()).expect("set")).expect("written");
        assert!(both.starts_with(&format!("{added}\n[tools.other]\n")), "{both}");
        assert_eq!(edited(&both, |edit| edit.remove(&other)).expect("written"), added);
        assert_eq!(edited(&added, |edit| edit.remove(&name)).expect("written"), before);
    }

    #[test]
    fn replaced_pins_keep_grants_and_comments() {
        let name: Name = "files".parse().expect("a name");
        let added = edited("", |edit| edit.set(&name, &pins()).expect("set")).expect("written");
        let granted = added.replace("signer = \"none\"", "signer = \"none\" # local\nring = 2\n[tools.files.grant]");
        let moved = [("source", Some("/b.wasm".to_owned())), ("manifest-digest", None)];
        let replaced = edited(&granted, |edit| edit.set(&name, &moved).expect("set")).expect("written");
        assert_eq!(replaced, granted.replace("/a.wasm", "/b.wasm"));
        let cleared = edited(&replaced, |edit| edit.clear(&name, "grant").expect("cleared")).expect("written");
        assert!(!cleared.contains("grant") && cleared.contains("ring = 2"), "{cleared}");
    }

    #[test]
    fn what_its_reader_refuses_is_never_written() {
        let name: Name = "files".parse().expect("a name");
        let wrong = [("digest", Some("md5:0".to_owned()))];
        assert!(matches!(edited("", |edit| edit.set(&name, &wrong).expect("set")), Err(ConfigError::Malformed { .. })));
        let big = format!("# {}\n", "x".repeat(1_048_500));
        assert!(matches!(
            edited(&big, |edit| edit.set(&name, &pins()).expect("set")),
            Err(ConfigError::NotWritten { .. })
        ));
        assert!(matches!(edited("a = 1", |_| {}), Err(ConfigError::Malformed { .. })));
    }
}
