//! Bearer tokens, and names in certificates: who is known by one, and what they may use it for.
//!
//! A token is 256 random bits. What is kept is its SHA-256: there is nothing to guess, so there is nothing to stretch. A
//! token that comes in is hashed and compared with every one that is known, in a time that says nothing about any of them
//! (API-02). A name in a certificate is no secret: that it stands in one by an authority that is believed has been found
//! out before it is looked for here. There is no other way in, and no request without one.

use std::fmt;
use std::str::FromStr;

use ringfence_model::digest::Digest;
use ringfence_model::principal::Principal;
use ringfence_model::ring::Ring;
use serde::Deserialize;
use serde::Serialize;
use subtle::Choice;
use subtle::ConstantTimeEq as _;

use crate::http::peer::Name;

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

/// What somebody is known by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Credential {
    /// A name in their certificate.
    Certificate(Name),
    /// A token, by its SHA-256.
    Token(Digest),
}

/// Somebody who holds a token, or a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Row", into = "Row")]
pub struct Holder {
    /// What they are known by.
    pub credential: Credential,
    /// Who they are.
    pub principal: Principal,
    /// What they reach with it runs in this ring or a less privileged one; without it, as it is registered.
    pub ring: Option<Ring>,
    /// What they may use it for.
    pub scopes: Vec<Scope>,
}

/// A holder as they stand in a file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Row {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    certificate: Option<Name>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<Digest>,
    principal: Principal,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ring: Option<Ring>,
    scopes: Vec<Scope>,
}

impl TryFrom<Row> for Holder {
    type Error = &'static str;

    fn try_from(row: Row) -> Result<Self, Self::Error> {
        let Row { certificate, digest, principal, ring, scopes } = row;
        let credential = match (certificate, digest) {
            (Some(name), None) => Credential::Certificate(name),
            (None, Some(digest)) => Credential::Token(digest),
            _ => return Err("each has either a `digest` or a `certificate`"),
        };
        Ok(Self { credential, principal, ring, scopes })
    }
}

impl From<Holder> for Row {
    fn from(holder: Holder) -> Self {
        let Holder { credential, principal, ring, scopes } = holder;
        let (certificate, digest) = match credential {
            Credential::Certificate(name) => (Some(name), None),
            Credential::Token(digest) => (None, Some(digest)),
        };
        Self { certificate, digest, principal, ring, scopes }
    }
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

/// Every token, and every name in a certificate, that is known.
#[derive(Clone, Debug, Default)]
pub struct Tokens(Vec<Holder>);

impl Tokens {
    /// These.
    pub fn new(holders: impl IntoIterator<Item = Holder>) -> Self {
        Self(holders.into_iter().collect())
    }

    /// Whether somebody can get in by what they are known by.
    pub fn any(&self, gets_in: impl Fn(&Credential) -> bool) -> bool {
        self.0.iter().any(|holder| gets_in(&holder.credential))
    }

    /// Whose certificate has these names. Where they lead to two, it is nobody's.
    pub(super) fn named(&self, names: &[Name]) -> Option<&Holder> {
        let mut found = self.all_named(names);
        found.next().filter(|_| found.next().is_none())
    }

    /// Whether none of these names stands for anybody else: who is two by their certificate is not a third by a token (API-14).
    pub(super) fn are_at_most(&self, names: &[Name], principal: &Principal) -> bool {
        self.all_named(names).all(|holder| holder.principal == *principal)
    }

    fn all_named<'t>(&'t self, names: &[Name]) -> impl Iterator<Item = &'t Holder> {
        self.0.iter().filter(move |holder| match &holder.credential {
            Credential::Certificate(name) => names.contains(name),
            Credential::Token(_) => false,
        })
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
            let Credential::Token(known) = &holder.credential else { continue };
            let same: Choice = known.as_bytes().as_slice().ct_eq(digest.as_bytes().as_slice());
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
        let holder = Holder { credential: Credential::Token(digest), principal, ring: None, scopes: vec![Scope::Call] };
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
            digest.to_string(),
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
            credential: Credential::Token(Digest::of(b"")),
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

    #[test]
    fn names_lead_to_one_or_nobody() {
        let name = |text: &str| text.parse::<Name>().expect("a name");
        let holder = |credential, principal: &str| Holder {
            credential,
            principal: principal.parse().expect("a principal"),
            ring: None,
            scopes: vec![Scope::Call],
        };
        let (a, b) = (name("uri:spiffe://example.org/a"), name("dns:b.example.org"));
        let tokens = Tokens::new([
            holder(Credential::Certificate(a.clone()), "agent:a"),
            holder(Credential::Certificate(b.clone()), "agent:b"),
            holder(Credential::Token(Digest::of(b.to_string().as_bytes())), "agent:c"),
        ]);
        let whose = |names: &[Name]| tokens.named(names).map(|holder| holder.principal.to_string());
        assert_eq!(whose(&[a.clone(), name("dns:other.example.org")]).as_deref(), Some("agent:a"));
        assert_eq!(whose(std::slice::from_ref(&b)).as_deref(), Some("agent:b"));
        assert_eq!(
            (whose(&[a.clone(), b.clone()]), whose(&[]), whose(&[name("uri:spiffe://example.org/A")])),
            (None, None, None)
        );
        let are_at_most =
            |names: &[Name], principal: &str| tokens.are_at_most(names, &principal.parse().expect("a principal"));
        assert!(are_at_most(&[], "agent:c") && are_at_most(std::slice::from_ref(&a), "agent:a"));
        for principal in ["agent:a", "agent:b", "agent:c"] {
            assert!(!are_at_most(&[a.clone(), b.clone()], principal), "{principal}");
        }
        // What stands in a certificate is no token.
        assert_eq!((tokens.holder(&a.to_string()), tokens.holder(&b.to_string())), (None, None));
    }
}
