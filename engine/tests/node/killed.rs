//! A node that is killed in the middle of a second, and what its next life says of it.

use std::time::Duration;

use wire::{Delta, FromNode, ToNode};

use super::fleet::{Fleet, Node, RUN};
use super::{LEASE_NS, begin, spec, sum, target};

/// The driver and the target's ways, and when after the second delta the node is killed.
const KILLS: [(&str, &[&str], u64); 8] = [
    ("epoll", &["--tps=2000"], 0),
    ("epoll", &["--tps=9000", "--warmup=1s"], 310),
    ("epoll", &["--tps=500", "--connections=2", "--close-after=3"], 730),
    ("epoll", &["--users=20"], 150),
    ("auto", &["--tps=2000"], 950),
    ("auto", &["--tps=9000"], 420),
    ("auto", &["--tps=500", "--connections=1"], 5),
    ("auto", &["--users=20", "--warmup=1s"], 640),
];

/// What a node had sent when it was killed is what its target counted, but for those on the wire.
#[tokio::test]
async fn what_a_killed_node_counted_is_recovered_to_the_request() {
    for (io, words, after_ms) in KILLS {
        let (target, mut fleet) = (target(), Fleet::open(None).await);
        let variables = [("ENGINE_IO", io)];
        let mut node = Node::start(&fleet, "a", &variables);
        let life = fleet.hello().await.incarnation;
        fleet.welcome(LEASE_NS, false);
        begin(&mut fleet, spec(&target, &[words, &["--duration=60s"]].concat())).await;
        while fleet.deltas.len() < 2 {
            fleet.until(|m| matches!(m, FromNode::Delta(_))).await;
        }
        fleet.wait(Duration::from_millis(after_ms)).await;
        node.kill();
        node.wait().await;
        let mut next = Node::start_in(&fleet, "a", node.state(), &variables);
        let hello = fleet.hello().await;
        assert_eq!(hello.left_behind, [RUN], "{io} {words:?}: something is owed");
        fleet.welcome(LEASE_NS, false);
        let told = fleet.until(|m| matches!(m, FromNode::Delta(delta) if delta.recovered)).await;
        let FromNode::Delta(recovered) = told else { unreachable!() };
        assert_eq!((recovered.incarnation, recovered.epoch), (life, 1));
        assert_eq!(recovered.sequence + 1, fleet.deltas.len() as u64, "it is the last, without a gap");
        let before = fleet.deltas[&(life, recovered.sequence - 1)].until_ns;
        assert!(recovered.until_ns >= before && recovered.until_ns < before + 3_000_000_000);

        let mut sums = sum(&fleet.deltas);
        assert!(sums.balanced(), "{io} {words:?}: {:?}", sums.audit());
        fleet.deltas.values().for_each(|delta: &Delta| sums.merge(&delta.measured.warmup()));
        assert!(sums.balanced(), "{io} {words:?}: {:?}", sums.audit());
        // The target may still read what the kernel had taken.
        fleet.wait(Duration::from_millis(100)).await;
        let seen = target.stop().requests;
        let cut_off = sums.cut_off;
        assert!(
            seen <= sums.sent && sums.sent - seen <= cut_off,
            "{io} {words:?}: the target counted {seen}, the node {} with {cut_off} under way",
            sums.sent
        );

        // A later life has nothing more to tell.
        fleet.tell(ToNode::Release { run: RUN });
        next.terminate();
        assert_eq!(next.wait().await, Some(143));
        assert!(next.said().contains("recovered after a kill"));
        let mut last = Node::start_in(&fleet, "a", node.state(), &variables);
        assert!(fleet.hello().await.left_behind.is_empty());
        last.kill();
        last.wait().await;
    }
}
