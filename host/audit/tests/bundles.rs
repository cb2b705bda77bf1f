//! Bundles, as whoever was handed one holds them: what verifies, and what is found where in one that was tampered with.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "helpers of tests")]

mod harness;

use harness::chain;
use harness::checkpoint;
use harness::failures;
use harness::key;
use harness::log;
use harness::sample;
use ringfence_audit::bundle;
use ringfence_audit::bundle::Bundle;
use ringfence_audit::bundle::BundleError;
use ringfence_audit::bundle::Content;
use ringfence_audit::bundle::Proven;
use ringfence_audit::bundle::Subject;
use ringfence_audit::hash;
use ringfence_audit::proof;
use ringfence_audit::proof::Inclusion;
use ringfence_audit::signer::Signer as _;
use ringfence_audit::signer::SoftwareSigner;
use ringfence_audit::tree::Node;
use ringfence_audit::tree::Nodes;
use ringfence_audit::tree::Tree;
use ringfence_audit::verify::Kind;
use ringfence_audit::verify::Report;
use ringfence_model::content::ContentName;
use ringfence_model::digest::Digest;
use ringfence_model::digest::Nonce;
use ringfence_model::encoding::decode;
use ringfence_model::entry::Body;
use ringfence_model::entry::EffectState;
use ringfence_model::entry::Removed;
use ringfence_model::entry::RemovedContent;
use ringfence_model::entry::Settled;
use ringfence_model::entry::Settlement;
use ringfence_model::id::SessionId;
use ringfence_model::limits;
use ringfence_model::principal::Principal;
use ringfence_model::principal::PrincipalKind;

/// The nodes that a store would have kept.
struct Kept(Vec<Node>);

impl Nodes for Kept {
    type Error = &'static str;

    fn node(&self, level: u32, index: u64) -> Result<Digest, Self::Error> {
        let node = self.0.iter().find(|node| node.level == level && node.index == index);
        node.map(|node| node.hash).ok_or("not kept")
    }
}

fn proven(entries: &[Vec<u8>], index: u64) -> Proven {
    let (mut tree, mut nodes) = (Tree::new(), Vec::new());
    for entry in entries {
        tree.push_with(hash::leaf(entry), |node| nodes.push(node));
    }
    let proof = proof::inclusion(&Kept(nodes), index, entries.len() as u64).expect("a proof");
    let entry = decode(&entries[usize::try_from(index).expect("small")]).expect("an entry");
    Proven { entry, proof }
}

fn content(entry: u64, name: ContentName, nonce: u8, text: &str) -> Content {
    Content { text: text.to_owned(), entry, name, nonce: Nonce::from_random([nonce; 16]) }
}

/// A bundle of these entries, without contents.
fn bundle_of(entries: &[Vec<u8>], subject: Subject, indexes: impl IntoIterator<Item = u64>) -> Bundle {
    Bundle {
        subject,
        key: key().to_string(),
        checkpoint: checkpoint(entries),
        entries: indexes.into_iter().map(|index| proven(entries, index)).collect(),
        contents: Vec::new(),
    }
}

/// The call of entries 1 and 2 of a log of seven, with all its contents.
fn call_bundle() -> Bundle {
    let entries = log(7);
    let call = decode(&entries[1]).expect("an entry").body.call().expect("a call");
    let request = String::from_utf8(1u64.to_be_bytes().to_vec()).expect("text");
    let contents = vec![
        content(1, ContentName::Grant, 4, "grant"),
        content(1, ContentName::Input, 1, "input"),
        content(1, ContentName::Request, 3, &request),
        content(2, ContentName::Output, 2, "output"),
        content(2, ContentName::Trace, 5, "trace"),
    ];
    Bundle { contents, ..bundle_of(&entries, Subject::Call(call), [1, 2]) }
}

fn bytes(bundle: &Bundle) -> Vec<u8> {
    bundle.to_bytes().expect("a bundle")
}

