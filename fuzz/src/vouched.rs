//! Bundles of cosign's, as whoever adds a tool gets them from a stranger. The modules are those of the command.

#[path = "../../host/cli/src/tools/bundle.rs"]
mod bundle;
#[path = "../../host/cli/src/tools/identity.rs"]
mod identity;
#[path = "../../host/cli/src/tools/provider.rs"]
mod provider;

use std::io::Write as _;
use std::path::Path;
use std::sync::LazyLock;

use ringfence_model::digest::Digest;
use tempfile::NamedTempFile;

use self::bundle::CosignKey;
use self::identity::Identity;

/// What the bundle of `seeds/vouched` is for, and by whom.
const FILE: &[u8] = b"file";
const NAME: &str = "ada@acme.test";
const ISSUER: &str = "https://issuer.test";
const GOOD: &[u8] = include_bytes!("../seeds/vouched/good.json");
const TRUSTED_ROOT: &str = include_str!("../seeds/trusted_root.json");
const KEY: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEzxBjdnXK1NnIEzsq0XVmDthvejHL\ntWrDol7OJpXYKuzJQak7J5kK1oXq7qmH4cSe+7lYuDig0I4W/UcdE1CHfQ==\n-----END PUBLIC KEY-----\n";

static IDENTITY: LazyLock<(Identity, NamedTempFile)> = LazyLock::new(|| {
    let mut root = NamedTempFile::new().expect("a file");
    root.write_all(TRUSTED_ROOT.as_bytes()).expect("written");
    (by(root.path()), root)
});

fn by(root: &Path) -> Identity {
    Identity::new(NAME.to_owned(), ISSUER.to_owned(), identity::Source::default(), root.to_owned())
        .expect("an identity")
}

/// Reads bytes as the roots that a good bundle is to lead to (ART-05). Answers with whether it does.
pub fn roots(bytes: &[u8]) -> bool {
    let mut root = NamedTempFile::new().expect("a file");
    root.write_all(bytes).expect("written");
    by(root.path()).check(GOOD, FILE, &Digest::of(FILE)).is_ok()
}

/// Reads bytes as a bundle (ART-05). Answers with whether they vouch for the file.
pub fn vouched(bytes: &[u8]) -> bool {
    let digest = Digest::of(FILE);
    let key: CosignKey = KEY.to_owned().try_into().expect("a key");
    assert!(key.check(bytes, FILE, &digest).is_err(), "nobody has this key");
    // Another file is never vouched for, whatever the bytes.
    assert!(IDENTITY.0.check(bytes, b"another", &Digest::of(b"another")).is_err());
    IDENTITY.0.check(bytes, FILE, &digest).is_ok()
}
