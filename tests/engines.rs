//! The policies that are written as text: what their settings may hold, and what becomes of them in a real call.

use std::path::Path;
use std::sync::LazyLock;

use ringfence_model::decision::PolicyFault;
use ringfence_model::decision::Verdict;
use ringfence_runtime::policy::Policy;
use ringfence_runtime::policy::cases::Cases;
use serde_json::Value;
use serde_json::json;

use crate::harness::ENGINE;
use crate::harness::Home;

static CEDAR: LazyLock<Policy> = LazyLock::new(|| load("cedar", &json!({ "policies": "" })));
static REGO: LazyLock<Policy> = LazyLock::new(|| load("rego", &rego("package ringfence\nverdict := \"abstain\"")));

fn load(name: &str, settings: &Value) -> Policy {
    let builtin = ringfence_policies::ALL.iter().find(|policy| policy.name == name).expect("a built-in policy");
    Policy::load(&ENGINE, name, builtin.component, settings).expect("a policy")
}

fn cedar(policies: &str) -> Value {
    json!({ "policies": policies })
}

fn rego(module: &str) -> Value {
    json!({ "modules": { "main.rego": module } })
}

/// The settings are refused, at this place and in these words.
#[track_caller]
fn refuses(policy: &Policy, settings: &Value, pointer: &str, says: &str) {
    let error = policy.with_settings(settings).expect_err("wrong settings").to_string();
    assert!(error.contains(&format!("wrong at `{pointer}`")) && error.contains(says), "{error}");
}

#[test]
fn wrong_cedar_is_refused_where_it_is() {
    let schema =
        "entity Agent, Tool; action call appliesTo { principal: Agent, resource: Tool, context: { ring: Long } };";
    let checked = |policies: &str| json!({ "policies": policies, "schema": schema });
    for (settings, pointer, says) in [
        (json!([]), "", "object"),
        (json!({}), "/policies", "text"),
        (json!({ "policies": 1 }), "/policies", "text"),
        (json!({ "policies": "", "policy": "" }), "/policy", "no such setting"),
        (cedar("permit (principal, action);"), "/policies", "line 1, column"),
        (cedar("permit (principal, action, resource);\npermit oops"), "/policies", "line 2, column"),
        (cedar("permit (principal == ?principal, action, resource);"), "/policies", "template"),
        (cedar("@id(\"Not kebab\") permit (principal, action, resource);"), "/policies", "kebab-case"),
        (cedar("@reason(\"two\\nlines\") permit (principal, action, resource);"), "/policies", "one line"),
        (
            cedar("@id(\"a\") permit (principal, action, resource);\n@id(\"a\") forbid (principal, action, resource);"),
            "/policies",
            "two policies",
        ),
        (json!({ "policies": "", "schema": 1 }), "/schema", "object"),
        (json!({ "policies": "", "schema": "entity" }), "/schema", "line 1, column"),
        (json!({ "policies": "", "schema": { "": 1 } }), "/schema", ""),
        (json!({ "policies": "", "entities": {} }), "/entities", "list"),
        (json!({ "policies": "", "entities": [{ "uid": "x" }] }), "/entities", ""),
        (
            json!({ "policies": "", "schema": schema, "entities": [{ "uid": { "type": "Tea", "id": "x" }, "attrs": {}, "parents": [] }] }),
            "/entities",
            "Tea",
        ),
        (checked("permit (principal, action, resource) when { context.rung == 1 };"), "/policies", "rung"),
        (checked("permit (principal, action, resource) when { context.ring == \"1\" };"), "/policies", ""),
    ] {
        refuses(&CEDAR, &settings, pointer, says);
    }
    CEDAR
        .with_settings(&checked("permit (principal, action, resource) when { context.ring == 1 };"))
        .expect("settings");
}

#[test]
fn wrong_rego_is_refused_where_it_is() {
    let fine = "package ringfence\nverdict := \"permit\"";
    for (settings, pointer, says) in [
        (json!("x"), "", "object"),
        (json!({}), "/modules", "at least one"),
        (json!({ "modules": {} }), "/modules", "at least one"),
        (json!({ "modules": { "a/b": 1 } }), "/modules/a~1b", "text"),
        (rego("package"), "/modules/main.rego", ""),
        (rego("package ringfence\nverdict := "), "/modules/main.rego", "main.rego:2"),
        (rego("package ringfence\nverdict := nobody(1)"), "/modules", "nobody"),
        (json!({ "modules": { "m": fine }, "data": [] }), "/data", "object"),
        (json!({ "modules": { "m": fine }, "query": 1 }), "/query", "rule"),
        (json!({ "modules": { "m": fine }, "query": "data.mine.verdict" }), "/query", "data.mine.verdict"),
        (json!({ "modules": { "m": fine }, "strict": true }), "/strict", "no such setting"),
    ] {
        refuses(&REGO, &settings, pointer, says);
    }
}