fn check(bytes: &[u8]) -> Report {
    bundle::check(bytes, &[key()]).report
}

#[test]
fn whole_bundle_verifies_and_comes_back() {
    let entries = log(13);
    let session = Subject::Session(SessionId::from_random([8; 16]));
    for (bundle, count) in [
        (call_bundle(), 2),
        (Bundle { contents: Vec::new(), ..call_bundle() }, 2),
        (bundle_of(&entries, Subject::Range { from: 0, to: 12 }, 0..13), 13),
        (bundle_of(&entries, Subject::Range { from: 2, to: 2 }, [2]), 1),
        (bundle_of(&entries, session, [1, 2, 8, 9, 11, 12]), 6),
    ] {
        let checked = bundle::check(&bytes(&bundle), &[key()]);
        let report = checked.report;
        assert!(report.is_intact() && report.findings.is_empty(), "{:?}", report.findings);
        assert_eq!((report.entries, report.vouched), (count, count));
        assert_eq!(checked.bundle, Some(bundle));
    }
}

#[test]
fn every_flipped_bit_of_bundle_counts() {
    // AUD-13
    let whole = bytes(&call_bundle());
    for bit in 0..whole.len() * 8 {
        let mut edited = whole.clone();
        edited[bit / 8] ^= 1 << (bit % 8);
        assert!(!check(&edited).is_intact(), "bit {bit}");
    }
}

#[test]
fn every_cut_of_bundle_is_named() {
    // AUD-06, AUD-12
    let whole = bytes(&call_bundle());
    assert!(check(&whole).is_intact());
    for length in 0..whole.len() {
        let found = failures(&check(&whole[..length]));
        assert!(found.iter().any(|(kind, _)| *kind == Kind::Truncated), "{length}: {found:?}");
    }
}

