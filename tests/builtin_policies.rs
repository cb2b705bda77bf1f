//! The policies that come with Ringfence: what settings they take, what many rules cost, and whether they agree with
//! somebody who reads all the rules.
//!
//! What each of them decides stands in its `cases.toml`.

use std::collections::BTreeMap;
use std::fs;
use std::time::Instant;

use ringfence_model::decision::Answer;
use ringfence_model::decision::Cap;
use ringfence_model::decision::CountScope;
use ringfence_model::decision::PolicyRequest;
use ringfence_model::decision::Unit;
use ringfence_model::decision::Verdict;
use ringfence_model::decision::Window;
use ringfence_model::digest::Digest;
use ringfence_model::egress::HttpRule;
use ringfence_model::egress::HttpTarget;
use ringfence_model::egress::Scheme;
use ringfence_model::egress::UrlPath;
use ringfence_runtime::policy::Policy;
use ringfence_runtime::policy::PolicyError;
use ringfence_runtime::policy::PolicySet;
use ringfence_runtime::policy::cases::Cases;
use serde_json::Value;
use serde_json::json;

use crate::harness::ENGINE;
use crate::harness::Home;

fn load(name: &str, settings: &Value) -> Result<Policy, PolicyError> {
    let policy = ringfence_policies::ALL.iter().find(|policy| policy.name == name).expect("a built-in policy");
    Policy::load(&ENGINE, name, policy.component, settings)
}

fn policy(name: &str, settings: &Value) -> Policy {
    load(name, settings).unwrap_or_else(|error| panic!("{name} {settings}: {error}"))
}

/// A request, as a row of a table of cases says it.
fn request(row: &str) -> PolicyRequest {
    let table = Cases::parse(&format!("[[cases]]\nname = 'x'\nexpect = 'permit'\n{row}\n")).expect("a row");
    table.cases[0].request()
}

fn call(tool: &str, function: &str) -> PolicyRequest {
    request(&format!("tool = {tool:?}\nfunction = {function:?}"))
}

fn is_permit(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Permit(..))
}

/// Numbers that are the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % bound
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

mod settings {
    use super::*;

