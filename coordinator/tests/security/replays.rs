//! S9: messages of old, said again, and coordinators that think they are alone. Nodes' side of it: `engine/tests/node.rs`.

use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};
use wire::{FromNode, Hello, ToNode};

use crate::rogue::{Rogue, hello};
use crate::serving::Serving;

#[tokio::test]
async fn s9_what_is_told_again_counts_once() {
    let serving = Serving::start(&["--lease", "20s"]);
    let mut node = Rogue::join(serving.nodes, "alpha").await;
    let words = ["--url=http://127.0.0.1:9/", "--tps=100", "--duration=60s"];
    let run = serving.submit(&json!({"words": words}));
    node.begin().await;
    let told = node.delta(0, 7);
    for _ in 0..50 {
        node.tell(told.clone());
    }
    // Out of order, and again.
    node.tell(node.delta(2, 3));
    node.tell(node.delta(1, 5));
    node.tell(node.delta(2, 3));
    // An answer of old changes nothing either.
    let key = node.run.unwrap();
    for epoch in 0..4 {
        node.say(FromNode::Obeyed { run: key, epoch });
        node.say(FromNode::Armed { run: key, epoch });
    }
    let through = |message: &ToNode| matches!(message, ToNode::Acknowledged { through: 2, .. });
    node.until(through).await.expect("all of them are kept");
    let is_all =
        |view: &Value| (view["shares"][0]["counts"]["sent"].as_u64() >= Some(15)).then(|| view.clone());
    let view = serving.until(&format!("/api/v1/runs/{run}"), is_all);
    assert_eq!(view["shares"][0]["counts"]["sent"], 15, "{view}");
    assert_eq!(view["shares"][0]["cells"], 55_440, "{view}");
}

#[tokio::test]
async fn s9_of_two_lives_the_earlier_is_not_heard_any_more() {
    let serving = Serving::start(&["--lease", "2s"]);
    let mut old = Rogue::join(serving.nodes, "alpha").await;
    let mut young = Rogue::attend(serving.nodes, None).await.unwrap();
    young.say(FromNode::Hello(Hello { incarnation: 8, ..hello("alpha") }));
    young.until(|message| matches!(message, ToNode::Welcome(_))).await.unwrap();
    assert_eq!(old.until(|_| false).await, None, "the connection of the earlier life is closed");
    let mut again = Rogue::attend(serving.nodes, None).await.unwrap();
    again.say(FromNode::Hello(hello("alpha")));
    assert!(again.refused().await.unwrap_or_default().contains("a later life"));
    assert!(young.pass(Duration::from_millis(500)).await);
    serving.until("/api/v1/nodes/alpha", |node| (node["incarnation"] == 8).then_some(()));
}

#[tokio::test]
async fn s9_no_second_coordinator_works_on_the_state_of_another() {
    let state = Arc::new(tempfile::tempdir().unwrap());
    let first = Serving::start_in(&state, &[]);
    let ended = Serving::try_start(&state, &[]).err().unwrap();
    assert_eq!(ended.code, Some(3), "{}", ended.said);
    assert!(ended.said.contains("another coordinator is at work on it → "), "{}", ended.said);
    assert_eq!(first.get("/readyz").status, 200, "the first goes on");
    let term = |serving: &Serving| serving.get("/api/v1/fleet").json()["term"].as_u64().unwrap();
    assert_eq!(term(&first), 1, "and the other has not begun a term");
    // However it ends, its place is free at once, and the next one's term is higher.
    kill_process(first.pid(), Signal::KILL).unwrap();
    drop(first);
    let second = Serving::start_in(&state, &[]);
    assert_eq!(term(&second), 2);
    let mut node = Rogue::attend(second.nodes, None).await.unwrap();
    node.say(FromNode::Hello(hello("alpha")));
    let Some(ToNode::Welcome(welcome)) = node.until(|_| true).await else { panic!("it is welcomed") };
    assert_eq!(welcome.term, 2);
}
