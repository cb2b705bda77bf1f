//! The functions of a tool, whatever its shape: a name, schemas, an effect, and what to call.

use std::collections::HashMap;
use std::fmt;

use jsonschema::PatternOptions;
use jsonschema::Validator;
use jsonschema::error::ValidationErrorKind;
use ringfence_model::call::Input;
use ringfence_model::description::FunctionDescription;
use ringfence_model::json;
use ringfence_model::limits;
use ringfence_model::outcome::one_line;
use ringfence_model::tool::Effect;
use ringfence_model::tool::Manifest;
use ringfence_model::tool::ManifestFunction;
use serde_json::Value;
use serde_json::json;
use thiserror::Error;
use wasmtime::component::Component;
use wasmtime::component::ComponentExportIndex;
use wasmtime::component::types::ComponentFunc;
use wasmtime::component::types::ComponentItem;

use crate::engine::Engine;
use crate::sandbox::described;
use crate::toolbox::bounds;
use crate::toolbox::docs::Docs;
use crate::toolbox::schema;
use crate::toolbox::value;

/// Characters of a name that is too long that an error repeats.
const NAME_CHARS_SHOWN: usize = 64;

/// What is wrong with an input.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum InputProblem {
    /// It does not fit the schema; the text starts with where.
    #[error("the input does not fit `{function}`: {problem}")]
    Schema {
        /// The function.
        function: String,
        /// Where and what.
        problem: String,
    },
    /// A command takes arguments and standard input, a function takes JSON.
    #[error("`{function}` takes {takes}")]
    WrongKind {
        /// The function.
        function: String,
        /// What it takes.
        takes: &'static str,
    },
    /// A field that its idempotency key is made from is not there.
    #[error("the idempotency key of `{function}` is made from `{pointer}`, which the input does not have")]
    NoKeyField {
        /// The function.
        function: String,
        /// The field.
        pointer: String,
    },
    /// Its types can't be passed from outside.
    #[error("`{function}` can't be called from outside: {what}")]
    Unsupported {
        /// The function.
        function: String,
        /// What can't be passed.
        what: String,
    },
}

/// What a call of a function goes to.
#[derive(Clone)]
pub(crate) enum Target {
    /// `call` of a described tool.
    Described,
    /// An export.
    Export(ComponentExportIndex),
    /// `wasi:cli/run`.
    Run(ComponentExportIndex),
}

/// One function of a tool.
#[derive(Clone)]
pub struct Function {
    /// The name it is called by: short where that is unique in the tool, else `interface.name`, else with the whole name
    /// of the export before it.
    pub name: String,
    /// What it does, in its author's words.
    pub description: String,
    /// JSON Schema of its input; none for a command.
    pub input_schema: Option<Value>,
    /// JSON Schema of what it returns; none if it promises nothing.
    pub output_schema: Option<Value>,
    /// What it may do to the world, as its author says.
    pub effect: Effect,
    /// Whether calling it twice does no more than calling it once, as its author says.
    pub idempotent: bool,
    /// The fields of its input that say which call it is, as JSON Pointers.
    pub id_from: Vec<String>,
    /// The function that tells what became of a call of this one.
    pub reconcile: Option<String>,
    /// Why it can't be called from outside, if it can't.
    pub unsupported: Option<String>,
    pub(crate) target: Target,
    pub(super) ty: Option<ComponentFunc>,
    validators: Validators,
}

#[derive(Clone, Default)]
struct Validators {
    input: Option<BoundedValidator>,
    output: Option<BoundedValidator>,
}

/// A guest's schema, and what it can cost to check a node of a value against it.
#[derive(Clone)]
pub(crate) struct BoundedValidator {
    validator: Validator,
    nodes: u64,
}

impl Function {
    /// Checks an input before anything runs.
    pub fn check_input(&self, input: &Input) -> Result<(), InputProblem> {
        let function = self.name.clone();
        if let Some(what) = &self.unsupported {
            return Err(InputProblem::Unsupported { function, what: what.clone() });
        }
        if matches!(self.target, Target::Run(_)) {
            return match input.value {
                Some(_) => Err(InputProblem::WrongKind { function, takes: "arguments and standard input, not JSON" }),
                None => Ok(()),
            };
        }
        if !input.arguments.is_empty() || !input.stdin.is_empty() {
            return Err(InputProblem::WrongKind { function, takes: "JSON, not arguments or standard input" });
        }
        let empty = json!({});
        let value = input.value.as_ref().unwrap_or(&empty);
        self.check_value(value).map_err(|problem| InputProblem::Schema { function, problem })
    }

