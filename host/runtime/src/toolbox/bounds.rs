//! What it can cost to check a value against a schema that a guest brought along, known before anything is compiled.
//!
//! A validator follows every reference as often as it is met, so a few lines of schema can stand for 2^40 checks. The
//! size of a schema is therefore that of the tree it unfolds into, counted with a memo. Only references into the schema
//! itself are read, in one way: whatever could make the validator resolve one differently (other bases, anchors,
//! percent-encoding) is refused, and so is whatever leads back to itself. Keywords are looked for everywhere, also where
//! a schema only quotes them: a reference can make any part of it a schema. Nothing here decides whether a schema is
//! valid.

use std::collections::HashMap;
use std::ptr;

use ringfence_model::limits::SCHEMA_DEPTH_MAX;
use ringfence_model::limits::SCHEMA_NODES_MAX;
use ringfence_model::limits::SCHEMA_REFERENCES_MAX;
use ringfence_model::limits::SCHEMA_WORK_MAX;
use ringfence_model::outcome::one_line;
use serde_json::Map;
use serde_json::Value;
use thiserror::Error;

/// Keywords that change what a reference means, or that are references whose target depends on the way to them.
const KEYWORDS_REFUSED: [&str; 5] = ["$anchor", "$dynamicAnchor", "$dynamicRef", "$id", "$recursiveRef"];
/// Keywords for which a validator goes through the schema beside them again, at each level they stand at. Four times is
/// more than was measured.
const KEYWORDS_REPEATING: [&str; 2] = ["unevaluatedItems", "unevaluatedProperties"];
const REPETITIONS: u64 = 4;
/// Bytes of text that take as long to check as a node.
const TEXT_BYTES_PER_NODE: usize = 64;

/// Why a schema is not compiled.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(super) enum SchemaProblem {
    /// References lead in a circle.
    #[error("the reference `{0}` leads back to where it stands")]
    Cycle(String),
    /// A keyword whose meaning can't be bounded.
    #[error("`{0}` is not supported; only references into the schema itself are")]
    Keyword(String),
    /// A reference to elsewhere or to nothing.
    #[error("the reference `{0}` is not `#` or `#/…` with the way to a part of the schema")]
    Reference(String),
    /// Too deep once unfolded.
    #[error("unfolded it is deeper than {SCHEMA_DEPTH_MAX} levels")]
    TooDeep,
    /// Too large once unfolded.
    #[error("unfolded it has more than {SCHEMA_NODES_MAX} nodes")]
    TooLarge,
    /// Too long a chain.
    #[error("more than {SCHEMA_REFERENCES_MAX} references lead through one another")]
    TooManyReferences,
}

/// The nodes of a schema once every reference in it is replaced by what it leads to.
pub(super) fn unfolded_nodes(schema: &Value) -> Result<u64, SchemaProblem> {
    let walker = &mut Walker { root: schema, known: HashMap::new() };
    walker.size(schema, Place { depth: 0, references: 0 }).map(|size| size.nodes)
}

/// Checks that a value can be checked against a schema of so many nodes.
pub(super) fn check_work(schema_nodes: u64, value: &Value) -> Result<(), String> {
    let nodes = value_nodes(value);
    if nodes.saturating_mul(schema_nodes) > SCHEMA_WORK_MAX {
        let product = format!("{nodes} nodes times {schema_nodes} of the schema are more than {SCHEMA_WORK_MAX}");
        return Err(format!("at `/`: too large to be checked: {product}"));
    }
    Ok(())
}

/// The nodes of a value, where long text counts for more than one: a pattern reads all of it.
fn value_nodes(value: &Value) -> u64 {
    let text = |text: &str| 1 + u64::try_from(text.len() / TEXT_BYTES_PER_NODE).unwrap_or(u64::MAX - 1);
    let (mut nodes, mut left) = (0_u64, vec![value]);
    while let Some(value) = left.pop() {
        let own = match value {
            Value::Array(items) => {
                left.extend(items);
                1
            }
            Value::Object(members) => {
                left.extend(members.values());
                members.keys().fold(1, |sum: u64, key| sum.saturating_add(text(key)))
            }
            Value::String(string) => text(string),
            _ => 1,
        };
        nodes = nodes.saturating_add(own);
    }
    nodes
}

/// How far the walk is below the root.
#[derive(Clone, Copy)]
struct Place {
    depth: usize,
    references: usize,
}

/// What a part of a schema unfolds into.
#[derive(Clone, Copy)]
struct Size {
    nodes: u64,
    depth: usize,
    references: usize,
}

impl Size {
    const LEAF: Self = Self { nodes: 1, depth: 0, references: 0 };

