//! Statements about tools: these bytes are the tool of this name, says whoever signed it.
//!
//! A statement is a signed note, like a checkpoint is; its first line keeps the two apart, so that no signature of one
//! kind passes for the other. It names the bytes by their digests, the manifest that lies beside a component as well.

use ringfence_model::digest::Digest;
use thiserror::Error;

use crate::note;
use crate::note::Note;
use crate::note::NoteError;
use crate::note::Verifier;
use crate::signer::SignError;
use crate::signer::Signer;

/// The first line of every statement.
const HEADER: &str = "ringfence tool statement v1";

/// Why a statement can't be trusted.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum StatementError {
    /// What is signed is no statement about a tool.
    #[error("what is signed is not a statement about a tool at line {line}")]
    Malformed {
        /// The first line that is another than it has to be.
        line: usize,
    },
    /// It is not signed as it should be.
    #[error(transparent)]
    Note(#[from] NoteError),
}

/// What is said about a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The digest of the component's file.
    pub component: Digest,
    /// The digest of the manifest beside it, if there is none inside.
    pub manifest: Option<Digest>,
    /// What the tool is called.
    pub name: String,
}

impl Statement {
    /// Says it, under a signature.
    ///
    /// ```
    /// use ringfence_audit::signer::Signer;
    /// use ringfence_audit::signer::SoftwareSigner;
    /// use ringfence_audit::statement::Statement;
    /// use ringfence_model::digest::Digest;
    ///
    /// let signer = SoftwareSigner::from_seed("author.example", &[7; 32]).unwrap();
    /// let statement = Statement { component: Digest::of(b"bytes"), manifest: None, name: "adder".to_owned() };
    /// let note = statement.sign(&signer).unwrap();
    /// assert_eq!(Statement::open(&note, signer.verifier()), Ok(statement));
    /// ```
    pub fn sign(&self, signer: &dyn Signer) -> Result<String, SignError> {
        let text = self.text();
        // What can't be read back the same way is not signed: a name with a line break would say more than one thing.
        if Self::parse(&text).as_ref() == Ok(self) { note::sign(&text, &[signer]) } else { Err(SignError::Text) }
    }

    /// Reads a statement that `key` has signed.
    pub fn open(note: &str, key: &Verifier) -> Result<Self, StatementError> {
        Self::parse(Note::parse(note)?.open(std::slice::from_ref(key))?)
    }

    fn text(&self) -> String {
        let manifest = self.manifest.map_or_else(|| "none".to_owned(), |digest| digest.to_string());
        format!("{HEADER}\ncomponent {}\nmanifest {manifest}\nname {}\n", self.component, self.name)
    }

    fn parse(text: &str) -> Result<Self, StatementError> {
        let at = |line| StatementError::Malformed { line };
        let mut lines = text.strip_suffix('\n').unwrap_or_default().split('\n');
        let mut value = |line, key| lines.next().and_then(|text| text.strip_prefix(key)).ok_or_else(|| at(line));
        if !value(1, HEADER)?.is_empty() {
            return Err(at(1));
        }
        let component = value(2, "component ")?.parse().map_err(|_| at(2))?;
        let manifest = match value(3, "manifest ")? {
            "none" => None,
            other => Some(other.parse().map_err(|_| at(3))?),
        };
        let name = value(4, "name ")?.to_owned();
        if name.is_empty() || name.contains(char::is_control) {
            return Err(at(4));
        }
        if lines.next().is_some() { Err(at(5)) } else { Ok(Self { component, manifest, name }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signer::SoftwareSigner;

    fn signer(seed: u8) -> SoftwareSigner {
        SoftwareSigner::from_seed("author.example", &[seed; 32]).expect("a signer")
    }

    fn statement() -> Statement {
        Statement { component: Digest::of(b"c"), manifest: Some(Digest::of(b"m")), name: "adder".to_owned() }
    }

    #[test]
    fn only_the_signer_vouches() {
        // ART-05
        let note = statement().sign(&signer(1)).expect("signed");
        assert_eq!(Statement::open(&note, signer(1).verifier()), Ok(statement()));
        assert!(Statement::open(&note, signer(2).verifier()).is_err());
        for (what, with) in [("adder", "files"), (&Digest::of(b"c").to_string(), &Digest::of(b"d").to_string())] {
            let edited = note.replace(what, with);
            assert!(Statement::open(&edited, signer(1).verifier()).is_err(), "{edited}");
        }
    }

    #[test]
    fn other_signed_texts_are_no_statements() {
        // ART-05: a checkpoint under the same key says nothing about a tool.
        let text = statement().text();
        for (line, other) in [
            (1, "example.org/log\n1\nAAAA\n".to_owned()),
            (1, text.replace("v1", "v2")),
            (1, text.replace("v1", "v1 ")),
            (4, text.replace("name adder", "name ")),
            (3, text.replace("manifest sha256", "manifest SHA256")),
            (5, format!("{text}more\n")),
            (2, text.replace("component ", "component  ")),
            (4, text.replace("name adder\n", "")),
        ] {
            let note = note::sign(&other, &[&signer(1)]).expect("signed");
            let opened = Statement::open(&note, signer(1).verifier());
            assert_eq!(opened, Err(StatementError::Malformed { line }), "{other}");
        }
    }

    #[test]
    fn ambiguous_names_are_not_signed() {
        for name in ["", "a\nb", "a\n\n\u{2014} x AAAA", "a\u{7f}"] {
            let odd = Statement { name: name.to_owned(), ..statement() };
            assert!(odd.sign(&signer(1)).is_err(), "{name:?}");
        }
    }
}