    /// Settings that a policy refuses, and where.
    const REFUSED: &[(&str, &str, &str)] = &[
        ("allow-list", "[]", ""),
        ("allow-list", "{}", ""),
        ("allow-list", r#"{"tools":[]}"#, "/tools"),
        ("allow-list", r#"{"tools":{},"more":1}"#, "/more"),
        ("allow-list", r#"{"tools":{},"a~/b":1}"#, "/a~0~1b"),
        ("allow-list", r#"{"tools":{"files":[{}]}}"#, "/tools/files"),
        ("allow-list", r#"{"tools":{"/read":[{}]}}"#, "/tools/~1read"),
        ("allow-list", r#"{"tools":{"files/":[{}]}}"#, "/tools/files~1"),
        ("allow-list", r#"{"tools":{"fi les/read":[{}]}}"#, "/tools/fi les~1read"),
        ("allow-list", r#"{"tools":{"f\u0456les/read":[{}]}}"#, "/tools/f\u{456}les~1read"),
        ("allow-list", r#"{"tools":{"fi*/read":[{}]}}"#, "/tools/fi*~1read"),
        ("allow-list", r#"{"tools":{"files/re ad":[{}]}}"#, "/tools/files~1re ad"),
        ("allow-list", r#"{"tools":{"files/a\"b":[{}]}}"#, "/tools/files~1a\"b"),
        ("allow-list", r#"{"tools":{"sha256:abc/read":[{}]}}"#, "/tools/sha256:abc~1read"),
        ("allow-list", r#"{"tools":{"a/b":{}}}"#, "/tools/a~1b"),
        ("allow-list", r#"{"tools":{"a/b":[]}}"#, "/tools/a~1b"),
        ("allow-list", r#"{"tools":{"a/b":[1]}}"#, "/tools/a~1b/0"),
        ("allow-list", r#"{"tools":{"a/b":[{"who":1}]}}"#, "/tools/a~1b/0/who"),
        ("allow-list", r#"{"tools":{"a/b":[{"principals":[]}]}}"#, "/tools/a~1b/0/principals"),
        ("allow-list", r#"{"tools":{"a/b":[{},{"principals":["agent:a","bob"]}]}}"#, "/tools/a~1b/1/principals/1"),
        ("allow-list", r#"{"tools":{"a/b":[{"principals":["robot:*"]}]}}"#, "/tools/a~1b/0/principals/0"),
        ("allow-list", r#"{"tools":{"a/b":[{"principals":["agent:a*"]}]}}"#, "/tools/a~1b/0/principals/0"),
        ("allow-list", r#"{"tools":{"a/b":[{"principals":["agent:"]}]}}"#, "/tools/a~1b/0/principals/0"),
        ("allow-list", r#"{"tools":{"a/b":[{"sessions":[""]}]}}"#, "/tools/a~1b/0/sessions/0"),
        ("allow-list", r#"{"tools":{"a/b":[{"sessions":["a*b"]}]}}"#, "/tools/a~1b/0/sessions/0"),
        ("allow-list", r#"{"tools":{"a/b":[{"rings":[4]}]}}"#, "/tools/a~1b/0/rings/0"),
        ("allow-list", r#"{"tools":{"a/b":[{"rings":["0"]}]}}"#, "/tools/a~1b/0/rings/0"),
        ("argument-schema", "{}", ""),
        ("argument-schema", r#"{"tools":{"a/b":{}},"more":1}"#, "/more"),
        ("argument-schema", r#"{"tools":{"a":{}}}"#, "/tools/a"),
        ("argument-schema", r#"{"tools":{"a/b":[]}}"#, "/tools/a~1b"),
        ("argument-schema", r#"{"tools":{"a/b":{"more":1}}}"#, "/tools/a~1b/more"),
        ("argument-schema", r#"{"tools":{"a/b":{"additional-fields":0}}}"#, "/tools/a~1b/additional-fields"),
        ("argument-schema", r#"{"tools":{"a/b":{"entity":{"field":"/x"}}}}"#, "/tools/a~1b/entity"),
        ("argument-schema", r#"{"tools":{"a/b":{"entity":{"field":"x","pattern":""}}}}"#, "/tools/a~1b/entity/field"),
        (
            "argument-schema",
            r#"{"tools":{"a/b":{"entity":{"field":"/x","pattern":"("}}}}"#,
            "/tools/a~1b/entity/pattern",
        ),
        ("argument-schema", r#"{"tools":{"a/b":{"fields":{"x":{}}}}}"#, "/tools/a~1b/fields/x"),
        ("argument-schema", r#"{"tools":{"a/b":{"fields":{"":{}}}}}"#, "/tools/a~1b/fields/"),
        ("argument-schema", r#"{"tools":{"a/b":{"fields":{"/~2":{}}}}}"#, "/tools/a~1b/fields/~1~02"),
        ("egress-list", "[]", ""),
        ("egress-list", r#"{"https":[]}"#, "/https"),
        ("egress-list", r#"{"http":{}}"#, "/http"),
        ("egress-list", r#"{"http":[1]}"#, "/http/0"),
        ("egress-list", r#"{"http":["https://a.example","ftp://a.example"]}"#, "/http/1"),
        ("egress-list", r#"{"http":["https://A.example"]}"#, "/http/0"),
        ("egress-list", r#"{"http":["https://a.example."]}"#, "/http/0"),
        ("egress-list", r#"{"http":["https://b\u00fccher.example"]}"#, "/http/0"),
        ("egress-list", r#"{"http":["get https://a.example"]}"#, "/http/0"),
        ("egress-list", r#"{"http":["CONNECT https://a.example"]}"#, "/http/0"),
        ("egress-list", r#"{"http":["GET, POST https://a.example"]}"#, "/http/0"),
        ("egress-list", r#"{"http":["https://a.example:0"]}"#, "/http/0"),
        ("egress-list", r#"{"http":["https://a.example:080"]}"#, "/http/0"),
        ("egress-list", r#"{"http":["https://a.example:2-1"]}"#, "/http/0"),
        ("egress-list", r#"{"http":["https://a.example/../b"]}"#, "/http/0"),
        ("egress-list", r#"{"http":["https://*a.example"]}"#, "/http/0"),
        ("egress-list", r#"{"http":["https://[10.0.0.1/8]"]}"#, "/http/0"),
        ("egress-list", r#"{"http":["https://[10.0.0.0/33]"]}"#, "/http/0"),
        ("egress-list", r#"{"sockets":["tcp://a.example"]}"#, "/sockets/0"),
        ("egress-list", r#"{"sockets":["sctp://a.example:1"]}"#, "/sockets/0"),
        ("egress-list", r#"{"names":["a.example","a b"]}"#, "/names/1"),
        ("egress-list", r#"{"deny":["https://a.example"]}"#, "/deny/0"),
        ("egress-list", r#"{"requests-max":-1}"#, "/requests-max"),
        ("egress-list", r#"{"requests-max":"3"}"#, "/requests-max"),
        ("rate-limit", "{}", ""),
        ("rate-limit", r#"{"limits":[{"calls":1,"scope":"host","window":"day"}]}"#, ""),
        ("rate-limit", r#"{"limits":[],"permits":true}"#, "/limits"),
        ("rate-limit", r#"{"limits":[{"calls":1,"scope":"host","window":"day"}],"permits":"yes"}"#, "/permits"),
        ("rate-limit", r#"{"limits":[{"scope":"host","window":"day"}],"permits":true}"#, "/limits/0"),
        ("rate-limit", r#"{"limits":[{"calls":1,"scope":"all","window":"day"}],"permits":true}"#, "/limits/0/scope"),
        ("rate-limit", r#"{"limits":[{"calls":1,"scope":"host","window":"week"}],"permits":true}"#, "/limits/0/window"),
        ("rate-limit", r#"{"limits":[{"calls":0,"scope":"host","window":"day"}],"permits":true}"#, "/limits/0/calls"),
        (
            "rate-limit",
            r#"{"limits":[{"calls":1,"scope":"host","tools":["a b"],"window":"day"}],"permits":true}"#,
            "/limits/0/tools/0",
        ),
        ("time-window", "{}", ""),
        ("time-window", r#"{"rules":[]}"#, "/rules"),
        (
            "time-window",
            r#"{"offset-minutes":841,"rules":[{"windows":[{"from":"00:00","to":"24:00"}]}]}"#,
            "/offset-minutes",
        ),
        (
            "time-window",
            r#"{"rules":[{"effects":["all"],"windows":[{"from":"00:00","to":"24:00"}]}]}"#,
            "/rules/0/effects/0",
        ),
        (
            "time-window",
            r#"{"rules":[{"windows":[{"days":["Monday"],"from":"00:00","to":"24:00"}]}]}"#,
            "/rules/0/windows/0/days/0",
        ),
        ("time-window", r#"{"rules":[{"windows":[{"from":"24:00","to":"06:00"}]}]}"#, "/rules/0/windows/0/from"),
        ("time-window", r#"{"rules":[{"windows":[{"from":"8:00","to":"06:60"}]}]}"#, "/rules/0/windows/0/from"),
        ("time-window", r#"{"rules":[{"windows":[{"from":"08:00","to":"08:00"}]}]}"#, "/rules/0/windows/0"),
    ];

    /// Rules of a field that `argument-schema` refuses, and where in the rule.
    const REFUSED_FIELDS: &[(&str, &str)] = &[
        ("1", ""),
        (r#"{"typ":1}"#, "/typ"),
        (r#"{"type":"text"}"#, "/type"),
        (r#"{"required":1}"#, "/required"),
        (r#"{"minimum":"1"}"#, "/minimum"),
        (r#"{"maximum":null}"#, "/maximum"),
        (r#"{"min-length":-1}"#, "/min-length"),
        (r#"{"max-length":0.5}"#, "/max-length"),
        (r#"{"enum":[]}"#, "/enum"),
        (r#"{"enum":[1,[]]}"#, "/enum/1"),
        (r#"{"items":{"items":{}}}"#, "/items/items"),
        (r#"{"items":{"type":1}}"#, "/items/type"),
        (r#"{"pattern":1}"#, "/pattern"),
        (r#"{"pattern":"a)|(b"}"#, "/pattern"),
        (r#"{"pattern":"(?x)a #"}"#, "/pattern"),
        (r#"{"pattern":"(a{1000}){1000}"}"#, "/pattern"),
    ];

    #[test]
    fn wrong_settings_are_refused_by_pointer() {
        let mut with_good: BTreeMap<&str, Policy> = BTreeMap::new();
        for (name, good) in [
            ("allow-list", json!({ "tools": {} })),
            ("argument-schema", json!({ "tools": {} })),
            ("egress-list", json!({})),
            ("rate-limit", json!({ "permits": true, "limits": [{ "scope": "host", "window": "day", "calls": 1 }] })),
            ("time-window", json!({ "rules": [{ "windows": [{ "from": "00:00", "to": "24:00" }] }] })),
        ] {
            with_good.insert(name, policy(name, &good));
        }
        let refuses = |name: &str, settings: &str, wanted: &str| {
            let settings: Value = serde_json::from_str(settings).expect("JSON");
            match with_good[name].with_settings(&settings) {
                Err(PolicyError::BadSettings { pointer, text, .. }) => {
                    assert_eq!(pointer, wanted, "{name} {settings}: {text}");
                }
                other => panic!("{name} {settings}: {other:?}"),
            }
        };
        for (name, settings, wanted) in REFUSED {
            refuses(name, settings, wanted);
        }
        for (field, wanted) in REFUSED_FIELDS {
            let settings = format!(r#"{{"tools":{{"a/b":{{"fields":{{"/x":{field}}}}}}}}}"#);
            refuses("argument-schema", &settings, &format!("/tools/a~1b/fields/~1x{wanted}"));
        }
    }

    #[test]
    fn too_many_limits_are_refused() {
        let limit = json!({ "scope": "host", "window": "day", "calls": 1, "fuel": 1 });
        assert!(load("rate-limit", &json!({ "permits": true, "limits": vec![limit.clone(); 16] })).is_ok());
        let error = load("rate-limit", &json!({ "permits": true, "limits": vec![limit; 17] })).expect_err("34 limits");
        assert!(error.to_string().contains("34 limits are more than 32"), "{error}");
    }

    #[test]
    fn example_of_every_guide_is_in_force() {
        for name in ["allow-list", "argument-schema", "egress-list", "rate-limit", "time-window"] {
            let page = format!("{}/../../docs/guide/policies/{name}.md", env!("CARGO_MANIFEST_DIR"));
            let page = fs::read_to_string(page).expect("the page");
            let example = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
            let home = Home::new();
            home.configure(example);
            home.run(["doctor"]).code(0);
            let listed = home.run(["policy", "list"]).code(0).text();
            assert!(listed.contains(&format!("in force  {name} ")), "{listed}");
        }
    }

    #[test]
    fn every_reason_is_in_its_guide() {
        for name in ["allow-list", "argument-schema", "egress-list", "rate-limit", "time-window"] {
            let folder = format!("{}/../..", env!("CARGO_MANIFEST_DIR"));
            let page = fs::read_to_string(format!("{folder}/docs/guide/policies/{name}.md")).expect("the page");
            let cases = fs::read_to_string(format!("{folder}/policies/{name}/cases.toml")).expect("the table");
            let table: toml::Table = cases.parse().expect("TOML");
            let rows = table["cases"].as_array().expect("rows");
            let codes = rows.iter().filter_map(|row| row.get("reasons")?.as_array()).flatten();
            for code in codes.map(|code| code.as_str().expect("a code")) {
                assert!(page.contains(&format!("| `{code}` |")), "{name}: {code}");
            }
        }
    }
}

mod rules {
    use super::*;

    /// Settings with so many rules, and a key in the middle of them.
    fn many(name: &str, count: usize) -> (Value, String) {
        let rule = match name {
            "allow-list" => json!([{ "principals": ["agent:*"], "sessions": ["nightly-*"] }, {}]),
            _ => json!({ "fields": { "/path": { "type": "string", "max-length": 200 } } }),
        };
        let tools: serde_json::Map<_, _> =
            (0..count).map(|index| (format!("tool-{index:05}/read"), rule.clone())).collect();
        (json!({ "tools": tools }), format!("tool-{:05}", count / 2))
    }

    /// Fuel for a call that one of so many rules is about, and for one that none is about.
    fn fuel(name: &str, count: usize) -> [u64; 2] {
        let (settings, listed) = many(name, count);
        let policy = policy(name, &settings);
        [listed.as_str(), "none-of-them"].map(|tool| {
            let request = call(tool, "read");
            let start = Instant::now();
            let ruling = (1..100).fold(policy.ask(&request), |_, _| policy.ask(&request));
            println!("{name}, {count} rules, {tool}: {} fuel, {:?}", ruling.fuel, start.elapsed() / 100);
            let verdict = ruling.verdict.expect("a verdict");
            if name == "allow-list" {
                assert_eq!(is_permit(&verdict), tool == listed);
            }
            ruling.fuel
        })
    }

    #[test]
    fn thousand_rules_cost_little_more() {
        for name in ["allow-list", "argument-schema"] {
            let [some, more] = [100, 1_000].map(|count| fuel(name, count));
            for (some, more) in some.into_iter().zip(more) {
                assert!(more * 2 <= some * 3, "{name}: {more} is more than 1.5 times {some}");
            }
        }
    }

    #[test]
    fn thousand_patterns_can_be_in_force() {
        let rule = json!({ "fields": { "/path": { "pattern": "/docs/[a-z0-9/._-]+" } } });
        let tools: serde_json::Map<_, _> =
            (0..1_000).map(|index| (format!("tool-{index:05}/read"), rule.clone())).collect();
        let policy = policy("argument-schema", &json!({ "tools": tools }));
        let row =
            |path: &str| request(&format!("tool = 'tool-00500'\nfunction = 'read'\ninput = {{ path = '{path}' }}"));
        assert_eq!(policy.ask(&row("/docs/a")).verdict, Ok(Verdict::Abstain));
        assert!(matches!(policy.ask(&row("/etc/a")).verdict, Ok(Verdict::Forbid(_))));
    }

    /// Who is permitted, by somebody who reads every rule.
    fn oracle_permits(settings: &Value, tool: &str, function: &str, session: &str) -> bool {
        let covers = |who: &Value| {
            who["sessions"].as_array().is_none_or(|list| list.iter().any(|name| name.as_str() == Some(session)))
        };
        settings["tools"].as_object().expect("a table").iter().any(|(key, list)| {
            let (its_tool, its_function) = key.split_once('/').expect("a key");
            (its_tool == "*" || its_tool == tool)
                && (its_function == "*" || its_function == function)
                && list.as_array().expect("a list").iter().any(covers)
        })
    }

    #[test]
    fn search_agrees_with_reading_everything() {
        // POL-20
        const NAMES: [&str; 9] = ["a", "aa", "b", "b-", "principals", "rings", "sessions", "tools", "z.9_"];
        const FUNCTIONS: [&str; 8] = ["a", "read", "{}", "],", "a/b", "x:y", "[{}]", "tools"];
        // Names of sessions that look like the text around them.
        const SESSIONS: [&str; 10] = [
            "s",
            "a/read",
            ",\"a/a\":[{}],\"",
            "\\",
            "\\\"",
            "],\"b/b\":[{}]",
            "\u{456},\"",
            "\n",
            ":",
            "{\"tools\":{",
        ];
        let empty = policy("allow-list", &json!({ "tools": {} }));
        let mut dice = Dice(7);
        let (mut permitted, mut forbidden) = (0, 0);
        for _ in 0..150 {
            let mut tools = serde_json::Map::new();
            for _ in 0..dice.below(25) {
                let tool = if dice.below(12) == 0 { "*" } else { dice.pick(&NAMES) };
                let function = if dice.below(5) == 0 { "*" } else { dice.pick(&FUNCTIONS) };
                let who = |dice: &mut Dice| match dice.below(3) {
                    0 => json!({}),
                    count => json!({ "sessions": (0..count).map(|_| dice.pick(&SESSIONS)).collect::<Vec<_>>() }),
                };
                let list: Vec<_> = (0..=dice.below(2)).map(|_| who(&mut dice)).collect();
                tools.insert(format!("{tool}/{function}"), Value::from(list));
            }
            let settings = json!({ "tools": tools });
            let policy = empty.with_settings(&settings).expect("settings");
            for _ in 0..20 {
                let (tool, function) = (dice.pick(&NAMES), dice.pick(&FUNCTIONS));
                let session = dice.pick(&SESSIONS);
                let [a, b, c] = [tool, function, session].map(|text| toml::Value::from(text).to_string());
                let row = format!("tool = {a}\nfunction = {b}\nsession = {{ name = {c} }}");
                let verdict = policy.ask(&request(&row)).verdict.expect("a verdict");
                assert_eq!(is_permit(&verdict), oracle_permits(&settings, tool, function, session), "{settings} {row}");
                if is_permit(&verdict) { permitted += 1 } else { forbidden += 1 }
            }
        }
        assert!(permitted > 300 && forbidden > 300, "{permitted} {forbidden}");
    }

    #[test]
    fn egress_rules_mean_what_the_hosts_mean() {
        // POL-20
        const RULES: [&str; 14] = [
            "https://api.example.com/v1",
            "GET,POST https://*.example.com/",
            "* http://*:*/a/b/",
            "PUT https://example.com:8443/a%20b",
            "https://[10.0.0.0/8]:1-1024",
            "DELETE https://10.1.2.3",
            "https://[2001:db8::/33]/v1",
            "https://[2001:db8::1]:443",
            "http://[0.0.0.0/0]/",
            "https://[::/0]/v1/",
            "* https://xn--bcher-kva.example",
            "https://[192.0.2.128/25]",
            "OPTIONS http://example.com",
            "https://a.b.example.com:443-444/v1/x",
        ];
        const HOSTS: [&str; 14] = [
            "api.example.com",
            "example.com",
            "a.b.example.com",
            "evilexample.com",
            "xn--bcher-kva.example",
            "10.1.2.3",
            "11.0.0.0",
            "192.0.2.127",
            "192.0.2.128",
            "[2001:db8::1]",
            "[2001:db8:8000::]",
            "[2001:db8:7fff::]",
            "[::1]",
            "com",
        ];
        const PATHS: [&str; 9] = ["/", "/v1", "/v1/x", "/v10", "/a/b", "/a/bc", "/a/b/c", "/a%20b", "/a%20b/x"];
        let nothing = policy("egress-list", &json!({}));
        let mut dice = Dice(11);
        let (mut permitted, mut forbidden) = (0, 0);
        for _ in 0..150 {
            let lines: Vec<_> = (0..=dice.below(3)).map(|_| dice.pick(&RULES)).collect();
            let rules: Vec<HttpRule> = lines.iter().map(|line| line.parse().expect("a rule")).collect();
            let policy = nothing.with_settings(&json!({ "http": lines })).expect("settings");
            for _ in 0..30 {
                let method = dice.pick(&["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "get"]);
                let (host, path) = (dice.pick(&HOSTS), dice.pick(&PATHS));
                let scheme = [Scheme::Http, Scheme::Https][dice.below(2)];
                let port = [80, 443, 444, 1_024, 1_025, 8_443][dice.below(6)];
                let row = format!(
                    "egress = {{ host = '{host}', method = '{method}', path = '{path}', scheme = '{scheme}', port = {port} }}"
                );
                let target = HttpTarget {
                    host: host.parse().expect("a host"),
                    method: method.to_owned(),
                    path: UrlPath::new(path).expect("a path"),
                    port,
                    scheme,
                };
                let verdict = policy.ask(&request(&row)).verdict.expect("a verdict");
                let wanted = rules.iter().any(|rule| rule.matches(&target));
                assert_eq!(is_permit(&verdict), wanted, "{lines:?} {row}");
                if wanted { permitted += 1 } else { forbidden += 1 }
            }
        }
        assert!(permitted > 40 && forbidden > 1_000, "{permitted} {forbidden}");
    }
}

mod names {
    use super::*;

    /// A component that has a function `read` and no name of its own: it is called like its file.
    const IMITATION: &str = r#"(component
        (core module $m (func (export "f")))
        (core instance $i (instantiate $m))
        (func (export "read") (canon lift (core func $i "f"))))"#;

    #[test]
    fn imitated_name_is_not_the_digest() {
        // POL-09
        let home = Home::new();
        let files = ringfence_artifacts::TOOL_FILES;
        let imitation = home.component("files", IMITATION);
        let docs = home.file("docs/a.txt", "a").parent().expect("a folder").display().to_string();
        let dir = format!("{docs}::/docs");
        let genuine = ["read", "--input", r#"{"path":"/docs/a.txt"}"#, "--dir", &dir];
        let listed = |key: &str| format!("[policies.allow-list.settings.tools]\n\"{key}/read\" = [{{}}]\n");

        // By name, the one is as good as the other: that is what a digest is for.
        home.configure(&listed("files"));
        home.call(files, &genuine).0.code(0);
        home.call(&imitation, &["read"]).0.code(0);

        let digest = Digest::of(&fs::read(files).expect("the tool"));
        home.configure(&listed(&digest.to_string()));
        home.call(files, &genuine).0.code(0);
        let (ran, value) = home.call(&imitation, &["read"]);
        ran.code(3);
        assert_eq!(value["outcome"]["error"]["code"], "denied.policy", "{value:#}");
        let entry = home.entries().pop().expect("an entry");
        let rulings = &entry["body"]["decision"]["rulings"];
        assert_eq!(rulings[0]["reasons"], json!(["not-in-allow-list"]));
    }

    #[test]
    fn field_that_no_rule_names_is_refused() {
        // POL-10
        let home = Home::new();
        home.configure(
            "[policies.ring-default]\n[policies.argument-schema.settings.tools.\"echo/*\"]\nadditional-fields = false\n\
             fields = { \"/text\" = { max-length = 5 } }\n",
        );
        let docs = home.file("docs/a.txt", "a").parent().expect("a folder").display().to_string();
        let dir = format!("{docs}::/docs");
        let read = |home: &Home| {
            home.call(ringfence_artifacts::TOOL_FILES, &["read", "--input", r#"{"path":"/docs/a.txt"}"#, "--dir", &dir])
        };
        read(&home).0.code(0);
        home.configure(
            "[policies.ring-default]\n[policies.argument-schema.settings.tools.\"files/*\"]\nadditional-fields = false\n\
             fields = { \"/name\" = { max-length = 5 } }\n",
        );
        let (ran, value) = read(&home);
        ran.code(3);
        assert!(value["outcome"]["error"].to_string().contains("`/path`"), "{value:#}");
        home.configure(
            "[policies.ring-default]\n[policies.argument-schema.settings.tools.\"files/*\"]\nadditional-fields = false\n\
             fields = { \"/path\" = { max-length = 11 } }\n",
        );
        read(&home).0.code(0);
    }
}

mod rates {
    use super::*;

    fn rate_limit(permits: bool) -> Policy {
        let limits = json!([{ "scope": "principal", "window": "minute", "calls": 60, "fuel": 9 }]);
        policy("rate-limit", &json!({ "permits": permits, "limits": limits }))
    }

    fn ring_default() -> Policy {
        policy("ring-default", &json!({}))
    }

    fn allowed(policies: Vec<Policy>, row: &str) -> Option<Vec<Cap>> {
        match PolicySet::new(policies).decide(&request(row)).answer {
            Answer::Allow(obligations) => Some(obligations.caps),
            Answer::Deny(_) => None,
        }
    }

    #[test]
    fn limits_alone_permit_nothing_unless_told() {
        let unused = "ring = 3\neffect = 'writes'\nusage = [{ scope = 'principal' }]";
        // POL-05
        assert_eq!(allowed(vec![rate_limit(false)], unused), None);
        assert!(allowed(vec![rate_limit(true)], unused).is_some());
        // What another policy forbids stays forbidden.
        assert_eq!(allowed(vec![rate_limit(true), ring_default()], unused), None);
    }

    #[test]
    fn permit_carries_every_limit_as_cap() {
        let unused = "ring = 3\neffect = 'reads'\nusage = [{ scope = 'principal' }]";
        let cap = |unit, at_most| Cap { at_most, scope: CountScope::Principal, unit, window: Window::Minute };
        let caps = vec![cap(Unit::Calls, 60), cap(Unit::Fuel, 9)];
        assert_eq!(allowed(vec![rate_limit(true), ring_default()], unused), Some(caps));
        assert_eq!(allowed(vec![rate_limit(false), ring_default()], unused), Some(Vec::new()));
    }
}
