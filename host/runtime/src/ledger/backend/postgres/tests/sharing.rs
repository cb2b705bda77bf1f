//! Tests of what goes wrong between hosts that share a log, one for each thing that did.

use ringfence_model::decision::ApprovalDemand;
use ringfence_model::decision::DecisionPoint;
use ringfence_model::digest::Digest;
use ringfence_model::lifecycle::Phase;
use ringfence_model::principal::Principal;

use super::*;
use crate::ledger::approvals::Approval;
use crate::ledger::approvals::HoldDraft;
use crate::ledger::approvals::Standing;

/// How much longer the first host's lease is by now.
fn lease_moves(shared: &Shared, during: impl FnOnce()) -> bool {
    let expires = || shared.scene.database.sql("SELECT expires FROM ringfence.hosts WHERE epoch = 1");
    let before = expires();
    during();
    expires() > before
}

#[test]
fn lease_is_renewed_while_there_is_work() {
    // IDM-06: a host that is asked one thing after the other is there.
    let shared = Shared::new();
    let [first, _] = &shared.hosts;
    let moved = lease_moves(&shared, || {
        let started = Instant::now();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while started.elapsed() < Duration::from_secs(5) {
                        first.entry(0).expect("an answer");
                    }
                });
            }
        });
    });
    assert!(moved, "a busy host is not heard of");
}

#[test]
fn lease_is_renewed_while_the_pen_is_awaited() {
    // IDM-06: somebody else has the pen for long.
    let shared = Shared::new();
    let mut holder = PostgresBackend::open(access(&shared.scene.database)).expect("a log");
    holder.take_pen().expect("the pen");
    let [first, _] = &shared.hosts;
    thread::scope(|scope| {
        let waiting = scope.spawn(|| make(first, intent(1, Reach::Writes)));
        // Longer than the time between two renewals: one has to come, and nothing but the row tells of it.
        let moved = lease_moves(&shared, || thread::sleep(Duration::from_secs(5)));
        assert!(moved && !waiting.is_finished(), "a host that waits is not heard of");
        holder.give_pen().expect("it had it");
        waiting.join().expect("a call");
    });
}

#[test]
fn lease_is_renewed_while_one_piece_of_work_lasts() {
    // IDM-06: a large batch, or a slow way to the server, keeps the connection for longer than the lease is. What this host
    // runs meanwhile is not stopped by that.
    let scene = Scene::new();
    drop(scene.create());
    let mut host = PostgresBackend::open(access(&scene.database)).expect("a log");
    host.take_pen().expect("the pen");
    host.give_pen().expect("it had it");
    let lease = host.host_lease();
    let working = thread::spawn(move || host.rows("SELECT pg_sleep(12)", Vec::new()).map(drop));
    thread::sleep(Duration::from_millis(10_500));
    assert!(!lease.is_over(), "a host at work is not heard of");
    working.join().expect("an end").expect("an answer");
}

#[test]
fn host_that_is_late_keeps_its_calls() {
    // IDM-06: its lease has run out, and nobody has taken it over. Whoever settled its calls now would end them twice.
    let shared = Shared::new();
    let [first, second] = &shared.hosts;
    let begun = begin(first, keyed(1, Reach::Writes, "k"));
    let index = begun.index().expect("it was announced");
    shared.forget_first();
    assert!(!second.is_left(&fixture::call(1), index).expect("an answer"), "it may be heard of again");
    first.finish(begun, ending(EffectState::Committed, "x")).expect("it is heard of again");
    assert_eq!(settle(second).expect("a recovery"), []);
    assert_eq!(verified(second).len(), 3);
}

#[test]
fn call_ends_once_whoever_ends_it() {
    // IDM-06: even where the fence does not hold, the table of steps does.
    let shared = Shared::new();
    let [first, second] = &shared.hosts;
    let begun = begin(first, keyed(1, Reach::Writes, "k"));
    shared.forget_first();
    assert_eq!(settle(second).expect("a recovery").len(), 1);
    shared.scene.database.sql("UPDATE ringfence.hosts SET is_fenced = false");
    let error = first.finish(begun, ending(EffectState::Committed, "x")).expect_err("a second ending");
    assert!(matches!(error, LedgerError::Step { from: Phase::Unknown, .. }), "{error:?}");
    assert_eq!(verified(second).len(), 3);
}

#[test]
fn what_is_found_out_stays_found_out() {
    // AUD-24: another history stands in the place of the one that this host has seen. It is found out each time, over a
    // connection that has seen it and over a new one, and nobody is kept from the pen by that.
    for is_cut in [false, true] {
        let shared = Shared::new();
        let [first, second] = &shared.hosts;
        make(second, intent(1, Reach::Writes));
        make(first, intent(2, Reach::Writes));
        let exchanged = "UPDATE ringfence.entries a SET bytes = b.bytes, hash = b.hash FROM ringfence.entries b \
                         WHERE a.idx = 4 AND b.idx = 3";
        shared.scene.database.sql(exchanged);
        if is_cut {
            // As many batches as there were: only that the connection is another tells that anything may be new.
            end_connections(&shared.scene.database);
        } else {
            shared.scene.database.sql("UPDATE ringfence.head SET batches = batches + 1");
        }
        for number in 3..6 {
            let error = first.begin(intent(number, Reach::Writes)).expect_err("a refusal");
            assert!(error.to_string().contains("it is not the entry that this host has seen there"), "{error}");
        }
        assert_eq!(shared.scene.database.sql("SELECT count(*) FROM ringfence.entries"), "5");
        let started = Instant::now();
        let mut other = PostgresBackend::open(access(&shared.scene.database)).expect("a log");
        other.take_pen().expect("the pen");
        assert!(started.elapsed() < Duration::from_secs(3), "it was kept for {:?}", started.elapsed());
    }
}

