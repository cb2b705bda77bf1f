//! Times a policy on the rows of its table: `time_policy COMPONENT CASES.toml`, medians of many decisions each.

use std::time::Duration;
use std::time::Instant;

use ringfence_runtime::engine::Engine;
use ringfence_runtime::policy::Policy;
use ringfence_runtime::policy::cases::Cases;

const DECISIONS: usize = 101;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (component, table) = args.next().zip(args.next()).ok_or("COMPONENT and CASES.toml are missing")?;
    let cases = Cases::parse(&std::fs::read_to_string(table)?)?;
    let bytes = std::fs::read(component)?;
    let started = Instant::now();
    let policy = Policy::load(&Engine::new()?, "timed", &bytes, &cases.settings)?;
    println!("{} bytes, loaded in {:?}", bytes.len(), started.elapsed());
    for case in cases.cases.iter().filter(|case| case.settings.is_none()) {
        let request = case.request();
        let mut times: Vec<_> = (0..DECISIONS)
            .map(|_| {
                let started = Instant::now();
                drop(policy.ask(&request));
                started.elapsed()
            })
            .collect();
        times.sort();
        let median = times.get(DECISIONS / 2).copied().unwrap_or(Duration::ZERO);
        println!("{median:>10.1?}  {:>10} fuel  {}", policy.ask(&request).fuel, case.name);
    }
    Ok(())
}
