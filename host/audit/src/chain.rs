//! The chain: every entry carries the hash of the one before.
//!
//! A [`Head`] is where the chain ends. [`Head::append`] is the only way to make an entry, so an entry can't be made
//! without its link. The caller must have made the bytes durable before anyone acts on them; a head that ran ahead of
//! its store is thrown away and read again from there.

use ringfence_model::digest::Digest;
use ringfence_model::encoding::EncodeError;
use ringfence_model::encoding::encode;
use ringfence_model::entry::Body;
use ringfence_model::entry::Entry;
use ringfence_model::time::Timestamp;

use crate::hash;

/// Where a chain ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The index of the next entry, which is the number of entries.
    pub next_index: u64,
    /// The hash of the last entry; [`Digest::ZERO`] before the first.
    pub hash: Digest,
}

impl Head {
    /// The head of a chain without entries.
    pub const fn empty() -> Self {
        Self { next_index: 0, hash: Digest::ZERO }
    }

    /// Makes the next entry and moves the head onto it: its bytes, and their hash. An error leaves the head as it was.
    ///
    /// ```
    /// use ringfence_audit::chain::Head;
    /// use ringfence_model::entry::Body;
    /// use ringfence_model::entry::Opened;
    /// use ringfence_model::time::Timestamp;
    ///
    /// let mut head = Head::empty();
    /// let opened = Opened { host: "ringfence".into(), key: "k".into(), origin: "example.org/log".into() };
    /// let (bytes, hash) = head.append(Body::Opened(opened), Timestamp::from_millis(0)).unwrap();
    /// assert_eq!(hash, ringfence_audit::hash::leaf(&bytes));
    /// assert_eq!(head, Head { next_index: 1, hash });
    /// ```
    pub fn append(&mut self, body: Body, time: Timestamp) -> Result<(Vec<u8>, Digest), EncodeError> {
        let bytes = encode(&Entry { body, index: self.next_index, prev: self.hash, time })?;
        let hash = hash::leaf(&bytes);
        *self = Self { next_index: self.next_index.saturating_add(1), hash };
        Ok((bytes, hash))
    }
}

#[cfg(test)]
mod tests {
    use ringfence_model::encoding::decode;
    use ringfence_model::entry::Opened;
    use ringfence_model::limits::ENTRY_BYTES_MAX;

    use super::*;

    fn opened(host: &str) -> Body {
        Body::Opened(Opened { host: host.to_owned(), key: String::new(), origin: String::new() })
    }

    #[test]
    fn entries_carry_the_hash_before() {
        let mut head = Head::empty();
        let mut prev = Digest::ZERO;
        for index in 0..5 {
            let (bytes, hash) = head.append(opened("x"), Timestamp::from_millis(index)).expect("an entry");
            let entry = decode(&bytes).expect("an entry");
            assert_eq!((entry.index, entry.prev), (index, prev));
            prev = hash;
        }
        assert_eq!(head, Head { next_index: 5, hash: prev });
    }

    #[test]
    fn refused_entry_leaves_head_unmoved() {
        let mut head = Head::empty();
        head.append(opened("x"), Timestamp::from_millis(0)).expect("an entry");
        let before = head;
        assert!(head.append(opened(&"x".repeat(ENTRY_BYTES_MAX)), Timestamp::from_millis(0)).is_err());
        assert_eq!(head, before);
    }
}
