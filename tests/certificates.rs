//! Certificates of clients that were revoked before their time, by lists that their authorities have signed.

use std::fs;

use crate::harness::server::Server;
use crate::harness::tls::Authority;
use crate::harness::tls::call;
use crate::tls::AGENT;
use crate::tls::Place;
use crate::tls::again;
use crate::tls::put;

/// A year whose beginning is not over.
const FAR: i32 = 2100;
const LISTS: &str = "client-revocations = ['lists.pem']\n";

/// A place that asks lists, which name nobody yet.
fn place(clients: Authority) -> Place {
    let place = Place::of(clients, LISTS);
    put(&place.home, "lists.pem", &place.clients.revokes(&[], FAR), 0o644);
    place.know("agent", AGENT, "agent:a", "call");
    place
}

#[test]
fn revoked_certificate_is_nobodys() {
    // API-14: whatever token comes along, and where certificates are optional as well.
    for more in ["", "clients = 'optional'\n"] {
        let clients = Authority::called("clients");
        let lists = clients.revokes(&[7], FAR);
        let place = Place::of(clients, &format!("{LISTS}{more}"));
        put(&place.home, "lists.pem", &lists, 0o644);
        place.know("agent", AGENT, "agent:a", "call");
        let mine = crate::harness::server::token(&place.home, "mine", "agent:a", "call");
        let server = Server::new(&place.home);
        let [good, revoked] = [6, 7].map(|number| place.clients.numbered_client(AGENT, number));
        assert_eq!(place.get(&server, Some(&good), None), Some(200), "{more}");
        for token in [None, Some(mine.as_str())] {
            assert_eq!(place.get(&server, Some(&revoked), token), None, "{more}");
        }
        assert_eq!(place.get(&server, Some(&good), Some(&mine)), Some(200), "{more}");
        assert_eq!(server.stop(), 0);
    }
}

#[test]
fn unknown_is_as_good_as_revoked() {
    // API-14: with lists, each certificate up to the authority needs one of its own authority's.
    let root = Authority::called("root");
    let (middle, revoked) = (root.below("middle", 1), root.below("revoked", 2));
    let stranger = Authority::called("root");
    let by = |authority: &Authority| authority.numbered_client(AGENT, 9).by(authority);
    let direct = root.numbered_client(AGENT, 9);
    let (below, out) = (by(&middle), by(&revoked));
    let lists = |lists: &[String]| lists.concat();
    let of_root = root.revokes(&[2], FAR);
    for (what, lists, wanted) in [
        (
            "lists of both",
            lists(&[of_root.clone(), middle.revokes(&[], FAR), revoked.revokes(&[], FAR)]),
            [true, true, false],
        ),
        ("no list of one in the middle", of_root.clone(), [true, false, false]),
        ("no list of the root", middle.revokes(&[], FAR), [false, false, false]),
        ("one is named in the middle", lists(&[of_root, middle.revokes(&[9], FAR)]), [true, false, false]),
        // It bears the name of the authority, and not its signature.
        (
            "a list of somebody else's",
            lists(&[stranger.revokes(&[], FAR), middle.revokes(&[], FAR)]),
            [false, false, false],
        ),
    ] {
        let place = Place::of(Authority::called("unused"), LISTS);
        put(&place.home, "clients.pem", &root.pem(), 0o644);
        put(&place.home, "lists.pem", &lists, 0o644);
        place.know("agent", AGENT, "agent:a", "call");
        let server = Server::new(&place.home);
        let spoken_to = [&direct, &below, &out].map(|shown| place.get(&server, Some(shown), None) == Some(200));
        assert_eq!(spoken_to, wanted, "{what}");
        assert_eq!(server.stop(), 0);
    }
}

