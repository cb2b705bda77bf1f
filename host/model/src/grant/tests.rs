//! Tests of grants: each layer refuses by name, and nothing that is done to a grant widens it.

use proptest::prelude::*;

use super::*;
use crate::capability::FilesystemCeiling;
use crate::capability::Source;
use crate::egress::tests::http_rule;
use crate::glob::Glob;
use crate::ring::Ring;

fn folder(host: &str, guest: &str, access: Access) -> Folder {
    let guest = GuestPath::new(guest).expect("a guest path");
    Folder { access, bytes_max: None, deny: Vec::new(), files_max: None, guest, host: host.to_owned() }
}

fn asked(folders: Vec<Folder>) -> Asked {
    Asked { folders, ..Asked::default() }
}

fn refusal(asked: &Asked, layers: &[(Layer, Ceiling)]) -> Refusal {
    *Grant::narrow(asked, layers, &["/home/ringfence".to_owned()]).expect_err("a refusal")
}

#[test]
fn covered_folder_is_granted() {
    let wanted = folder("/srv/docs", "/docs", Access::Read);
    let layers = [(Layer::Ring, Ring::Sandbox.ceiling())];
    let grant = Grant::narrow(&asked(vec![wanted.clone()]), &layers, &[]).expect("a grant");
    assert_eq!(grant.folders(), [wanted]);
    assert_eq!(grant.reach(), Reach::Reads);
}

#[test]
fn refusing_layer_is_named() {
    let write = asked(vec![folder("/srv/docs", "/docs", Access::ReadWrite)]);
    let operator = Ceiling { folders: Some(vec!["/srv/other".to_owned()]), ..Ceiling::default() };
    let manifest = Ceiling { filesystem: Some(FilesystemCeiling::None), ..Ceiling::default() };
    for (layer, ceiling, nearest) in [
        (Layer::Ring, Ring::Sandbox.ceiling(), "folders to read only"),
        (Layer::Operator, operator, "folders under `/srv/other`"),
        (Layer::Manifest, manifest, "no folders"),
    ] {
        let refusal = refusal(&write, &[(layer, ceiling)]);
        assert_eq!((refusal.layer, refusal.nearest.as_str()), (layer, nearest));
    }
}

#[test]
fn overlapping_trees_are_refused() {
    // FS-12
    let read = folder("/data", "/data", Access::Read);
    for other in [
        folder("/data/tmp", "/tmp", Access::ReadWrite),
        folder("/", "/all", Access::ReadWrite),
        folder("/other", "/data", Access::Read),
    ] {
        let refused = Grant::narrow(&asked(vec![read.clone(), other.clone()]), &[], &[]).expect_err("a refusal");
        assert!(matches!(refused.wanted, Wanted::FolderPair(..)), "{other:?}");
    }
    let beside = folder("/data-2", "/two", Access::ReadWrite);
    assert!(Grant::narrow(&asked(vec![read, beside]), &[], &[]).is_ok());
}

#[test]
fn second_name_never_gets_around() {
    // FS-12, FS-19: what one name closes or counts, another name of the same tree would open.
    let closed = |tree| Folder {
        deny: vec![Glob::new("private").expect("a pattern")],
        ..folder(tree, "/one", Access::ReadWrite)
    };
    let counted = |tree| Folder { bytes_max: Some(1), ..folder(tree, "/one", Access::ReadWrite) };
    let plain = |tree| folder(tree, "/one", Access::ReadWrite);
    for (one, allowed) in [(closed("/a"), false), (counted("/a"), false), (plain("/a"), true), (closed("/b"), true)] {
        for tree in ["/a", "/a/under"] {
            let both = asked(vec![one.clone(), folder(tree, "/two", Access::ReadWrite)]);
            assert_eq!(Grant::narrow(&both, &[], &[]).is_ok(), allowed, "{one:?} {tree}");
        }
    }
}

#[test]
fn quota_above_ceiling_is_refused() {
    // FS-19
    let wanted =
        |bytes_max, files_max| asked(vec![Folder { bytes_max, files_max, ..folder("/a", "/a", Access::ReadWrite) }]);
    let layers = [(Layer::Ring, Ring::Standard.ceiling())];
    for (bytes, files, allowed) in
        [(Some(1), Some(1), true), (Some(1 << 40), None, false), (None, Some(1 << 40), false), (None, None, true)]
    {
        assert_eq!(Grant::narrow(&wanted(bytes, files), &layers, &[]).is_ok(), allowed, "{bytes:?} {files:?}");
    }
    let limits = *Grant::narrow(&wanted(None, None), &layers, &[]).expect("a grant").limits();
    assert_eq!((limits.write_bytes, limits.files), (256 * limits::MIB, 10_000));
}

