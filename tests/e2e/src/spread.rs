//! A fleet spread over network namespaces: a coordinator in one, each node in one of its own, with a target beside it.
//!
//! ```text
//!   coordinator ── wire, delayed or cut ── node 1, and on its loopback its target
//!               ── wire ────────────────── node 2, and its target
//! ```
//!
//! What it is: real programs that speak TLS and show tokens, because the coordinator listens beyond loopback. Every target
//! stands at the same address of its own namespace, so that one plan loads them all: no wire lies between a node and its
//! target, whatever happens to the node's way to the coordinator; and each target's list is what this one node sent, on the
//! clock of the machine.
//!
//! Needs root, `ip`, `nft` and `python3`. Units: nanoseconds of the machine's monotonic clock.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::document::{count, parse};
use crate::engine::{Engine, Running, write};
use crate::namespaces::{Namespaces, run};
use crate::process::{Process, program};
use crate::target::Target;
use crate::waiting::{SOON, wait_for, wall_ahead_ns, wall_ns};

/// What carries packets with a delay.
const DELAYING_WIRE: &str = include_str!("delaying_wire.py");
/// Where every target stands in its namespace.
const TARGET: &str = "127.0.0.1:8080";
/// The namespace of the coordinator; the nodes' follow it.
pub const HUB: &str = "c";

/// How a node is joined to the coordinator.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Wire {
    /// As quick as the machine.
    Plain,
    /// Packets take so long from the coordinator to the node, and back.
    Delayed {
        /// To the node.
        there_ms: u32,
        /// To the coordinator.
        back_ms: u32,
    },
}

/// A node's place.
#[derive(Copy, Clone, Debug)]
pub struct Site {
    /// The node's name, and its namespace's.
    pub name: &'static str,
    /// Its way to the coordinator.
    pub wire: Wire,
    /// By how much its monotonic and its boot-time clock are ahead of the machine's.
    pub clock_ahead_s: u32,
}

impl Site {
    /// A node on a quick wire, with the machine's clocks.
    pub const fn plain(name: &'static str) -> Self {
        Self { name, wire: Wire::Plain, clock_ahead_s: 0 }
    }
}

/// Which packets a cut wire loses.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Those to the node: it speaks, and hears nothing.
    ToNode,
    /// Those of the node: it hears, and is not heard.
    OfNode,
    /// All.
    Both,
}

/// Namespaces, wires and papers, with a target at each site. Nothing of the fleet runs yet.
#[derive(Debug)]
pub struct Spread {
    // Dropped in this order: a namespace goes when nothing runs in it any more.
    targets: Vec<Target>,
    _wires: Vec<Process>,
    spaces: Namespaces,
    folder: tempfile::TempDir,
    sites: Vec<Site>,
}

impl Spread {
    /// `parts` are [`HUB`] and the names of the sites, in their order.
    pub fn new(prefix: &str, parts: &'static [&'static str], sites: &[Site]) -> Self {
        assert_eq!(parts[0], HUB);
        assert!(sites.iter().map(|site| site.name).eq(parts[1..].iter().copied()), "{parts:?}");
        let folder = tempfile::tempdir().expect("a folder can be made");
        let spaces = Namespaces::new(prefix, parts);
        write(&folder.path().join("wire.py"), DELAYING_WIRE);
        let wires = sites.iter().enumerate().filter_map(|(place, site)| join(&spaces, place, site, &folder));
        let wires = wires.collect();
        let papers = folder.path().join("papers");
        let mut certs = Engine::of("coordinator", "certs --dir").arg(&papers);
        for place in 0..sites.len() {
            certs = certs.arg("--server").arg(hub_address(place));
        }
        certs.run().expect(0);
        let state = folder.path().join("coordinator");
        let token = Engine::of("coordinator", "tokens --role node --lifetime 1h --state").arg(&state).run();
        write(&folder.path().join("token"), token.expect(0).stdout);
        let targets = sites.iter().map(|site| {
            let list = folder.path().join(format!("{}.csv", site.name));
            let engine = Engine::new("target").under(spaces.within(site.name)).arg("--list").arg(list);
            Target::start_on(TARGET, engine)
        });
        Self { targets: targets.collect(), _wires: wires, spaces, folder, sites: sites.to_vec() }
    }

    /// `coordinator run` with flags, in its namespace: it loads the targets from `start` on, and writes its report to
    /// [`Spread::report`].
    pub fn coordinator(&self, start: &Start, flags: &str) -> Engine {
        let folder = self.folder.path();
        Engine::of("coordinator", &format!("run http://{TARGET}/ --nodes {} {flags}", self.sites.len()))
            .args("--nodes-listen 0.0.0.0:5557 --tokens --wait 60s --start-at")
            .arg(&start.text)
            .arg("--tls-cert")
            .arg(folder.join("papers/server.pem"))
            .arg("--tls-key")
            .arg(folder.join("papers/server.key"))
            .arg("--state")
            .arg(folder.join("coordinator"))
            .arg("--json")
            .arg(self.report())
            .under(self.spaces.within(HUB))
            .within(Duration::from_mins(3))
    }

    /// Where the report of the run stands once it has ended.
    pub fn report(&self) -> PathBuf {
        self.folder.path().join("report.json")
    }

    /// Starts every node at its site.
    pub fn start_nodes(&self) -> Vec<Running> {
        let start = |(place, site): (usize, &Site)| {
            let folder = self.folder.path();
            let mut wrapper = self.spaces.within(site.name);
            if site.clock_ahead_s > 0 {
                let ahead = site.clock_ahead_s.to_string();
                let words = ["unshare", "--time", "--monotonic", &ahead, "--boottime", &ahead];
                wrapper.extend(words.map(str::to_owned));
            }
            let line = format!("node --coordinator {}:5557 --name {}", hub_address(place), site.name);
            Engine::new(&line)
                .args("--cores 1 --ca")
                .arg(folder.join("papers/ca.pem"))
                .arg("--join-token-file")
                .arg(folder.join("token"))
                .arg("--state")
                .arg(folder.join(site.name))
                .under(wrapper)
                .start()
        };
        self.sites.iter().enumerate().map(start).collect()
    }

    /// Cuts a node's wire.
    pub fn cut(&self, node: &str, lost: Lost) {
        let name = self.spaces.of(node);
        run(&format!("ip netns exec {name} nft add table inet cut"));
        let chains = [("input", "iifname", Lost::ToNode), ("output", "oifname", Lost::OfNode)];
        for (hook, device, way) in chains {
            if lost == way || lost == Lost::Both {
                run(&format!(
                    "ip netns exec {name} nft add chain inet cut {hook} {{ type filter hook {hook} priority 0 ; }}"
                ));
                run(&format!("ip netns exec {name} nft add rule inet cut {hook} {device} wire counter drop"));
            }
        }
    }

    /// Mends it.
    pub fn mend(&self, node: &str) {
        run(&format!("ip netns exec {} nft delete table inet cut", self.spaces.of(node)));
    }

    /// Ends the targets: when each had received its requests, rising, in the order of the sites.
    pub fn arrived_ns(&mut self) -> Vec<Vec<u64>> {
        let (folder, targets) = (self.folder.path().to_owned(), std::mem::take(&mut self.targets));
        let arrivals = |(target, site): (Target, &Site)| {
            let truth = target.stop();
            assert_eq!(count(&truth, "/delay/list/left_out"), 0);
            let start = count(&truth, "/started_monotonic_ns");
            let list = std::fs::read_to_string(folder.join(format!("{}.csv", site.name)));
            let list = list.expect("the target wrote its list");
            // Its first line is the heading, its first column when a request had arrived.
            let first = |line: &str| line.split(',').next()?.parse().ok();
            let mut at: Vec<u64> = list.lines().filter_map(first).map(|offset: u64| start + offset).collect();
            at.sort_unstable();
            assert_eq!(at.len() as u64, count(&truth, "/requests"), "the list of {}", site.name);
            at
        };
        targets.into_iter().zip(&self.sites).map(arrivals).collect()
    }

    /// Ends nodes in order.
    pub fn stop_nodes(nodes: Vec<Running>) {
        for node in nodes {
            node.process.signal(Signal::TERM);
            node.finish().expect(143);
        }
    }

    /// The report, once the run has ended.
    pub fn read_report(&self) -> serde_json::Value {
        parse("the report", &std::fs::read(self.report()).expect("the coordinator wrote its report"))
    }
}

