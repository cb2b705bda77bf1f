//! `ringfence policy test`: a policy against the table of its author; what the table reaches, whether order matters, and
//! how long each case takes.

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use ringfence_model::digest::Digest;
use ringfence_runtime::engine::Engine;
use ringfence_runtime::policy::Policy;
use ringfence_runtime::policy::cases::CaseResult;
use ringfence_runtime::policy::cases::Cases;
use ringfence_runtime::policy::cases::LoadedCases;
use ringfence_runtime::policy::cases::bench::Timed;
use ringfence_runtime::policy::cases::coverage::Coverage;
use ringfence_runtime::policy::cases::shuffle::Shuffled;
use serde::Serialize;

use crate::args::PolicyTestArgs;
use crate::commands;
use crate::commands::policy::progress::Progress;
use crate::config::policies::no_settings;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;
use crate::policies;

/// Orders that `--shuffle` tries.
const ORDERS: u32 = 20;
/// How long `--bench` asks one case.
const BENCH_EACH: Duration = Duration::from_millis(100);

/// What came of it.
#[derive(Serialize)]
struct Report {
    policy: String,
    digest: Digest,
    failed: usize,
    cases: Vec<CaseResult>,
    #[serde(skip_serializing_if = "Option::is_none")]
    coverage: Option<Coverage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shuffle: Option<Shuffled>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bench: Option<Vec<Timed>>,
}

pub(super) fn run(engine: &Engine, args: &PolicyTestArgs, output: Output) -> Result<Exit, CommandError> {
    let cases = policies::read_cases(&args.dir.join("cases.toml"))?;
    let (name, bytes) = tested(&cases, &args.dir, args.component.as_ref())?;
    let loaded = cases.load(engine, &name, &bytes)?;
    let results = loaded.run();
    let report = Report {
        digest: Digest::of(&bytes),
        failed: results.iter().filter(|result| !result.passed).count(),
        coverage: args.coverage.then(|| loaded.coverage()),
        shuffle: args.shuffle.then(|| shuffle(engine, &loaded, args.seed, output)).transpose()?,
        bench: args.bench.then(|| bench(engine, &loaded, output)).transpose()?,
        policy: name,
        cases: results,
    };
    if output.is_json() {
        output.json(&report);
    } else {
        print(&report, output);
    }
    Ok(report.exit())
}

impl Report {
    fn exit(&self) -> Exit {
        let disagrees = self.shuffle.as_ref().is_some_and(|shuffled| !shuffled.disagreeing.is_empty());
        if self.failed == 0 && !disagrees { Exit::Done } else { Exit::ToolFailed }
    }
}

/// Beside the built-in policies that need no settings, and one that does nothing.
fn shuffle(engine: &Engine, loaded: &LoadedCases, seed: u64, output: Output) -> Result<Shuffled, CommandError> {
    let others =
        [empty(engine)?, Policy::load(engine, "ring-default", policies::builtin("ring-default")?, &no_settings())?];
    let mut progress = Progress::new(output);
    Ok(loaded.shuffle(&others, seed, ORDERS, |done| progress.tell(|| format!("{done} of {ORDERS} orders"))))
}

fn bench(engine: &Engine, loaded: &LoadedCases, output: Output) -> Result<Vec<Timed>, CommandError> {
    let floor = empty(engine)?;
    let mut progress = Progress::new(output);
    Ok(loaded.bench(&floor, BENCH_EACH, |done| progress.tell(|| format!("{done} cases timed"))))
}

fn empty(engine: &Engine) -> Result<Policy, CommandError> {
    Ok(Policy::load(engine, "empty", ringfence_policies::EMPTY, &no_settings())?)
}

fn print(report: &Report, output: Output) {
    for result in &report.cases {
        print_case(result, output);
    }
    if let Some(coverage) = &report.coverage {
        print_coverage(coverage, output);
    }
    if let Some(shuffled) = &report.shuffle {
        print_shuffled(shuffled, output);
    }
    for timed in report.bench.iter().flatten() {
        print_timed(timed, output);
    }
    let Report { policy, digest, failed, cases, .. } = report;
    output.line(&format!("{} passed, {failed} failed  ({policy} {})", cases.len() - failed, digest.short()));
}

fn print_case(result: &CaseResult, output: Output) {
    if result.passed {
        output.line(&format!("ok      {}  ({} fuel)", result.name, result.fuel));
    } else {
        output.line(&format!("FAILED  {}", result.name));
        output.line(&format!("          expected {}", result.expected));
        output.line(&format!("          got      {}", result.actual));
    }
}

fn print_coverage(coverage: &Coverage, output: Output) {
    let line = |what: &str, name: &str, count: u64| output.line(&format!("{count:>6}  {what:<10}  {name}"));
    coverage.points.iter().for_each(|(name, count)| line("point", name, *count));
    coverage.verdicts.iter().for_each(|(name, count)| line("verdict", name, *count));
    coverage.reasons.iter().for_each(|(name, count)| line("reason", name, *count));
    coverage.obligations.iter().for_each(|(name, count)| line("obligation", name, *count));
    let missing = coverage.points_without_a_case();
    if !missing.is_empty() {
        output.note(&format!("hint: no case is about {}, where the policy wants to be asked", missing.join(", ")));
    }
}

fn print_shuffled(shuffled: &Shuffled, output: Output) {
    let Shuffled { seed, orders, asked, decided, disagreeing } = shuffled;
    for case in disagreeing {
        output.line(&format!("DIFFERS {case}"));
    }
    let agreed = if disagreeing.is_empty() { "one answer each" } else { "NOT one answer each" };
    output.line(&format!("{orders} orders (seed {seed}), {asked} questions, {decided} decisions: {agreed}"));
}

fn print_timed(timed: &Timed, output: Output) {
    let Timed { name, fuel, median_us, p95_us, floor_median_us, .. } = timed;
    output.line(&format!(
        "{median_us:>8.1} µs median  {p95_us:>8.1} µs p95  {floor_median_us:>8.1} µs floor  {fuel:>9} fuel  {name}"
    ));
}

/// The policy whose cases these are: the one named on the command line, else by the table, else by the folder.
fn tested(cases: &Cases, dir: &Path, component: Option<&PathBuf>) -> Result<(String, Vec<u8>), CommandError> {
    let folder_name = || {
        let resolved = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
        resolved.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    };
    let name = cases.policy.clone().unwrap_or_else(folder_name);
    let file = component.cloned().or_else(|| cases.component.as_ref().map(|component| dir.join(component)));
    let bytes = match file {
        Some(file) => commands::read(&file)?,
        None => policies::builtin(&name)?.to_vec(),
    };
    Ok((name, bytes))
}
