//! The functions of a tool, whatever its shape: a name, schemas, an effect, and what to call.

use std::collections::HashMap;
use std::fmt;

use jsonschema::PatternOptions;
use jsonschema::Validator;
use ringfence_model::call::Input;
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
use crate::toolbox::docs::Docs;
use crate::toolbox::schema;
use crate::toolbox::value;

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
    /// Why it can't be called from outside, if it can't.
    pub unsupported: Option<String>,
    pub(crate) target: Target,
    ty: Option<ComponentFunc>,
    validators: Validators,
}

#[derive(Clone, Default)]
struct Validators {
    input: Option<Validator>,
    output: Option<Validator>,
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

    /// Checks what a described tool returned against its own schema.
    pub(crate) fn check_output(&self, value: &Value) -> Result<(), String> {
        self.validators.output.as_ref().map_or(Ok(()), |validator| validate(validator, value))
    }

    fn check_value(&self, value: &Value) -> Result<(), String> {
        if let Some(validator) = &self.validators.input {
            return validate(validator, value);
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
            unsupported: None,
            target,
            ty: None,
            validators: Validators::default(),
        }
    }

    /// What the manifest says wins over what the component says of itself: it is what an operator reads.
    fn with_manifest(mut self, manifest: Option<&Manifest>) -> Self {
        let Some(said) = manifest.and_then(|manifest| manifest.functions.get(&self.name)) else { return self };
        let ManifestFunction { description, effect, idempotent } = said;
        if !description.is_empty() {
            self.description = one_line(description);
        }
        if *effect != Effect::Unknown {
            self.effect = *effect;
        }
        self.idempotent = *idempotent;
        self
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function").field("name", &self.name).field("effect", &self.effect).finish_non_exhaustive()
    }
}

fn validate(validator: &Validator, value: &Value) -> Result<(), String> {
    validator.validate(value).map_err(|error| {
        let pointer = error.instance_path().to_string();
        format!("at `{}`: {}", if pointer.is_empty() { "/" } else { &pointer }, one_line(&error.to_string()))
    })
}

/// The one function of a command.
pub(super) fn command(engine: &Engine, component: &Component, manifest: Option<&Manifest>) -> Option<Function> {
    let ty = component.component_type();
    let (interface, _) = ty.exports(engine.wasmtime()).find(|(name, _)| name.starts_with("wasi:cli/run@0.2."))?;
    let interface = component.get_export_index(None, interface)?;
    let run = component.get_export_index(Some(&interface), "run")?;
    Some(Function::new("run".to_owned(), Target::Run(run)).with_manifest(manifest))
}

/// The exported functions of a typed component: those at its root, and those of each exported instance.
pub(super) fn typed(engine: &Engine, component: &Component, docs: &Docs, manifest: Option<&Manifest>) -> Vec<Function> {
    let mut found: Vec<(Option<String>, String, ComponentExportIndex, ComponentFunc)> = Vec::new();
    for (name, item) in component.component_type().exports(engine.wasmtime()) {
        let Some(index) = component.get_export_index(None, name) else { continue };
        match item.ty {
            ComponentItem::ComponentFunc(ty) => found.push((None, name.to_owned(), index, ty)),
            ComponentItem::ComponentInstance(instance) => {
                for (function, item) in instance.exports(engine.wasmtime()) {
                    if let ComponentItem::ComponentFunc(ty) = item.ty
                        && let Some(index) = component.get_export_index(Some(&index), function)
                    {
                        found.push((Some(name.to_owned()), function.to_owned(), index, ty));
                    }
                }
            }
            _ => {}
        }
    }
    let names = distinct_names(found.iter().map(|(export, name, ..)| (export.as_deref(), name.as_str())));
    let functions = found.into_iter().zip(names).map(|((export, name, index, ty), distinct)| {
        let description = docs.function(export.as_deref().map(interface_name).as_deref(), &name);
        let function = typed_function(distinct, Target::Export(index), ty);
        Function { description, ..function }.with_manifest(manifest)
    });
    functions.collect()
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

/// A guest's schema: bounded, without remote references, with patterns that run in linear time (MAL-06).
fn compile_schema(text: &str) -> Result<(Value, Validator), String> {
    if text.len() > limits::SCHEMA_BYTES_MAX {
        return Err(format!("a schema of {} bytes is larger than {}", text.len(), limits::SCHEMA_BYTES_MAX));
    }
    let schema = json::parse(text.as_bytes()).map_err(|error| format!("a schema is not JSON: {error}"))?;
    let validator = jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .with_pattern_options(PatternOptions::regex())
        .build(&schema)
        .map_err(|error| format!("a schema can't be used: {}", one_line(&error.to_string())))?;
    Ok((schema, validator))
}