    pub(super) fn described_as(&self) -> FunctionDescription {
        FunctionDescription {
            description: self.description.clone(),
            effect: self.effect,
            id_from: self.id_from.clone(),
            idempotent: self.idempotent,
            input_schema: self.input_schema.clone(),
            name: self.name.clone(),
            output_schema: self.output_schema.clone(),
            reconcile: self.reconcile.clone(),
        }
    }

    /// Checks what a described tool returned against its own schema.
    pub(crate) fn check_output(&self, value: &Value) -> Result<(), String> {
        self.validators.output.as_ref().map_or(Ok(()), |validator| validator.check(value))
    }

    fn check_value(&self, value: &Value) -> Result<(), String> {
        if let Some(validator) = &self.validators.input {
            return validator.check(value);
        }
        let Some(ty) = &self.ty else { return Ok(()) };
        value::arguments(ty, value).map(|_| ()).map_err(|error| error.to_string())
    }

    fn new(name: String, target: Target) -> Self {
        Self {
            name,
            description: String::new(),
            input_schema: None,
            output_schema: None,
            effect: Effect::Unknown,
            idempotent: false,
            id_from: Vec::new(),
            reconcile: None,
            unsupported: None,
            target,
            ty: None,
            validators: Validators::default(),
        }
    }

    /// What the manifest says wins over what the component says of itself: it is what an operator reads.
    fn with_manifest(mut self, manifest: Option<&Manifest>) -> Self {
        let Some(said) = manifest.and_then(|manifest| manifest.functions.get(&self.name)) else { return self };
        let ManifestFunction { description, effect, idempotent, id_from, reconcile } = said;
        if !description.is_empty() {
            self.description = one_line(description);
        }
        if *effect != Effect::Unknown {
            self.effect = *effect;
        }
        self.idempotent = *idempotent;
        self.id_from.clone_from(id_from);
        self.reconcile.clone_from(reconcile);
        self
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function").field("name", &self.name).field("effect", &self.effect).finish_non_exhaustive()
    }
}

impl BoundedValidator {
    /// Checks a value, unless that could take too long (RES-12).
    fn check(&self, value: &Value) -> Result<(), String> {
        bounds::check_work(self.nodes, value)?;
        self.validator.validate(value).map_err(|error| {
            let pointer = error.instance_path().to_string();
            format!("at `{}`: {}", if pointer.is_empty() { "/" } else { &pointer }, one_line(&error.to_string()))
        })
    }

    /// Checks a value; what does not fit is told with a JSON Pointer to it, or to where it is missing.
    pub(crate) fn check_at_pointer(&self, value: &Value) -> Result<(), (String, String)> {
        bounds::check_work(self.nodes, value).map_err(|why| (String::new(), why))?;
        self.validator.validate(value).map_err(|error| {
            let member = match error.kind() {
                ValidationErrorKind::AdditionalProperties { unexpected }
                | ValidationErrorKind::UnevaluatedProperties { unexpected } => unexpected.first().map(String::as_str),
                ValidationErrorKind::Required { property } => property.as_str(),
                _ => None,
            };
            let member = member.map(|name| format!("/{}", name.replace('~', "~0").replace('/', "~1")));
            (format!("{}{}", error.instance_path(), member.unwrap_or_default()), one_line(&error.to_string()))
        })
    }
}

/// The one function of a command.
pub(super) fn command(engine: &Engine, component: &Component, manifest: Option<&Manifest>) -> Option<Function> {
    let ty = component.component_type();
    let (interface, _) = ty.exports(engine.wasmtime()).find(|(name, _)| name.starts_with("wasi:cli/run@0.2."))?;
    let interface = component.get_export_index(None, interface)?;
    let run = component.get_export_index(Some(&interface), "run")?;
    Some(Function::new("run".to_owned(), Target::Run(run)).with_manifest(manifest))
}