#[test]
fn reader_has_no_quota_to_record() {
    let grant = |access| Grant::narrow(&asked(vec![folder("/a", "/a", access)]), &[], &[]).expect("a grant");
    let json = |grant: &Grant| serde_json::to_string(grant.limits()).expect("JSON");
    assert!(!json(&grant(Access::Read)).contains("write_bytes"));
    let writer = grant(Access::ReadWrite);
    assert!(json(&writer).contains("write_bytes") && json(&writer).contains("files"));
    let narrowed = writer.attenuate(&Narrowing { access: Some(Access::Read), ..Narrowing::default() });
    assert!(!json(&narrowed).contains("write_bytes"));
}

#[test]
fn empty_list_of_an_obligation_takes_all() {
    let network = serde_json::json!({
        "addresses": ["10.0.0.0/8"], "http": ["GET https://a.test/"], "names": ["a.test"], "secrets": ["A"],
        "sockets": ["tcp://a.test:1"],
    });
    let asked = Asked {
        environment: [("A".to_owned(), String::new())].into(),
        network: serde_json::from_value(network).expect("rules"),
        ..asked(vec![folder("/a", "/a", Access::Read)])
    };
    let grant = Grant::narrow(&asked, &[], &[]).expect("a grant");
    let held = |grant: &Grant| {
        let NetworkGrant { addresses, http, names, secrets, sockets, limits: _ } = grant.network();
        let network = [addresses.len(), http.len(), names.len(), secrets.len(), sockets.len()];
        [[grant.folders().len(), grant.environment().len()].as_slice(), &network].concat()
    };
    assert_eq!(held(&grant.clone().attenuate(&Narrowing::default())), [1; 7]);
    for (index, narrowing) in [
        Narrowing { folders: Some(Vec::new()), ..Narrowing::default() },
        Narrowing { environment: Some(Vec::new()), ..Narrowing::default() },
        Narrowing { addresses: Some(Vec::new()), ..Narrowing::default() },
        Narrowing { http: Some(Vec::new()), ..Narrowing::default() },
        Narrowing { names: Some(Vec::new()), ..Narrowing::default() },
        Narrowing { secrets: Some(Vec::new()), ..Narrowing::default() },
        Narrowing { sockets: Some(Vec::new()), ..Narrowing::default() },
    ]
    .into_iter()
    .enumerate()
    {
        let mut left = [1; 7];
        left[index] = 0;
        assert_eq!(held(&grant.clone().attenuate(&narrowing)), left, "{narrowing:?}");
    }
}

#[test]
fn scratch_is_no_part_of_the_world() {
    // FS-25
    let wanted = Asked { scratch: Some(GuestPath::new("/tmp").expect("a path")), ..Asked::default() };
    let grant = Grant::narrow(&wanted, &[(Layer::Ring, Ring::Sandbox.ceiling())], &[]).expect("a grant");
    assert_eq!((grant.reach(), grant.limits().files), (Reach::Nothing, 1_000));
    let limits = LimitCeiling { write_bytes: Some(0), ..LimitCeiling::default() };
    let closed = refusal(&wanted, &[(Layer::Operator, Ceiling { limits, ..Ceiling::default() })]);
    assert_eq!(closed.layer, Layer::Operator);
    let taken = Asked { folders: vec![folder("/a", "/tmp", Access::Read)], ..wanted };
    assert_eq!(refusal(&taken, &[]).layer, Layer::Host);
}

#[test]
fn host_state_is_never_granted() {
    // FS-26
    for host in ["/home/ringfence", "/home/ringfence/cache", "/home", "/"] {
        assert_eq!(refusal(&asked(vec![folder(host, "/x", Access::Read)]), &[]).layer, Layer::Host, "{host}");
    }
    assert!(Grant::narrow(&asked(vec![folder("/home/r", "/x", Access::Read)]), &[], &["/home/rf".into()]).is_ok());
}

