//! What is fuzzed: each function takes bytes that mean anything, and must neither panic nor hang.
//!
//! [`component`], [`manifest`], [`rules`], [`evidence`] and [`vouched`] read what strangers wrote; [`Host`] lets a guest call the
//! host's functions with values that no honest program would pass, and [`Scripted`] a policy answer with any. The functions
//! check more than survival where more can be said.

mod evidence;
mod operations;
mod vouched;

use std::sync::Arc;
use std::sync::LazyLock;
use std::time::Duration;

use ringfence_model::call::Input;
use ringfence_model::capability::Access;
use ringfence_model::capability::Asked;
use ringfence_model::capability::Folder;
use ringfence_model::capability::GuestPath;
use ringfence_model::capability::NetworkAsked;
use ringfence_model::decision::Answer;
use ringfence_model::decision::PolicyRequest;
use ringfence_model::decision::Verdict;
use ringfence_model::egress::HostPattern;
use ringfence_model::egress::HttpRule;
use ringfence_model::egress::Network;
use ringfence_model::egress::Rule as _;
use ringfence_model::egress::SocketRule;
use ringfence_model::egress::UrlPath;
use ringfence_model::glob::Glob;
use ringfence_model::grant::Grant;
use ringfence_model::grant::Limits;
use ringfence_model::limits;
use ringfence_model::outcome::OutcomeKind;
use ringfence_model::principal::PrincipalPattern;
use ringfence_model::ring::Ring;
use ringfence_runtime::egress::Egress;
use ringfence_runtime::egress::EgressConfig;
use ringfence_runtime::engine::Engine;
use ringfence_runtime::policy::Policy;
use ringfence_runtime::policy::PolicySet;
use ringfence_runtime::sandbox;
use ringfence_runtime::sandbox::Interrupt;
use ringfence_runtime::sandbox::Room;
use ringfence_runtime::sandbox::link::Imports;
use ringfence_runtime::toolbox::Tool;
use ringfence_runtime::toolbox::ToolFile;
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub use self::evidence::evidence;
pub use self::vouched::roots;
pub use self::vouched::vouched;

/// Longer components only take longer.
const COMPONENT_BYTES_MAX: usize = 256 * 1024;

/// A small component that is a tool.
const SMALL: &str = r#"(component
    (core module $m (func (export "f")))
    (core instance $i (instantiate $m))
    (func (export "f") (canon lift (core func $i "f"))))"#;

static ENGINE: LazyLock<Engine> = LazyLock::new(|| Engine::new().expect("an engine"));

/// Loads bytes as a component (MAL-01, MAL-02).
pub fn component(bytes: &[u8]) {
    if bytes.len() <= COMPONENT_BYTES_MAX {
        load(bytes, None);
    }
}

/// Loads bytes as the manifest of a component (MAL-04).
pub fn manifest(bytes: &[u8]) {
    load(&wat::parse_str(SMALL).expect("a component"), Some(bytes));
}

fn load(bytes: &[u8], manifest: Option<&[u8]>) {
    let file = ToolFile { name: "fuzz", bytes, manifest, imports: Imports::Refuse };
    if let Ok(tool) = runtime().block_on(Tool::load(&ENGINE, file)) {
        assert!(!tool.functions().is_empty());
    }
}

/// Reads bytes as every kind of rule, path and pattern: what was read is what is written, and covers itself (NET-06, NET-09).
pub fn rules(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(rule) = text.parse::<HttpRule>() {
        assert_eq!(rule.to_string().parse(), Ok(rule.clone()));
        assert!(rule.covers(&rule) && rule.meet(&rule) == Some(rule));
    }
    if let Ok(rule) = text.parse::<SocketRule>() {
        assert_eq!(rule.to_string().parse(), Ok(rule.clone()));
        assert!(rule.covers(&rule));
    }
    if let Ok(pattern) = text.parse::<HostPattern>() {
        assert_eq!(pattern.to_string().parse(), Ok(pattern));
    }
    if let Ok(network) = text.parse::<Network>() {
        assert_eq!(network.to_string().parse(), Ok(network));
    }
    if let Ok(path) = UrlPath::new(text) {
        assert!(path.contains(&path) && !path.as_str().contains("/../"));
    }
    if let Ok(path) = GuestPath::new(text) {
        assert_eq!(GuestPath::new(path.as_str()).expect("a path"), path);
        assert!(path.contains(&path));
    }
    if let Ok(glob) = Glob::new(text) {
        assert_eq!(Glob::new(glob.as_str()).map(|again| again.as_str().to_owned()), Ok(glob.as_str().to_owned()));
    }
    if let Ok(pattern) = text.parse::<PrincipalPattern>() {
        assert_eq!(pattern.to_string().parse(), Ok(pattern));
    }
}

/// A policy that answers as it is told to.
pub struct Scripted(Policy);

