//! `engine node` as a process, against a coordinator that the test is and a target that counts for itself.
//!
//! What it is: the whole way from a message on the wire to requests at a target, and back to seconds, with real leases. What
//! it is not: the coordinator; the tests say what one would.

#![cfg(target_os = "linux")]

#[path = "node/fleet.rs"]
mod fleet;
#[path = "node/killed.rs"]
mod killed;
#[path = "node/stopped.rs"]
mod stopped;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use clock::{Clock, OsClock, Timestamp};
use fleet::{Fleet, Node, RUN, fencing};
use measure::Counters;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use schedule::Cells;
use sha2::{Digest as _, Sha256};
use tonic::transport::{Certificate, Identity, ServerTlsConfig};
use wire::{Delta, Fencing, FileRef, FromNode, Spec, ToNode};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;
const LEASE_NS: u64 = SECOND;

fn target() -> target::Handle {
    let threads = target::Threads::Floating(NonZeroUsize::MIN);
    target::start(target::Config { threads, ..target::Config::default() }).expect("the target starts")
}

fn spec(target: &target::Handle, words: &[&str]) -> Spec {
    let url = format!("http://{}/", target.address());
    let words = words.iter().copied().chain([url.as_str()]).map(str::to_owned).collect();
    Spec { version: env!("CARGO_PKG_VERSION").to_owned(), words, ..Spec::default() }
}

fn sum(deltas: &BTreeMap<(u64, u64), Delta>) -> Counters {
    let mut sum = Counters::default();
    for delta in deltas.values() {
        sum.merge(&delta.measured.counters());
    }
    sum
}

/// Has the node prepare and begin a run; yields the plan's zero.
async fn begin(fleet: &mut Fleet, spec: Spec) -> Timestamp {
    let digest = spec.digest();
    fleet.tell(ToNode::Prepare { run: RUN, fencing: fencing(0), spec: Box::new(spec) });
    let FromNode::Prepared(prepared) = fleet.until(|m| matches!(m, FromNode::Prepared(_))).await else {
        unreachable!()
    };
    assert_eq!((prepared.run, prepared.spec), (RUN, digest));
    let description = prepared.outcome.expect("the plan can be carried out");
    assert!(description.summary.contains("openloop.summary/1"));
    let start = OsClock.now().plus_nanos(700 * MS);
    fleet.tell(ToNode::Arm {
        run: RUN,
        fencing: fencing(1),
        start,
        from_ns: 0,
        cells: Cells::all(),
        rates: Vec::new(),
    });
    fleet.until(|m| matches!(m, FromNode::Armed { epoch: 1, .. })).await;
    start
}

#[tokio::test]
async fn what_a_node_sends_ends_with_its_lease_and_goes_on_with_new_cells() {
    let (target, mut fleet) = (target(), Fleet::open(None).await);
    let mut node = Node::start(&fleet, "a", &[]);
    let hello = fleet.hello().await;
    assert_eq!((hello.node.as_str(), &hello.resume, hello.pid), ("a", &None, node.pid()));
    assert_eq!(hello.labels, BTreeMap::from([("rack".to_owned(), "7".to_owned())]));
    fleet.welcome(LEASE_NS, false);
    let start = begin(&mut fleet, spec(&target, &["--tps=400", "--duration=60s"])).await;
    fleet.wait(Duration::from_millis(2_500)).await;

    // Nothing is granted any more. The node stops by itself, and says since when.
    let until = fleet.stop_granting();
    let fenced = fleet.until(|m| matches!(m, FromNode::Beat(beat) if beat.fenced_at_ns.is_some())).await;
    let FromNode::Beat(beat) = fenced else { unreachable!() };
    let fenced_ns = beat.fenced_at_ns.expect("just looked at");
    assert!(start.plus_nanos(fenced_ns) <= until, "a node's lease ends before the coordinator's");
    assert!(start.plus_nanos(fenced_ns + 300 * MS) >= until, "it ends much too early");
    fleet.wait(Duration::from_millis(500)).await;
    let at_rest = target.truth();
    let last =
        Timestamp::from_nanos(at_rest.started_monotonic_ns + at_rest.last_request_ns.expect("requests"));
    assert!(last <= until, "a request came {} ns after the lease", last.nanos_since(until));
    let due = (fenced_ns * 400).div_ceil(SECOND);
    assert!(at_rest.requests <= due && at_rest.requests + 40 >= due, "{} of {due}", at_rest.requests);
    fleet.wait(Duration::from_millis(500)).await;
    assert_eq!(target.truth().requests, at_rest.requests, "a fenced node sends nothing");

    // With a lease and cells it sends again.
    fleet.grant();
    fleet.until(|m| matches!(m, FromNode::Beat(_))).await;
    fleet.wait(Duration::from_millis(300)).await;
    let from_ns = OsClock.now().nanos_since(start) + 500 * MS;
    fleet.tell(ToNode::Assign { run: RUN, fencing: fencing(2), from_ns, cells: Cells::all() });
    fleet.until(|m| matches!(m, FromNode::Obeyed { epoch: 2, .. })).await;
    fleet.wait(Duration::from_millis(1_600)).await;
    assert!(target.truth().requests >= at_rest.requests + 200);

    fleet.tell(ToNode::Stop { run: RUN, fencing: fencing(2) });
    let FromNode::Finished(finished) = fleet.until(|m| matches!(m, FromNode::Finished(_))).await else {
        unreachable!()
    };
    assert_eq!(finished.deltas, fleet.deltas.len() as u64);
    assert_eq!(finished.counters, sum(&fleet.deltas));
    assert!(finished.counters.balanced(), "{:?}", finished.counters.audit());
    let truth = target.stop();
    assert_eq!(truth.requests, finished.counters.sent);
    let first_ns = truth.started_monotonic_ns + truth.first_request_ns.expect("requests");
    assert!(first_ns >= start.as_nanos(), "nothing is early");
    fleet.tell(ToNode::Release { run: RUN });
    node.terminate();
    fleet.until(|m| matches!(m, FromNode::Bye { .. })).await;
    assert_eq!(node.wait().await, Some(143));
}

