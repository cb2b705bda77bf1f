//! `ringfence tool`: register tools, list them, check them, remove them. Nothing here grants anything.
//!
//! A registration is there once the configuration names it: the files are kept first, the configuration is put in place
//! in one step, and whatever no registration names is removed by the next `add`.

use ringfence_model::capability::NetworkAsked;
use ringfence_model::decision::Origin;
use ringfence_model::description::Description;
use ringfence_model::description::Difference;
use ringfence_model::digest::Digest;
use ringfence_model::limits;
use ringfence_model::outcome::one_line;
use ringfence_model::ring::Ring;
use ringfence_runtime::engine::Engine;
use ringfence_runtime::pipeline::Admission;
use ringfence_runtime::pipeline::Arrival;
use ringfence_runtime::policy::PolicySet;
use serde_json::Value;
use serde_json::json;

use crate::args::ToolAddArgs;
use crate::args::ToolCommand;
use crate::commands;
use crate::commands::admit::admit;
use crate::commands::admit::to_look_at;
use crate::config::Config;
use crate::config::edit::Edit;
use crate::config::tools::Name;
use crate::config::tools::ToolTable;
use crate::error::CommandError;
use crate::error::grant_hints;
use crate::exit::Exit;
use crate::home::Home;
use crate::output::Output;
use crate::policies;
use crate::policies::Policies;
use crate::tools;
use crate::tools::RegisteredError;
use crate::tools::artifact::Artifact;
use crate::tools::artifact::Candidate;
use crate::tools::oci;
use crate::tools::oci::Source;
use crate::tools::signature;
use crate::tools::signature::NOBODY;
use crate::tools::signature::SignatureError;
use crate::tools::signature::Signed;
use crate::tools::store::Kind;
use crate::tools::store::Store;

pub fn run(home: &Home, command: ToolCommand, output: Output) -> Result<Exit, CommandError> {
    match command {
        ToolCommand::Add(args) => add(home, &args, output),
        ToolCommand::List => Ok(list(home, output)),
        ToolCommand::Verify { name } => verify(home, name.as_ref(), output),
        ToolCommand::Remove { name } => remove(home, &name, output),
    }
}

// --- add ---

/// What becomes of a registration that is there already.
struct Replaced {
    differences: Vec<Difference>,
    keeps_grant: bool,
}

/// A registration that is about to be made.
struct Addition {
    candidate: Candidate,
    name: Name,
    replaced: Option<Replaced>,
    signer: Option<Name>,
}

fn add(home: &Home, args: &ToolAddArgs, output: Output) -> Result<Exit, CommandError> {
    let engine = home.engine()?;
    let mut artifact = fetch(home, &args.source, output)?;
    if let Some(bundle) = &args.bundle {
        artifact = artifact.with_bundle(bundle)?;
    }
    let policies = policies::put_in_force(&engine, home)?;
    let signers = signers(home, &artifact, args.signer.as_ref());
    let revoked = home.config().revocation(&Digest::of(&artifact.component), &signers);
    let arrival = Arrival { revoked: revoked.as_deref(), ..arrival(&artifact, &args.source, &signers) };
    let admission = admit(home, &policies, arrival, Ring::Sandbox, output)?;
    let candidate = artifact.load(&engine)?;
    let store = Store::open(home.tools_path())?;
    let lock = store.lock()?;
    // Another command may have registered something since this one began.
    let home = home.read_anew()?;
    // Nor may it, or who signed it, have been revoked meanwhile.
    let revoked = home.config().revocation(&Digest::of(&candidate.artifact.component), &signers);
    if let Some(why) = revoked {
        return Err(CommandError::would_not_be_admitted(&candidate.artifact.name, &why));
    }
    let addition = review(&home, (&engine, &policies), candidate, args)?;
    record(&home, admission, output)?;
    let written = register(&home, &store, &addition);
    let left_over = store.clean(written.as_ref().unwrap_or(home.config()).tools.values(), &lock);
    let home = home.with_config(written?);
    for path in left_over? {
        output.note(&format!("note: removed `{}`, which no registration names", path.display()));
    }
    print_added(&home, &addition, output)?;
    Ok(Exit::Done)
}

/// Nothing is registered that the log does not tell of.
fn record(home: &Home, admission: Admission, output: Output) -> Result<(), CommandError> {
    let (ledger, sequencer) = commands::open_log(home, output)?;
    ledger.decide(admission.into_entry())?;
    sequencer.publish(&ledger)?;
    Ok(())
}

/// A component as the policies are told of it.
fn arrival<'a>(artifact: &'a Artifact, source: &'a Source, signers: &'a [String]) -> Arrival<'a> {
    let (origin, reference) = match source {
        Source::File(_) => (Origin::File, None),
        Source::Registry(_) => (Origin::Registry, Some(artifact.source.as_str())),
    };
    Arrival { name: &artifact.name, bytes: &artifact.component, origin, reference, revoked: None, signers }
}

