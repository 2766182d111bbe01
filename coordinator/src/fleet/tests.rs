//! Who is taken, and until when a lease lasts.

use super::*;

fn hello(node: &str, incarnation: u64) -> Hello {
    Hello {
        node: node.to_owned(),
        incarnation,
        boot_id: "b".to_owned(),
        host: "h".to_owned(),
        pid: 1,
        version: "1".to_owned(),
        cores: 2,
        capacity: None,
        zone: Some("eu".to_owned()),
        labels: BTreeMap::from([("disk".to_owned(), "fast".to_owned())]),
        resume: None,
        left_behind: Vec::new(),
    }
}

fn at(ms: u64) -> Timestamp {
    Timestamp::from_nanos(ms * 1_000_000)
}

#[test]
fn only_the_latest_life_is_heard() {
    let mut fleet = Fleet::default();
    assert_eq!(fleet.greet(at(0), 1, &hello("a", 5), "1"), Greeting::Taken { old: None });
    assert_eq!(fleet.greet(at(1), 2, &hello("a", 5), "1"), Greeting::Taken { old: Some(1) });
    assert_eq!((fleet.of_session(1), fleet.of_session(2)), (None, Some("a")));
    let Greeting::Refused { reason } = fleet.greet(at(2), 3, &hello("a", 4), "1") else {
        panic!("an earlier life was taken");
    };
    assert!(reason.contains("later life"), "{reason}");
    assert_eq!(fleet.greet(at(3), 4, &hello("a", 6), "1"), Greeting::Taken { old: Some(2) });
    assert_eq!((fleet.session("a", 5), fleet.session("a", 6)), (None, Some(4)));
    // The end of an old connection says nothing of the new one.
    assert_eq!(fleet.closed(2), None);
    assert!(fleet.nodes["a"].is_free());
    assert_eq!(fleet.closed(4).as_deref(), Some("a"));
    assert!(!fleet.nodes["a"].is_free());
}

#[test]
fn who_is_unfit_hears_why() {
    let mut fleet = Fleet::default();
    fleet.quarantined.insert("bad".to_owned(), "it lied".to_owned());
    for (hello, said) in [
        (Hello { version: "2".to_owned(), ..hello("a", 1) }, "version 2, the coordinator is version 1"),
        (hello("", 1), "1 to 128 letters"),
        (hello("a\u{1b}[2J", 1), "1 to 128 letters"),
        (hello("<b>", 1), "1 to 128 letters"),
        (Hello { zone: Some("\n".to_owned()), ..hello("a", 1) }, "zone"),
        (hello("bad", 1), "it lied"),
    ] {
        let Greeting::Refused { reason } = fleet.greet(at(0), 1, &hello, "1") else {
            panic!("{hello:?} was taken")
        };
        assert!(reason.contains(said), "{reason}");
    }
}

#[test]
fn a_lease_ends_later_here_than_at_the_node() {
    let settings = Settings::default();
    let mut fleet = Fleet::default();
    fleet.greet(at(0), 1, &hello("a", 1), "1");
    assert_eq!(fleet.lease_over("a", 1), None);
    fleet.grant(at(1_000), "a", &settings);
    assert_eq!(fleet.lease_over("a", 1), Some(at(1_000 + 3_000 + 3 + 10)));
    // Another life begins without one, and the first keeps its own until it is over.
    fleet.greet(at(1_100), 2, &hello("a", 2), "1");
    assert_eq!((fleet.lease_over("a", 1), fleet.lease_over("a", 2)), (Some(at(4_013)), None));
    fleet.tidy(at(4_013));
    assert_eq!(fleet.lease_over("a", 1), None);
}

#[test]
fn a_drain_outlives_the_process_and_the_coordinator() {
    let mut fleet = Fleet::default();
    fleet.greet(at(0), 1, &hello("a", 1), "1");
    assert!(fleet.drain("a", Some(false)) && !fleet.drain("a", Some(false)));
    fleet.greet(at(1), 2, &hello("a", 2), "1");
    assert!(!fleet.nodes["a"].is_free(), "its next life is drained too");
    let standing = Standing { draining: fleet.draining.clone(), ..Standing::default() };
    let mut fleet = Fleet::new(standing);
    fleet.greet(at(2), 1, &hello("a", 2), "1");
    assert!(!fleet.nodes["a"].is_free(), "another coordinator knows of it");
    assert!(fleet.drain("a", None) && fleet.nodes["a"].is_free());
    // Another order is told, even to one that was told an earlier.
    let tell = |fleet: &mut Fleet| fleet.nodes.get_mut("a").expect("it is known").retired = true;
    assert!(fleet.drain("a", Some(false)));
    tell(&mut fleet);
    assert!(!fleet.drain("a", Some(false)) && fleet.nodes["a"].retired);
    assert!(fleet.drain("a", Some(true)) && !fleet.nodes["a"].retired);
}

#[test]
fn labels_choose() {
    let mut fleet = Fleet::default();
    fleet.greet(at(0), 1, &hello("a", 1), "1");
    let node = &fleet.nodes["a"];
    let labels = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect()
    };
    assert!(node.has(&labels(&[])) && node.has(&labels(&[("zone", "eu"), ("disk", "fast")])));
    assert!(!node.has(&labels(&[("zone", "us")])) && !node.has(&labels(&[("gpu", "yes")])));
}
