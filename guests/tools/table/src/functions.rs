//! The functions: each reads one table and answers one question about it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::bindings::exports::ringfence::tool::tool::Failure;
use crate::table::Table;

/// The most different values that a column is grouped by.
const GROUPS_MAX: usize = 10_000;

/// A table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Whole {
    path: String,
}

/// A column of a table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    path: String,
    column: String,
}

/// Quantiles of a column of a table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantiles {
    path: String,
    column: String,
    q: Vec<f64>,
}

/// How large a table is.
#[derive(Serialize)]
pub struct Size {
    rows: u64,
    columns: Vec<String>,
}

/// The values of a column.
#[derive(Serialize)]
pub struct Groups {
    groups: Vec<Group>,
}

/// One value of a column.
#[derive(Serialize)]
pub struct Group {
    value: String,
    rows: u64,
}

/// The mean of a column.
#[derive(Serialize)]
pub struct Mean {
    mean: f64,
    rows: u64,
}

/// The quantiles of a column.
#[derive(Serialize)]
pub struct QuantileValues {
    quantiles: Vec<Quantile>,
    rows: u64,
}

/// One quantile of a column.
#[derive(Serialize)]
pub struct Quantile {
    q: f64,
    value: f64,
}

/// Counts the rows of a table and names its columns.
pub fn count(input: Whole) -> Result<Size, Failure> {
    let mut table = Table::open(&input.path)?;
    let columns = table.columns();
    let mut rows = 0;
    table.each_row(|_, _| {
        rows += 1;
        Ok(())
    })?;
    Ok(Size { rows, columns })
}

/// Counts the rows for each value of a column.
pub fn group_by(input: Column) -> Result<Groups, Failure> {
    let mut table = Table::open(&input.path)?;
    let mut groups = BTreeMap::<String, u64>::new();
    table.each_value(&input.column, |value, _| {
        *groups.entry(value.to_owned()).or_default() += 1;
        if groups.len() > GROUPS_MAX {
            let column = &input.column;
            return Err(Failure::InvalidInput(format!("column `{column}` has more than {GROUPS_MAX} values")));
        }
        Ok(())
    })?;
    Ok(Groups { groups: groups.into_iter().map(|(value, rows)| Group { value, rows }).collect() })
}

/// Computes the mean of a column of numbers.
pub fn mean(input: Column) -> Result<Mean, Failure> {
    let values = numbers(&input.path, &input.column)?;
    let rows = values.len() as u64;
    let mean = finite(values.iter().sum::<f64>() / values.len() as f64, &input.column)?;
    Ok(Mean { mean, rows })
}

/// Computes quantiles of a column of numbers.
pub fn quantiles(input: Quantiles) -> Result<QuantileValues, Failure> {
    if let Some(q) = input.q.iter().find(|q| !(0.0..=1.0).contains(*q)) {
        return Err(Failure::InvalidInput(format!("quantile `{q}` is not between 0 and 1")));
    }
    let mut values = numbers(&input.path, &input.column)?;
    values.sort_by(f64::total_cmp);
    let rows = values.len() as u64;
    let quantile = |q| Ok(Quantile { q, value: finite(interpolated(&values, q), &input.column)? });
    Ok(QuantileValues { quantiles: input.q.iter().copied().map(quantile).collect::<Result<_, Failure>>()?, rows })
}

/// The numbers in a column; at least one.
fn numbers(path: &str, column: &str) -> Result<Vec<f64>, Failure> {
    let mut values = Vec::new();
    Table::open(path)?.each_value(column, |text, line| {
        let number = text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
        let not_a_number = || format!("column `{column}` holds `{text}` at line {line}, which is not a number");
        values.push(number.ok_or_else(|| Failure::InvalidInput(not_a_number()))?);
        Ok(())
    })?;
    if values.is_empty() {
        return Err(Failure::InvalidInput(format!("`{path}` has no rows")));
    }
    Ok(values)
}

/// JSON has no way to write what is beyond the largest number.
fn finite(value: f64, column: &str) -> Result<f64, Failure> {
    let too_large = || Failure::InvalidInput(format!("the numbers in column `{column}` are too large"));
    if value.is_finite() { Ok(value) } else { Err(too_large()) }
}

/// The value at a share of the way through sorted values, on the line between its two neighbours.
fn interpolated(sorted: &[f64], q: f64) -> f64 {
    let place = q * (sorted.len() - 1) as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (sorted[above] - sorted[below]) * (place - place.floor())
}
