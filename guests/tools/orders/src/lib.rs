//! Orders from a shop, each order once.
//!
//! It shows what a tool can do about a crash between an effect and its record: one function can look up what another has
//! done, and one passes on the key that the host gives it. It decides nothing about where the shop is.

mod shop;

#[allow(missing_docs, reason = "the WIT has the documentation")]
mod bindings {
    wit_bindgen::generate!({
        path: [
            "../../../wit/deps/io.wit",
            "../../../wit/deps/clocks.wit",
            "../../../wit/deps/random.wit",
            "../../../wit/deps/filesystem.wit",
            "../../../wit/deps/sockets.wit",
            "../../../wit/deps/cli.wit",
            "../../../wit/deps/http.wit",
            "wit",
        ],
        world: "ringfence:orders/tool",
        generate_all,
    });
}

use bindings::exports::ringfence::orders::orders::Guest;
use bindings::wasi::http::types::Method;

use crate::shop::Answer;
use crate::shop::ask;

struct Orders;

bindings::export!(Orders with_types_in bindings);

impl Guest for Orders {
    fn place(shop: String, order: String, item: String) -> Result<String, String> {
        confirmed(ask(Method::Post, &shop, &format!("/orders/{order}"), Some(item))?)
    }

    fn find(shop: String, order: String, _: String) -> Result<Option<String>, String> {
        let answer = ask(Method::Get, &shop, &format!("/orders/{order}"), None)?;
        if answer.status == 404 { Ok(None) } else { confirmed(answer).map(Some) }
    }

    fn reserve(shop: String, order: String, item: String) -> Result<String, String> {
        confirmed(ask(Method::Put, &shop, &format!("/reservations/{order}"), Some(item))?)
    }
}

fn confirmed(answer: Answer) -> Result<String, String> {
    match answer.status {
        200 | 201 => Ok(answer.body),
        status => Err(format!("the shop answered {status}")),
    }
}
