//! Bearer tokens: who holds one, and what they may use it for.
//!
//! A token is 256 random bits. What is kept is its SHA-256: there is nothing to guess, so there is nothing to stretch. A
//! token that comes in is hashed and compared with every one that is known, in a time that says nothing about any of them
//! (API-02). There is no other way in, and no request without one.

use std::fmt;
use std::str::FromStr;

use ringfence_model::digest::Digest;
use ringfence_model::principal::Principal;
use serde::Deserialize;
use serde::Serialize;
use subtle::Choice;
use subtle::ConstantTimeEq as _;

/// What every token starts with, so that one that leaks is found.
pub const PREFIX: &str = "rft_";
/// Bytes of a token's randomness.
pub const RANDOM_BYTES: usize = 32;

/// What a token may be used for. Nothing includes anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Answer what policies hold.
    Approve,
    /// Look at what others did: calls, metrics.
    Audit,
    /// Call tools, and look at what came of one's own calls.
    Call,
    /// Act for others, and see how the host is doing.
    Operate,
    /// Open and close sessions of one's own.
    Session,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 5] = [Self::Approve, Self::Audit, Self::Call, Self::Operate, Self::Session];
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Approve => "approve",
            Self::Audit => "audit",
            Self::Call => "call",
            Self::Operate => "operate",
            Self::Session => "session",
        })
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|scope| scope.to_string() == text);
        known.ok_or_else(|| "scopes are `approve`, `audit`, `call`, `operate` and `session`".to_owned())
    }
}

/// Somebody who holds a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Holder {
    /// SHA-256 of the token.
    pub digest: Digest,
    /// Who they are.
    pub principal: Principal,
    /// What they may use it for.
    pub scopes: Vec<Scope>,
}

impl Holder {
    /// Whether the token may be used for something.
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}

/// Every token that is known.
#[derive(Clone, Debug, Default)]
pub struct Tokens(Vec<Holder>);

impl Tokens {
    /// These.
    pub fn new(holders: impl IntoIterator<Item = Holder>) -> Self {
        Self(holders.into_iter().collect())
    }

    /// Whether nobody can get in.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Who holds a token.
    pub fn holder(&self, token: &str) -> Option<&Holder> {
        // The form says nothing about which tokens there are; what does not have it is not worth a hash (API-10).
        if !is_formed(token) {
            return None;
        }
        let digest = Digest::of(token.as_bytes());
        let mut found = None;
        for holder in &self.0 {
            let same: Choice = holder.digest.as_bytes().as_slice().ct_eq(digest.as_bytes().as_slice());
            // Goes on to the last one, whatever was found.
            if bool::from(same) {
                found = Some(holder);
            }
        }
        found
    }
}

/// The text of a token.
pub fn token(random: &[u8; RANDOM_BYTES]) -> String {
    format!("{PREFIX}{}", hex::encode(random))
}

fn is_formed(token: &str) -> bool {
    let digits = token.strip_prefix(PREFIX).unwrap_or_default();
    digits.len() == 2 * RANDOM_BYTES
        && digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_itself_is_known() {
        // API-01
        let mine = token(&[7; RANDOM_BYTES]);
        let principal = Principal::anonymous();
        let holder = Holder { digest: Digest::of(mine.as_bytes()), principal, scopes: vec![Scope::Call] };
        let tokens = Tokens::new([holder.clone()]);
        assert_eq!(tokens.holder(&mine), Some(&holder));
        let others = [
            String::new(),
            PREFIX.to_owned(),
            token(&[8; RANDOM_BYTES]),
            mine.to_uppercase(),
            format!("{mine} "),
            format!("{mine}0"),
            mine.trim_end_matches(|_| false).chars().skip(1).collect(),
            holder.digest.to_string(),
        ];
        for other in others {
            assert_eq!(tokens.holder(&other), None, "{other}");
        }
        assert_eq!(Tokens::default().holder(&mine), None);
        assert!(holder.may(Scope::Call) && !holder.may(Scope::Operate));
    }
}
