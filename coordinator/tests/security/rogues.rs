//! S2: nodes that tell what cannot be, or pose as others. Nothing of what they tell is counted, everybody sees it, and somebody
//! has to let them in again.

use std::time::Duration;

use measure::Names;
use serde_json::{Value, json};
use wire::{Delta, FromNode, Hello, ToNode};

use crate::rogue::{Rogue, hello};
use crate::serving::Serving;

const HUGE: u64 = 1_000_000_000_000_000_000;

type Lie = fn(&Rogue) -> Delta;

/// Each in a run of 1,000 arrivals per second over as many nodes as there are lies and one honest one: name, what it tells, and
/// what is said of it.
const LIES: [(&str, Lie, &str); 12] = [
    ("huge-counts", |node| node.delta(0, HUGE), "which no machine can by now"),
    ("too-much", |node| node.delta(0, 50_000), "arrivals due, of at most"),
    (
        "more-sent-than-due",
        |node| node.delta_of(0, |totals| (totals.counters.scheduled, totals.counters.sent) = (5, 6)),
        "it sent and dropped 6 of 5 arrivals",
    ),
    (
        "more-ended-than-sent",
        |node| {
            node.delta_of(0, |totals| {
                (totals.counters.scheduled, totals.counters.sent, totals.counters.ok) = (5, 5, 6);
            })
        },
        "6 of 5 requests ended",
    ),
    (
        "what-nobody-owned",
        |node| node.delta_of(0, |totals| totals.counters.unassigned = 1),
        "arrivals that nobody owned",
    ),
    (
        "huge-bytes",
        |node| node.delta_of(0, |totals| totals.counters.bytes_received = HUGE),
        "which no machine can by now",
    ),
    (
        "huge-measurements",
        |node| node.delta_of(0, |totals| totals.lag.record_many(5, HUGE)),
        "it measured 1000000000000000000 things in a second in which 0 happened",
    ),
    (
        "huge-names",
        |node| {
            let mut delta = node.delta(0, 3);
            let mut totals = delta.measured.unpack();
            totals.names[0].ok_count = HUGE;
            delta.measured = wire::Measured::pack(&totals);
            delta
        },
        "things in a second in which",
    ),
    (
        "names-that-are-none",
        |node| {
            let shape = Names::requests(["a".to_owned(), "b".to_owned()]).shape();
            let totals = measure::Totals::new(shape);
            Delta { measured: wire::Measured::pack(&totals), ..node.delta(0, 1) }
        },
        "names that the plan does not have",
    ),
    (
        "from-the-future",
        |node| Delta { until_ns: 3_600_000_000_000, second: 3_599, ..node.delta(0, 1) },
        "which is yet to come",
    ),
    ("another-life", |node| Delta { incarnation: 6, ..node.delta(0, 1) }, "that life of it had no part"),
    ("wrong-second", |node| Delta { second: 9, ..node.delta(0, 1) }, "which is yet to come"),
];

#[tokio::test]
async fn s2_a_node_that_tells_what_cannot_be_is_shut_out_and_seen() {
    let serving = Serving::start(&["--lease", "20s"]);
    let mut nodes = vec![Rogue::join(serving.nodes, "honest").await];
    for (name, _, _) in LIES {
        nodes.push(Rogue::join(serving.nodes, name).await);
    }
    let words = ["--url=http://127.0.0.1:9/", "--tps=1000", "--duration=60s"];
    let run = serving.submit(&json!({"words": words, "nodes": {"expect": nodes.len()}}));
    let begun: Vec<_> = nodes
        .into_iter()
        .map(|mut node| {
            tokio::spawn(async move {
                node.begin().await;
                node
            })
        })
        .collect();
    let mut nodes = Vec::new();
    for node in begun {
        nodes.push(node.await.unwrap());
    }
    let mut honest = nodes.remove(0);
    honest.tell(honest.delta(0, 7));
    for (mut node, (name, lie, why)) in nodes.into_iter().zip(LIES) {
        node.tell(lie(&node));
        let told = node.refused().await.unwrap_or_default();
        assert!(told.starts_with("shut out: ") && told.contains(why), "{name}: {told}");
        let shown = |seen: &Value| (seen["state"] == "quarantined").then(|| seen["why"].to_string());
        let seen = serving.until(&format!("/api/v1/nodes/{name}"), shown);
        assert!(seen.contains(why), "{name}: {seen}");
        let mut again = Rogue::attend(serving.nodes, None).await.unwrap();
        again.say(FromNode::Hello(hello(name)));
        let told = again.refused().await.unwrap_or_default();
        assert!(told.contains("is shut out"), "{name}: {told}");
        assert!(honest.pass(Duration::from_millis(1)).await);
    }
    assert!(honest.pass(Duration::from_millis(500)).await, "who told the truth stays");
    let is_told = |view: &Value| {
        let all = view["degraded"].as_array().is_some_and(|all| all.len() >= LIES.len());
        all.then(|| view.clone())
    };
    let view = serving.until(&format!("/api/v1/runs/{run}"), is_told);
    for share in view["shares"].as_array().unwrap() {
        let sent = if share["node"] == "honest" { 7 } else { 0 };
        assert_eq!(share["counts"]["sent"], sent, "{share}");
    }
    let causes: Vec<_> =
        view["degraded"].as_array().unwrap().iter().filter(|one| one["cause"] == "quarantined").collect();
    assert_eq!(causes.len(), LIES.len(), "{view}");
    let logs = serving.get("/api/v1/logs").text();
    assert!(LIES.iter().all(|(name, _, _)| logs.contains(&format!("node {name} is shut out"))), "{logs}");

    // It is remembered over a restart, until somebody lets it in.
    let state = serving.state();
    assert_eq!(serving.end(), Some(0));
    let serving = Serving::start_in(&state, &[]);
    let mut again = Rogue::attend(serving.nodes, None).await.unwrap();
    again.say(FromNode::Hello(hello("too-much")));
    assert!(again.refused().await.unwrap_or_default().contains("is shut out"));
    assert_eq!(serving.node("too-much")["state"], "quarantined", "it is seen although it is not there");
    let answer = serving.post("/api/v1/nodes/too-much/readmit", &json!({}));
    assert_eq!(answer.status, 200, "{}", answer.text());
    drop(Rogue::join(serving.nodes, "too-much").await);
}