#[test]
fn host_that_is_shut_out_keeps_no_pen() {
    // CR-31: it takes the pen, learns that it was taken over, and lets go of it.
    let shared = Shared::new();
    let [first, second] = &shared.hosts;
    make(first, intent(1, Reach::Writes));
    shared.scene.database.sql("UPDATE ringfence.hosts SET is_fenced = true WHERE epoch = 1");
    let error = first.begin(intent(2, Reach::Writes)).expect_err("a refusal");
    assert!(matches!(error, LedgerError::Storage(BackendError::Fenced)), "{error}");
    let started = Instant::now();
    make(second, intent(3, Reach::Writes));
    assert!(started.elapsed() < Duration::from_secs(3), "it was kept for {:?}", started.elapsed());
}

#[test]
fn connection_that_ends_gives_the_pen_back() {
    // CR-31: a host dies with the pen.
    let shared = Shared::new();
    let [_, second] = &shared.hosts;
    let mut dying = PostgresBackend::open(access(&shared.scene.database)).expect("a log");
    dying.take_pen().expect("the pen");
    end_connections(&shared.scene.database);
    let started = Instant::now();
    make(second, intent(1, Reach::Writes));
    assert!(started.elapsed() < Duration::from_secs(3), "it was kept for {:?}", started.elapsed());
    let told = dying.commit(entries(1..2));
    assert!(matches!(told, Err(BackendError::Lost(_))), "{told:?}");
    assert_eq!(verified(second).len(), 3);
}

fn asked(ledger: &Ledger, number: u64) -> Approval {
    let demand = ApprovalDemand {
        by: vec!["operator:*".parse().expect("a pattern")],
        reason: "because".into(),
        valid_ms: 3_600_000,
    };
    let draft = HoldDraft {
        binding: Digest::of(b"the same call"),
        call: Some(fixture::call(number)),
        decision: fixture::decision(true),
        demands: vec![demand],
        function: Some("f".into()),
        input: Some(b"{}".to_vec()),
        point: DecisionPoint::Call,
        principal: fixture::principal("a"),
        ring: ringfence_model::ring::Ring::Standard,
        session: None,
        tool: Some(fixture::tool("files")),
    };
    ledger.hold(draft).expect("a question").expect("nobody else asks").0
}

fn approve(ledger: &Ledger, asked: &Approval) {
    let by: Principal = "operator:o".parse().expect("a principal");
    ledger.answer(asked.approval, &by, true, None).expect("an answer");
}

fn approved(number: u64, by: &Approval, reach: Reach) -> Intent {
    Intent { approval: Some((by.approval, by.binding)), ..intent(number, reach) }
}

#[test]
fn approval_is_used_once_by_all_hosts() {
    // POL-16: asked on one host, answered on the other, used on one of them. A call that reaches nothing announces no more.
    for reach in [Reach::Writes, Reach::Nothing] {
        let Shared { hosts: [first, second], scene: _scene } = Shared::new();
        let question = asked(&first, 1);
        approve(&second, &question);
        assert!(matches!(first.standing(&question.binding), Ok(Some(Standing::Approved(_)))));
        let begun = begin(&first, approved(2, &question, reach));
        let again = second.begin(approved(3, &question, reach)).expect("an answer");
        assert!(matches!(again, Begin::ApprovalGone), "{again:?}");
        first.finish(begun, ending(EffectState::Committed, "x")).expect("an ending");
        assert!(matches!(second.standing(&question.binding), Ok(None)));
        verified(&first);
    }
}

#[test]
fn ending_takes_back_no_newer_question() {
    // POL-16: while a call runs that has used an approval, another host asks anew about the same.
    for reach in [Reach::Writes, Reach::Nothing] {
        let Shared { hosts: [first, second], scene: _scene } = Shared::new();
        let question = asked(&first, 1);
        approve(&second, &question);
        let begun = begin(&first, approved(2, &question, reach));
        let newer = asked(&second, 3);
        approve(&second, &newer);
        first.finish(begun, ending(EffectState::Committed, "x")).expect("an ending");
        let standing = first.standing(&question.binding).expect("an answer");
        assert!(
            matches!(&standing, Some(Standing::Approved(found)) if found.approval == newer.approval),
            "{standing:?}"
        );
    }
}

#[test]
fn beginnings_of_two_are_one_log() {
    // AUD-08: both have found the database without a log, and made what holds one.
    let scene = Scene::new();
    let backends = [(), ()].map(|()| PostgresBackend::create(access(&scene.database)).expect("no entry is there yet"));
    let made = thread::scope(|scope| {
        let made = backends.map(|backend| {
            scope.spawn(|| {
                let (clock, random) = (fixture::SteppingClock::new(false), fixture::SeededRandom::new(0));
                Ledger::create(Box::new(backend), fixture::opened(), clock, random)
            })
        });
        made.map(|made| made.join().expect("an end").is_ok())
    });
    assert_ne!(made[0], made[1], "one and only one makes it");
    assert_eq!(verified(&scene.open()).len(), 1);
}

#[test]
fn schema_is_made_by_two_at_once() {
    for _ in 0..5 {
        let scene = Scene::new();
        let made = thread::scope(|scope| {
            let make = || PostgresBackend::create(access(&scene.database)).map(drop);
            [scope.spawn(make), scope.spawn(make)].map(|made| made.join().expect("an end"))
        });
        assert_eq!(made, [Ok(()), Ok(())]);
    }
}
