//! Writes what it asks of a granted server so that the request goes elsewhere (NET-11): another server's whole URL,
//! words that are no path, ways out of the granted prefix, a second request behind the first.
//!
//! The arguments are the granted server as `HOST:PORT`, the granted prefix, which ends in `/`, and another server.

use std::process::ExitCode;

use hostile::{Attempts, control, is_control, targets};
use hostile_network::http::Request;

fn main() -> ExitCode {
    let [granted, prefix, other] = &targets()[..] else { return ExitCode::FAILURE };
    let request = Request::get(&format!("http://{granted}{prefix}page"));
    if is_control() {
        return control(request.send().map(drop));
    }
    let mut attempts = Attempts::default();
    for path in confusing(prefix, other) {
        let request = Request { path: Some(path.clone()), ..request.clone() };
        attempts.refused(&format!("ask for `{path}`"), request.send());
    }
    attempts.refused("ask for nothing", Request { path: None, ..request }.send());
    attempts.finish()
}

fn confusing(prefix: &str, other: &str) -> Vec<String> {
    let folder = prefix.trim_end_matches('/');
    let mut paths: Vec<_> =
        ["", "*", "x", "/", "?", "?/", "#/", "@", ":80/", "\\", "/\\", " /"].map(String::from).into();
    paths.extend([
        format!("http://{other}/"),
        format!("http://{other}{prefix}"),
        format!("https://{other}{prefix}"),
        format!("HTTP://{other}{prefix}"),
        format!("//{other}{prefix}"),
        format!("{other}{prefix}"),
        format!("@{other}{prefix}"),
        format!(".{other}{prefix}"),
        format!("x{prefix}"),
        format!(" {prefix}"),
        format!("/{prefix}"),
        format!("{folder}-too/"),
        format!("{}/", folder.to_uppercase()),
        format!("/?{prefix}"),
        format!("/#{prefix}"),
        format!("/x/..{prefix}secret"),
        format!("/.{prefix}secret"),
    ]);
    let ways_out = [
        "..",
        "../",
        "../secret",
        "./../secret",
        ".//../secret",
        "x/../../secret",
        "%2e%2e/secret",
        "%2E%2E/secret",
        ".%2e/secret",
        "%2e./secret",
        "..%2fsecret",
        "%2e%2e%2fsecret",
        "..\\secret",
        "..%5csecret",
        "..;/secret",
        "../",
        "page/../../",
        "..?x",
        "..#x",
    ];
    paths.extend(ways_out.map(|way| format!("{prefix}{way}")));
    let behind =
        [" HTTP/1.1\r\nhost: x\r\n\r\nGET /secret", "page\nx", "page\rx", "page\0x", "page x", "page\tx", "page\u{e9}"];
    paths.extend(behind.map(|way| format!("{prefix}{way}")));
    paths
}
