//! Reads the doc comments of a tool's WIT package, which a component does not carry, and writes them as `package-docs`.
//!
//! The section is wasm-tools' convention: a version byte, then JSON that nests as the package does (wit-parser,
//! `metadata.rs`). This reads line by line and knows only what tells somebody how to call a tool: interfaces, worlds
//! and what they export, functions. A declaration begins on a line of its own; block comments, types, resources and
//! nested packages are passed over.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What wit-parser writes today; it reads 0 and 1.
const VERSION: u8 = 1;
const FUNCTIONS: &str = "funcs";
const INTERFACES: &str = "interfaces";
const WORLDS: &str = "worlds";

/// The content of the section for a package of these files; none if nothing in it is documented.
pub(crate) fn section(files: &[String]) -> Option<Vec<u8>> {
    let mut package = Item::default();
    for file in files {
        package.read(file);
    }
    (!package.items.is_empty()).then(|| [&[VERSION], package.json().as_bytes()].concat())
}

/// Under which of its parent's members an item is, and its name.
type Key = (&'static str, String);

/// Something that may be documented, or holds something that is.
#[derive(Default)]
struct Item {
    docs: String,
    items: BTreeMap<Key, Item>,
}

impl Item {
    fn read(&mut self, text: &str) {
        let mut docs: Vec<&str> = Vec::new();
        // The blocks that are open; those that are passed over have no key.
        let mut open: Vec<Option<Key>> = Vec::new();
        for line in text.lines().map(str::trim) {
            if let Some(doc) = line.strip_prefix("///") {
                docs.push(doc.strip_prefix(' ').unwrap_or(doc));
                continue;
            }
            let code = without_comment_and_gate(line);
            if code.is_empty() {
                continue;
            }
            let mut key = declared(code, &open);
            let path: Option<Vec<Key>> = open.iter().chain([&key]).cloned().collect();
            if let Some(path) = path.filter(|_| !docs.is_empty()) {
                let item = path.into_iter().fold(&mut *self, |item, key| item.items.entry(key).or_default());
                docs.join("\n").trim().clone_into(&mut item.docs);
            }
            docs.clear();
            let (opened, closed) = (code.matches('{').count(), code.matches('}').count());
            open.extend((closed..opened).map(|_| key.take()));
            open.truncate(open.len().saturating_sub(closed.saturating_sub(opened)));
        }
    }

    fn json(&self) -> String {
        let mut members = Vec::new();
        if !self.docs.is_empty() {
            members.push(format!("\"docs\":{}", quoted(&self.docs)));
        }
        for kind in [FUNCTIONS, INTERFACES, WORLDS] {
            let of_kind = self.items.iter().filter(|((found, _), _)| *found == kind);
            let items: Vec<_> = of_kind.map(|((_, name), item)| format!("{}:{}", quoted(name), item.json())).collect();
            if !items.is_empty() {
                members.push(format!("\"{kind}\":{{{}}}", items.join(",")));
            }
        }
        format!("{{{}}}", members.join(","))
    }
}

/// A line without the comment at its end and the `@since(…)` at its beginning.
fn without_comment_and_gate(line: &str) -> &str {
    let code = line.split("//").next().unwrap_or_default();
    let ungated = if code.starts_with('@') { code.split_once(')').map_or("", |(_, rest)| rest) } else { code };
    ungated.trim()
}

/// What a line declares, if it is something that is read.
fn declared(code: &str, open: &[Option<Key>]) -> Option<Key> {
    let (kind, name) = match open.last() {
        None => top_level(code)?,
        Some(block) => match block.as_ref()?.0 {
            WORLDS => member(code.strip_prefix("export ")?)?,
            _ => member(code)?,
        },
    };
    Some((kind, name.trim().trim_start_matches('%').to_owned()))
}

fn top_level(code: &str) -> Option<(&'static str, &str)> {
    let (keyword, name) = code.split('{').next()?.split_once(' ')?;
    match keyword {
        "interface" => Some((INTERFACES, name)),
        "world" => Some((WORLDS, name)),
        _ => None,
    }
}

/// `name: func(…)` or `name: interface {`; what else has a colon is the name of a package, or a parameter.
fn member(code: &str) -> Option<(&'static str, &str)> {
    let (name, ty) = code.split_once(':')?;
    let ty = ty.trim_start();
    let begins =
        |keyword: &str, next: char| ty.strip_prefix(keyword).is_some_and(|ty| ty.trim_start().starts_with(next));
    if begins("func", '(') || begins("async func", '(') {
        Some((FUNCTIONS, name))
    } else {
        begins("interface", '{').then_some((INTERFACES, name))
    }
}

/// A JSON string.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            // Writing to a `String` can't fail.
            c if c.is_control() => _ = write!(quoted, "\\u{:04x}", u32::from(c)),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(wit: &str, expected: &str) {
        let section = section(&[wit.to_owned()]).unwrap_or_default();
        let json = section.strip_prefix(&[VERSION]).unwrap_or_default();
        assert_eq!(String::from_utf8_lossy(json), expected, "{wit}");
    }

    #[test]
    fn interfaces_and_functions_are_described() {
        check(
            "/// A package.
             package a:b@0.1.0;

             /// Does things.
             interface things {
                 use other.{thing, kind};
                 /// A record.
                 record point { x: s32, y: s32 }
                 /// Says \"yes\" \\ no.
                 ///
                 ///   And more.
                 %list: func(path: string) -> result<list<u8>, string>; // later
                 undocumented: func();
                 /// Takes long.
                 @since(version = 0.1.0)
                 wait: async func(
                     for: u32,
                 );
                 /// Last.
                 @unstable(feature = x) last: func();
             }",
            concat!(
                r#"{"interfaces":{"things":{"docs":"Does things.","funcs":{"#,
                r#""last":{"docs":"Last."},"#,
                r#""list":{"docs":"Says \"yes\" \\ no.\u000a\u000a  And more."},"#,
                r#""wait":{"docs":"Takes long."}}}}}"#
            ),
        );
    }

    #[test]
    fn exports_of_worlds_are_described() {
        check(
            "world w {
                 /// Not ours.
                 import get: func() -> u8;
                 /// Of another package.
                 export func:interface/func;
                 /// Runs.
                 export run: func();
                 export api: interface {
                     /// Of the world's interface.
                     f: func();
                 }
             }",
            concat!(
                r#"{"worlds":{"w":{"funcs":{"run":{"docs":"Runs."}},"#,
                r#""interfaces":{"api":{"funcs":{"f":{"docs":"Of the world's interface."}}}}}}}"#
            ),
        );
    }

    #[test]
    fn what_is_passed_over_describes_nothing_else() {
        check(
            "package a:nested {
                 interface i {
                     /// Of another package.
                     f: func();
                 }
             }
             interface i {
                 /// A resource.
                 resource r {
                     /// A method.
                     m: func();
                 }
                 variant v {
                     /// A case.
                     func(u8),
                 }
                 /// A type.
                 type t = u8;
                 g: func();
                 /// Found.
                 h: func();
             }",
            r#"{"interfaces":{"i":{"funcs":{"h":{"docs":"Found."}}}}}"#,
        );
    }

    #[test]
    fn files_of_a_package_are_one_section() {
        let files = ["/// One.\ninterface one {\n}", "/// Two.\ninterface two {}"].map(str::to_owned);
        let json = br#"{"interfaces":{"one":{"docs":"One."},"two":{"docs":"Two."}}}"#;
        assert_eq!(section(&files), Some([&[VERSION], json.as_slice()].concat()));
    }

    #[test]
    fn nothing_documented_needs_no_section() {
        assert_eq!(section(&[]), None);
        assert_eq!(section(&["interface i {\n f: func();\n}\n}}\n///".to_owned()]), None);
    }
}
