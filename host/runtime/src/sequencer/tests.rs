//! Tests of the sequencer: checkpoints, proofs and the head, through restarts, copies that are put back and faults.

use std::fs;
use std::path::PathBuf;

use ringfence_audit::hash;
use ringfence_model::digest::Digest;

use super::*;
use crate::ledger::backend::Backend;
use crate::ledger::backend::BackendError;
use crate::ledger::backend::MemoryBackend;
use crate::ledger::backend::PostgresBackend;
use crate::ledger::backend::SqliteBackend;
use crate::ledger::backend::faulty::Fault;
use crate::ledger::backend::faulty::FaultyBackend;
use crate::ledger::backend::postgres::server::Database;
use crate::ledger::backend::postgres::tests::access;
use crate::ledger::fixture;
use crate::ledger::fixture::create;
use crate::ledger::fixture::intent;
use crate::ledger::fixture::make;
use crate::ledger::fixture::open;
use crate::ledger::fixture::refusal;
use crate::ledger::fixture::signer;
use crate::ledger::fixture::verified;
use ringfence_audit::note::Verifier;
use ringfence_audit::signer::SoftwareSigner;
use ringfence_model::grant::Reach;

struct Scene {
    folder: tempfile::TempDir,
    disk: FaultyBackend,
    /// Where the head is, if it is not in the folder.
    database: Option<Database>,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { folder, disk: FaultyBackend::new(MemoryBackend::new()), database: None }
    }

    /// One for each place that a head can be in.
    fn of_each_place() -> [Self; 2] {
        [Self::new(), Self { database: Some(Database::new()), ..Self::new() }]
    }

    fn head(&self) -> PathBuf {
        self.folder.path().join("head")
    }

    fn place(&self) -> HeadPlace {
        match &self.database {
            Some(database) => HeadPlace::Database(Box::new(access(database))),
            None => HeadPlace::File(self.head()),
        }
    }

    fn sequencer(&self, ledger: &Ledger) -> Result<Sequencer, SequencerError> {
        Sequencer::open(ledger, signer(), Some(self.place()))
    }
}

fn trusted_keys() -> Vec<Verifier> {
    vec![signer().verifier().clone()]
}

fn grow_by(ledger: &Ledger, entries: u64) {
    let from = ledger.len();
    for number in from..from + entries {
        ledger.refuse(refusal(number)).expect("a refusal");
    }
}

fn make_some(ledger: &Ledger, calls: u64) {
    for number in 0..calls {
        make(ledger, intent(number, Reach::Nothing));
    }
}

fn assert_proven(receipt: &Receipt) {
    let report = receipt.verify(&trusted_keys());
    assert!(report.is_intact() && receipt.proof.is_some(), "{report:?}");
}

/// Publishes now and then in a log that grows: every signed note, and every node of the tree.
fn published(ledger: &Ledger) -> (Vec<String>, Vec<Digest>) {
    let sequencer = Sequencer::open(ledger, signer(), None).expect("a sequencer");
    let note = |entries| {
        grow_by(ledger, entries);
        sequencer.publish(ledger).expect("a checkpoint")
    };
    let notes = [0, 1, 5, 12, 1].map(note).to_vec();
    let places = (1..5).flat_map(|level| (0..ledger.len() >> level).map(move |index| (level, index)));
    let hash = |(level, index)| ledger.read(|backend| backend.node(level, index)).expect("an answer").expect("a node");
    (notes, places.map(hash).collect())
}