/// An exported function, as the component names it.
struct Exported {
    /// The instance it is in, if it is not at the root.
    export: Option<String>,
    name: String,
    index: ComponentExportIndex,
    ty: ComponentFunc,
}

/// The exported functions of a typed component: those at its root, and those of each exported instance.
pub(super) fn typed(
    engine: &Engine,
    component: &Component,
    docs: &Docs,
    manifest: Option<&Manifest>,
) -> Result<Vec<Function>, String> {
    let found = exported(engine.wasmtime(), component)?;
    let names = distinct_names(found.iter().map(|function| (function.export.as_deref(), function.name.as_str())));
    let functions = found.into_iter().zip(names).map(|(Exported { export, name, index, ty }, distinct)| {
        check_name(&distinct)?;
        let description = docs.function(export.as_deref().map(interface_name).as_deref(), &name);
        let function = typed_function(distinct, Target::Export(index), ty);
        Ok(Function { description, ..function }.with_manifest(manifest))
    });
    functions.collect()
}

/// What a component exports, up to one function too many. Names are checked before one is copied for each function.
fn exported(engine: &wasmtime::Engine, component: &Component) -> Result<Vec<Exported>, String> {
    let mut found = Vec::new();
    for (name, item) in component.component_type().exports(engine) {
        let Some(index) = component.get_export_index(None, name) else { continue };
        match item.ty {
            ComponentItem::ComponentFunc(ty) => {
                check_name(name)?;
                found.push(Exported { export: None, name: name.to_owned(), index, ty });
            }
            ComponentItem::ComponentInstance(instance) => {
                for (function, item) in instance.exports(engine).take(limits::FUNCTIONS_PER_TOOL_MAX + 1) {
                    if let ComponentItem::ComponentFunc(ty) = item.ty
                        && let Some(index) = component.get_export_index(Some(&index), function)
                    {
                        check_name(name)?;
                        check_name(function)?;
                        found.push(Exported { export: Some(name.to_owned()), name: function.to_owned(), index, ty });
                    }
                }
            }
            _ => {}
        }
        if found.len() > limits::FUNCTIONS_PER_TOOL_MAX {
            break;
        }
    }
    found.truncate(limits::FUNCTIONS_PER_TOOL_MAX + 1);
    Ok(found)
}

/// A name goes into the record of every call, so it has to fit there.
fn check_name(name: &str) -> Result<(), String> {
    if name.len() <= limits::NAME_BYTES_MAX {
        return Ok(());
    }
    let shown: String = name.chars().take(NAME_CHARS_SHOWN).collect();
    let shown = one_line(&shown);
    Err(format!("the name `{shown}…` of {} bytes is longer than {}", name.len(), limits::NAME_BYTES_MAX))
}

fn typed_function(name: String, target: Target, ty: ComponentFunc) -> Function {
    let mut function = Function::new(name, target);
    match (schema::parameters(&ty), schema::result(&ty)) {
        (Ok(input), Ok(output)) => {
            function.input_schema = Some(input);
            function.output_schema = output;
        }
        (Err(unsupported), _) | (_, Err(unsupported)) => function.unsupported = Some(unsupported.what),
    }
    function.ty = Some(ty);
    function
}

/// What each function is called by: its own name if no other has it, else with its interface's before it, else with all
/// of the export's, which is unique in a component.
fn distinct_names<'a>(functions: impl Iterator<Item = (Option<&'a str>, &'a str)>) -> Vec<String> {
    let forms: Vec<Vec<String>> = functions.map(|(export, name)| name_forms(export, name)).collect();
    let mut uses: HashMap<&str, usize> = HashMap::new();
    for form in forms.iter().flatten() {
        *uses.entry(form).or_default() += 1;
    }
    let distinct = |forms: &Vec<String>| {
        let unique = forms.iter().find(|form| uses.get(form.as_str()) == Some(&1));
        unique.or(forms.last()).cloned().unwrap_or_default()
    };
    forms.iter().map(distinct).collect()
}

fn name_forms(export: Option<&str>, name: &str) -> Vec<String> {
    let Some(export) = export else { return vec![name.to_owned()] };
    let mut forms = vec![name.to_owned(), format!("{}.{name}", interface_name(export)), format!("{export}.{name}")];
    forms.dedup();
    forms
}