    /// With another part in it.
    fn holding(self, part: Self) -> Result<Self, SchemaProblem> {
        let nodes = self.nodes.saturating_add(part.nodes);
        let size = Self {
            nodes,
            depth: self.depth.max(part.depth.saturating_add(1)),
            references: self.references.max(part.references),
        };
        if nodes > SCHEMA_NODES_MAX { Err(SchemaProblem::TooLarge) } else { Ok(size) }
    }

    fn repeated(self) -> Result<Self, SchemaProblem> {
        let nodes = self.nodes.saturating_mul(REPETITIONS);
        if nodes > SCHEMA_NODES_MAX { Err(SchemaProblem::TooLarge) } else { Ok(Self { nodes, ..self }) }
    }
}

struct Walker<'a> {
    root: &'a Value,
    /// By address, which is a node's identity as long as the schema is borrowed; none while the walk is inside it.
    known: HashMap<*const Value, Option<Size>>,
}

impl<'a> Walker<'a> {
    /// Recurses no deeper than [`SCHEMA_DEPTH_MAX`]: a known part is not entered again, but its depth is counted.
    fn size(&mut self, node: &'a Value, at: Place) -> Result<Size, SchemaProblem> {
        let key = ptr::from_ref(node);
        let size = match (self.known.get(&key).copied().flatten(), node) {
            (Some(size), _) => size,
            (None, Value::Array(_) | Value::Object(_)) if at.depth < SCHEMA_DEPTH_MAX => {
                self.known.insert(key, None);
                let size = self.unfold(node, Place { depth: at.depth + 1, ..at })?;
                self.known.insert(key, Some(size));
                size
            }
            (None, _) => Size::LEAF,
        };
        if at.depth + size.depth >= SCHEMA_DEPTH_MAX {
            Err(SchemaProblem::TooDeep)
        } else if at.references + size.references > SCHEMA_REFERENCES_MAX {
            Err(SchemaProblem::TooManyReferences)
        } else {
            Ok(size)
        }
    }

    fn unfold(&mut self, node: &'a Value, below: Place) -> Result<Size, SchemaProblem> {
        match node {
            Value::Array(items) => {
                items.iter().try_fold(Size::LEAF, |size, item| size.holding(self.size(item, below)?))
            }
            Value::Object(members) => self.unfold_object(members, below),
            _ => Ok(Size::LEAF),
        }
    }

    fn unfold_object(&mut self, members: &'a Map<String, Value>, below: Place) -> Result<Size, SchemaProblem> {
        let mut size = Size::LEAF;
        for (name, member) in members {
            size = size.holding(self.size(member, below)?)?;
            // Where the value is no text, the name is that of a property.
            if let Value::String(text) = member {
                refuse_keyword(name, text)?;
                if name == "$ref" {
                    size = size.holding(self.referenced(text, below)?)?;
                }
            }
        }
        if KEYWORDS_REPEATING.iter().any(|keyword| members.contains_key(*keyword)) { size.repeated() } else { Ok(size) }
    }

    fn referenced(&mut self, reference: &str, at: Place) -> Result<Size, SchemaProblem> {
        let target = self.target(reference).ok_or_else(|| SchemaProblem::Reference(one_line(reference)))?;
        if self.known.get(&ptr::from_ref(target)).is_some_and(Option::is_none) {
            return Err(SchemaProblem::Cycle(one_line(reference)));
        }
        if at.references >= SCHEMA_REFERENCES_MAX {
            return Err(SchemaProblem::TooManyReferences);
        }
        let size = self.size(target, Place { references: at.references + 1, ..at })?;
        Ok(Size { references: size.references + 1, ..size })
    }

    /// RFC 6901, without the percent-encoding of a URI's fragment.
    fn target(&self, reference: &str) -> Option<&'a Value> {
        let pointer = reference.strip_prefix('#')?;
        if pointer.contains('%') { None } else { self.root.pointer(pointer) }
    }
}