#[test]
fn one_history_is_signed_alike_everywhere() {
    let (folder, database) = (tempfile::tempdir().expect("a folder"), Database::new());
    let history = |ledger: Ledger| {
        let sequencer = Sequencer::open(&ledger, signer(), None).expect("a sequencer");
        for number in 1..50 {
            match number % 3 {
                0 => ledger.refuse(refusal(number)).expect("a refusal"),
                1 => make(&ledger, fixture::keyed(number, Reach::Writes, &format!("key {number}"))),
                _ => make(&ledger, intent(number, Reach::Nothing)),
            };
            if number % 7 == 0 {
                sequencer.publish(&ledger).expect("a checkpoint");
            }
        }
        let notes = |backend: &dyn Backend| (1..=ledger.len()).map(|size| backend.checkpoint_covering(size)).collect();
        let notes: Vec<_> = ledger.read(notes).expect("checkpoints");
        (verified(&ledger), notes)
    };
    let wanted = history(create(MemoryBackend::new()));
    let mut distinct: Vec<_> = wanted.1.iter().flatten().map(|stored| stored.size).collect();
    distinct.dedup();
    assert_eq!(distinct.len(), 7, "{distinct:?}");
    let sqlite = SqliteBackend::create(&folder.path().join("log")).expect("a new log");
    let postgres = PostgresBackend::create(access(&database)).expect("a new log");
    assert!(history(create(sqlite)) == wanted && history(create(postgres)) == wanted);
}

#[test]
fn one_history_has_same_checkpoints_everywhere() {
    let (folder, database) = (tempfile::tempdir().expect("a folder"), Database::new());
    let wanted = published(&create(MemoryBackend::new()));
    assert_eq!((wanted.0.len(), wanted.1.len()), (5, 18));
    let sqlite = create(SqliteBackend::create(&folder.path().join("log")).expect("a new log"));
    let postgres = create(PostgresBackend::create(access(&database)).expect("a new log"));
    assert_eq!(published(&sqlite), wanted);
    assert_eq!(published(&postgres), wanted);
}

#[test]
fn hosts_publish_one_history() {
    // AUD-08
    let database = Database::new();
    let hosts = [
        create(PostgresBackend::create(access(&database)).expect("a new log")),
        open(PostgresBackend::open(access(&database)).expect("a log")),
    ];
    let sequencers = hosts.each_ref().map(|host| Sequencer::open(host, signer(), None).expect("a sequencer"));
    for (round, which) in (0..).zip([0, 1, 0, 1, 1, 0]) {
        make(&hosts[which], intent(round, Reach::Writes));
        sequencers[which].publish(&hosts[which]).expect("a checkpoint");
        verified(&hosts[which]);
    }
    make(&hosts[0], intent(100, Reach::Writes));
    let notes = [0, 1].map(|which| sequencers[which].publish(&hosts[which]).expect("a checkpoint"));
    assert_eq!(notes[0], notes[1]);
}

#[test]
fn head_that_is_slow_keeps_nobody_from_the_log() {
    // CR-31: whoever waits for the head's server does not have the pen, for which other hosts wait.
    use std::thread;
    use std::time::Duration;
    use std::time::Instant;
    let (database, heads) = (Database::new(), Database::new());
    let hosts = [
        create(PostgresBackend::create(access(&database)).expect("a new log")),
        open(PostgresBackend::open(access(&database)).expect("a log")),
    ];
    let place = HeadPlace::Database(Box::new(access(&heads)));
    let sequencer = Sequencer::open(&hosts[0], signer(), Some(place)).expect("a sequencer");
    sequencer.publish(&hosts[0]).expect("a checkpoint");
    thread::scope(|scope| {
        scope.spawn(|| heads.sql("BEGIN; LOCK TABLE ringfence_heads.heads; SELECT pg_sleep(2.5); COMMIT"));
        thread::sleep(Duration::from_millis(500));
        let publishing = scope.spawn(|| sequencer.publish(&hosts[0]));
        thread::sleep(Duration::from_millis(300));
        let started = Instant::now();
        make(&hosts[1], intent(1, Reach::Writes));
        assert!(started.elapsed() < Duration::from_millis(1_500), "it waited for {:?}", started.elapsed());
        publishing.join().expect("an end").expect("a checkpoint");
    });
}

