//! Writes more into the folder `/work` than its quota allows, in each way there is to make a file grow (FS-18, FS-19).
//!
//! The argument is the quota in bytes. It is left almost whole until the last attempt, which uses it up.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::process::ExitCode;

use hostile::{Attempts, control, is_control};

const CHUNK_BYTES: usize = 64 * 1024;
/// Something to write, more than any quota here; not on the heap, which is no part of the attack.
static MATERIAL: [u8; 2_000_000] = [0; 2_000_000];

fn main() -> ExitCode {
    if is_control() {
        return control(write_a_little());
    }
    let quota: u64 = env::args().nth(1).and_then(|bytes| bytes.parse().ok()).unwrap_or_default();
    let mut attempts = Attempts::default();
    for size in [quota + 1, 1 << 40, 1 << 60, (1 << 63) - 1] {
        attempts.refused(&format!("set a size of {size}"), set_size(size));
    }
    for offset in [quota, 1 << 40, (1 << 63) - 1] {
        attempts.refused(&format!("write at {offset}"), write_at(offset));
    }
    attempts.refused("write a chunk too large", fs::write("/work/whole", &MATERIAL[..=quota as usize]));
    attempts.refused("fill and append", fill("/work/first", quota));
    attempts.refused("go on in another file", fs::write("/work/second", &MATERIAL[..CHUNK_BYTES]));
    attempts.refused("append to what is full", append("/work/first"));
    remove_and_write_again(&mut attempts);
    attempts.finish()
}

/// Some of it twice over: what is rewritten does not grow.
fn write_a_little() -> io::Result<()> {
    for _ in 0..4 {
        fs::write("/work/control", [1; 100])?;
    }
    File::options().write(true).open("/work/control")?.set_len(50)
}

fn set_size(size: u64) -> io::Result<()> {
    File::create("/work/sized")?.set_len(size)
}

fn write_at(offset: u64) -> io::Result<()> {
    let mut file = File::create("/work/sparse")?;
    file.seek(SeekFrom::Start(offset))?;
    file.write_all(b"x")?;
    file.flush()
}

/// Writes chunk by chunk until that fails.
fn fill(path: &str, quota: u64) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    let mut written = 0;
    while written <= quota {
        written += file.write(&MATERIAL[..CHUNK_BYTES]).inspect_err(|_| println!("reached: {written} bytes"))? as u64;
    }
    Ok(())
}

fn append(path: &str) -> io::Result<()> {
    OpenOptions::new().append(true).open(path)?.write_all(&MATERIAL[..CHUNK_BYTES])
}

/// What is removed is not given back.
fn remove_and_write_again(attempts: &mut Attempts) {
    match fs::remove_file("/work/first") {
        Ok(()) => attempts.refused("write again what was removed", fs::write("/work/third", &MATERIAL[..CHUNK_BYTES])),
        Err(error) => println!("failed: remove: {error}"),
    }
}