/// Whose good signature it has, if it has one that is trusted; a bad one is refused later, by name.
fn signers(home: &Home, artifact: &Artifact, by: Option<&Name>) -> Vec<String> {
    let Some(signature) = &artifact.signature else { return Vec::new() };
    let manifest = artifact.manifest.as_deref().map(Digest::of);
    let component = Digest::of(&artifact.component);
    let signed = Signed { bytes: &artifact.component, component, manifest, signature };
    let signers = &home.config().signers;
    let found = match by {
        Some(by) => signature::check(signed, by, signers).map(|()| by.clone()),
        None => signature::signer(signed, signers).map(|(signer, _)| signer),
    };
    found.map(|signer| signer.to_string()).into_iter().collect()
}

/// Gets the files of a tool, before any lock is taken: a registry may take its time.
fn fetch(home: &Home, source: &Source, output: Output) -> Result<Artifact, CommandError> {
    match source {
        Source::File(path) => Artifact::from_file(path),
        Source::Registry(from) => {
            let auth = home.config().registry_auth(from.registry())?;
            let artifact = commands::block_on(async { Ok(oci::pull(from, &auth).await?) })?;
            output.note(&format!("note: pulled `{}`", artifact.source));
            Ok(artifact)
        }
    }
}

/// Everything that can be refused, is refused here: nothing has been written yet.
fn review(
    home: &Home,
    loader: (&Engine, &PolicySet),
    candidate: Candidate,
    args: &ToolAddArgs,
) -> Result<Addition, CommandError> {
    let vouched = vouched(home, &candidate, args.signer.as_ref())?;
    let name = registered_name(&candidate, vouched.as_ref(), args)?;
    require_signature(home, &name, vouched.as_ref(), args)?;
    let replaced = match home.config().tools.get(&name) {
        Some(table) => Some(replaced(home, loader, (&name, table), &candidate, args)?),
        None => None,
    };
    Ok(Addition { candidate, name, replaced, signer: vouched.map(|vouched| vouched.signer) })
}

/// Who vouches for a tool, and the name that they give it.
struct Vouched {
    signer: Name,
    name: String,
}

/// A signature that is there has to be good, whether one is needed or not.
fn vouched(home: &Home, candidate: &Candidate, by: Option<&Name>) -> Result<Option<Vouched>, CommandError> {
    let Candidate { artifact, description, tool } = candidate;
    let Some(signature) = &artifact.signature else { return Ok(None) };
    let untrusted = |source: SignatureError| {
        let source = source.of(&artifact.signature_source());
        RegisteredError::Unsigned { name: artifact.name.clone(), source }
    };
    let manifest = artifact.manifest.as_deref().map(Digest::of);
    let signed = Signed { bytes: &artifact.component, component: tool.reference().digest, manifest, signature };
    let trusted = &home.config().signers;
    if let Some(signer) = by {
        // A bundle vouches for a file, and says nothing of names.
        signature::check(signed, signer, trusted).map_err(untrusted)?;
        return Ok(Some(Vouched { signer: signer.clone(), name: tool.reference().name.clone() }));
    }
    let (by, name) = signature::signer(signed, trusted).map_err(untrusted)?;
    // A tool that names itself is signed by that name; one that doesn't is known by the name it is signed by.
    if !description.name.is_empty() && name != tool.reference().name {
        let found = tool.reference().name.clone();
        return Err(untrusted(SignatureError::Other { what: "name", signed: name, found }).into());
    }
    Ok(Some(Vouched { signer: by, name }))
}

/// What comes from a registry is signed, and so is what takes the place of a signed tool.
fn require_signature(
    home: &Home,
    name: &Name,
    vouched: Option<&Vouched>,
    args: &ToolAddArgs,
) -> Result<(), CommandError> {
    let before = home.config().tools.get(name).map(|table| &table.signer);
    let was_signed = before.is_some_and(|signer| signer.as_str() != NOBODY);
    let is_needed = was_signed || matches!(args.source, Source::Registry(_));
    if vouched.is_some() || args.unsigned || !is_needed {
        return Ok(());
    }
    Err(RegisteredError::Signature { name: name.clone(), source: SignatureError::Missing }.into())
}

fn registered_name(candidate: &Candidate, vouched: Option<&Vouched>, args: &ToolAddArgs) -> Result<Name, CommandError> {
    if let Some(name) = &args.name {
        return Ok(name.clone());
    }
    let own = vouched.map_or(&candidate.tool.reference().name, |vouched| &vouched.name);
    own.parse().map_err(|why: String| {
        CommandError::command_line(format!("the tool can't be registered by its own name: {why}"))
            .hint("choose one with `--name NAME`")
    })
}