#[tokio::test]
async fn s2_nobody_poses_as_another_and_no_name_is_too_strange() {
    let serving = Serving::start(&[]);
    let mut alpha = Rogue::join(serving.nodes, "alpha").await;
    let strange = "<img src=x onerror=alert(1)>";
    let long = "x".repeat(129);
    for (what, hello, why) in [
        ("an earlier life", Hello { incarnation: 6, ..hello("alpha") }, "a later life of node alpha is here"),
        ("another version", Hello { version: "0.0.1".to_owned(), ..hello("beta") }, "is version 0.0.1"),
        ("a hostile name", hello(strange), "a node's name has 1 to 128 letters"),
        ("a path", hello("../alpha"), "a node's name has 1 to 128 letters"),
        ("no name", hello(""), "a node's name has 1 to 128 letters"),
        ("a long name", hello(&long), "a node's name has 1 to 128 letters"),
    ] {
        let mut posing = Rogue::attend(serving.nodes, None).await.unwrap();
        posing.say(FromNode::Hello(hello));
        let refused = posing.refused().await.unwrap_or_default();
        assert!(refused.contains(why), "{what}: {refused}");
    }
    // What is beyond the bounds of messages is not answered at all.
    let mut huge = Rogue::attend(serving.nodes, None).await.unwrap();
    huge.say(FromNode::Hello(hello(&"x".repeat(100_000))));
    assert_eq!(huge.until(|_| true).await, None);
    // Whoever says nothing of who it is, is nobody.
    let mut nobody = Rogue::attend(serving.nodes, None).await.unwrap();
    nobody.tell(nobody.delta(0, 1));
    assert_eq!(nobody.until(|_| true).await, None);
    assert!(alpha.pass(Duration::from_millis(300)).await, "the node itself notices nothing");
    let seen = serving.until("/api/v1/nodes", |nodes| (nodes != &json!([])).then(|| nodes.clone()));
    assert_eq!(seen.as_array().map(Vec::len), Some(1), "{seen}");
}

#[tokio::test]
async fn s2_a_run_of_others_is_nobody_elses() {
    let serving = Serving::start(&["--lease", "20s"]);
    let (mut one, mut other) =
        (Rogue::join(serving.nodes, "one").await, Rogue::join(serving.nodes, "other").await);
    let words = ["--url=http://127.0.0.1:9/", "--tps=10", "--duration=60s"];
    let run = serving.submit(&json!({"words": words, "nodes": {"expect": 1, "at_most": 1}}));
    let mut busy = tokio::select! {
        () = one.begin() => (one, other),
        () = other.begin() => (other, one),
    };
    // Of a run that is not there: it is told to forget it.
    busy.1.tell(Delta { run: 0xdead, ..busy.1.delta(0, 1) });
    assert!(busy.1.until(|message| matches!(message, ToNode::Release { run: 0xdead })).await.is_some());
    // Of a run in which it has no part.
    busy.1.tell(Delta { run: busy.0.run.unwrap(), ..busy.1.delta(0, 1) });
    let refused = busy.1.refused().await.unwrap_or_default();
    assert!(refused.contains("had no part"), "{refused}");
    let view = serving.get(&format!("/api/v1/runs/{run}")).json();
    assert_eq!(view["counts"]["sent"], 0, "{view}");
}