#[test]
fn replaced_key_signs_nothing_on_any_host() {
    // AUD-11: one host has rotated; the other still holds the old key, and has not looked since.
    let database = Database::new();
    let hosts = [
        create(PostgresBackend::create(access(&database)).expect("a new log")),
        open(PostgresBackend::open(access(&database)).expect("a log")),
    ];
    let [mut first, mut second] =
        hosts.each_ref().map(|host| Sequencer::open(host, signer(), None).expect("a sequencer"));
    let new = Arc::new(SoftwareSigner::from_seed(fixture::ORIGIN, &[9; 32]).expect("a signer"));
    first.rotate(&hosts[0], Arc::clone(&new) as Arc<dyn Signer>).expect("a rotation");
    make(&hosts[1], intent(1, Reach::Writes));
    let before = hosts[1].len();
    let stored = || hosts[1].read(|backend| backend.latest_checkpoint()).expect("a checkpoint");
    let checkpoint = stored();
    let refused = [
        second.publish(&hosts[1]).expect_err("the old key"),
        second.rotate(&hosts[1], signer()).expect_err("the old key"),
        Sequencer::open(&hosts[1], signer(), None).expect_err("the old key"),
    ];
    assert!(refused.iter().all(|error| matches!(error, SequencerError::Sign(_))), "{refused:?}");
    assert_eq!((hosts[1].len(), stored()), (before, checkpoint));
    // With the new key it goes on.
    let second = Sequencer::open(&hosts[1], new, None).expect("a sequencer");
    assert_eq!(second.publish(&hosts[1]).expect("a checkpoint"), first.publish(&hosts[0]).expect("a checkpoint"));
}

#[test]
fn published_entries_are_proven_in_any_tree() {
    // AUD-16
    let scene = Scene::new();
    let ledger = create(scene.disk.clone());
    let sequencer = scene.sequencer(&ledger).expect("a sequencer");
    for size in 1..=40 {
        assert_eq!(ledger.len(), size);
        let note = sequencer.publish(&ledger).expect("a checkpoint");
        assert_eq!(sequencer.checkpoint(), Some(note.clone()));
        assert_eq!(fs::read_to_string(scene.head()).expect("a head"), note);
        for index in 0..size {
            assert_proven(&sequencer.receipt(&ledger, index).expect("a receipt"));
            assert_proven(&prove(&ledger, index).expect("a receipt"));
        }
        verified(&ledger);
        grow_by(&ledger, 1);
    }
}

#[test]
fn nodes_are_stored_in_pieces_and_once() {
    let scene = Scene::new();
    let ledger = create(scene.disk.clone());
    grow_by(&ledger, 2 * 4_096 + 700);
    let sequencer = scene.sequencer(&ledger).expect("a sequencer");
    sequencer.publish(&ledger).expect("a checkpoint");
    let stored: Vec<_> = scene.disk.batches().into_iter().flat_map(|batch| batch.nodes).collect();
    let distinct: std::collections::BTreeSet<_> = stored.iter().map(|node| (node.level, node.index)).collect();
    assert_eq!(stored.len(), distinct.len());
    assert!(stored.iter().all(|node| node.level > 0));
    assert_proven(&sequencer.receipt(&ledger, 5_000).expect("a receipt"));
    // A proof asks for a hash a level and no more.
    let before = scene.disk.counts().1;
    sequencer.receipt(&ledger, 77).expect("a receipt");
    assert!(scene.disk.counts().1 - before < 24);
}

#[test]
fn unpublished_entry_has_pending_receipt() {
    let scene = Scene::new();
    let ledger = create(scene.disk.clone());
    let sequencer = scene.sequencer(&ledger).expect("a sequencer");
    assert_eq!(sequencer.receipt(&ledger, 0).expect("a receipt").proof, None);
    sequencer.publish(&ledger).expect("a checkpoint");
    let recorded = make(&ledger, intent(1, Reach::Writes));
    let receipt = sequencer.receipt(&ledger, recorded.index).expect("a receipt");
    assert_eq!((receipt.proof, receipt.checkpoint), (None, None));
    let missing = sequencer.receipt(&ledger, 3).expect_err("no entry");
    assert_eq!(missing.to_string(), "the log has no entry `3`: it holds `3`");
}

#[test]
fn receipt_opens_input_and_output() {
    let scene = Scene::new();
    let ledger = create(scene.disk.clone());
    let recorded = make(&ledger, intent(1, Reach::Writes));
    let sequencer = scene.sequencer(&ledger).expect("a sequencer");
    sequencer.publish(&ledger).expect("a checkpoint");
    let finished = sequencer.receipt(&ledger, recorded.index).expect("a receipt");
    let outcome = fixture::ending(ringfence_model::entry::EffectState::Committed, "done").outcome;
    assert_eq!(finished.check_opening("output", &outcome), Ok(()));
    assert!(finished.check_opening("output", b"other").is_err());
    let begun = sequencer.receipt(&ledger, recorded.index - 1).expect("a receipt");
    assert_eq!(begun.check_opening("input", &intent(1, Reach::Writes).input), Ok(()));
    assert!(!begun.openings.contains_key("grant") && !begun.openings.contains_key("request"));
}

