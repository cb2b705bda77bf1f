//! A real `PostgreSQL` server for tests: Debian's, in a folder of its own, for as long as the test program runs.
//!
//! One server to a test program and one database to a test. `RINGFENCE_TEST_POSTGRES` names another server, by the URL
//! of a user who may make databases; a password may stand in it. Without either, every test that needs one fails: none
//! is skipped. Only the standard library is used, so that unit tests share this file.

#![allow(dead_code, unreachable_pub, reason = "each test program uses a part of it, and none shows it to others")]

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

/// How long a server may take to start.
const START_TIME: Duration = Duration::from_mins(1);
const USER: &str = "ringfence";
const MISSING: &str = "PostgreSQL is missing: install Debian's `postgresql` (`scripts/need.sh postgres`), or name a \
                       server: RINGFENCE_TEST_POSTGRES=postgres://USER:PASSWORD@HOST/DATABASE";

/// What a user of the started server proves themselves with, over the network.
pub const PASSWORD: &str = "correct-horse-7f3a";

/// A server, and whoever stops it.
pub struct Server {
    /// `postgres://` with a user and without a password, up to where the database goes, and what goes behind that.
    local: (String, String),
    /// The same, over the network.
    network: (String, String),
    password: Option<String>,
    folder: Option<PathBuf>,
    /// Ownership: it stops the server when its input ends, which happens at the latest when this process does.
    _keeper: Option<Child>,
}