#[test]
fn network_is_refused_by_the_narrowest_layer() {
    // NET-26
    let list = |text: &str| Some(vec![text.parse().expect("a rule")]);
    let asking = |http: &str| Asked {
        network: NetworkAsked { http: vec![http.parse().expect("a rule")], ..NetworkAsked::default() },
        ..Asked::default()
    };
    let operator = Ceiling { http: list("* https://*.example.com/"), ..Ceiling::default() };
    for (http, layer, ceiling, wanted) in [
        ("GET https://a.example.com/", Layer::Ring, Ring::Sandbox.ceiling(), Some("no network")),
        ("GET https://*.example.com/", Layer::Ring, Ring::Standard.ceiling(), Some("hosts that are named one by one")),
        ("GET https://a.example.com/", Layer::Ring, Ring::Standard.ceiling(), None),
        ("GET https://*/", Layer::Ring, Ring::Privileged.ceiling(), None),
        ("GET https://a.example.com/", Layer::Operator, operator.clone(), None),
        (
            "GET http://a.example.com/",
            Layer::Operator,
            operator.clone(),
            Some("requests within `* https://*.example.com/`"),
        ),
        ("GET https://127.0.0.1/", Layer::Operator, operator, Some("requests within `* https://*.example.com/`")),
        (
            "GET https://a.example.com/",
            Layer::Manifest,
            Ceiling { http: Some(Vec::new()), ..Ceiling::default() },
            Some("no requests"),
        ),
    ] {
        let narrowed = Grant::narrow(&asking(http), &[(layer, ceiling)], &[]);
        let refused = narrowed.err().map(|refusal| (refusal.layer, refusal.nearest));
        assert_eq!(refused, wanted.map(|nearest| (layer, nearest.to_owned())), "{http}");
    }
}

#[test]
fn empty_list_refuses_each_capability() {
    let network = NetworkAsked {
        addresses: vec!["10.0.0.0/8".parse().expect("a network")],
        http: vec!["https://a.example/".parse().expect("a rule")],
        names: vec!["a.example".parse().expect("a pattern")],
        secrets: vec!["token".to_owned()],
        sockets: vec!["tcp://a.example:1".parse().expect("a rule")],
    };
    let asked = Asked { network, ..Asked::default() };
    assert!(Grant::narrow(&asked, &[(Layer::Session, Ceiling::default())], &[]).is_ok());
    for ceiling in [
        Ceiling { addresses: Some(Vec::new()), ..Ceiling::default() },
        Ceiling { http: Some(Vec::new()), ..Ceiling::default() },
        Ceiling { names: Some(Vec::new()), ..Ceiling::default() },
        Ceiling { secrets: Some(Vec::new()), ..Ceiling::default() },
        Ceiling { sockets: Some(Vec::new()), ..Ceiling::default() },
        Ceiling { clock: Some(Source::Fixed), ..Ceiling::default() },
        Ceiling { random: Some(Source::Fixed), ..Ceiling::default() },
    ] {
        assert_eq!(refusal(&asked, &[(Layer::Session, ceiling)]).layer, Layer::Session);
    }
}

#[test]
fn limit_above_ceiling_is_refused() {
    let limits = LimitCeiling { memory_bytes: Some(1 << 40), ..LimitCeiling::default() };
    let refusal = refusal(&Asked { limits, ..Asked::default() }, &[(Layer::Ring, Ring::Sandbox.ceiling())]);
    assert_eq!(
        refusal.to_string(),
        "`memory-bytes` of 1099511627776 was asked for, but the ring layer allows at most 268435456"
    );
}

#[test]
fn lowest_limit_of_all_layers_holds() {
    let ceiling = |fuel| Ceiling { limits: LimitCeiling { fuel, ..LimitCeiling::default() }, ..Ceiling::default() };
    let layers =
        [(Layer::Operator, ceiling(Some(7))), (Layer::Ring, ceiling(Some(9))), (Layer::Manifest, ceiling(None))];
    assert_eq!(Grant::narrow(&Asked::default(), &layers, &[]).expect("a grant").limits().fuel, 7);
}

#[test]
fn variable_must_be_listed() {
    let wanted = Asked { environment: [("KEY".to_owned(), "v".to_owned())].into(), ..Asked::default() };
    let ceiling = |names: Option<Vec<String>>| (Layer::Manifest, Ceiling { environment: names, ..Ceiling::default() });
    assert!(Grant::narrow(&wanted, &[ceiling(None)], &[]).is_ok());
    assert!(Grant::narrow(&wanted, &[ceiling(Some(vec!["KEY".into()]))], &[]).is_ok());
    assert_eq!(refusal(&wanted, &[ceiling(Some(Vec::new()))]).nearest, "none");
}