#[test]
fn publishing_nothing_new_writes_nothing() {
    let scene = Scene::new();
    let ledger = create(scene.disk.clone());
    let sequencer = scene.sequencer(&ledger).expect("a sequencer");
    let note = sequencer.publish(&ledger).expect("a checkpoint");
    let commits = scene.disk.counts().0;
    assert_eq!(sequencer.publish(&ledger).expect("a checkpoint"), note);
    assert_eq!(scene.disk.counts().0, commits);
}

#[test]
fn restart_goes_on_where_it_stopped() {
    let scene = Scene::new();
    let ledger = create(scene.disk.clone());
    for round in 0..12 {
        let ledger = if round == 0 { &ledger } else { &open(scene.disk.restart()) };
        let sequencer = scene.sequencer(ledger).expect("a sequencer");
        assert_eq!(sequencer.head_at_open() == HeadState::Missing, round == 0);
        grow_by(ledger, round);
        sequencer.publish(ledger).expect("a checkpoint");
        assert_proven(&sequencer.receipt(ledger, ledger.len() - 1).expect("a receipt"));
        verified(ledger);
    }
}

/// The batches of a disk up to the one that makes the log longer than `entries`.
fn rolled_back(disk: &FaultyBackend, entries: u64) -> FaultyBackend {
    use crate::ledger::backend::Backend as _;
    let mut older = FaultyBackend::new(MemoryBackend::new());
    for batch in disk.batches() {
        if batch.entries.last().is_some_and(|entry| entry.index >= entries) {
            break;
        }
        older.commit(batch).expect("a commit");
    }
    older
}

#[test]
fn rolled_back_log_is_refused() {
    // AUD-06, AUD-07, CR-34
    for scene in Scene::of_each_place() {
        let ledger = create(scene.disk.clone());
        let sequencer = scene.sequencer(&ledger).expect("a sequencer");
        for _ in 0..4 {
            grow_by(&ledger, 3);
            sequencer.publish(&ledger).expect("a checkpoint");
        }
        for entries in 1..13 {
            let older = open(rolled_back(&scene.disk, entries));
            // By itself it is a whole log: only the head tells.
            verified(&older);
            assert!(Sequencer::open(&older, signer(), None).is_ok());
            for error in [scene.sequencer(&older).err(), check_head(&older, scene.place()).err()] {
                let message = error.expect("a refusal").to_string();
                let wanted = format!("the log was rolled back: it holds `{entries}` entries, its head covers `13`");
                assert_eq!(message, wanted);
            }
        }
    }
}

#[test]
fn log_under_another_name_hides_from_no_head() {
    // AUD-06, AUD-07: whoever can write the log begins it anew under another name, for which there is no head.
    for scene in Scene::of_each_place() {
        let ledger = create(scene.disk.clone());
        let sequencer = scene.sequencer(&ledger).expect("a sequencer");
        grow_by(&ledger, 3);
        sequencer.publish(&ledger).expect("a checkpoint");
        let (clock, random) = (fixture::SteppingClock::new(false), fixture::SeededRandom::new(0));
        let opened = ringfence_model::entry::Opened { origin: "example.org/other".into(), ..fixture::opened() };
        let other = Ledger::create(Box::new(MemoryBackend::new()), opened, clock, random).expect("a log");
        let error = scene.sequencer(&other).expect_err("a refusal");
        assert!(error.to_string().contains("it calls itself `example.org/other`"), "{error}");
    }
}

