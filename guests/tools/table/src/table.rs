//! Reading CSV files, with errors that say which line.

use std::fs::File;
use std::io::ErrorKind;

use csv::{Reader, ReaderBuilder, StringRecord};

use crate::bindings::exports::ringfence::tool::tool::Failure;

/// A CSV file whose first line names its columns.
pub struct Table {
    path: String,
    headers: StringRecord,
    reader: Reader<File>,
}

impl Table {
    /// Opens a file and reads its first line.
    pub fn open(path: &str) -> Result<Self, Failure> {
        let file = File::open(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Failure::Unavailable(format!("there is no file `{path}`")),
            _ => Failure::Unavailable(format!("`{path}` could not be opened: {error}")),
        })?;
        let mut reader = ReaderBuilder::new().from_reader(file);
        let headers = reader.headers().map_err(|error| not_a_table(path, &error))?.clone();
        Ok(Self { path: path.to_owned(), headers, reader })
    }

    /// The names of the columns.
    pub fn columns(&self) -> Vec<String> {
        self.headers.iter().map(str::to_owned).collect()
    }

    /// Hands out each row and the number of its line in the file.
    pub fn each_row(
        &mut self,
        mut visit: impl FnMut(&StringRecord, u64) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut row = StringRecord::new();
        while self.reader.read_record(&mut row).map_err(|error| not_a_table(&self.path, &error))? {
            visit(&row, row.position().map_or(0, csv::Position::line))?;
        }
        Ok(())
    }

    /// Hands out the value that each row has in a column, and the number of its line in the file.
    pub fn each_value(
        &mut self,
        column: &str,
        mut visit: impl FnMut(&str, u64) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let Some(index) = self.headers.iter().position(|name| name == column) else {
            let columns = self.columns().join("`, `");
            let path = &self.path;
            return Err(Failure::InvalidInput(format!("`{path}` has no column `{column}`, only `{columns}`")));
        };
        self.each_row(|row, line| visit(row.get(index).unwrap_or_default(), line))
    }
}

fn not_a_table(path: &str, error: &csv::Error) -> Failure {
    Failure::InvalidInput(format!("`{path}` is not a table: {error}"))
}