/// `files` of `ringfence:files/files@0.1.0`.
fn interface_name(export: &str) -> String {
    let unversioned = export.split('@').next().unwrap_or(export);
    unversioned.rsplit('/').next().unwrap_or(unversioned).to_owned()
}

/// The functions that a described tool says it has.
pub(super) fn described(said: described::Description, manifest: Option<&Manifest>) -> Result<Vec<Function>, String> {
    check_schema_bytes(&said)?;
    let mut functions: Vec<Function> = Vec::new();
    for function in said.functions.into_iter().take(limits::FUNCTIONS_PER_TOOL_MAX + 1) {
        let function = described_function(function)?.with_manifest(manifest);
        if functions.iter().any(|known| known.name == function.name) {
            return Err(format!("it describes `{}` twice", function.name));
        }
        functions.push(function);
    }
    Ok(functions)
}

/// Compiling takes time and memory with the bytes, whatever the number of schemas (RES-12).
fn check_schema_bytes(said: &described::Description) -> Result<(), String> {
    let schemas =
        said.functions.iter().flat_map(|function| [Some(&function.input_schema), function.output_schema.as_ref()]);
    let bytes: usize = schemas.flatten().map(String::len).sum();
    if bytes > limits::SCHEMA_BYTES_PER_TOOL_MAX {
        return Err(format!("schemas of {bytes} bytes are larger than {}", limits::SCHEMA_BYTES_PER_TOOL_MAX));
    }
    Ok(())
}

fn described_function(said: described::Function) -> Result<Function, String> {
    let kebab = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if said.name.is_empty() || said.name.len() > limits::NAME_BYTES_MAX || !said.name.bytes().all(kebab) {
        return Err(format!("`{}` is not a name in kebab-case", one_line(&said.name)));
    }
    let mut function = Function::new(said.name, Target::Described);
    let (schema, input) = compile_schema(&said.input_schema)?;
    function.input_schema = Some(schema);
    function.validators.input = Some(input);
    if let Some(text) = said.output_schema {
        let (schema, output) = compile_schema(&text)?;
        function.output_schema = Some(schema);
        function.validators.output = Some(output);
    }
    function.description = one_line(&said.description);
    function.idempotent = said.idempotent;
    function.effect = match said.effect {
        described::Effect::None => Effect::None,
        described::Effect::Reads => Effect::Reads,
        described::Effect::Writes => Effect::Writes,
        described::Effect::External => Effect::External,
    };
    Ok(function)
}

