//! Cedar and Rego as policies, against the same code without a component around it, and against each other.
//!
//! Each row asks one request in three ways, in turn: as the host asks (a fresh instance, which reads its settings, decides and
//! is thrown away); the same code natively, settings read each time; and natively with settings that were read once, as a
//! program does that has the language built in. Before it is measured, all three have to say the same. The rows of
//! `ringfence bench` about decisions come first, so that one run has all there is to say about what policies cost.

mod questions;

use std::error::Error;
use std::hint::black_box;
use std::time::Duration;
use std::time::Instant;

use cedar::Cedar;
use rego::Rego;
use ringfence_model::decision;
use ringfence_model::decision::Ruling;
use ringfence_model::entry::VerdictKind;
use ringfence_policy_support::Guest;
use ringfence_policy_support::types::Request;
use ringfence_policy_support::types::Verdict;
use ringfence_runtime::bench;
use ringfence_runtime::bench::Part;
use ringfence_runtime::bench::Plan;
use ringfence_runtime::engine::Engine;
use ringfence_runtime::policy::Policy;
use serde_json::Value;

use crate::questions::Question;

const RULES: [usize; 2] = [3, 100];
const SECONDS_DEFAULT: u64 = 5;
/// One that is allowed, and one that is not.
const AMOUNTS: [u64; 2] = [10, 5_000];

type Native<'a> = Box<dyn Fn(&Request) -> Verdict + 'a>;

/// A language with some rules, in its three forms.
struct Subject<'a> {
    name: &'static str,
    rules: usize,
    component: Policy,
    reading: Native<'a>,
    prepared: Native<'a>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let seconds = std::env::args().nth(1).map_or(Ok(SECONDS_DEFAULT), |text| text.parse())?;
    let engine = Engine::new()?;
    decisions(seconds)?;
    println!("language  rules  component  native  prepared  component/native  component/prepared");
    let mut components = Vec::new();
    for rules in RULES {
        for subject in [cedar(&engine, rules)?, rego(&engine, rules)?] {
            agree(&subject)?;
            let [component, reading, prepared] = measured(&subject, Duration::from_secs(seconds))?;
            println!(
                "{:<8}  {rules:>5}  {component:>6.1} µs  {reading:>6.1} µs  {prepared:>6.1} µs  {:>6.2}×  {:>6.2}×",
                subject.name,
                component / reading,
                component / prepared
            );
            components.push(component);
        }
    }
    for (rules, pair) in RULES.iter().zip(components.chunks(2)) {
        if let [cedar, rego] = pair {
            println!("{rules} rules: cedar takes {:.2}× of rego", cedar / rego);
        }
    }
    Ok(())
}

/// What the other policies cost, in the same run.
fn decisions(seconds: u64) -> Result<(), Box<dyn Error>> {
    let policies: Vec<_> = ringfence_policies::ALL.iter().map(|policy| (policy.name, policy.component)).collect();
    let plan = Plan { millis: seconds * 1_000, parts: &[Part::Policies], entries: 0, policies: &policies };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    println!("{}", runtime.block_on(bench::run(&plan, |_| ()))?);
    Ok(())
}

fn cedar(engine: &Engine, rules: usize) -> Result<Subject<'static>, Box<dyn Error>> {
    let value = questions::cedar(rules);
    let text = value.to_string();
    let read = cedar::Settings::parse(&text).map_err(|problems| format!("{problems:?}"))?;
    Ok(Subject {
        name: "cedar",
        rules,
        component: component(engine, "cedar", &value)?,
        reading: Box::new(move |request| Cedar::evaluate(text.clone(), request.clone())),
        prepared: Box::new(move |request| cedar::decide(&read, request).unwrap_or(Verdict::Abstain)),
    })
}

fn rego(engine: &Engine, rules: usize) -> Result<Subject<'static>, Box<dyn Error>> {
    let value = questions::rego(rules);
    let text = value.to_string();
    let read = rego::Settings::parse(&text).map_err(|problems| format!("{problems:?}"))?;
    Ok(Subject {
        name: "rego",
        rules,
        component: component(engine, "rego", &value)?,
        reading: Box::new(move |request| Rego::evaluate(text.clone(), request.clone())),
        prepared: Box::new(move |request| rego::decide(read.clone(), request).unwrap_or(Verdict::Abstain)),
    })
}

fn component(engine: &Engine, name: &str, settings: &Value) -> Result<Policy, Box<dyn Error>> {
    let builtin = ringfence_policies::ALL.iter().find(|policy| policy.name == name).ok_or("no such policy")?;
    Ok(Policy::load(engine, name, builtin.component, settings)?)
}

/// What is measured has to be the same thing.
fn agree(subject: &Subject<'_>) -> Result<(), Box<dyn Error>> {
    for (amount, expected) in AMOUNTS.into_iter().zip([VerdictKind::Permit, VerdictKind::Forbid]) {
        let Question { request, native } = questions::payment(amount, subject.rules)?;
        let said = [
            ruled(&subject.component.ask(&request)),
            kind(&(subject.reading)(&native)),
            kind(&(subject.prepared)(&native)),
        ];
        if said != [expected; 3] {
            return Err(format!("{} with {} rules says {said:?} of {amount}", subject.name, subject.rules).into());
        }
    }
    Ok(())
}

fn ruled(ruling: &Ruling) -> VerdictKind {
    match &ruling.verdict {
        Ok(decision::Verdict::Abstain) => VerdictKind::Abstain,
        Ok(decision::Verdict::Forbid(_)) => VerdictKind::Forbid,
        Ok(decision::Verdict::Permit(..)) => VerdictKind::Permit,
        Err(_) => VerdictKind::Fault,
    }
}

fn kind(verdict: &Verdict) -> VerdictKind {
    match verdict {
        Verdict::Abstain => VerdictKind::Abstain,
        Verdict::Forbid(_) => VerdictKind::Forbid,
        Verdict::Permit(_) => VerdictKind::Permit,
    }
}

/// The medians of the three forms, in microseconds. Each round asks all three, so that what else the machine does is
/// shared.
fn measured(subject: &Subject<'_>, time: Duration) -> Result<[f64; 3], Box<dyn Error>> {
    let Question { request, native } = questions::payment(AMOUNTS[0], subject.rules)?;
    let mut timings: [Vec<f64>; 3] = Default::default();
    let started = Instant::now();
    while started.elapsed() < time {
        let forms: [&dyn Fn(); 3] = [
            &|| drop(black_box(subject.component.ask(&request))),
            &|| drop(black_box((subject.reading)(&native))),
            &|| drop(black_box((subject.prepared)(&native))),
        ];
        for (form, timings) in forms.iter().zip(&mut timings) {
            let began = Instant::now();
            form();
            timings.push(began.elapsed().as_secs_f64() * 1e6);
        }
    }
    Ok(timings.map(median))
}

fn median(mut timings: Vec<f64>) -> f64 {
    timings.sort_by(f64::total_cmp);
    timings[timings.len() / 2]
}
