//! What `bench` prints, and that it measures what it says: never how long anything took.

use crate::harness::Home;

#[test]
fn record_is_measured_by_its_rows() {
    let report = Home::new().run(["bench", "--only", "record", "--seconds", "0.1", "--format", "json"]).code(0).json();
    let rows = report["rows"].as_array().expect("rows");
    let names: Vec<_> = rows.iter().filter_map(|row| row["name"].as_str()).collect();
    assert_eq!(names, ["durable pure call", "durable blind call", "64 callers"]);
    for row in rows {
        let [floor, measured] = ["floor", "measured"].map(|what| row[what]["runs"].as_u64().expect("a count"));
        assert!(floor == measured && measured >= 30, "{row}");
    }
}

#[test]
fn long_log_is_measured_whole() {
    let args = ["bench", "--history", "20001", "--seconds", "0.1", "--format", "json"];
    let report = Home::new().run(args).code(0).json();
    assert_eq!(report["entries"], 20_001);
    assert_eq!(report["rows"].as_array().map(Vec::len), Some(2));
    // The root of 20,001 leaves is at most 15 steps away.
    let hashes = report["proof_hashes_max"].as_u64().expect("a count");
    assert!((13..=15).contains(&hashes), "{hashes}");
}

#[test]
fn unknown_part_is_not_measured() {
    Home::new().run(["bench", "--only", "everything"]).code(2).says("policies, calls, record, log, network, files");
}
