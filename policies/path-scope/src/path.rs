//! A guest's path, absolute and without `.`, `..` and empty components.

use std::fmt;

/// The components of an absolute path.
#[derive(Debug, PartialEq, Eq)]
pub struct GuestPath {
    components: Vec<String>,
}

impl GuestPath {
    /// Reads a path as a guest would, from its root where it is relative. Refuses what systems read differently.
    pub fn parse(text: &str) -> Option<Self> {
        if text.contains(['\0', '\\']) {
            return None;
        }
        let mut components = Vec::new();
        for component in text.split('/') {
            match component {
                "" | "." => {}
                ".." => drop(components.pop()),
                name => components.push(name.to_owned()),
            }
        }
        Some(Self { components })
    }

    /// Whether this is the root itself or lies below it.
    pub fn is_under(&self, root: &Self) -> bool {
        self.components.starts_with(&root.components)
    }
}

impl fmt::Display for GuestPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.components.join("/"))
    }
}