#[test]
fn rolled_back_log_that_grew_again_is_refused() {
    // AUD-10, AUD-24
    for scene in Scene::of_each_place() {
        let ledger = create(scene.disk.clone());
        let sequencer = scene.sequencer(&ledger).expect("a sequencer");
        for _ in 0..3 {
            grow_by(&ledger, 3);
            sequencer.publish(&ledger).expect("a checkpoint");
        }
        for (entries, more) in [(1, 9), (4, 20), (7, 3), (9, 1)] {
            let older = open(rolled_back(&scene.disk, entries));
            make_some(&older, more);
            let error = scene.sequencer(&older).expect_err("a fork");
            assert!(matches!(error, SequencerError::Forked { size: 10 }), "{error}");
        }
    }
}

#[test]
fn two_hosts_race_for_the_head_and_one_is_refused() {
    // AUD-08: each appends to its own copy and publishes at the same moment, time and again.
    for scene in Scene::of_each_place() {
        let ledger = create(scene.disk.clone());
        scene.sequencer(&ledger).and_then(|sequencer| sequencer.publish(&ledger)).expect("a checkpoint");
        let copy = open(rolled_back(&scene.disk, 1));
        let sequencers = [&ledger, &copy].map(|ledger| scene.sequencer(ledger).expect("a sequencer"));
        make_some(&ledger, 1);
        grow_by(&copy, 2);
        let start = std::sync::Barrier::new(2);
        let publish = |(sequencer, ledger): (&Sequencer, &Ledger)| {
            start.wait();
            sequencer.publish(ledger)
        };
        let published = std::thread::scope(|scope| {
            let other = scope.spawn(|| publish((&sequencers[1], &copy)));
            [publish((&sequencers[0], &ledger)), other.join().expect("an end")]
        });
        let [first, second] = published;
        let refused = if first.is_ok() { second } else { first };
        assert!(matches!(refused, Err(SequencerError::Forked { size: 3 })), "{refused:?}");
    }
}

#[test]
fn two_copies_of_a_log_find_each_other_out() {
    // AUD-08, AUD-24
    for scene in Scene::of_each_place() {
        let ledger = create(scene.disk.clone());
        let sequencer = scene.sequencer(&ledger).expect("a sequencer");
        sequencer.publish(&ledger).expect("a checkpoint");
        let copy = open(rolled_back(&scene.disk, 1));
        let other = scene.sequencer(&copy).expect("a sequencer");
        grow_by(&copy, 2);
        other.publish(&copy).expect("a checkpoint");
        assert!(matches!(sequencer.publish(&ledger), Err(SequencerError::RolledBack { entries: 1, head: 3 })));
        make_some(&ledger, 4);
        assert!(matches!(sequencer.publish(&ledger), Err(SequencerError::Forked { size: 3 })));
        assert_eq!(sequencer.checkpoint().map(|note| note.contains("\n1\n")), Some(true));
    }
}

/// A signer during whose work somebody replaces the head.
#[derive(Debug)]
struct Disturbed {
    head: PathBuf,
    signer: Arc<SoftwareSigner>,
}

impl Signer for Disturbed {
    fn verifier(&self) -> &Verifier {
        self.signer.verifier()
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], ringfence_audit::signer::SignError> {
        fs::write(&self.head, "other").expect("the head");
        self.signer.sign(message)
    }
}

#[test]
fn checkpoint_without_its_head_proves_nothing() {
    // AUD-08: signed and stored, but the head could not be replaced.
    let scene = Scene::new();
    let ledger = create(scene.disk.clone());
    scene.sequencer(&ledger).and_then(|sequencer| sequencer.publish(&ledger)).expect("a checkpoint");
    let genuine = fs::read(scene.head()).expect("the head");
    grow_by(&ledger, 2);
    let disturbed = Arc::new(Disturbed { head: scene.head(), signer: signer() });
    let sequencer = Sequencer::open(&ledger, disturbed, Some(scene.place())).expect("a sequencer");
    let error = sequencer.publish(&ledger).expect_err("a refusal");
    assert!(error.to_string().ends_with("it was replaced by somebody who did not hold it"), "{error}");
    assert!(sequencer.receipt(&ledger, 2).expect("a receipt").proof.is_none());
    assert_eq!(sequencer.checkpoint().map(|note| note.contains("\n1\n")), Some(true));
    // With its head it goes on.
    fs::write(scene.head(), genuine).expect("the head");
    let sequencer = scene.sequencer(&ledger).expect("a sequencer");
    let note = sequencer.publish(&ledger).expect("a checkpoint");
    assert_eq!(fs::read_to_string(scene.head()).expect("the head"), note);
    assert_proven(&sequencer.receipt(&ledger, 2).expect("a receipt"));
}