#[test]
fn every_field_that_is_changed_is_located() {
    // AUD-01
    let whole = String::from_utf8(bytes(&call_bundle())).expect("text");
    let rehashed = checkpoint(&log(6));
    for (line, from, to, wanted) in [
        // The first line: what vouches, and what is announced.
        (0, "\"v\":1", "\"v\":2", (Kind::Malformed, None)),
        (0, "\"v\":1", "\"u\":1", (Kind::Malformed, None)),
        (0, "{\"call\":\"call_0", "{\"call\":\"call_1", (Kind::Misplaced, Some(1))),
        (0, "{\"call\":\"call_", "{\"session\":\"ses_", (Kind::Misplaced, Some(1))),
        (0, "\"entries\":[1,2]", "\"entries\":[1,3]", (Kind::WrongIndex, Some(3))),
        (0, "\"entries\":[1,2]", "\"entries\":[2,1]", (Kind::Reordered, Some(1))),
        (0, "\"entries\":[1,2]", "\"entries\":[2]", (Kind::WrongIndex, Some(2))),
        (0, "\"entries\":[1,2]", "\"entries\":[1,2,3]", (Kind::Malformed, Some(3))),
        (0, "[1,\"input\"]", "[2,\"input\"]", (Kind::WrongContent, Some(2))),
        (0, "[2,\"trace\"]", "[2,\"trace\"],[3,\"input\"]", (Kind::Truncated, Some(3))),
        (0, ",[2,\"trace\"]", "", (Kind::Malformed, None)),
        (0, "\"key\":\"example.org", "\"key\":\"exbmple.org", (Kind::MalformedCheckpoint, None)),
        (0, "ringfence\\n7\\n", "ringfence\\n8\\n", (Kind::WrongSignature, None)),
        (0, "example.org/ringfence\\n7", "example.com/ringfence\\n7", (Kind::WrongSignature, None)),
        // An entry: the proof is about its bytes.
        (1, "\"allowed\":true", "\"allowed\":false", (Kind::WrongProof, Some(1))),
        (1, "\"effect\":\"reads\"", "\"effect\":\"writes\"", (Kind::WrongProof, Some(1))),
        (1, "\"fuel\":20001", "\"fuel\":20002", (Kind::WrongProof, Some(1))),
        (1, "read-text", "read-test", (Kind::WrongProof, Some(1))),
        (1, "\"input\":\"sha256:", "\"input\":\"sha257:", (Kind::Malformed, Some(1))),
        (1, "claims-7", "claims-8", (Kind::WrongProof, Some(1))),
        (1, "\"ring\":3", "\"ring\":2", (Kind::WrongProof, Some(1))),
        (1, "\"session\":\"ses_0", "\"session\":\"ses_1", (Kind::WrongProof, Some(1))),
        (1, "\"name\":\"files\"", "\"name\":\"filet\"", (Kind::WrongProof, Some(1))),
        (1, "\"index\":1", "\"index\":3", (Kind::WrongIndex, Some(1))),
        (1, "\"kind\":\"begun\"", "\"kind\":\"begin\"", (Kind::Malformed, Some(1))),
        (1, "\"index\":1", "\"index\": 1", (Kind::Malformed, Some(1))),
        (2, "\"effect\":\"committed\"", "\"effect\":\"unknown\"", (Kind::WrongProof, Some(2))),
        (2, "\"wall_ms\":17", "\"wall_ms\":71", (Kind::WrongProof, Some(2))),
        (2, "\"begun\":1", "\"begun\":0", (Kind::WrongProof, Some(2))),
        (2, "\"outcome\":\"returned\"", "\"outcome\":\"trapped\"", (Kind::WrongProof, Some(2))),
        (2, "\"time\":\"2", "\"time\":\"3", (Kind::WrongProof, Some(2))),
        (2, "\"prev\":\"sha256:", "\"prev\":\"sha256:0", (Kind::Malformed, Some(2))),
        (2, "\"proof\":[\"sha256:", "\"proof\":[\"sha256:0", (Kind::Malformed, Some(2))),
        (2, "\"proof\":[", "\"proof\":[],\"x\":[", (Kind::Malformed, Some(2))),
        // A content: the commitment in the entry is about its bytes.
        (4, "\"input\"", "\"inpus\"", (Kind::WrongContent, Some(1))),
        (7, "\"nonce\":\"05", "\"nonce\":\"15", (Kind::WrongContent, Some(2))),
        (7, "\"nonce\":\"05", "\"nonce\":\"0", (Kind::WrongContent, Some(2))),
        (7, "{\"content\":", "{\"Content\":", (Kind::Malformed, Some(2))),
    ] {
        let mut lines: Vec<_> = whole.lines().map(str::to_owned).collect();
        let edited = lines[line].replacen(from, to, 1);
        assert_ne!(edited, lines[line], "`{from}` is not in line {line}: {}", lines[line]);
        lines[line] = edited;
        let found = failures(&check((lines.join("\n") + "\n").as_bytes()));
        assert!(found.contains(&wanted), "{from} to {to}: {found:?}, not {wanted:?}");
    }
    let other_root = Bundle { checkpoint: rehashed, ..call_bundle() };
    assert_eq!(failures(&check(&bytes(&other_root)))[0], (Kind::WrongProof, Some(1)));
}

#[test]
fn lines_that_move_are_named() {
    // AUD-02 to AUD-05
    let whole = String::from_utf8(bytes(&call_bundle())).expect("text");
    let lines: Vec<_> = whole.lines().collect();
    for (order, wanted) in [
        (&[0, 2, 1, 3, 4, 5, 6, 7][..], (Kind::WrongIndex, Some(1))),
        (&[0, 1, 1, 3, 4, 5, 6, 7], (Kind::WrongIndex, Some(2))),
        (&[0, 1, 3, 4, 5, 6, 7], (Kind::Malformed, Some(2))),
        (&[0, 1, 2, 4, 3, 5, 6, 7], (Kind::WrongContent, Some(1))),
        (&[0, 1, 2, 3, 4, 5, 7], (Kind::WrongContent, Some(2))),
        (&[0, 1, 2, 3, 4, 5, 6, 7, 7], (Kind::Malformed, None)),
        (&[1, 2, 3, 4, 5, 6, 7], (Kind::Malformed, None)),
        (&[0, 0, 1, 2, 3, 4, 5, 6, 7], (Kind::Malformed, Some(1))),
    ] {
        let moved: String = order.iter().flat_map(|line| [lines[*line], "\n"]).collect();
        let found = failures(&check(moved.as_bytes()));
        assert!(found.contains(&wanted), "{order:?}: {found:?}, not {wanted:?}");
    }
}