#[test]
fn recorded_grant_holds_no_values() {
    let environment = [("TOKEN".to_owned(), "canary".to_owned())].into();
    let grant = Grant::narrow(&Asked { environment, ..Asked::default() }, &[], &[]).expect("a grant");
    let recorded = serde_json::to_string(&grant).expect("JSON");
    assert!(recorded.contains("TOKEN") && !recorded.contains("canary"), "{recorded}");
}

#[test]
fn other_values_and_folders_are_other_reach() {
    let grant = |host: &str, value: &str| {
        let environment = [("USER".to_owned(), value.to_owned())].into();
        let folders = vec![folder(host, "/in", Access::Read)];
        Grant::narrow(&Asked { folders, environment, ..Asked::default() }, &[], &[]).expect("a grant").reachable()
    };
    assert_eq!(grant("/a", "alice"), grant("/a", "alice"));
    assert_ne!(grant("/a", "alice"), grant("/b", "alice"));
    assert_ne!(grant("/a", "alice"), grant("/a", "bob"));
}

#[test]
fn narrowing_takes_folders_away() {
    let folders = vec![folder("/a", "/docs", Access::ReadWrite), folder("/b", "/secret", Access::ReadWrite)];
    let grant = Grant::narrow(&asked(folders), &[], &[]).expect("a grant");
    let roots = Some(vec![GuestPath::new("/docs").expect("a path")]);
    let narrowed = grant.attenuate(&Narrowing { folders: roots, access: Some(Access::Read), ..Narrowing::default() });
    assert_eq!(narrowed.folders(), [folder("/a", "/docs", Access::Read)]);
    assert_eq!(narrowed.reach(), Reach::Reads);
}

proptest! {
    #[test]
    fn attenuation_never_widens(
        access in prop::option::of(prop_oneof![Just(Access::Read), Just(Access::ReadWrite)]),
        roots in prop::option::of(prop::collection::vec(prop::sample::select(vec!["/", "/docs", "/docs/a", "/x"]), 0..3)),
        names in prop::option::of(prop::collection::vec(prop::sample::select(vec!["A", "B"]), 0..3)),
        asked_http in prop::collection::vec(http_rule(), 0..3),
        bounds in prop::option::of(prop::collection::vec(http_rule(), 0..3)),
        limits in (prop::option::of(any::<u64>()), prop::option::of(any::<u64>()), prop::option::of(any::<u64>())),
    ) {
        let closed = Folder {
            bytes_max: Some(7),
            deny: vec![Glob::new("private").expect("a pattern")],
            files_max: Some(7),
            ..folder("/b", "/x", Access::ReadWrite)
        };
        let wanted = Asked {
            folders: vec![folder("/a", "/docs", Access::Read), closed],
            environment: [("A".to_owned(), String::new())].into(),
            network: NetworkAsked { http: asked_http, ..NetworkAsked::default() },
            ..Asked::default()
        };
        let before = Grant::narrow(&wanted, &[], &[]).expect("a grant");
        let narrowing = Narrowing {
            access,
            folders: roots.map(|roots| roots.into_iter().map(|r| GuestPath::new(r).expect("a path")).collect()),
            environment: names.map(|names| names.into_iter().map(str::to_owned).collect()),
            http: bounds,
            memory_bytes: limits.0,
            fuel: limits.1,
            wall_ms: limits.2,
            ..Narrowing::default()
        };
        let after = before.clone().attenuate(&narrowing);
        let held = |folder: &Folder| before.folders().iter().any(|b| {
            b.access >= folder.access && Folder { access: b.access, ..folder.clone() } == *b
        });
        prop_assert!(after.folders().iter().all(held));
        prop_assert!(after.environment().keys().all(|name| before.environment().contains_key(name)));
        prop_assert!(after.limits().fuel <= before.limits().fuel);
        prop_assert!(after.limits().memory_bytes <= before.limits().memory_bytes);
        prop_assert!(after.limits().wall_ms <= before.limits().wall_ms);
        let allowed = |rule: &HttpRule| before.network().http.iter().any(|b| b.covers(rule));
        prop_assert!(after.network().http.iter().all(allowed));
        prop_assert!(after.limits().write_bytes <= before.limits().write_bytes);
        prop_assert!(after.limits().files <= before.limits().files);
        prop_assert!(after.reach() <= before.reach());
    }
}