#[test]
fn stored_checkpoint_waits_for_its_head() {
    // AUD-08, AUD-24: the host was cut off between the two.
    for scene in Scene::of_each_place() {
        let ledger = create(scene.disk.clone());
        let first = scene.sequencer(&ledger).and_then(|sequencer| sequencer.publish(&ledger)).expect("a checkpoint");
        grow_by(&ledger, 2);
        Sequencer::open(&ledger, signer(), None).and_then(|other| other.publish(&ledger)).expect("one that is stored");
        let sequencer = scene.sequencer(&ledger).expect("a sequencer");
        assert_eq!((sequencer.checkpoint(), sequencer.covered()), (Some(first), 1));
        assert!(sequencer.receipt(&ledger, 2).expect("a receipt").proof.is_none());
        assert!(sequencer.extension(&ledger, 1, Some(3)).expect("an answer").is_none());
        assert!(sequencer.extension(&ledger, 1, Some(1)).expect("an answer").is_some());
        let note = sequencer.publish(&ledger).expect("a checkpoint");
        assert_eq!((sequencer.checkpoint(), sequencer.covered()), (Some(note), 3));
        assert_proven(&sequencer.receipt(&ledger, 2).expect("a receipt"));
        assert!(sequencer.extension(&ledger, 1, Some(3)).expect("an answer").is_some());
    }
}

#[test]
fn two_copies_never_sign_at_one_size() {
    // AUD-08, AUD-24: copies that publish at the same time; the head is the only thing they share.
    for _ in 0..20 {
        let scene = Scene::new();
        let ledger = create(scene.disk.clone());
        scene.sequencer(&ledger).and_then(|sequencer| sequencer.publish(&ledger)).expect("a checkpoint");
        let copies = [open(scene.disk.restart()), open(rolled_back(&scene.disk, 2))];
        let sequencers = copies.each_ref().map(|copy| scene.sequencer(copy).expect("a sequencer"));
        for (number, copy) in (1..).zip(&copies) {
            copy.refuse(refusal(number)).expect("a refusal");
        }
        let [one, two] = std::thread::scope(|scope| {
            let publish = |which: usize| {
                scope.spawn({
                    let (sequencer, copy) = (&sequencers[which], &copies[which]);
                    move || sequencer.publish(copy)
                })
            };
            [publish(0), publish(1)].map(|thread| thread.join().expect("an end"))
        });
        let head = fs::read_to_string(scene.head()).expect("a head");
        let (signed, refused) = if one.is_ok() { (one, two) } else { (two, one) };
        assert_eq!(signed.expect("one of them"), head);
        let error = refused.expect_err("the other");
        assert!(matches!(error, SequencerError::Forked { size: 2 }), "{error}");
        let stored = copies.iter().filter(|copy| {
            latest(copy, &keys(copy).expect("keys")).expect("a checkpoint").expect("one").checkpoint.size == 2
        });
        assert_eq!(stored.count(), 1, "only one has signed");
    }
}

fn next_signer(seed: u8) -> Arc<SoftwareSigner> {
    Arc::new(SoftwareSigner::from_seed(fixture::ORIGIN, &[seed; 32]).expect("a signer"))
}

#[test]
fn rotated_key_is_found_again() {
    // AUD-11: whatever lies between rotations, checkpoints of every size or none.
    let scene = Scene::new();
    let ledger = create(scene.disk.clone());
    let mut sequencer = scene.sequencer(&ledger).expect("a sequencer");
    let mut rotations = Vec::new();
    for seed in 20..32 {
        for round in 0..seed % 5 {
            grow_by(&ledger, u64::from(round));
            sequencer.publish(&ledger).expect("a checkpoint");
        }
        rotations.push(ledger.len());
        sequencer.rotate(&ledger, next_signer(seed)).expect("a rotation");
        let found = keys(&ledger).expect("keys");
        assert_eq!((found.newest(), found.keys().count()), (next_signer(seed).verifier(), rotations.len() + 1));
        for (number, index) in (20..).zip(&rotations) {
            assert_eq!(found.at(index + 1), next_signer(number).verifier());
        }
        verified(&ledger);
        let again = open(scene.disk.restart());
        assert!(matches!(scene.sequencer(&again), Err(SequencerError::Sign(_))), "the old key is out");
        sequencer = Sequencer::open(&again, next_signer(seed), Some(scene.place())).expect("a sequencer");
    }
}

