//! How long a policy takes for each of its cases, against a policy that does nothing.
//!
//! Both are asked the same request, in turn, in one process: what is left between the two is the policy's own work.

use std::time::Duration;
use std::time::Instant;

use serde::Serialize;

use crate::policy::Policy;
use crate::policy::cases::LoadedCases;

/// Questions for one case, at least and at most.
const ASKED_MIN: usize = 20;
const ASKED_MAX: usize = 2_000;

/// What one case takes.
#[derive(Clone, Debug, Serialize)]
pub struct Timed {
    /// The case.
    pub name: String,
    /// Times that it was asked.
    pub asked: usize,
    /// Fuel that it used.
    pub fuel: u64,
    /// Half of the answers came within so many microseconds.
    pub median_us: f64,
    /// Nineteen of twenty answers came within so many microseconds.
    pub p95_us: f64,
    /// Half of the answers of the policy that does nothing.
    pub floor_median_us: f64,
    /// Fuel of the policy that does nothing.
    pub floor_fuel: u64,
}

impl LoadedCases {
    /// Times every case for about `each`, against `floor`.
    pub fn bench(&self, floor: &Policy, each: Duration, mut progress: impl FnMut(usize)) -> Vec<Timed> {
        let timed = self.rows.iter().enumerate().map(|(index, row)| {
            let (mut times, mut floors) = (Vec::new(), Vec::new());
            let (mut fuel, mut floor_fuel) = (0, 0);
            let started = Instant::now();
            while times.len() < ASKED_MIN || times.len() < ASKED_MAX && started.elapsed() < each {
                let (took, used) = time(&row.policy, row);
                times.push(took);
                fuel = used;
                let (took, used) = time(floor, row);
                floors.push(took);
                floor_fuel = used;
            }
            progress(index + 1);
            Timed {
                name: row.case.name.clone(),
                asked: times.len(),
                fuel,
                median_us: percentile(&mut times, 50),
                p95_us: percentile(&mut times, 95),
                floor_median_us: percentile(&mut floors, 50),
                floor_fuel,
            }
        });
        timed.collect()
    }
}

fn time(policy: &Policy, row: &super::LoadedCase) -> (Duration, u64) {
    let started = Instant::now();
    let ruling = policy.ask(&row.request);
    (started.elapsed(), ruling.fuel)
}

/// The time within which so many of a hundred came, in microseconds.
fn percentile(times: &mut [Duration], percent: usize) -> f64 {
    times.sort_unstable();
    let index = (times.len() * percent).div_ceil(100).saturating_sub(1);
    times.get(index).map_or(0.0, |time| time.as_secs_f64() * 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_those_measured() {
        let mut times: Vec<_> = (1..=100).rev().map(Duration::from_micros).collect();
        assert!((percentile(&mut times, 50) - 50.0).abs() < 1e-6);
        assert!((percentile(&mut times, 95) - 95.0).abs() < 1e-6);
        assert!((percentile(&mut [Duration::from_micros(3)], 95) - 3.0).abs() < 1e-6);
        assert!(percentile(&mut [], 50).abs() < 1e-6);
    }
}