impl Scripted {
    /// The policy, loaded.
    pub fn new(component: &[u8]) -> Self {
        Self(Policy::load(&ENGINE, "scripted", component, &serde_json::json!({})).expect("a policy"))
    }

    /// Has it answer with what the bytes say (POL-02, POL-03): whatever that is, there is a decision, and what it is made of is
    /// within bounds. Says whether it is a yes.
    pub fn ask(&self, bytes: &[u8]) -> bool {
        let policy = self.0.with_settings(&operations::answers(bytes)).expect("settings that fit");
        let decision = PolicySet::new(vec![policy]).decide(&REQUEST);
        for ruling in &decision.rulings {
            if let Ok(Verdict::Permit(reasons, obligations)) = &ruling.verdict {
                assert!(reasons.len() <= limits::REASONS_MAX && obligations.len() <= limits::OBLIGATIONS_MAX);
            }
        }
        matches!(decision.answer, Answer::Allow(_))
    }
}

static REQUEST: LazyLock<PolicyRequest> = LazyLock::new(|| {
    let digest = format!("sha256:{}", "0".repeat(64));
    let request = serde_json::json!({
        "principal": "agent:a",
        "ring": 3,
        "time-ms": 0,
        "subject": { "call": {
            "asked": { "limits": Limits::from_bounds(&Ring::Sandbox.ceiling().limits) },
            "function": "f",
            "input": "{}",
            "required-ring": 3,
            "tool": { "digest": digest, "name": "t" },
        } },
    });
    serde_json::from_value(request).expect("a request")
});

/// A guest that calls the host, and what it is granted: a folder that is written to, and a network where nothing answers.
pub struct Host {
    egress: Arc<Egress>,
    runtime: Runtime,
    tool: Tool,
}

impl Host {
    /// A host with the probe loaded.
    pub fn new(probe: &[u8]) -> Self {
        let runtime = runtime();
        // Nobody answers there: a name never leads anywhere, whatever it is.
        let nameservers = vec!["127.0.0.1:9".parse().expect("an address")];
        let egress = Egress::new(EgressConfig { nameservers, ..EgressConfig::default() }).expect("a way out");
        let file = ToolFile { name: "probe", bytes: probe, manifest: None, imports: Imports::Refuse };
        let tool = runtime.block_on(Tool::load(&ENGINE, file)).expect("the probe");
        Self { egress: Arc::new(egress), runtime, tool }
    }

    /// Carries out what the bytes say (HOST-11): whatever becomes of the guest, the host goes on, and nothing appears
    /// outside of the folder (FS-01). Answers with how many operations the host carried out, if the guest came to its end.
    pub fn run(&self, bytes: &[u8]) -> Option<u64> {
        let outside = tempfile::tempdir().expect("a folder");
        let grant = grant(&outside);
        let input = Input {
            value: Some(serde_json::json!({ "operations": operations::operations(bytes) })),
            arguments: Vec::new(),
            stdin: Vec::new(),
        };
        let function = self.tool.function(None).expect("a function");
        function.check_input(&input).expect("operations that fit");
        let interrupt = Interrupt::never();
        let room = Room {
            grant: &grant,
            scratch: None,
            egress: &self.egress,
            judge: None,
            interrupt: &interrupt,
            watcher: None,
        };
        let run = sandbox::run(&self.tool, function, &input, &room);
        let run = self.runtime.block_on(run).expect("a run");
        assert_ne!(run.outcome.kind, OutcomeKind::Cancelled, "{:?}", run.outcome);
        let names: Vec<_> = std::fs::read_dir(outside.path()).expect("a folder").filter_map(Result::ok).collect();
        assert_eq!(names.len(), 1, "{names:?}");
        run.outcome.value?.as_u64()
    }
}

fn grant(outside: &TempDir) -> Grant {
    let inside = outside.path().canonicalize().expect("a path").join("inside");
    std::fs::create_dir(&inside).expect("a folder");
    let rules = |texts: &[&str]| texts.iter().map(|text| text.parse().expect("a rule")).collect::<Vec<_>>();
    let network = NetworkAsked {
        http: rules(&["* http://*:*/", "* https://*:*/"]),
        sockets: vec!["tcp://*:*".parse().expect("a rule"), "udp://*.test:53".parse().expect("a rule")],
        names: vec!["*".parse().expect("a pattern")],
        ..NetworkAsked::default()
    };
    let mut asked = Asked { network, ..Asked::default() };
    asked.limits.wall_ms = Some(u64::try_from(Duration::from_secs(2).as_millis()).unwrap_or(u64::MAX));
    asked.limits.fuel = Some(1_000_000_000);
    asked.folders = vec![Folder {
        access: Access::ReadWrite,
        bytes_max: None,
        deny: Vec::new(),
        files_max: None,
        guest: GuestPath::new("/work").expect("a path"),
        host: inside.display().to_string(),
    }];
    Grant::narrow(&asked, &[], &[]).expect("a grant")
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}