#[test]
fn bundle_of_two_logs_is_refused() {
    // AUD-10: the second log has the same shape and is signed by the same key.
    let (ours, mut others) = (log(7), sample::bodies(7, &key().to_string()));
    for body in &mut others {
        if let Body::Finished(finished) = body {
            finished.used.wall_ms += 1;
        }
    }
    let theirs = harness::chain(others);
    let range = Subject::Range { from: 1, to: 2 };
    let whole = bundle_of(&ours, range, [1, 2]);
    assert!(check(&bytes(&whole)).is_intact());
    let mut mixed = whole.clone();
    mixed.entries[1] = proven(&theirs, 2);
    assert_eq!(failures(&check(&bytes(&mixed))), [(Kind::WrongProof, Some(2))]);
    let swapped = Bundle { checkpoint: checkpoint(&theirs), ..whole };
    assert_eq!(failures(&check(&bytes(&swapped))), [(Kind::WrongProof, Some(1)), (Kind::WrongProof, Some(2))]);
}

#[test]
fn proof_of_another_leaf_is_refused() {
    // AUD-16
    let entries = log(13);
    let range = Subject::Range { from: 1, to: 3 };
    let whole = bundle_of(&entries, range, 1..4);
    assert!(check(&bytes(&whole)).is_intact());
    let proof = |index: u64| proven(&entries, index).proof.hashes().to_vec();
    let (of_two, of_three) = (proof(2), proof(3));
    for (wrong, why) in [
        (of_three, "its neighbour's"),
        (of_two[1..].to_vec(), "its first hash is gone"),
        (of_two[..of_two.len() - 1].to_vec(), "its last hash is gone"),
        ([&of_two[..], &of_two[..1]].concat(), "it goes on"),
        (Vec::new(), "it is empty"),
        (proven(&entries[..7], 2).proof.hashes().to_vec(), "of the tree as it was"),
    ] {
        let mut edited = whole.clone();
        edited.entries[1].proof = Inclusion::from_hashes(wrong);
        assert_eq!(failures(&check(&bytes(&edited))), [(Kind::WrongProof, Some(2))], "{why}");
    }
    let endless = Inclusion::from_hashes(vec![Digest::ZERO; limits::PROOF_HASHES_MAX + 1]);
    let mut edited = whole;
    edited.entries[1].proof = endless;
    assert_eq!(failures(&check(&bytes(&edited))), [(Kind::Malformed, Some(2))]);
}

#[test]
fn signed_entries_that_contradict_are_named() {
    // Whoever holds the key can sign nonsense: what a bundle holds of it is found all the same.
    let mut bodies = sample::bodies(4, &key().to_string());
    bodies[3] = bodies[2].clone();
    let removal = |entry| {
        Body::Removed(Box::new(Removed {
            by: "desk".to_owned(),
            contents: vec![RemovedContent { entry, name: ContentName::Input }],
            principal: Principal::new(PrincipalKind::Operator, "desk").expect("a principal"),
            reason: "x".to_owned(),
        }))
    };
    bodies.extend([removal(1), removal(9)]);
    let entries = harness::chain(bodies);
    let found = failures(&check(&bytes(&bundle_of(&entries, Subject::Range { from: 0, to: 5 }, 0..6))));
    assert_eq!(found, [(Kind::Unpaired, Some(3)), (Kind::Misplaced, Some(5))]);
    let sane = bundle_of(&entries, Subject::Range { from: 0, to: 2 }, 0..3);
    assert!(check(&bytes(&sane)).is_intact());
}

