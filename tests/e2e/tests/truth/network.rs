//! Packet loss and a narrow link, in network namespaces, against a packet capture.
//!
//! ```text
//!   client, with the capture ── veth ── router: drops, or holds back ── veth ── server
//! ```
//!
//! The witness is the kernel's capture in the client's namespace: it sees what left and what arrived, after whatever the
//! router did. So the truth of a response time is the instant at which the last byte of the answer to the k-th request had
//! arrived in order, less the instant at which the plan has it due, retransmissions and all; of a service time, from the
//! request's first packet. All connections are open before the start: a lost SYN would be a queue wait, which no capture can
//! tell from a choice of the engine's.
//!
//! Needs root, `ip`, `tc`, `nft` and `tcpdump`.

use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

use e2e::engine::Engine;
use e2e::machine::alone;
use e2e::namespaces::{Namespaces, run};
use e2e::process::{Process, program};
use e2e::waiting::{SOON, monotonic_ns, pause, wall_ns};
use rustix::process::Signal;

use crate::capture::exchanges;
use crate::lab::{Behaviour, Finding, Place, SETTINGS, Server, Setting, Table, judge, run_armed};
use crate::oracle::{Comparison, Seen, response_times, service_times};
use crate::plan::{due, flags, level};

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 2, 1);

/// Three namespaces in a row.
struct Network {
    spaces: Namespaces,
}

impl Network {
    fn new() -> Self {
        let spaces = Namespaces::new("openloop", &["c", "r", "s"]);
        let router = spaces.of("r");
        for (part, net, far) in [("c", 1, "toc"), ("s", 2, "tos")] {
            let name = spaces.of(part);
            run(&format!("ip link add wire netns {name} type veth peer name {far} netns {router}"));
            run(&format!("ip -n {name} addr add 10.77.{net}.1/24 dev wire"));
            run(&format!("ip -n {router} addr add 10.77.{net}.2/24 dev {far}"));
            run(&format!("ip -n {name} link set wire up"));
            run(&format!("ip -n {router} link set {far} up"));
            run(&format!("ip -n {name} route add default via 10.77.{net}.2"));
        }
        run(&format!("ip netns exec {router} sysctl -qw net.ipv4.ip_forward=1"));
        Self { spaces }
    }

    /// Words that start a program in a namespace.
    fn within(&self, part: &str) -> Vec<String> {
        self.spaces.within(part)
    }

    /// Has the router drop 1 % of all packets, at random, both ways.
    fn lose(&self) {
        let router = self.spaces.of("r");
        run(&format!("ip netns exec {router} nft add table ip lossy"));
        run(&format!(
            "ip netns exec {router} nft add chain ip lossy way {{ type filter hook forward priority 0 ; }}"
        ));
        run(&format!(
            "ip netns exec {router} nft add rule ip lossy way numgen random mod 100 < 1 counter drop"
        ));
    }

    /// Narrows the way to the client to 20 Mbit/s, with room for half a second of it.
    fn narrow(&self) {
        let router = self.spaces.of("r");
        run(&format!("tc -n {router} qdisc replace dev toc root tbf rate 20mbit burst 16kb latency 500ms"));
    }
}

/// What is run.
struct Case {
    name: &'static str,
    behaviour: Behaviour,
    rate: u32,
    hinder: fn(&Network),
}

impl Case {
    fn run(&self, setting: Setting) -> Finding {
        let (folder, network) = (tempfile::tempdir().expect("a folder"), Network::new());
        let place = Place { wrapper: network.within("s"), address: SERVER };
        let server = Server::start(setting.maker, self.behaviour, &place, folder.path());
        let capture = folder.path().join("capture");
        let mut command = Command::new("ip");
        command.args(&network.within("c")[1..]).arg(program(&["tcpdump"]));
        command.args(["-Z", "root", "-i", "wire", "-s", "128", "-B", "16384", "--time-stamp-precision=nano"]);
        // Otherwise packets lie in a buffer for up to a second, and the end loses them.
        command.arg("--immediate-mode");
        command.arg("-w").arg(&capture).args(["tcp", "port", &server.port().to_string()]);
        let mut tcpdump = Process::start(command, None);
        tcpdump.wait_for_stderr("the capture", SOON, |line| line.contains("listening on").then_some(()));
        (self.hinder)(&network);
        let plan = level(self.rate, 20.0);
        let engine = Engine::new(&flags(&plan)).under(network.within("c")).args(&setting.flags());
        let engine = engine.args("-c 64 --warm-connections 64").arg(server.url());
        let (outcome, zero_ns) = run_armed(engine.within(Duration::from_mins(2)), folder.path(), |_, _| ());
        let epoch_ns = wall_ns() - monotonic_ns();
        pause(Duration::from_millis(500));
        tcpdump.signal(Signal::INT);
        tcpdump.wait(SOON);
        let lost = tcpdump.stderr();
        assert!(lost.contains("0 packets dropped by kernel"), "the capture has gaps: {lost}");
        let pcap = std::fs::read(&capture).expect("tcpdump wrote its capture");
        let on_monotonic = |seen: Seen| Seen {
            asked_ns: seen.asked_ns - epoch_ns,
            answered_ns: seen.answered_ns.saturating_sub(epoch_ns),
        };
        let seen: Vec<Seen> = exchanges(&pcap, server.port()).into_iter().map(on_monotonic).collect();
        assert!(seen.iter().all(|seen| seen.answered_ns > seen.asked_ns), "a request without an answer");
        // The target's own log counts them too.
        assert_eq!(server.stop().len(), seen.len(), "the target and the capture differ");
        let due = due(&plan, zero_ns);
        let audit = outcome.audit();
        assert_eq!((audit.sent, audit.ok), (due.len() as u64, due.len() as u64), "{}", outcome.told());
        let response = Comparison::of(outcome.summary(), "response", &response_times(&due, &seen));
        let service = Comparison::of(outcome.summary(), "service", &service_times(&seen));
        Finding { outcome, comparisons: vec![response, service], code: 0 }
    }
}

#[test]
fn loss_and_narrow_links_are_reported_as_the_wire_shows_them() {
    let _hold = alone();
    let large = Behaviour { body_bytes: 65_536, ..Behaviour::law("none") };
    let cases = [
        Case {
            name: "1 % loss, 5 ms, 500/s",
            behaviour: Behaviour::law("5ms"),
            rate: 500,
            hinder: Network::lose,
        },
        Case { name: "20 Mbit/s, 64 KiB, 30/s", behaviour: large, rate: 30, hinder: Network::narrow },
    ];
    let mut table = Table::comparisons("Network, 20 s: reported / true by packet capture");
    let mut wrong = Vec::new();
    for case in &cases {
        for setting in SETTINGS {
            wrong.extend(judge(case.name, setting, &mut table, || case.run(setting)));
        }
    }
    assert!(wrong.is_empty(), "{} rows are wrong:\n{}", wrong.len(), wrong.join("\n"));
}
