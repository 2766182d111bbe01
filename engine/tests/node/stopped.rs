//! A node that is stopped (SIGSTOP) in the middle of its work, and woken when its lease is over.

use std::time::Duration;

use clock::{Clock, OsClock};
use rustix::process::Signal;
use schedule::Cells;
use wire::{FromNode, ToNode};

use super::fleet::{Fleet, Node, RUN, fencing};
use super::{MS, begin, spec, target};

const LEASE_NS: u64 = 300 * MS;
/// At a rate that no core carries, so that a stop meets turns that have begun something.
const WORDS: [&str; 4] = ["--tps=300000", "--connections=64", "--duration=120s", "--max-lag=60s"];

/// Whatever the instruction at which it was stopped, nothing leaves it when it is woken behind its lease, and what did not
/// leave is not counted as sent.
#[tokio::test]
async fn a_node_that_is_woken_behind_its_lease_sends_nothing() {
    for (io, stops) in [("auto", 10_u32), ("epoll", 5)] {
        let (target, mut fleet) = (target(), Fleet::open(None).await);
        let mut node = Node::start(&fleet, "a", &[("ENGINE_IO", io)]);
        fleet.hello().await;
        fleet.welcome(LEASE_NS, false);
        let start = begin(&mut fleet, spec(&target, &WORDS)).await;
        fleet.wait(Duration::from_millis(900)).await;
        for stop in 1..=stops {
            // At no multiple of anything that the node does.
            fleet.wait(Duration::from_micros(100_000 + u64::from(stop) * 7_919)).await;
            node.signal(Signal::STOP);
            fleet.wait(Duration::from_nanos(LEASE_NS + 100 * MS)).await;
            let before = target.truth().requests;
            node.signal(Signal::CONT);
            let epoch = stop + 1;
            fleet.until(|m| matches!(m, FromNode::Beat(beat) if beat.fenced_at_ns.is_some())).await;
            fleet.wait(Duration::from_millis(100)).await;
            let after = target.truth().requests;
            assert_eq!(after, before, "{io}, stop {stop}: {} requests left behind the lease", after - before);
            let from_ns = OsClock.now().nanos_since(start) + 250 * MS;
            fleet.tell(ToNode::Assign { run: RUN, fencing: fencing(epoch), from_ns, cells: Cells::all() });
            fleet.until(|m| matches!(m, FromNode::Obeyed { epoch: of, .. } if *of == epoch)).await;
            fleet.wait(Duration::from_millis(350)).await;
            assert!(target.truth().requests > after, "{io}, stop {stop}: it goes on with new cells");
        }
        fleet.tell(ToNode::Stop { run: RUN, fencing: fencing(stops + 1) });
        let FromNode::Finished(finished) = fleet.until(|m| matches!(m, FromNode::Finished(_))).await else {
            unreachable!()
        };
        let counters = &finished.counters;
        assert!(counters.balanced(), "{io}: {:?}", counters.audit());
        assert_eq!(target.stop().requests, counters.sent, "{io}: {:?}", counters.audit());
        node.kill();
        node.wait().await;
    }
}
