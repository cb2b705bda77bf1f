//! Who gets in: every route with every kind of token, borrowed names, and what no answer tells.

use std::fs;

use ringfence_artifacts::TOOL_ECHO;
use ringfence_server::http::routes::Access;
use ringfence_server::http::routes::ROUTES;
use ringfence_server::http::token::Scope;
use serde_json::json;

use crate::harness::Home;
use crate::harness::server::Server;
use crate::harness::server::extend;
use crate::harness::server::read;
use crate::harness::server::reading;
use crate::harness::server::token;

#[test]
fn every_route_wants_its_scope() {
    // API-03, API-11, API-13: the table of routes, with no token, a wrong one, and one of each scope.
    let home = reading();
    let tokens: Vec<_> = Scope::ALL
        .into_iter()
        .map(|scope| (scope, token(&home, &scope.to_string(), "agent:a", &scope.to_string())))
        .collect();
    let server = Server::new(&home);
    let wrong = tokens[0].1.replace(|c: char| c.is_ascii_digit(), "0");
    let absent = server.ask("GET", "/v1/nothing", None, "").is(401);
    for route in ROUTES {
        let path = route.path.replace("{id}", "none").replace("{path}", "none");
        let method = route.method.as_str();
        for (scope, token) in &tokens {
            let status = server.ask(method, &path, Some(token), "").status;
            let is_let_in = match route.access {
                Access::Anybody | Access::Holder => true,
                Access::Scope(wanted) => wanted.0.contains(scope),
            };
            assert_eq!(status == 403, !is_let_in, "{route:?} with {scope}: {status}");
            assert_ne!(status, 401, "{route:?} with {scope}");
            if method == "GET" {
                assert_eq!(server.ask("HEAD", &path, Some(token), "").status, status, "{route:?} with {scope}");
            }
        }
        let is_open = route.access == Access::Anybody;
        for token in [None, Some(wrong.as_str()), Some("rft_"), Some("")] {
            let answer = server.ask(method, &path, token, "");
            assert_eq!(answer.status == 401, !is_open, "{route:?} with {token:?}");
            if method == "GET" {
                assert_eq!(server.ask("HEAD", &path, token, "").status, answer.status, "{route:?} with {token:?}");
            }
            // Without a token nobody learns what there is.
            assert!(is_open || answer.json() == absent, "{route:?}");
        }
    }
    let holder = Some(tokens[0].1.as_str());
    for (method, path) in [("GET", "/v1/nothing"), ("GET", "/"), ("GET", "/debug/pprof"), ("GET", "/v1/tools/")] {
        server.ask(method, path, holder, "").is(404);
    }
    for (path, allowed) in [("/v1/calls", "POST"), ("/v1/sessions", "GET, HEAD, POST")] {
        let answer = server.ask("PUT", path, holder, "");
        assert_eq!(answer.is(405)["code"], "caller.method");
        assert_eq!(answer.header("allow"), Some(allowed), "{path}");
    }
    for query in ["?", "?a=b", "?limit=1&limit=2", "?limit=0", "?limit=x", "?limit=%31"] {
        server.ask("GET", &format!("/v1/sessions{query}"), Some(&tokens[4].1), "").is(400);
    }
    assert_eq!(server.stop(), 0);
}

#[test]
fn tokens_are_known_by_one_header_only() {
    // API-01, API-02, API-09
    let home = reading();
    let mine = token(&home, "mine", "agent:a", "call");
    let kept = fs::read_to_string(home.path().join("tokens.toml")).expect("the tokens");
    assert!(!kept.contains(&mine) && kept.contains("sha256:"));
    let server = Server::new(&home);
    let host = format!("host: {}\r\n", server.address);
    server.ask("GET", "/v1/tools", Some(&mine), "").is(200);
    for headers in [
        format!("{host}authorization: Basic {mine}\r\n"),
        format!("{host}authorization: {mine}\r\n"),
        format!("{host}authorization: Bearer {mine}\r\nauthorization: Bearer {mine}\r\n"),
        format!("{host}authorization: Bearer  {mine}\r\n"),
        format!("{host}x-api-key: {mine}\r\n"),
        format!("{host}cookie: token={mine}\r\n"),
        format!("{host}x-forwarded-for: 127.0.0.1\r\nx-forwarded-user: root\r\n"),
    ] {
        server.ask_with("GET", "/v1/tools", &headers, "").is(401);
    }
    server.ask("GET", &format!("/v1/tools?access_token={mine}"), None, "").is(401);
    // A token that is taken back is gone once the server has been told.
    let other = token(&home, "other", "agent:b", "call");
    server.ask("GET", "/v1/tools", Some(&other), "").is(401);
    home.run(["token", "revoke", "mine"]).code(0);
    server.hang_up();
    server.ask("GET", "/v1/tools", Some(&mine), "").is(401);
    server.ask("GET", "/v1/tools", Some(&other), "").is(200);
    assert_eq!(server.stop(), 0);
}