#[test]
fn clock_chance_and_network_are_not_there() {
    // POL-13, inside: what would make a decision differ from one time to the next has no name in the language.
    for function in ["time.now_ns()", "rand.intn(\"x\", 9)", "http.send({})", "opa.runtime()", "uuid.rfc4122(\"x\")"] {
        let module = format!("package ringfence\nverdict := \"permit\" if {function}");
        refuses(&REGO, &rego(&module), "/modules", "");
    }
    REGO.with_settings(&rego("package ringfence\nverdict := \"permit\" if count([1])")).expect("settings");
}

#[test]
fn endless_rule_denies_within_its_fuel() {
    // POL-02
    let row = "[[cases]]\nname = 'x'\nexpect = 'permit'\n";
    let request = Cases::parse(row).expect("a row").cases[0].request();
    let rule = "verdict := \"permit\" if { input.subject.call; some i in numbers.range(1, 3000); some j in numbers.range(1, 3000); i * j == input[\"time-ms\"] - 1 }";
    let endless = REGO.with_settings(&rego(&format!("package ringfence\n{rule}"))).expect("settings");
    assert_eq!(endless.ask(&request).verdict, Err(PolicyFault::OutOfFuel));
    let finite =
        REGO.with_settings(&rego(&format!("package ringfence\n{}", rule.replace("3000", "3")))).expect("settings");
    assert_eq!(finite.ask(&request).verdict, Ok(Verdict::Abstain));
}

#[test]
fn same_question_has_the_same_answer() {
    // POL-06: many reasons, whose order nothing but they themselves decides.
    let forbid = |n: usize| format!("@id(\"rule-{n}\") forbid (principal, action, resource);\n");
    let policies: String = (0..40).map(forbid).collect();
    let row = "[[cases]]\nname = 'x'\nexpect = 'permit'\n";
    let request = Cases::parse(row).expect("a row").cases[0].request();
    let policy = CEDAR.with_settings(&cedar(&policies)).expect("settings");
    let first = policy.ask(&request);
    let Ok(Verdict::Forbid(reasons)) = &first.verdict else { panic!("{first:?}") };
    assert_eq!(reasons.len(), 32);
    assert!(reasons.windows(2).all(|pair| pair[0].code < pair[1].code), "{reasons:?}");
    for _ in 0..5 {
        assert_eq!(policy.ask(&request), first);
    }
}

/// A call that writes and one that reads, under these lines of configuration beside `ring-default`.
#[track_caller]
fn writes_only_as_told(lines: &str, code: &str) {
    let home = Home::new();
    home.configure(&format!("[policies.ring-default]\n{lines}"));
    let dir = format!("{}::/out:rw", home.folder("out").display());
    let write = |name: &str| {
        let input = json!({ "path": format!("/out/{name}"), "content": "written" }).to_string();
        home.call(ringfence_artifacts::TOOL_FILES, &["write", "--ring", "2", "--input", &input, "--dir", &dir])
    };
    let (ran, value) = write("private.txt");
    ran.code(3);
    assert_eq!(value["outcome"]["error"]["code"], "denied.policy", "{value:#}");
    assert!(value["receipt"]["entry"]["body"]["decision"]["rulings"].to_string().contains(code), "{value:#}");
    assert!(!Path::new(&home.folder("out")).join("private.txt").exists());
    write("public.txt").0.code(0);
    assert!(home.folder("out").join("public.txt").exists());
    home.run(["log", "verify"]).code(0);
}

#[test]
fn documented_examples_can_be_put_in_force() {
    for (document, name) in [("cedar.md", "cedar"), ("rego.md", "rego")] {
        let path = format!("{}/../../docs/guide/policies/{document}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).expect("the document");
        let example = text.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
        let home = Home::new();
        home.configure(example);
        home.is_well();
        let said = home.entries().iter().map(Value::to_string).collect::<String>();
        assert!(said.contains(&format!("\"name\":\"{name}\"")), "{said}");
    }
}

#[test]
fn cedar_decides_on_real_calls() {
    writes_only_as_told(
        r#"[policies.cedar]
           settings.policies = '''
           @id("private-stays")
           forbid (principal is Operator, action == Action::"call", resource)
           when { context.input has path && context.input.path like "/out/private*" };
           '''"#,
        "private-stays",
    );
}

#[test]
fn rego_decides_on_real_calls() {
    writes_only_as_told(
        r#"[policies.rego]
           settings.modules.main = '''
           package ringfence
           verdict := {"verdict": "forbid", "reasons": [{"code": "private-stays", "text": "private"}]} if {
               startswith(input.subject.call.input.path, "/out/private")
           }
           '''"#,
        "private-stays",
    );
}