/// Draft 4 has an `id` that changes what a reference means, as `$id` does later.
fn refuse_keyword(name: &str, text: &str) -> Result<(), SchemaProblem> {
    if KEYWORDS_REFUSED.contains(&name) {
        return Err(SchemaProblem::Keyword(name.to_owned()));
    }
    if name == "$schema" && text.contains("draft-04") {
        return Err(SchemaProblem::Keyword(format!("$schema: {}", one_line(text))));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// `$defs` in which each definition is made of the one before, and the schema is the last.
    fn chain(length: usize, link: impl Fn(Value) -> Value) -> Value {
        let mut definitions = Map::from_iter([("d0".to_owned(), json!({"type": "string"}))]);
        for level in 1..length {
            let before = json!({"$ref": format!("#/$defs/d{}", level - 1)});
            definitions.insert(format!("d{level}"), link(before));
        }
        json!({"$ref": format!("#/$defs/d{}", length - 1), "$defs": definitions})
    }

    fn nested(levels: usize, inner: Value) -> Value {
        (0..levels).fold(inner, |schema, _| json!({"anyOf": [schema]}))
    }

    #[test]
    fn references_count_as_often_as_met() {
        for (schema, nodes) in [
            (json!(true), 1),
            (json!({"type": "string"}), 2),
            (json!({"enum": [1, 2]}), 4),
            (json!({"a": {"type": "string"}, "$ref": "#/a"}), 6),
            (json!({"a": {"type": "string"}, "allOf": [{"$ref": "#/a"}, {"$ref": "#/a"}]}), 12),
            (json!({"a~b": {"c/d": [true]}, "$ref": "#/a~0b/c~1d/0"}), 6),
            (json!({"type": "object", "unevaluatedProperties": false}), 12),
            (json!({"properties": {"$id": {"type": "string"}, "$ref": {"type": "string"}}}), 6),
        ] {
            assert_eq!(unfolded_nodes(&schema), Ok(nodes), "{schema}");
        }
    }

    #[test]
    fn schemas_that_explode_are_refused() {
        // MAL-06, RES-12
        let doubled = chain(40, |before| json!({"anyOf": [before, before]}));
        let again = |schema| json!({"allOf": [schema], "unevaluatedProperties": false});
        let repeated = (0..20).fold(json!(true), |schema, _| again(schema));
        let wide = json!({"enum": vec![0; 10_000]});
        let long = |length| chain(length, |before| json!({"not": before}));
        for (schema, wanted) in [
            (doubled, SchemaProblem::TooLarge),
            (repeated, SchemaProblem::TooLarge),
            (wide, SchemaProblem::TooLarge),
            (long(65), SchemaProblem::TooManyReferences),
            (long(5_000), SchemaProblem::TooManyReferences),
            (chain(30, |before| nested(40, before)), SchemaProblem::TooDeep),
        ] {
            assert_eq!(unfolded_nodes(&schema), Err(wanted));
        }
        assert!(unfolded_nodes(&long(64)).is_ok());
    }

    #[test]
    fn depth_counts_whatever_the_order() {
        // MAL-06: a definition that is known already must not hide how deep it is.
        for length in [5, 50] {
            let mut schema = chain(length, |before| nested(10, before));
            let last = schema["$ref"].take();
            schema["z"] = json!({"$ref": last});
            schema.as_object_mut().expect("an object").remove("$ref");
            let refused = unfolded_nodes(&schema) == Err(SchemaProblem::TooDeep);
            assert_eq!(refused, length == 50, "{length}");
        }
    }

    #[test]
    fn references_stay_inside_the_schema() {
        // MAL-06
        for reference in
            ["", "a", "#a", "#/nowhere", "#/$defs/%61", "#/list/01", "other.json#/a", "https://example.com/a"]
        {
            let schema = json!({"$ref": reference, "$defs": {"a": true, "%61": true}, "list": [0, 1]});
            assert_eq!(unfolded_nodes(&schema), Err(SchemaProblem::Reference(reference.to_owned())), "{reference}");
        }
        for keyword in KEYWORDS_REFUSED {
            let schema = json!({"properties": {"a": {keyword: "#x"}}});
            assert_eq!(unfolded_nodes(&schema), Err(SchemaProblem::Keyword(keyword.to_owned())));
        }
        let old = json!({"$schema": "http://json-schema.org/draft-04/schema#"});
        assert!(matches!(unfolded_nodes(&old), Err(SchemaProblem::Keyword(_))));
    }

    #[test]
    fn references_in_circles_are_refused() {
        // MAL-06
        for schema in [
            json!({"$ref": "#"}),
            json!({"properties": {"child": {"$ref": "#"}}}),
            json!({"$defs": {"a": {"not": {"$ref": "#/$defs/b"}}, "b": {"items": {"$ref": "#/$defs/a"}}}}),
            json!({"allOf": [{"$ref": "#/allOf"}]}),
        ] {
            assert!(matches!(unfolded_nodes(&schema), Err(SchemaProblem::Cycle(_))), "{schema}");
        }
    }

    #[test]
    fn values_too_large_are_refused() {
        // RES-12
        for (value, schema_nodes, fits) in [
            (json!(1), SCHEMA_NODES_MAX, true),
            (json!(vec![0; 4_999]), 10_000, true),
            (json!(vec![0; 5_000]), 10_000, false),
            (json!({"a".repeat(320_000): 0}), 10_000, false),
            (json!("a".repeat(8 << 20)), 300, true),
            (json!("a".repeat(8 << 20)), 400, false),
        ] {
            let checked = check_work(schema_nodes, &value);
            assert_eq!(checked.is_ok(), fits, "{checked:?}");
            assert!(checked.err().is_none_or(|problem| problem.contains("too large to be checked")));
        }
    }
}