/// Looks at what is registered by this name already. It is replaced only if that was asked for.
fn replaced(
    home: &Home,
    (engine, policies): (&Engine, &PolicySet),
    (name, table): (&Name, &ToolTable),
    candidate: &Candidate,
    args: &ToolAddArgs,
) -> Result<Replaced, CommandError> {
    let new = &candidate.description;
    // One that can't be loaded any more, or may not be, is compared with nothing: all of the new one is new.
    let operator = commands::operator()?;
    let let_in = to_look_at(policies, &operator, table.ring);
    let old = tools::load_pinned(home, engine, name, table, let_in).map(|tool| tool.description());
    let differences = old.as_ref().unwrap_or(&Description::default()).differences(new);
    let keeps_grant = old.as_ref().is_ok_and(|old| old.covers_requests_of(new));
    if !args.replace {
        return Err(CommandError::registered_already(name, &shown(&differences), keeps_grant));
    }
    if let Ok(old) = &old
        && new.is_older_than(old)
        && !args.older
    {
        return Err(CommandError::older_version(name, &new.version, &old.version));
    }
    let effects = candidate.tool.clone().with_effects(&table.effects);
    effects.map_err(|source| RegisteredError::Effects { name: name.clone(), source })?;
    Ok(Replaced { differences, keeps_grant })
}

/// Keeps the files, then names them in the configuration: from then on the tool is registered.
fn register(home: &Home, store: &Store, addition: &Addition) -> Result<Config, CommandError> {
    let Addition { candidate, name, replaced, signer } = addition;
    let mut edit = Edit::open(&home.config_path())?;
    let artifact = &candidate.artifact;
    let digest = store.put(Kind::Component, &artifact.component)?;
    let manifest = artifact.manifest.as_ref().map(|text| store.put(Kind::Manifest, text)).transpose()?;
    let note = artifact.signature.as_ref().filter(|_| signer.is_some());
    let signature = note.map(|note| store.put(Kind::Signature, note)).transpose()?;
    edit.set(
        name,
        &[
            ("source", Some(artifact.source.clone())),
            ("digest", Some(digest.to_string())),
            ("manifest-digest", manifest.map(|digest| digest.to_string())),
            ("description-digest", Some(candidate.description.digest().to_string())),
            ("signer", Some(signer.as_ref().map_or(NOBODY, Name::as_str).to_owned())),
            ("signature-digest", signature.map(|digest| digest.to_string())),
        ],
    )?;
    if replaced.as_ref().is_some_and(|replaced| !replaced.keeps_grant) {
        edit.clear(name, "grant")?;
    }
    Ok(edit.write()?)
}

fn print_added(home: &Home, addition: &Addition, output: Output) -> Result<(), CommandError> {
    let Addition { candidate, name, replaced, .. } = addition;
    let table = tools::table(home, name)?;
    let hints = grant_hints(name.as_str(), &candidate.description, &home.config_path());
    if output.is_json() {
        let added = json!({
            "tool": row(name, table),
            "asks_for": candidate.description.capabilities,
            "differences": replaced.as_ref().map(|replaced| &replaced.differences),
            "grant_kept": replaced.as_ref().map(|replaced| replaced.keeps_grant),
            "hints": hints,
        });
        output.json(&added);
        return Ok(());
    }
    output.line(&format!("{} {name}", if replaced.is_some() { "replaced  " } else { "registered" }));
    output.line(&format!("digest     {}", table.digest));
    output.line(&format!("describes  {}", table.description_digest));
    output.line(&format!("signer     {}", table.signer));
    if table.signer.as_str() == NOBODY {
        output.note("warning: nobody vouches for this tool: there is no signature");
    }
    for line in replaced.iter().flat_map(|replaced| shown(&replaced.differences)) {
        output.line(&line);
    }
    match replaced {
        Some(Replaced { keeps_grant: true, .. }) => {
            output.line("granted    what was granted before: it asks for nothing more");
            return Ok(());
        }
        Some(_) => output.line("granted    nothing: it asks for more than before, so the old grant was taken out"),
        None => output.line("granted    nothing"),
    }
    output.hints(&hints);
    Ok(())
}

/// Differences as lines, up to a number that can be read.
fn shown(differences: &[Difference]) -> Vec<String> {
    let max = limits::DIFFERENCES_SHOWN_MAX;
    let more = differences.len().saturating_sub(max);
    let lines = differences.iter().take(max).map(|difference| format!("    {difference}"));
    lines.chain((more > 0).then(|| format!("    and {more} more"))).collect()
}

// --- list, verify, remove ---