#[tokio::test]
async fn s9_commands_of_old_and_of_another_coordinator_never_double_the_load() {
    let (target, mut fleet) = (target(), Fleet::open(None).await);
    let node = Node::start(&fleet, "a", &[]);
    fleet.hello().await;
    fleet.welcome(LEASE_NS, false);
    let spec = spec(&target, &["--tps=400", "--duration=60s"]);
    let start = begin(&mut fleet, spec.clone()).await;
    // A quarter of the cells, from now on; and everything that was said before, again, late and by somebody else.
    let quarter: Cells = Cells::all().iter().filter(|cell| cell % 4 == 0).collect();
    let from_ns = OsClock.now().nanos_since(start).saturating_add(1_200 * MS);
    fleet.tell(ToNode::Assign { run: RUN, fencing: fencing(5), from_ns, cells: quarter });
    fleet.until(|m| matches!(m, FromNode::Obeyed { epoch: 5, .. })).await;
    let all = |fencing| ToNode::Assign { run: RUN, fencing, from_ns, cells: Cells::all() };
    let arm = |fencing, cells| ToNode::Arm { run: RUN, fencing, start, from_ns: 0, cells, rates: Vec::new() };
    for _ in 0..3 {
        for epoch in 0..5 {
            fleet.tell(all(fencing(epoch)));
            fleet.tell(arm(fencing(epoch), Cells::all()));
        }
        fleet.tell(all(Fencing { term: 0, epoch: 99 }));
        fleet.tell(arm(Fencing { term: 0, epoch: 99 }, Cells::all()));
        fleet.tell(ToNode::Prepare { run: RUN, fencing: fencing(0), spec: Box::new(spec.clone()) });
        fleet.tell(ToNode::Prepare { run: RUN + 1, fencing: fencing(0), spec: Box::new(spec.clone()) });
        fleet.tell(ToNode::Stop { run: RUN + 1, fencing: fencing(9) });
        fleet.tell(ToNode::Abort {
            run: RUN,
            fencing: Fencing { term: 0, epoch: 99 },
            reason: "old".to_owned(),
        });
    }
    let from = start.plus_nanos(from_ns);
    fleet.wait(Duration::from_nanos(from.nanos_since(OsClock.now()) + 100 * MS)).await;
    let (begun, at) = (target.truth().requests, OsClock.now());
    fleet.wait(Duration::from_secs(2)).await;
    let sent = target.truth().requests - begun;
    let due = 100 * OsClock.now().nanos_since(at) / SECOND;
    assert!(sent <= due + 5 && sent + 30 >= due, "{sent} requests, {due} due in its cells");
    drop(node);
}

