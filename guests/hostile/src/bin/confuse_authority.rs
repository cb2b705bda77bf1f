//! Writes a server's name so that one reader sees a granted server and another reader a different one (NET-10): with
//! user information, fragments, backslashes, spaces, line ends, escapes and ports that are none.
//!
//! The arguments are the granted server and another one, each as `HOST:PORT`.

use std::process::ExitCode;

use hostile::{Attempts, control, is_control, targets};
use hostile_network::http::Request;

fn main() -> ExitCode {
    let [granted, other] = &targets()[..] else { return ExitCode::FAILURE };
    let request = Request::get(&format!("http://{granted}/"));
    if is_control() {
        return control(request.send().map(drop));
    }
    let mut attempts = Attempts::default();
    for authority in confusing(granted, other) {
        let request = Request { authority: Some(authority.clone()), ..request.clone() };
        attempts.refused(&format!("ask `{authority}`"), request.send());
    }
    attempts.refused("ask nobody", Request { authority: None, ..request }.send());
    attempts.finish()
}

fn confusing(granted: &str, other: &str) -> Vec<String> {
    let (name, port) = granted.rsplit_once(':').unwrap_or((granted, "80"));
    vec![
        String::new(),
        other.to_owned(),
        format!("{granted}@{other}"),
        format!("{name}@{other}"),
        format!("user:password@{other}"),
        format!("user@{granted}"),
        format!("user:password@{granted}"),
        format!("@{granted}"),
        format!(":@{granted}"),
        format!("{granted}@"),
        format!("{other}@{granted}"),
        format!("{other}#@{granted}"),
        format!("{other}?@{granted}"),
        format!("{other}/@{granted}"),
        format!("{other}\\@{granted}"),
        format!("{granted}\\@{other}"),
        format!("{granted}\\.{other}"),
        format!("{granted}#{other}"),
        format!("{granted} {other}"),
        format!(" {granted}"),
        format!("{granted} "),
        format!("{granted}\t@{other}"),
        format!("{granted}\r\nhost: {other}"),
        format!("{granted}\n{other}"),
        format!("{granted}\0{other}"),
        format!("{granted}%40{other}"),
        format!("{granted}%00@{other}"),
        format!("{granted},{other}"),
        format!("{granted};{other}"),
        format!("{granted}:{port}"),
        format!("{name}:{port}:{port}"),
        format!("{name}:"),
        format!("{name}:+{port}"),
        format!("{name}:-{port}"),
        format!("{name}:{port}x"),
        format!("{name}:0x50"),
        format!("{name}:65536"),
        format!("{name}:99999999999999999999"),
        format!("[{name}]:{port}"),
        format!("[::1]{granted}"),
        format!("[{granted}"),
        format!("{name}]:{port}"),
        format!("http://{granted}"),
        format!("//{granted}"),
    ]
}
