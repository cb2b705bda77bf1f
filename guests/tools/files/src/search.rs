//! Searches files for lines that match: depth first, names in order, within fixed bounds.

use std::fs;

use regex_lite::Regex;

use crate::READ_BYTES_MAX;
use crate::bindings::exports::ringfence::files::files::{Error, Found, Matches};
use crate::error::at;

/// The most lines that are found.
const FOUND_MAX: usize = 1_000;
/// The most files that are looked at.
const FILES_MAX: u64 = 10_000;
/// The deepest folder that is looked into.
const DEPTH_MAX: usize = 32;
/// The longest part of a line that is shown, in characters.
const TEXT_CHARS_MAX: usize = 300;

/// Searches a file, or everything in a folder.
pub fn grep(path: &str, pattern: &str) -> Result<Matches, Error> {
    let regex = Regex::new(pattern).map_err(|error| Error::BadPattern(error.to_string()))?;
    let found = Matches { found: Vec::new(), files: 0, skipped: 0, truncated: false };
    let mut search = Search { regex, matches: found };
    if fs::metadata(path).map_err(at(path))?.is_dir() {
        search.folder(path, 0)?;
    } else {
        search.file(path)?;
    }
    Ok(search.matches)
}

struct Search {
    regex: Regex,
    matches: Matches,
}

impl Search {
    fn folder(&mut self, path: &str, depth: usize) -> Result<(), Error> {
        if depth == DEPTH_MAX {
            self.matches.truncated = true;
            return Ok(());
        }
        for (name, is_folder) in names(path)? {
            if self.matches.truncated {
                return Ok(());
            }
            let below = format!("{}/{name}", path.trim_end_matches('/'));
            if is_folder {
                self.folder(&below, depth + 1)?;
            } else {
                self.file(&below)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &str) -> Result<(), Error> {
        if self.matches.files == FILES_MAX {
            self.matches.truncated = true;
            return Ok(());
        }
        if fs::metadata(path).map_err(at(path))?.len() > READ_BYTES_MAX {
            self.matches.skipped += 1;
            return Ok(());
        }
        match String::from_utf8(fs::read(path).map_err(at(path))?) {
            Ok(text) => self.text(path, &text),
            Err(_) => self.matches.skipped += 1,
        }
        Ok(())
    }

    fn text(&mut self, path: &str, text: &str) {
        self.matches.files += 1;
        for (line, text) in (1..).zip(text.lines()) {
            if !self.regex.is_match(text) {
                continue;
            }
            if self.matches.found.len() == FOUND_MAX {
                self.matches.truncated = true;
                return;
            }
            let text = text.chars().take(TEXT_CHARS_MAX).collect();
            self.matches.found.push(Found { path: path.to_owned(), line, text });
        }
    }
}

/// The names of the files and folders in a folder, in order, and which of them are folders.
fn names(path: &str) -> Result<Vec<(String, bool)>, Error> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path).map_err(at(path))? {
        let entry = entry.map_err(at(path))?;
        let file_type = entry.file_type().map_err(at(path))?;
        if file_type.is_file() || file_type.is_dir() {
            names.push((entry.file_name().to_string_lossy().into_owned(), file_type.is_dir()));
        }
    }
    names.sort();
    Ok(names)
}
