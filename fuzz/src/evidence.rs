//! Everything that is handed to an auditor: notes, checkpoints, statements, receipts, bundles, extensions, tiles, logs.

use std::sync::LazyLock;

use ringfence_audit::bundle;
use ringfence_audit::checkpoint::Checkpoint;
use ringfence_audit::extension::Extension;
use ringfence_audit::note::Note;
use ringfence_audit::note::Verifier;
use ringfence_audit::receipt::Receipt;
use ringfence_audit::statement::Statement;
use ringfence_audit::tiles::Tile;
use ringfence_audit::verify::LogCheck;
use ringfence_audit::verify::Options;
use ringfence_audit::witness::Witness;

static KEY: LazyLock<Verifier> =
    LazyLock::new(|| "author.example+992eb85e+AexoEp2XAsPN1PqxnNWQLniMLDzOE5zl9O+4JEkOwPJl".parse().expect("a key"));

/// Reads bytes as each of them (MAL-04, AUD-16): what was read is what is written, and none of it verifies, since nobody has
/// the key.
pub fn evidence(bytes: &[u8]) {
    let keys = [KEY.clone()];
    let checked = bundle::check(bytes, &keys);
    assert_eq!(checked.report.vouched, 0);
    if let Some(again) = checked.bundle.and_then(|bundle| bundle.to_bytes().ok()) {
        assert!(bundle::check(&again, &keys).bundle.is_some());
    }
    if let Ok(receipt) = Receipt::parse(bytes) {
        assert_eq!(receipt.verify(&keys).vouched, 0);
        let written = receipt.to_bytes().expect("a receipt");
        assert_eq!(Receipt::parse(&written).expect("a receipt").to_bytes().expect("a receipt"), written);
    }
    let _ = Receipt::parse_printed(bytes);
    let tile = Tile::of_entry(0, 2);
    if let Ok(entries) = tile.parse_entries(bytes) {
        assert_eq!(ringfence_audit::tiles::bundle(entries), bytes);
    }
    let mut check = LogCheck::new(Options { keys: keys.to_vec() });
    bytes.split(|byte| *byte == b'\n').for_each(|line| check.entry(line));
    assert_eq!(check.finish().vouched, 0);
    if let Ok(text) = str::from_utf8(bytes) {
        texts(text, &keys);
    }
}

fn texts(text: &str, keys: &[Verifier]) {
    if let Ok(note) = Note::parse(text) {
        assert!(text.starts_with(note.untrusted_text()));
        assert!(note.open(keys).is_err());
    }
    assert!(Statement::open(text, &KEY).is_err() && Checkpoint::open(text, keys).is_err());
    if let Ok(checkpoint) = text.parse::<Checkpoint>() {
        assert_eq!(checkpoint.to_string(), text);
    }
    if let Ok(tile) = text.parse::<Tile>() {
        assert_eq!(tile.to_string(), text);
    }
    if let Ok(key) = text.parse::<Verifier>() {
        assert_eq!(key.to_string().parse(), Ok(key));
    }
    let _ = text.parse::<Witness>();
    if let Ok(extension) = Extension::parse(text.as_bytes()) {
        assert_eq!(extension.verify(text, keys).vouched, 0);
    }
}
