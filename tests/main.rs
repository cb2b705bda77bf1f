//! The tests that run the real command on real components: one binary, one file an area.

#![expect(unreachable_pub, reason = "tests have no public interface")]
#![expect(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod harness;

mod approvals;
mod arch;
mod backup;
mod bad_input;
mod bench;
mod build;
mod builtin_policies;
mod call;
mod certificates;
mod compile;
mod complete;
mod crash;
mod demo;
mod denials;
mod described;
mod descriptors;
mod docs;
mod egress;
mod engines;
mod entry_points;
mod events;
mod evidence;
mod fetched;
mod filesystem;
mod floods;
mod fuzz;
mod guards;
mod halt;
mod host;
mod http_rules;
mod identity;
mod isolation;
mod layers;
mod limit;
mod log_head;
mod mcp;
mod mcp_http;
mod mcp_versions;
mod memory;
mod named;
mod path_scope;
mod points;
mod policy;
mod policy_cases;
mod policy_eval;
mod policy_hostile;
mod policy_input;
mod policy_set;
mod postgres;
mod publish;
mod record;
mod registry;
mod repeat;
mod replay;
mod revoked;
mod rings;
mod rotate;
mod serve;
mod serve_access;
mod serve_room;
mod serve_sessions;
mod served_log;
mod servers;
mod settle;
mod tasks;
mod telemetry;
mod tls;
mod tool_cache;
mod tool_imports;
mod tool_inspect;
mod tool_lift;
mod tool_manifests;
mod tool_values;
mod tools;
mod wire;
mod witness;

#[test]
fn every_test_file_is_part_of_this_binary() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests");
    let main = include_str!("main.rs");
    for entry in std::fs::read_dir(folder).expect("the folder of the tests") {
        let path = entry.expect("a file").path();
        if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("main.rs") {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            assert!(main.contains(&format!("\nmod {name};\n")), "`mod {name};` is missing");
        }
    }
}