#[test]
fn rotation_without_its_checkpoint_counts() {
    // CR-27: the host is cut off between the rotation and the first checkpoint under the new key.
    let scene = Scene::new();
    let ledger = create(scene.disk.clone());
    let mut sequencer = scene.sequencer(&ledger).expect("a sequencer");
    grow_by(&ledger, 3);
    sequencer.publish(&ledger).expect("a checkpoint");
    scene.disk.fail(1, Fault::Failed(BackendError::Io("no".into())));
    sequencer.rotate(&ledger, next_signer(20)).expect_err("a fault");
    let ledger = open(scene.disk.restart());
    assert_eq!(ledger.len(), 5, "the rotation is written");
    assert!(matches!(scene.sequencer(&ledger), Err(SequencerError::Sign(_))));
    let sequencer = Sequencer::open(&ledger, next_signer(20), Some(scene.place())).expect("a sequencer");
    grow_by(&ledger, 3);
    sequencer.publish(&ledger).expect("a checkpoint");
    verified(&ledger);
    assert_eq!(keys(&ledger).expect("keys").newest(), next_signer(20).verifier());
}

#[test]
fn older_head_is_fine() {
    // CR-34
    let scene = Scene::new();
    let ledger = create(scene.disk.clone());
    let sequencer = scene.sequencer(&ledger).expect("a sequencer");
    sequencer.publish(&ledger).expect("a checkpoint");
    let old = fs::read(scene.head()).expect("a head");
    grow_by(&ledger, 9);
    sequencer.publish(&ledger).expect("a checkpoint");
    grow_by(&ledger, 2);
    fs::write(scene.head(), old).expect("a head");
    let again = open(scene.disk.restart());
    let sequencer = scene.sequencer(&again).expect("a sequencer");
    assert_eq!(sequencer.head_at_open(), HeadState::Covers { size: 1 });
    let note = sequencer.publish(&again).expect("a checkpoint");
    assert_eq!(fs::read_to_string(scene.head()).expect("a head"), note);
}

#[test]
fn head_that_can_not_be_trusted_is_refused() {
    let scene = Scene::new();
    let ledger = create(scene.disk.clone());
    scene.sequencer(&ledger).and_then(|sequencer| sequencer.publish(&ledger)).expect("a checkpoint");
    let note = fs::read_to_string(scene.head()).expect("a head");
    let stranger = SoftwareSigner::from_seed(fixture::ORIGIN, &[8; 32]).expect("a signer");
    let root = hash::empty_root();
    let signed = |origin: &str, signer: &SoftwareSigner| {
        Checkpoint { origin: origin.to_owned(), size: 0, root }.sign(signer).expect("a note")
    };
    for head in [
        String::new(),
        note[..note.len() / 2].to_owned(),
        note.replace("\n1\n", "\n0\n"),
        signed(fixture::ORIGIN, &stranger),
        signed("example.org/other", &signer()),
        "x".repeat(100_000),
    ] {
        fs::write(scene.head(), &head).expect("a head");
        let error = scene.sequencer(&ledger).expect_err("a refusal");
        assert!(matches!(error, SequencerError::HeadFile { .. }), "{error}");
    }
}

#[test]
fn other_key_than_the_log_names_is_refused() {
    // AUD-11
    let ledger = create(MemoryBackend::new());
    let stranger = Arc::new(SoftwareSigner::from_seed(fixture::ORIGIN, &[8; 32]).expect("a signer"));
    let error = Sequencer::open(&ledger, stranger, None).expect_err("a refusal");
    assert!(matches!(error, SequencerError::Sign(_)), "{error}");
}