#[test]
fn lists_are_read_anew() {
    // API-14, AGT-11: over connections that are there, apart from the authorities, and what can't be used leaves what was.
    let place = place(Authority::called("clients"));
    let server = Server::new(&place.home);
    let [mine, other] = [6, 7].map(|number| place.clients.numbered_client(AGENT, number));
    let mut kept = call(&server.address, place.visitor(Some(&mine)));
    assert_eq!(again(&mut kept, &server), 200);
    for (lists, why) in [
        (String::new(), "it holds no revocation list in PEM"),
        ("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n".to_owned(), "lists.pem"),
        ("-----BEGIN X509 CRL-----\n".to_owned(), "lists.pem"),
        (place.clients.pem(), "it holds no revocation list in PEM"),
        (place.clients.revokes(&[6], 2021), "ran out"),
        ([place.clients.revokes(&[], FAR), place.clients.revokes(&[6], FAR)].concat(), "two lists of one authority"),
    ] {
        put(&place.home, "lists.pem", &lists, 0o644);
        let told = server.hang_up();
        let is_told =
            |note: &String| note.contains("revocation lists were not read anew, and stay") && note.contains(why);
        assert!(told.iter().any(is_told), "{why}: {told:?}");
        assert_eq!(again(&mut kept, &server), 200, "{why}");
    }
    // Whatever else can't be used: authorities that are broken keep nobody in who was revoked.
    put(&place.home, "lists.pem", &place.clients.revokes(&[6], FAR), 0o644);
    put(&place.home, "clients.pem", "", 0o644);
    let told = server.hang_up();
    assert!(told.iter().any(|note| note.contains("client authorities were not read anew")), "{told:?}");
    assert!(told.iter().any(|note| note.contains("revocation lists were read anew")), "{told:?}");
    assert_eq!(again(&mut kept, &server), 401);
    assert_eq!(place.get(&server, Some(&mine), None), None);
    assert_eq!(place.get(&server, Some(&other), None), Some(200));
    // And the other way round: an authority that is taken out is out, whatever the lists are.
    let newer = Authority::called("newer");
    put(&place.home, "clients.pem", &newer.pem(), 0o644);
    put(&place.home, "lists.pem", "", 0o644);
    server.hang_up();
    assert_eq!(place.get(&server, Some(&other), None), None);
    // Nothing speaks of those of the other one, until something does.
    let fresh = newer.numbered_client(AGENT, 6);
    assert_eq!(place.get(&server, Some(&fresh), None), None);
    put(&place.home, "lists.pem", &newer.revokes(&[], FAR), 0o644);
    server.hang_up();
    assert_eq!(place.get(&server, Some(&fresh), None), Some(200));
    assert_eq!(server.stop(), 0);
}

#[test]
fn unfit_lists_are_found_before_they_matter() {
    // MAL-04: by whoever starts the server, and by `doctor`; whatever size the file has.
    let place = place(Authority::called("clients"));
    let doctor = |code| {
        let ran = place.home.run(["doctor"]);
        ran.code(code);
        ran.text().lines().filter(|line| line.contains(" tls ")).collect::<String>()
    };
    let line = doctor(0);
    assert!(line.contains("revocation lists are good for "), "{line}");
    for (lists, why) in
        [(place.clients.revokes(&[], 2021), "ran out"), (place.clients.pem(), "it holds no revocation list in PEM")]
    {
        put(&place.home, "lists.pem", &lists, 0o644);
        let line = doctor(1);
        assert!(line.starts_with("FAILED ") && line.contains(why) && line.contains("lists.pem"), "{line}");
        let message = place.home.refuses(["serve", "--listen", "127.0.0.1:0"], 1);
        assert!(message.contains(why) && message.contains("lists.pem"), "{message}");
    }
    let path = place.home.path().join("lists.pem");
    fs::File::create(&path).and_then(|file| file.set_len(1 << 40)).expect("a large file");
    assert!(doctor(1).contains("it is larger than"));
    fs::remove_file(path).expect("removed");
    assert!(doctor(1).contains("lists.pem"));
}