#[tokio::test]
async fn a_killed_node_leaves_its_seconds_to_its_next_life() {
    let (target, mut fleet) = (target(), Fleet::open(None).await);
    let mut node = Node::start(&fleet, "a", &[]);
    let first = fleet.hello().await;
    fleet.acknowledging(false);
    fleet.welcome(LEASE_NS, false);
    begin(&mut fleet, spec(&target, &["--tps=100", "--duration=60s"])).await;
    while fleet.deltas.len() < 2 {
        fleet.until(|m| matches!(m, FromNode::Delta(_))).await;
    }
    node.kill();
    node.wait().await;
    let told = std::mem::take(&mut fleet.deltas);
    fleet.acknowledging(true);
    let mut again = Node::start_in(&fleet, "a", node.state(), &[]);
    let second = fleet.hello().await;
    assert!(second.incarnation > first.incarnation);
    assert_eq!((&second.resume, &second.left_behind[..]), (&None, &[RUN][..]));
    fleet.welcome(LEASE_NS, false);
    while fleet.deltas.len() < told.len() {
        fleet.until(|m| matches!(m, FromNode::Delta(_))).await;
    }
    for (key, delta) in &told {
        assert_eq!(fleet.deltas.get(key), Some(delta));
    }
    again.terminate();
    assert_eq!(again.wait().await, Some(143));
    target.stop();
}

#[tokio::test]
async fn a_cut_shorter_than_the_lease_changes_nothing() {
    let (target, mut fleet) = (target(), Fleet::open(None).await);
    let mut node = Node::start(&fleet, "a", &[]);
    fleet.hello().await;
    fleet.welcome(3 * SECOND, false);
    let start = begin(&mut fleet, spec(&target, &["--tps=200", "--duration=4s"])).await;
    fleet.wait(Duration::from_millis(1_500)).await;
    fleet.cut();
    let hello = fleet.hello().await;
    let resume = hello.resume.expect("it goes on");
    assert_eq!((resume.run, resume.start, resume.fenced_at_ns), (RUN, Some(start), None));
    fleet.welcome(3 * SECOND, true);
    let FromNode::Finished(finished) = fleet.until(|m| matches!(m, FromNode::Finished(_))).await else {
        unreachable!()
    };
    let counters = &finished.counters;
    assert_eq!((counters.scheduled, counters.dropped_total()), (800, 0), "{:?}", counters.audit());
    assert_eq!(sum(&fleet.deltas), *counters);
    assert_eq!(target.stop().requests, counters.sent);
    node.kill();
    node.wait().await;
}

#[tokio::test]
async fn a_node_that_is_asked_to_end_goes_on_until_others_have_its_cells() {
    let (target, mut fleet) = (target(), Fleet::open(None).await);
    let mut node = Node::start(&fleet, "a", &[]);
    fleet.hello().await;
    fleet.welcome(LEASE_NS, false);
    let start = begin(&mut fleet, spec(&target, &["--tps=400", "--duration=60s"])).await;
    fleet.wait(Duration::from_millis(1_200)).await;
    node.terminate();
    fleet.until(|m| matches!(m, FromNode::Beat(beat) if beat.leaving)).await;
    let asked = target.truth().requests;
    fleet.wait(Duration::from_millis(500)).await;
    assert!(target.truth().requests >= asked + 150, "it goes on");
    let from_ns = OsClock.now().nanos_since(start) + 500 * MS;
    fleet.tell(ToNode::Assign { run: RUN, fencing: fencing(2), from_ns, cells: Cells::none() });
    fleet.until(|m| matches!(m, FromNode::Obeyed { epoch: 2, .. })).await;
    fleet.wait(Duration::from_millis(700)).await;
    fleet.tell(ToNode::Stop { run: RUN, fencing: fencing(2) });
    let FromNode::Finished(finished) = fleet.until(|m| matches!(m, FromNode::Finished(_))).await else {
        unreachable!()
    };
    let counters = &finished.counters;
    // Nothing was missing up to the instant from which on others have them.
    assert_eq!(counters.scheduled, (from_ns * 400).div_ceil(SECOND), "{:?}", counters.audit());
    assert_eq!(target.stop().requests, counters.sent);
    fleet.until(|m| matches!(m, FromNode::Bye { .. })).await;
    assert_eq!(node.wait().await, Some(143));
}