#[test]
fn unknown_key_vouches_for_nothing() {
    // AUD-11
    let whole = bytes(&call_bundle());
    let stranger = SoftwareSigner::from_seed(sample::ORIGIN, &[7; 32]).expect("a signer").verifier().clone();
    for keys in [&[][..], std::slice::from_ref(&stranger)] {
        assert_eq!(failures(&bundle::check(&whole, keys).report), [(Kind::UnknownKey, None)]);
    }
    assert!(bundle::check(&whole, &[stranger, key()]).report.is_intact());
}

#[test]
fn parts_that_are_left_out_are_missed() {
    // AUD-02
    let entries = log(13);
    let call = call_bundle();
    let session = Subject::Session(SessionId::from_random([8; 16]));
    let range = Subject::Range { from: 3, to: 6 };
    for (bundle, wanted) in [
        (bundle_of(&entries, range, [3, 4, 6]), (Kind::Missing, Some(5))),
        (bundle_of(&entries, range, [4, 5, 6]), (Kind::Missing, Some(3))),
        (bundle_of(&entries, range, 3..6), (Kind::Missing, Some(6))),
        (bundle_of(&entries, range, 3..8), (Kind::Misplaced, Some(7))),
        (bundle_of(&entries, call.subject, [2]), (Kind::Missing, Some(2))),
        (bundle_of(&entries, session, [2]), (Kind::Missing, Some(2))),
        (bundle_of(&entries, call.subject, []), (Kind::Missing, None)),
        (bundle_of(&entries, call.subject, [1, 4]), (Kind::Misplaced, Some(4))),
        (bundle_of(&entries, session, [0, 1, 2]), (Kind::Misplaced, Some(0))),
    ] {
        let found = failures(&check(&bytes(&bundle)));
        assert!(found.contains(&wanted), "{found:?}, not {wanted:?}");
    }
    // Whoever leaves out the end of a call can't be told from a call that has none: that is said.
    let report = check(&bytes(&bundle_of(&entries, call.subject, [1])));
    assert_eq!(report.findings.iter().map(|f| (f.kind, f.index)).collect::<Vec<_>>(), [(Kind::Unfinished, Some(1))]);
}

#[test]
fn bundles_are_bounded() {
    // MAL-04
    let announced = |entries: &str, contents: &str| {
        let checkpoint = serde_json::to_string(&checkpoint(&log(2))).expect("JSON");
        format!(
            "{{\"checkpoint\":{checkpoint},\"contents\":[{contents}],\"entries\":[{entries}],\"key\":\"{}\",\
             \"subject\":{{\"range\":{{\"from\":0,\"to\":1}}}},\"v\":1}}\n",
            key()
        )
    };
    let many: Vec<_> = (0..=limits::BUNDLE_ENTRIES_MAX).map(|index| index.to_string()).collect();
    let contents = ["[0,\"input\"]"; limits::CONTENTS_PER_ENTRY_MAX + 1].join(",");
    for text in [announced(&many.join(","), ""), announced("0", &contents)] {
        let report = check(text.as_bytes());
        assert!(report.findings[0].text.contains("more than a bundle may have"), "{:?}", report.findings);
    }
    let whole = call_bundle();
    let entries = vec![whole.entries[0].clone(); limits::BUNDLE_ENTRIES_MAX + 1];
    assert!(matches!(Bundle { entries, ..whole }.to_bytes(), Err(BundleError::TooManyEntries(_))));
    let report = check(announced("0", &"[0,\"input\"],".repeat(400_000)).as_bytes());
    assert!(report.findings[0].text.contains("longer than that of any bundle"), "{:?}", report.findings);
    assert!(failures(&check(&vec![b'['; 1 << 20])).contains(&(Kind::Truncated, None)));
    assert!(failures(&check(&[&vec![b'['; 1 << 20][..], b"\n"].concat())).contains(&(Kind::Malformed, None)));
}