fn list(home: &Home, output: Output) -> Exit {
    let tables = &home.config().tools;
    if output.is_json() {
        output.json(&tables.iter().map(|(name, table)| row(name, table)).collect::<Vec<_>>());
        return Exit::Done;
    }
    for (name, table) in tables {
        let ToolTable { digest, signer, ring, source, .. } = table;
        output.line(&format!("{name}  ring {ring}  signer {signer}  sha256:{}…", digest.short()));
        output.line(&format!("    from     {}", one_line(source)));
        output.line(&format!("    granted  {}", granted(table)));
    }
    Exit::Done
}

fn granted(table: &ToolTable) -> String {
    let folders = table.grant.folders.iter().map(|folder| {
        let dir = &folder.0;
        format!("{} as {} ({})", dir.host.display(), dir.guest, dir.access)
    });
    let variables = table.grant.environment.keys().map(|name| format!("variable {}", one_line(name)));
    let scratch = table.grant.scratch.iter().map(|path| format!("scratch folder {path}"));
    let NetworkAsked { addresses, http, names, secrets, sockets } = table.grant.network();
    let network = lines("requests", &http)
        .chain(lines("sockets", &sockets))
        .chain(lines("lookups of", &names))
        .chain(lines("addresses", &addresses))
        .chain(lines("secret", &secrets))
        .collect::<Vec<_>>();
    let all: Vec<_> = folders.chain(variables).chain(scratch).chain(network).collect();
    if all.is_empty() { "nothing".to_owned() } else { all.join(", ") }
}

fn lines<T: std::fmt::Display>(kind: &str, rules: &[T]) -> impl Iterator<Item = String> {
    rules.iter().map(move |rule| format!("{kind} {rule}"))
}

fn row(name: &Name, table: &ToolTable) -> Value {
    let folders = table.grant.folders.iter().map(|folder| {
        let dir = &folder.0;
        json!({ "access": dir.access, "guest": dir.guest, "host": dir.host })
    });
    json!({
        "name": name,
        "source": table.source,
        "digest": table.digest,
        "manifest_digest": table.manifest_digest,
        "description_digest": table.description_digest,
        "signer": table.signer,
        "signature_digest": table.signature_digest,
        "ring": table.ring,
        "grant": {
            "environment": table.grant.environment.keys().collect::<Vec<_>>(),
            "folders": folders.collect::<Vec<_>>(),
            "limits": table.grant.limits,
            "network": table.grant.network(),
            "scratch": table.grant.scratch,
        },
        "effects": table.effects,
    })
}

fn verify(home: &Home, only: Option<&Name>, output: Output) -> Result<Exit, CommandError> {
    let engine = home.engine()?;
    let policies = Policies::of(Some(home)).set(&engine)?;
    let operator = commands::operator()?;
    let names: Vec<&Name> = match only {
        Some(name) => tools::table(home, name).map(|_| vec![name])?,
        None => home.config().tools.keys().collect(),
    };
    let load = |name| {
        let ring = tools::table(home, name)?.ring;
        tools::load(home, &engine, name, to_look_at(&policies, &operator, ring))
    };
    let checked: Vec<_> = names.into_iter().map(|name| (name, load(name))).collect();
    let left = Store::open(home.tools_path())?.left_over(home.config().tools.values())?;
    let is_sound = checked.iter().all(|(_, result)| result.is_ok());
    if output.is_json() {
        let shown = checked.iter().map(|(name, result)| match result {
            Ok(_) => json!({ "name": name, "ok": true }),
            Err(error) => json!({ "name": name, "ok": false, "code": error.code, "message": error.message }),
        });
        output.json(&json!({ "tools": shown.collect::<Vec<_>>(), "left_over": left }));
    } else {
        for (name, result) in &checked {
            match result {
                Ok(tool) => output.line(&format!("ok      {name}  {}", tool.reference().digest)),
                Err(error) => {
                    output.line(&format!("FAILED  {name}  {}", error.message));
                    output.hints(&error.hints);
                }
            }
        }
        for path in &left {
            output.note(&format!("note: no registration names `{}`; the next `tool add` removes it", path.display()));
        }
    }
    Ok(if is_sound { Exit::Done } else { Exit::Evidence })
}

fn remove(home: &Home, name: &Name, output: Output) -> Result<Exit, CommandError> {
    let store = Store::open(home.tools_path())?;
    let lock = store.lock()?;
    let home = home.read_anew()?;
    tools::table(&home, name)?;
    let mut edit = Edit::open(&home.config_path())?;
    edit.remove(name);
    let config = edit.write()?;
    store.clean(config.tools.values(), &lock)?;
    if output.is_json() {
        output.json(&json!({ "removed": name }));
    } else {
        output.line(&format!("removed  {name}"));
    }
    Ok(Exit::Done)
}