/// A guest's schema: bounded, also once unfolded, without remote references, with patterns that run in linear time
/// (MAL-06).
pub(crate) fn compile_schema(text: &str) -> Result<(Value, BoundedValidator), String> {
    if text.len() > limits::SCHEMA_BYTES_MAX {
        return Err(format!("a schema of {} bytes is larger than {}", text.len(), limits::SCHEMA_BYTES_MAX));
    }
    let schema = json::parse(text.as_bytes()).map_err(|error| format!("a schema is not JSON: {error}"))?;
    let nodes = bounds::unfolded_nodes(&schema).map_err(|problem| format!("a schema can't be used: {problem}"))?;
    let validator = jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .with_pattern_options(PatternOptions::regex().size_limit(limits::PATTERN_BYTES_MAX))
        .build(&schema)
        .map_err(|error| format!("a schema can't be used: {}", one_line(&error.to_string())))?;
    Ok((schema, BoundedValidator { validator, nodes }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toolbox::schema::testing::ENGINE;

    fn saying(schemas: &[&str]) -> described::Description {
        let function = |(index, schema): (usize, &&str)| described::Function {
            name: format!("f{index}"),
            description: String::new(),
            input_schema: (*schema).to_owned(),
            output_schema: Some((*schema).to_owned()),
            effect: described::Effect::None,
            idempotent: false,
        };
        let functions = schemas.iter().enumerate().map(function).collect();
        described::Description { summary: String::new(), functions }
    }

    /// What is wrong with a tool whose functions have these schemas.
    fn refusal(schemas: &[&str]) -> Option<String> {
        described(saying(schemas), None).err()
    }

    /// A component that exports functions at its root by these names.
    fn exporting(names: &[String]) -> Component {
        let export = |name: &String| format!("(export \"{name}\" (func $f))");
        let exports: String = names.iter().map(export).collect();
        let text = format!(
            r#"(component (core module $m (func (export "f"))) (core instance $i (instantiate $m))
                (func $f (canon lift (core func $i "f"))) {exports})"#
        );
        Component::new(&ENGINE, wat::parse_str(&text).expect("wat")).expect("a component")
    }

    #[test]
    fn schemas_that_explode_never_load() {
        // MAL-06, RES-12
        let doubled = |level: usize| {
            let before = format!(r##"{{"$ref":"#/$defs/d{}"}}"##, level - 1);
            format!(r#""d{level}":{{"anyOf":[{before},{before}]}}"#)
        };
        let doubled: Vec<String> = (1..40).map(doubled).collect();
        let bomb = format!(r##"{{"$ref":"#/$defs/d39","$defs":{{"d0":true,{}}}}}"##, doubled.join(","));
        for (schema, wanted) in [
            (bomb.as_str(), "a schema can't be used: unfolded it has more than 10000 nodes"),
            (r##"{"$ref":"#"}"##, "a schema can't be used: the reference `#` leads back to where it stands"),
        ] {
            assert_eq!(refusal(&[schema]).as_deref(), Some(wanted));
        }
        assert_eq!(refusal(&[r##"{"$ref":"#/$defs/a","$defs":{"a":{"type":"object"}}}"##]), None);
    }

    #[test]
    fn schemas_share_one_allowance() {
        // RES-12
        let schema = format!("true{}", " ".repeat(190_000));
        for (count, fits) in [(2, true), (3, false), (250, false)] {
            let refusal = refusal(&vec![schema.as_str(); count]);
            assert_eq!(refusal.is_none(), fits, "{count}");
            assert!(refusal.is_none_or(|why| why.ends_with("bytes are larger than 1048576")));
        }
    }

    #[test]
    fn deepest_schema_fits_the_stack() {
        // MAL-06
        let nested = |inner: String| (0..12).fold(inner, |schema, _| format!(r#"{{"anyOf":[{schema}]}}"#));
        let link = |level: usize| {
            let inner = nested(format!(r##"{{"$ref":"#/$defs/d{}"}}"##, level - 1));
            format!(r#""d{level}":{inner}"#)
        };
        let links: Vec<String> = (1..20).map(link).collect();
        let schema = format!(r##"{{"$ref":"#/$defs/d19","$defs":{{"d0":false,{}}}}}"##, links.join(","));
        let (_, checker) = compile_schema(&schema).expect("a schema");
        assert!(checker.check(&json!(1)).is_err());
    }

    #[test]
    fn values_too_large_stay_unchecked() {
        // RES-12
        let schema = format!(r#"{{"items":{{"enum":[{}0]}}}}"#, "0,".repeat(8_000));
        let functions = described(saying(&[&schema]), None).expect("a tool");
        let wanted = "at `/`: too large to be checked: 7001 nodes times 8004 of the schema are more than 50000000";
        let value = json!(vec![0; 7_000]);
        assert_eq!(functions[0].check_output(&value), Err(wanted.to_owned()));
        let input = Input { value: Some(value), ..Input::default() };
        let problem = InputProblem::Schema { function: "f0".to_owned(), problem: wanted.to_owned() };
        assert_eq!(functions[0].check_input(&input), Err(problem));
        assert_eq!(functions[0].check_output(&json!([0, 0])), Ok(()));
    }

    #[test]
    fn long_names_are_refused_shortened() {
        // RES-12
        for (length, fits) in [(256, true), (257, false), (70_000, false)] {
            let found = exported(&ENGINE, &exporting(&["a".repeat(length)]));
            let wanted = format!("the name `{}…` of {length} bytes is longer than 256", "a".repeat(64));
            assert_eq!(found.err(), (!fits).then_some(wanted));
        }
    }

    #[test]
    fn collecting_stops_after_one_too_many() {
        // RES-12
        for (count, wanted) in [(3, 3), (1_024, 1_024), (3_000, 1_025)] {
            let names: Vec<String> = (0..count).map(|index| format!("f{index}")).collect();
            assert_eq!(exported(&ENGINE, &exporting(&names)).map(|found| found.len()), Ok(wanted));
        }
    }
}