#[test]
fn what_is_said_of_a_bundle_is_bounded() {
    // MAL-04, OUT-06: names without end, nesting without end, and values where none belong.
    let whole = String::from_utf8(bytes(&call_bundle())).expect("text");
    let long = "x".repeat(1 << 20);
    let deep = "[".repeat(1 << 20);
    for (line, from, to, wanted) in [
        (0, "\"key\":\"example.org", format!("\"key\":\"{long}"), (Kind::MalformedCheckpoint, None)),
        (0, "\"subject\":{\"call\"", format!("\"subject\":{{\"{long}\""), (Kind::Malformed, None)),
        (0, "{\"checkpoint\":\"example.org", format!("{{\"checkpoint\":\"{long}"), (Kind::MalformedCheckpoint, None)),
        (1, "{\"entry\":", format!("{{\"{long}\":"), (Kind::Malformed, Some(1))),
        (1, "{\"entry\":", format!("{{\"entry\":{deep}"), (Kind::Malformed, Some(1))),
        (1, "\"kind\":\"begun\"", format!("\"kind\":\"{long}\""), (Kind::Malformed, Some(1))),
        (1, "\"proof\":[", format!("\"proof\":[{deep}"), (Kind::Malformed, Some(1))),
        (7, "{\"content\":", format!("{{\"content\":{deep},\"x\":"), (Kind::Malformed, Some(2))),
        (7, "\"nonce\":\"", format!("\"nonce\":\"{long}"), (Kind::WrongContent, Some(2))),
    ] {
        let mut lines: Vec<_> = whole.lines().map(str::to_owned).collect();
        let edited = lines[line].replacen(from, &to, 1);
        assert_ne!(edited, lines[line], "`{from}` is not in line {line}");
        lines[line] = edited;
        let report = check((lines.join("\n") + "\n").as_bytes());
        assert!(failures(&report).contains(&wanted), "{from}: {:?}, not {wanted:?}", failures(&report));
        let longest = report.findings.iter().map(|finding| finding.text.len()).max();
        assert!(longest <= Some(limits::FINDING_TEXT_BYTES_MAX + '…'.len_utf8()), "{from}: {longest:?}");
    }
}

#[test]
fn settlement_in_a_bundle_needs_its_end() {
    // AUD-03: signed, and still of an effect that is known, said twice, or of an end that is not here.
    let with = |effect, settlements: &[u64]| {
        let mut bodies = sample::bodies(3, &key().to_string());
        let Body::Finished(finished) = &mut bodies[2] else { panic!("no ending") };
        finished.effect = effect;
        let call = finished.call;
        let settled = |finished: &u64| {
            let reason = Nonce::from_random([6; 16]).commit(b"reason");
            let by = Principal::new(PrincipalKind::Operator, "uid-0").expect("a principal");
            Body::Settled(Settled { by, call, finished: *finished, how: Settlement::Committed, reason })
        };
        bodies.extend(settlements.iter().map(settled));
        (chain(bodies), Subject::Call(call))
    };
    let of = |effect, settlements: &[u64], indexes: &[u64]| {
        let (entries, subject) = with(effect, settlements);
        failures(&check(&bytes(&bundle_of(&entries, subject, indexes.iter().copied()))))
    };
    assert_eq!(of(EffectState::Unknown, &[2], &[1, 2, 3]), []);
    assert_eq!(of(EffectState::Unknown, &[2, 2], &[1, 2, 3, 4]), [(Kind::Unpaired, Some(4))]);
    assert_eq!(of(EffectState::Unknown, &[1], &[1, 2, 3]), [(Kind::Unpaired, Some(3))]);
    assert_eq!(of(EffectState::Committed, &[2], &[1, 2, 3]), [(Kind::Unpaired, Some(3))]);
    assert_eq!(of(EffectState::Unknown, &[2], &[1, 3]), [(Kind::Missing, Some(3))]);
}