impl Server {
    /// The server of this test program.
    pub fn shared() -> &'static Self {
        static SERVER: OnceLock<Server> = OnceLock::new();
        SERVER.get_or_init(|| match std::env::var("RINGFENCE_TEST_POSTGRES") {
            Ok(url) => Self::named(&url),
            Err(_) => Self::start(&[]),
        })
    }

    /// A server of somebody else's.
    fn named(url: &str) -> Self {
        let rest = url.strip_prefix("postgres://").expect("RINGFENCE_TEST_POSTGRES is a `postgres://` URL");
        let (place, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, _) = place.split_once('/').expect("RINGFENCE_TEST_POSTGRES names a database");
        let (user, host) = authority.rsplit_once('@').expect("RINGFENCE_TEST_POSTGRES names a user");
        let (user, password) = user.split_once(':').map_or((user, None), |(user, password)| (user, Some(password)));
        let parameters = if parameters.is_empty() { String::new() } else { format!("?{parameters}") };
        let parts = (format!("postgres://{user}@{host}/"), parameters);
        let password = password.map(str::to_owned);
        Self { local: parts.clone(), network: parts, password, folder: None, _keeper: None }
    }

    /// A server of one's own, with these settings.
    pub fn start(settings: &[(&str, &str)]) -> Self {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let programs = programs();
        let folder = std::env::temp_dir().join(format!("ringfence-postgres-{}-{number}", std::process::id()));
        fs::create_dir(&folder).expect("a folder for the server");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("a mode");
        let (data, socket, password) = (folder.join("data"), folder.join("socket"), folder.join("password"));
        fs::create_dir(&data).expect("a folder");
        fs::create_dir(&socket).expect("a folder");
        fs::write(&password, PASSWORD).expect("a file");
        if is_root() {
            ran(Command::new("chown").arg("-R").arg("postgres:postgres").arg(&folder));
        }
        let mut initdb = as_server(&programs.join("initdb"));
        initdb.arg("-D").arg(&data).args(["-U", USER, "-E", "UTF8", "--no-locale", "--no-sync"]);
        initdb.args(["--auth-local=trust", "--auth-host=scram-sha-256"]).arg("--pwfile").arg(&password);
        ran(&mut initdb);
        let port = free_port();
        let keeper = keep(&programs, &folder, port, settings);
        let server = Self {
            local: (format!("postgres://{USER}@:{port}/"), format!("?host={}", socket.display())),
            network: (format!("postgres://{USER}@127.0.0.1:{port}/"), "?sslmode=disable".to_owned()),
            password: Some(PASSWORD.to_owned()),
            folder: Some(folder),
            _keeper: Some(keeper),
        };
        server.wait();
        server
    }

    /// Gives it a certificate and has it speak TLS to whoever asks.
    pub fn show(&self, certificate: &str, key: &str) {
        let data = self.folder.as_ref().expect("a server of one's own").join("data");
        for (name, pem) in [("server.crt", certificate), ("server.key", key)] {
            let path = data.join(name);
            fs::write(&path, pem).expect("a file");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a mode");
            if is_root() {
                ran(Command::new("chown").arg("postgres:postgres").arg(&path));
            }
        }
        self.try_sql("postgres", "ALTER SYSTEM SET ssl = on").expect("a setting");
        self.try_sql("postgres", "SELECT pg_reload_conf()").expect("a reload");
        let started = Instant::now();
        while self.try_sql("postgres", "SHOW ssl").expect("a setting") != "on" {
            assert!(started.elapsed() < START_TIME, "the server takes no certificate");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// The URL of one of its databases over the network, with other parameters.
    pub fn network_url(&self, database: &str, parameters: &str) -> String {
        format!("{}{database}{parameters}", self.network.0)
    }

    fn wait(&self) {
        let started = Instant::now();
        loop {
            match self.try_sql("postgres", "SELECT 1") {
                Ok(_) => return,
                Err(error) if started.elapsed() > START_TIME => {
                    let log = self.folder.as_ref().map(|folder| fs::read_to_string(folder.join("log")));
                    panic!("PostgreSQL did not start: {error}\n{}", log.and_then(Result::ok).unwrap_or_default());
                }
                Err(_) => thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    /// What a statement prints, or what the client says of it.
    pub fn try_sql(&self, database: &str, sql: &str) -> Result<String, String> {
        let url = format!("{}{database}{}", self.local.0, self.local.1);
        let mut psql = Command::new(programs().join("psql"));
        psql.args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-c", sql, &url]).stdin(Stdio::null());
        psql.env("PGPASSWORD", self.password.as_deref().unwrap_or_default());
        let output = psql.output().expect("psql runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }
}

/// A database that is there for one test.
pub struct Database {
    server: &'static Server,
    name: String,
}

impl Database {
    /// An empty one.
    pub fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let server = Server::shared();
        let name = format!("t{}_{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        server.try_sql("postgres", &format!("CREATE DATABASE {name} TEMPLATE template0")).expect("a database");
        Self { server, name }
    }

    /// Where it is: without a password, which is [`Self::password`].
    pub fn url(&self) -> String {
        format!("{}{}{}", self.server.local.0, self.name, self.server.local.1)
    }

    /// The same, over the network.
    pub fn network_url(&self) -> String {
        format!("{}{}{}", self.server.network.0, self.name, self.server.network.1)
    }

    /// What its user proves themselves with.
    pub fn password(&self) -> Option<&str> {
        self.server.password.as_deref()
    }

    /// Ends every connection to it, and lets nobody in before [`Self::reopen`].
    pub fn close(&self) {
        let name = &self.name;
        self.administer(&format!("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false"));
        self.administer(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"));
    }

    /// Lets everybody in again.
    pub fn reopen(&self) {
        self.administer(&format!("ALTER DATABASE {} WITH ALLOW_CONNECTIONS true", self.name));
    }

    fn administer(&self, sql: &str) {
        self.server.try_sql("postgres", sql).expect("a statement that works");
    }

    /// What a statement prints.
    pub fn sql(&self, sql: &str) -> String {
        self.server.try_sql(&self.name, sql).expect("a statement that works")
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // A server of our own goes as a whole.
        if self.server.folder.is_none() {
            let _ = self.server.try_sql("postgres", &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
        }
    }
}

/// Where the server's programs are.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let found = versions.map(|version| version.path().join("bin")).filter(|bin| bin.join("postgres").exists());
    found.max_by_key(|bin| version_of(bin)).expect(MISSING)
}

fn version_of(bin: &Path) -> Option<u32> {
    bin.parent()?.file_name()?.to_str()?.parse().ok()
}

/// The server refuses to run as root.
fn as_server(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program);
    command
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("`id` runs");
    id.stdout == b"0\n"
}

/// Starts the server, and whoever stops it and clears up when this process has ended, however it ends.
fn keep(programs: &Path, folder: &Path, port: u16, settings: &[(&str, &str)]) -> Child {
    const SCRIPT: &str = r#"folder=$1; shift; "$@" >"$folder/log" 2>&1 & server=$!
        cat >/dev/null; kill -INT $server; wait $server; rm -rf "$folder""#;
    let postgres = as_server(&programs.join("postgres"));
    let mut keeper = Command::new("sh");
    keeper.args(["-c", SCRIPT, "keeper"]).arg(folder).arg(postgres.get_program()).args(postgres.get_args());
    keeper.arg("-D").arg(folder.join("data")).arg("-k").arg(folder.join("socket")).arg("-p").arg(port.to_string());
    for (name, value) in [("listen_addresses", "127.0.0.1"), ("shared_buffers", "32MB")].iter().chain(settings) {
        keeper.arg("-c").arg(format!("{name}={value}"));
    }
    keeper.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a shell")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

fn ran(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