#[test]
fn revoked_token_is_gone_whatever_else_is_wrong() {
    // API-01
    let home = reading();
    let (mine, other) = (token(&home, "mine", "agent:a", "call"), token(&home, "other", "agent:b", "call"));
    let server = Server::new(&home);
    server.ask("GET", "/v1/tools", Some(&mine), "").is(200);
    home.run(["token", "revoke", "mine"]).code(0);
    for broken in ["[policies.none]\n", "[[["] {
        home.configure(broken);
        server.hang_up();
        server.ask("GET", "/v1/tools", Some(&mine), "").is(401);
        server.ask("GET", "/v1/tools", Some(&other), "").is(200);
    }
    assert_eq!(server.stop(), 0);
}

#[test]
fn tokens_made_at_once_are_all_kept() {
    // API-01
    let home = reading();
    let kept_in = &home;
    let names: Vec<_> = (0..12).map(|index| format!("t{index:02}")).collect();
    std::thread::scope(|scope| {
        for name in &names {
            scope.spawn(move || token(kept_in, name, "agent:a", "call"));
        }
    });
    let listed = home.run(["token", "list", "--format", "json"]).code(0).json();
    assert_eq!(listed.as_array().map(Vec::len), Some(names.len()));
    std::thread::scope(|scope| {
        for name in &names[1..] {
            scope.spawn(move || {
                kept_in.run(["token", "revoke", name.as_str()]).code(0);
            });
        }
    });
    let listed = home.run(["token", "list", "--format", "json"]).code(0).json();
    assert_eq!((listed.as_array().map(Vec::len), &listed[0]["name"]), (Some(1), &json!("t00")));
}

#[test]
fn pages_and_borrowed_names_are_refused() {
    // API-05
    let home = reading();
    let before = home.entries().len();
    extend(&home, "[server]\norigins = ['https://console.example']\n");
    let mine = token(&home, "mine", "agent:a", "call");
    let server = Server::new(&home);
    let authorized = format!("authorization: Bearer {mine}\r\n");
    let own = format!("host: {}\r\n{authorized}", server.address);
    let port = server.address.rsplit(':').next().expect("a port").to_owned();
    server.ask_with("GET", "/v1/tools", &own, "").is(200);
    server.ask_with("GET", "/v1/tools", &format!("host: localhost:{port}\r\n{authorized}"), "").is(200);
    server.ask_with("GET", "/v1/tools", &format!("{own}origin: https://console.example\r\n"), "").is(200);
    // Its own origin is not foreign, by whichever of its names.
    for name in ["localhost", "127.0.0.1", "[::1]"] {
        server.ask_with("GET", "/v1/tools", &format!("{own}origin: http://{name}:{port}\r\n"), "").is(200);
    }
    for headers in [
        format!("host: evil.example\r\n{authorized}"),
        format!("host: 127.0.0.1\r\n{authorized}"),
        format!("host: evil.example:{port}\r\n{authorized}"),
        format!("{own}host: localhost:{port}\r\n"),
        format!("{own}origin: null\r\n"),
        format!("{own}origin: https://evil.example\r\n"),
        format!("{own}origin: https://console.example.evil\r\n"),
        format!("{own}origin: https://localhost:{port}\r\n"),
        format!("{own}origin: http://localhost\r\n"),
        format!("{own}origin: http://localhost:1\r\n"),
        format!("{own}origin: http://localhost:{port}.evil.example\r\n"),
        format!("{own}origin: http://localhost:{port}\r\norigin: https://evil.example\r\n"),
        authorized.clone(),
    ] {
        for path in ["/v1/tools", "/healthz", "/mcp"] {
            let answer = server.ask_with("GET", path, &headers, "");
            assert!(answer.status == 403 || answer.status == 400, "{path} {headers}: {}", answer.status);
        }
        let called = server.ask_with("POST", "/v1/calls", &headers, &read());
        assert!(called.status == 403 || called.status == 400, "{headers}: {}", called.status);
    }
    // What a page can send without asking first is no call.
    let body = read();
    let plain = format!(
        "POST /v1/calls HTTP/1.1\r\n{own}content-type: text/plain\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(server.raw(plain.as_bytes()).status, 415);
    assert_eq!(home.entries().len(), before, "something has run");
    assert_eq!(server.stop(), 0);
}

#[test]
fn server_opens_to_nobody_by_itself() {
    // API-12, SEC-04
    let home = reading();
    home.refuses(["serve"], 1);
    token(&home, "mine", "agent:a", "call");
    home.refuses(["serve", "--listen", "0.0.0.0:0"], 1);
    home.refuses(["serve", "--listen", "192.0.2.1:8790"], 1);
    home.refuses(["token", "new", "mine", "--as", "agent:a", "--scope", "call"], 1);
    home.refuses(["token", "revoke", "none"], 2);
    let listed = home.run(["token", "list", "--format", "json"]).code(0).json();
    assert_eq!((&listed[0]["principal"], &listed[0]["scopes"]), (&json!("agent:a"), &json!(["call"])));
    let path = home.path().join("tokens.toml");
    let mut permissions = fs::metadata(&path).expect("the tokens").permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o644);
    fs::set_permissions(&path, permissions).expect("changed");
    home.refuses(["serve"], 1);
}