/// A start that is told to the coordinator ahead.
#[derive(Clone, Debug)]
pub struct Start {
    /// As `--start-at` takes it: a whole second.
    pub text: String,
    /// The same on the machine's monotonic clock.
    pub at_ns: u64,
}

impl Start {
    /// The first whole second that is at least so far away.
    pub fn in_seconds(seconds: u64) -> Self {
        let at = wall_ns() / 1_000_000_000 + seconds + 1;
        let mut command = Command::new(program(&["date"]));
        command.args(["-u", "-d", &format!("@{at}"), "+%Y-%m-%dT%H:%M:%SZ"]);
        let mut date = Process::start(command, None);
        assert!(date.wait(SOON).success(), "{}", date.stderr());
        Self { text: date.stdout().trim().to_owned(), at_ns: at * 1_000_000_000 - wall_ahead_ns() }
    }

    /// As reports write it.
    pub fn in_reports(&self) -> String {
        self.text.replace('Z', ".000Z")
    }
}

/// The coordinator's end of the wire to the node at this place; the node's ends with 2.
fn hub_address(place: usize) -> String {
    format!("10.78.{}.1", place + 1)
}

/// Lays the wire of a site: its ends are `to-NAME` and `wire`. What carries delayed packets runs as long as the answer lives.
fn join(spaces: &Namespaces, place: usize, site: &Site, folder: &tempfile::TempDir) -> Option<Process> {
    let (hub, far) = (spaces.of(HUB), spaces.of(site.name));
    let (near_end, far_end) = (format!("to-{}", site.name), format!("from-{}", site.name));
    let carrier = match site.wire {
        Wire::Plain => {
            run(&format!("ip link add {near_end} netns {hub} type veth peer name {far_end} netns {far}"));
            None
        }
        Wire::Delayed { there_ms, back_ms } => {
            let mut command = Command::new(program(&["ip"]));
            command.args(&spaces.within(HUB)[1..]).arg(program(&["python3"]));
            command.arg(folder.path().join("wire.py")).args([&near_end, &far_end]);
            command.args([there_ms.to_string(), back_ms.to_string()]);
            let carrier = Process::start(command, None);
            wait_for("the wire", SOON, || carrier.stdout().contains("carrying").then_some(()));
            run(&format!("ip -n {hub} link set {far_end} netns {far}"));
            Some(carrier)
        }
    };
    run(&format!("ip -n {far} link set {far_end} name wire"));
    run(&format!("ip -n {hub} addr add {}/24 dev {near_end}", hub_address(place)));
    run(&format!("ip -n {far} addr add 10.78.{}.2/24 dev wire", place + 1));
    run(&format!("ip -n {hub} link set {near_end} up"));
    run(&format!("ip -n {far} link set wire up"));
    carrier
}
