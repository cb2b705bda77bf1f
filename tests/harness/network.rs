//! A home with a network around it: a name server it asks, an authority it trusts, and nothing else it could reach.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use crate::harness::Home;
use crate::harness::Ran;
use crate::harness::dns::Dns;
use crate::harness::dns::Reply;
use crate::harness::tls::Authority;

/// What an attack may take that ends by itself.
pub const SOON: Duration = Duration::from_secs(40);

/// Lets names lead to this machine, where the tests' servers are.
pub const HERE: &str = "--address=127.0.0.1/32";

/// A name that tests grant.
pub const GRANTED: &str = "granted.test";

/// A secret, which nobody but one server may see.
pub const VALUE: &str = "value-5b1f09-of-the-secret";

/// What stands around a home.
pub struct Network {
    pub home: Home,
    pub dns: Dns,
    pub authority: Authority,
}

impl Network {
    /// A name server that knows [`GRANTED`], which is this machine.
    pub fn new() -> Self {
        let network = Self { home: Home::new(), dns: Dns::new(), authority: Authority::new() };
        network.dns.set(GRANTED, [Reply::at(&["127.0.0.1"])]);
        std::fs::write(network.home.path().join("ca.pem"), network.authority.pem()).expect("a file");
        network.configure("");
        network
    }

    /// Replaces the configuration, but for what leads to the tests' servers.
    pub fn configure(&self, toml: &str) {
        let name_server = self.dns.address();
        self.home.configure(&format!("{toml}\n[egress]\nnameservers = [\"{name_server}\"]\nroots = \"ca.pem\"\n"));
    }

    /// Keeps [`VALUE`] as the secret `TOKEN`, which may go to [`GRANTED`] in `authorization`.
    pub fn keep_secret(&self) {
        let file = self.home.path().join("keys/token");
        std::fs::write(&file, format!("{VALUE}\n")).expect("a file");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("a mode");
        let place = format!("headers = [\"authorization\"]\nhosts = [\"{GRANTED}\"]\n");
        self.configure(&format!("[secrets.TOKEN]\nfile = \"keys/token\"\n{place}"));
    }

    /// Runs a hostile program under these grants, in ring 2 unless they say otherwise.
    pub fn run(&self, tool: &str, grants: &[&str], arguments: &[&str]) -> (Ran, Value) {
        let ring: &[_] = if grants.contains(&"--ring") { &[] } else { &["--ring", "2"] };
        self.home.attack(tool, &[ring, grants, &["--"], arguments].concat())
    }

    /// Checks that a hostile program has tried a good deal, and that nothing of it worked; answers with what it said.
    #[track_caller]
    pub fn contains(&self, tool: &str, grants: &[&str], arguments: &[&str], attempts_min: usize) -> String {
        let (ran, value) = self.run(tool, grants, arguments);
        ran.code(0).within(SOON);
        let said = value["outcome"]["stdout"].as_str().expect("text");
        let escaped: Vec<_> = said.lines().filter(|line| line.starts_with("escaped")).collect();
        assert!(escaped.is_empty(), "{escaped:#?}");
        let contained = said.lines().filter(|line| line.starts_with("contained")).count();
        assert!(contained >= attempts_min, "{contained} attempts: {said}");
        self.home.is_well();
        said.to_owned()
    }

    /// Checks that the permitted twin works.
    #[track_caller]
    pub fn permits(&self, tool: &str, grants: &[&str], arguments: &[&str]) -> String {
        let (ran, value) = self.run(tool, grants, &[&["control"], arguments].concat());
        let said = value["outcome"]["stdout"].as_str().unwrap_or_default();
        assert!(said.contains("control: ok"), "{value}");
        ran.code(0).within(SOON);
        said.to_owned()
    }

    /// Gets a URL with the honest tool.
    pub fn get(&self, url: &str, grants: &[&str]) -> (Ran, Value) {
        let input = json!({ "url": url }).to_string();
        let args = ["get", "--ring", "2", "--input", &input];
        self.home.attack(ringfence_artifacts::TOOL_FETCH, &[&args[..], grants].concat())
    }
}

/// `--http` for one method and path prefix of a server by its name.
pub fn http(method: &str, name: &str, port: u16, path: &str) -> String {
    format!("--http={method} http://{name}:{port}{path}")
}