#[test]
fn token_narrows_to_its_ring() {
    // API-04, POL-15
    let home = reading();
    let before = fs::read_to_string(home.path().join("ringfence.toml")).expect("the configuration");
    home.configure(&before.replace("[tools.files]\n", "[tools.files]\nring = 2\n"));
    let ringed = |name: &str, ring: &str| {
        let args = ["token", "new", name, "--as", "agent:a", "--scope", "call", "--ring", ring];
        home.run(args).code(0).text().trim().to_owned()
    };
    home.run(["token", "new", "none", "--as", "agent:a", "--scope", "call", "--ring", "4"]).code(2).says("not a ring");
    let (wide, narrow) = (ringed("wide", "2"), ringed("narrow", "3"));
    let listed = home.run(["token", "list", "--format", "json"]).code(0).json();
    assert_eq!((&listed[0]["ring"], &listed[1]["ring"]), (&json!(3), &json!(2)));
    let server = Server::new(&home);
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }).to_string();
    for (token, status, is_listed) in [(&wide, 200, true), (&narrow, 404, false)] {
        server.ask("POST", "/v1/calls", Some(token), &read()).is(status);
        let tools = server.ask("GET", "/v1/tools", Some(token), "").is(200);
        assert_eq!(tools != json!([]), is_listed);
        let tools = server.ask("POST", "/mcp", Some(token), &list).is(200);
        assert_eq!(tools["result"]["tools"] != json!([]), is_listed);
    }
    assert_eq!(server.stop(), 0);
    home.is_well();
}

#[test]
fn agents_learn_no_path_of_the_host() {
    // API-13: a layer refuses; which folder it was is for the operator.
    let home = reading();
    let folder = home.path().join("docs-that-are-not-allowed");
    fs::create_dir(&folder).expect("a folder");
    let before = fs::read_to_string(home.path().join("ringfence.toml")).expect("the configuration");
    let host = folder.display().to_string();
    home.configure(&before.replace("folders = ['", &format!("folders = ['{host}::/docs:ro', '")));
    let mine = token(&home, "mine", "agent:a", "call");
    let server = Server::new(&home);
    let answer = server.ask("POST", "/v1/calls", Some(&mine), &read());
    let problem = answer.is(403);
    assert!(problem["code"].as_str().is_some_and(|code| code.starts_with("denied.")), "{problem}");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("/docs")), "{problem}");
    let call = json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": { "name": "files_read",
        "arguments": { "path": "/docs/a.txt" } } });
    let over_mcp = server.ask("POST", "/mcp", Some(&mine), &call.to_string());
    assert_eq!(over_mcp.is(200)["result"]["isError"], true);
    let home_path = home.path().display().to_string();
    for answer in [answer, over_mcp] {
        let text = String::from_utf8(answer.body).expect("text");
        assert!(!text.contains(&host) && !text.contains(&home_path), "{text}");
    }
    assert_eq!(server.stop(), 0);
    home.is_well();
}

#[test]
fn first_token_calls_and_does_nothing_else() {
    // API-12: made with the home, shown once, and kept as a digest.
    let home = Home::none();
    let made = home.run(["init", "--origin", "test.example/log", "--token", "agent:a"]);
    let token = made.code(0).text().lines().find_map(|line| line.strip_prefix("token ")).expect("a token").to_owned();
    let kept = std::fs::read_to_string(home.path().join("tokens.toml")).expect("tokens");
    assert!(!kept.contains(&token) && kept.contains("agent:a"), "{kept}");
    home.run(["tool", "add", TOOL_ECHO]).code(0);
    let server = Server::new(&home);
    let call = r#"{"tool":"echo","function":"string","input":{"value":"hi"}}"#;
    assert_eq!(server.ask("POST", "/v1/calls", Some(&token), call).is(200)["outcome"]["value"], "hi");
    server.ask("POST", "/v1/calls", None, call).is(401);
    server.ask("POST", "/v1/sessions", Some(&token), r#"{"name":"s"}"#).is(403);
    assert_eq!(server.stop(), 0);
    home.is_well();
}