#[test]
fn fault_at_every_commit_leaves_one_history() {
    // CR-15 to CR-17, CR-27
    for fault in [Fault::Failed(BackendError::Io("no".into())), Fault::FailedButPersisted] {
        for published in 0..4 {
            let scene = Scene::new();
            let ledger = create(scene.disk.clone());
            let sequencer = scene.sequencer(&ledger).expect("a sequencer");
            for _ in 0..published {
                grow_by(&ledger, 3);
                sequencer.publish(&ledger).expect("a checkpoint");
            }
            grow_by(&ledger, 2);
            let head = fs::read(scene.head()).ok();
            scene.disk.fail(0, fault.clone());
            sequencer.publish(&ledger).expect_err("a fault");
            assert!(matches!(ledger.refuse(refusal(99)), Err(LedgerError::Stopped(_))));
            assert_eq!(fs::read(scene.head()).ok(), head, "the head never runs ahead of the log");
            let ledger = open(scene.disk.restart());
            let sequencer = scene.sequencer(&ledger).expect("a sequencer");
            verified(&ledger);
            grow_by(&ledger, 1);
            sequencer.publish(&ledger).expect("a checkpoint");
            verified(&ledger);
            (0..ledger.len()).for_each(|index| assert_proven(&prove(&ledger, index).expect("a receipt")));
        }
    }
}

#[test]
fn head_that_can_not_be_written_is_an_error() {
    let scene = Scene::new();
    let ledger = create(scene.disk.clone());
    let nowhere = scene.folder.path().join("no/head");
    let sequencer = Sequencer::open(&ledger, signer(), Some(HeadPlace::File(nowhere.clone()))).expect("a sequencer");
    let message = sequencer.publish(&ledger).expect_err("no folder").to_string();
    assert!(message.ends_with("can't be used: its folder does not exist"), "{message}");
    fs::create_dir(scene.folder.path().join("no")).expect("a folder");
    let note = sequencer.publish(&ledger).expect("a checkpoint");
    assert_eq!(fs::read_to_string(nowhere).expect("a head"), note);
    let left = fs::read_dir(scene.folder.path().join("no")).expect("a folder").count();
    assert_eq!(left, 2, "no temporary file is left beside the head and its lock");
}

#[test]
fn damaged_tree_is_never_signed() {
    use crate::ledger::backend::Backend as _;
    let scene = Scene::new();
    let ledger = create(scene.disk.clone());
    let sequencer = scene.sequencer(&ledger).expect("a sequencer");
    grow_by(&ledger, 9);
    sequencer.publish(&ledger).expect("a checkpoint");
    grow_by(&ledger, 5);
    for kind in ["node", "checkpoint", "entry"] {
        let mut damaged = FaultyBackend::new(MemoryBackend::new());
        for mut batch in scene.disk.batches() {
            match kind {
                "node" => batch.nodes.iter_mut().for_each(|node| node.hash = Digest::ZERO),
                "checkpoint" => batch.checkpoint.iter_mut().for_each(|stored| stored.size += 1),
                _ => batch.entries.iter_mut().filter(|e| e.index == 11).for_each(|e| e.bytes[9] ^= 1),
            }
            damaged.commit(batch).expect("a commit");
        }
        let ledger = open(damaged);
        let published = Sequencer::open(&ledger, signer(), None).and_then(|sequencer| sequencer.publish(&ledger));
        let message = published.expect_err("damage").to_string();
        let named = if kind == "entry" { "entry `11`" } else { "the tree of the log is damaged" };
        assert!(message.contains(named), "{message}");
    }
}

#[test]
fn reader_proves_without_a_key() {
    let scene = Scene::new();
    let path = scene.folder.path().join("log");
    let ledger = create(SqliteBackend::create(&path).expect("a new log"));
    grow_by(&ledger, 20);
    scene.sequencer(&ledger).and_then(|sequencer| sequencer.publish(&ledger)).expect("a checkpoint");
    drop(ledger);
    let ledger = open(SqliteBackend::open_read_only(&path).expect("a log"));
    (0..21).for_each(|index| assert_proven(&prove(&ledger, index).expect("a receipt")));
    assert_eq!(check_head(&ledger, scene.place()).expect("a head"), HeadState::Covers { size: 21 });
}