#[tokio::test]
async fn files_come_from_the_coordinator_and_are_checked() {
    let (target, mut fleet) = (target(), Fleet::open(Some("s3cret")).await);
    let body = vec![b'x'; 200_000];
    let file = FileRef { sha256: Sha256::digest(&body).into(), size: body.len() as u64 };
    let mut node = Node::start(&fleet, "a", &[("ENGINE_JOIN_TOKEN", "s3cret\n")]);
    fleet.hello().await;
    fleet.welcome(LEASE_NS, false);
    let mut with_file = spec(&target, &["--tps=50", "--duration=1s", "-X=POST", "--body-file=dir/body.bin"]);
    with_file.files.insert("dir/body.bin".to_owned(), file);

    // The coordinator has other content than it announced.
    fleet.serve_file(file.sha256, vec![b'y'; 200_000]);
    fleet.tell(ToNode::Prepare { run: RUN + 1, fencing: fencing(0), spec: Box::new(with_file.clone()) });
    let FromNode::Prepared(prepared) = fleet.until(|m| matches!(m, FromNode::Prepared(_))).await else {
        unreachable!()
    };
    let refusal = prepared.outcome.expect_err("the content is wrong");
    assert!(refusal.message.contains("body.bin") && refusal.exit_code == 3, "{}", refusal.message);

    fleet.serve_file(file.sha256, body);
    begin(&mut fleet, with_file).await;
    let FromNode::Finished(finished) = fleet.until(|m| matches!(m, FromNode::Finished(_))).await else {
        unreachable!()
    };
    assert_eq!(finished.counters.ok, 50, "{:?}", finished.counters.audit());
    assert!(target.stop().bytes.request_bodies >= 50 * 200_000);
    node.kill();
    node.wait().await;
}

#[tokio::test]
async fn a_node_measures_what_it_can_carry_before_it_joins() {
    let mut fleet = Fleet::open(None).await;
    let begin = OsClock.now();
    let mut node = Node::start(&fleet, "a", &[("ENGINE_CAPACITY", "measure")]);
    let hello = fleet.hello().await;
    let took_ms = OsClock.now().nanos_since(begin) / MS;
    let capacity = hello.capacity.expect("it was measured");
    assert!(capacity >= schedule::Rate::per_second(100), "{capacity:?}");
    assert!(took_ms < 12_000, "{took_ms} ms");
    node.terminate();
    node.wait().await;
    assert!(node.said().contains("measured over loopback"), "it is said");
}

#[tokio::test]
async fn a_wrong_token_and_another_process_of_the_same_name_are_refused() {
    let fleet = Fleet::open(Some("right")).await;
    // Whichever comes first has the folder.
    let variables = [("ENGINE_JOIN_TOKEN", "wrong"), ("ENGINE_CONNECT_WITHIN", "2s")];
    let mut node = Node::start(&fleet, "a", &variables);
    let mut twin = Node::start_in(&fleet, "a", node.state(), &variables);
    assert_eq!(twin.wait().await, Some(3));
    assert_eq!(node.wait().await, Some(3));
    let said = node.said() + &twin.said();
    assert!(said.contains("does not let this node in") && said.contains("another process uses"), "{said}");
    assert!(!said.contains("wrong"), "a token is never shown: {said}");
}

/// A certificate of this authority for a name, and its key.
fn issued(name: &str, authority: &Issuer<'_, KeyPair>) -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new([name.to_owned()]).expect("a name");
    (params.signed_by(&key, authority).expect("a certificate").pem(), key.serialize_pem())
}

fn authority() -> (String, Issuer<'static, KeyPair>) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = params.self_signed(&key).expect("a certificate").pem();
    (pem, Issuer::new(params, key))
}

#[tokio::test]
async fn both_sides_know_each_other_by_their_certificates() {
    let (authority_pem, issuer) = authority();
    let (certificate, key) = issued("127.0.0.1", &issuer);
    let tls = ServerTlsConfig::new()
        .identity(Identity::from_pem(certificate, key))
        .client_ca_root(Certificate::from_pem(&authority_pem));
    let mut fleet = Fleet::open_with(Some("s3cret"), Some(tls)).await;
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("written");
        path.to_str().expect("text").to_owned()
    };
    let (certificate, key) = issued("a", &issuer);
    let (ca, cert, key) = (write("ca", &authority_pem), write("cert", &certificate), write("key", &key));
    let (other_pem, _) = authority();
    let other = write("other", &other_pem);
    let token = ("ENGINE_JOIN_TOKEN", "s3cret");
    let known = [("ENGINE_CERT", cert.as_str()), ("ENGINE_KEY", key.as_str()), token];
    let trusting = |ca| [known.as_slice(), &[("ENGINE_CA", ca)]].concat();

    let mut node = Node::start(&fleet, "a", &trusting(ca.as_str()));
    assert_eq!(fleet.hello().await.node, "a");
    node.kill();
    node.wait().await;

    // Without a certificate, and with another authority, nobody says Hello.
    let soon = ("ENGINE_CONNECT_WITHIN", "1s");
    for variables in
        [vec![("ENGINE_CA", ca.as_str()), token, soon], [trusting(other.as_str()), vec![soon]].concat()]
    {
        let mut stranger = Node::start(&fleet, "b", &variables);
        assert_eq!(stranger.wait().await, Some(3), "{variables:?}");
        assert!(!stranger.said().contains("s3cret"));
    }
    assert!(fleet.is_quiet());
}
