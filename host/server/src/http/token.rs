//! Bearer tokens: who holds one, and what they may use it for.
//!
//! A token is 256 random bits. What is kept is its SHA-256: there is nothing to guess, so there is nothing to stretch. A
//! token that comes in is hashed and compared with every one that is known, in a time that says nothing about any of them
//! (API-02). There is no other way in, and no request without one.

use std::fmt;
use std::str::FromStr;

use ringfence_model::digest::Digest;
use ringfence_model::principal::Principal;
use ringfence_model::ring::Ring;
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
    /// Look at the calls of others.
    Audit,
    /// Call tools, and look at what came of one's own calls.
    Call,
    /// Open sessions for agents and services and in any ring, see and close theirs, and see how the host is doing.
    Operate,
    /// Open and close sessions of one's own, in the token's ring or a less privileged one; in ring 3 if it has none.
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

/// Scopes of which any one will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnyOf(pub &'static [Scope]);

impl From<Scope> for AnyOf {
    fn from(scope: Scope) -> Self {
        Self(match scope {
            Scope::Approve => &[Scope::Approve],
            Scope::Audit => &[Scope::Audit],
            Scope::Call => &[Scope::Call],
            Scope::Operate => &[Scope::Operate],
            Scope::Session => &[Scope::Session],
        })
    }
}

/// To be written between backquotes.
impl fmt::Display for AnyOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&names.join("` or `"))
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
    /// What they reach with it runs in this ring or a less privileged one; without it, as it is registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ring: Option<Ring>,
    /// What they may use it for.
    pub scopes: Vec<Scope>,
}

impl Holder {
    /// Whether the token may be used for something.
    pub fn may(&self, wanted: impl Into<AnyOf>) -> bool {
        wanted.into().0.iter().any(|scope| self.scopes.contains(scope))
    }

    /// Whether the token alone opens sessions in a ring: nobody is asked, so it is no more than the token itself has.
    pub fn opens(&self, ring: Ring) -> bool {
        self.ring.unwrap_or_default().reaches(ring) || self.may(Scope::Operate)
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

    /// Whether somebody is among those who hold one, with these rights.
    pub fn knows(&self, holder: &Holder) -> bool {
        self.0.contains(holder)
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
        let digest = Digest::of(mine.as_bytes());
        let holder = Holder { digest, principal, ring: None, scopes: vec![Scope::Call] };
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
        assert!(holder.may(AnyOf(&[Scope::Audit, Scope::Call])) && !holder.may(AnyOf(&[])));
    }

    #[test]
    fn token_opens_what_it_has_itself() {
        let holder = |ring, scopes: &[Scope]| Holder {
            digest: Digest::of(b""),
            principal: Principal::anonymous(),
            ring,
            scopes: scopes.to_vec(),
        };
        for (ring, scopes, opened) in [
            (None, [Scope::Session], 3),
            (Some(Ring::Standard), [Scope::Session], 2),
            (Some(Ring::Root), [Scope::Session], 0),
            (None, [Scope::Operate], 0),
            (Some(Ring::Sandbox), [Scope::Operate], 0),
        ] {
            let holder = holder(ring, &scopes);
            let found = Ring::ALL.into_iter().find(|ring| holder.opens(*ring));
            assert_eq!(found.map(Ring::number), Some(opened), "{holder:?}");
        }
    }
}
