//! Links filled: large downloads and uploads over a pair of veth interfaces, capped and not, beside iperf3.
//!
//! ```text
//!   engine or iperf3, in namespace a ── veth, a token bucket at either end ── target or iperf3, in namespace b
//! ```
//!
//! Both sides count TCP payload: iperf3 its own bytes, the engine those of the transport, in whole seconds after a warm-up.
//! The kernel's cap is the same for both, so that the ratio says whether the engine fills what can be filled.
//!
//! Needs root, `ip`, `tc` and `iperf3`.

#![expect(clippy::print_stdout, reason = "whoever runs these for minutes wants the figures")]

use std::process::Command;

use e2e::document::{items, parse};
use e2e::machine::alone;
use e2e::namespaces::{Namespaces, run};
use e2e::process::{Process, program};
use e2e::waiting::SOON;
use e2e::{Engine, Target, count, number};

const NEAR: &str = "10.78.0.1";
const FAR: &str = "10.78.0.2";
/// Seconds of a measurement, and how often each is made.
const SECONDS: u32 = 4;
const ROUNDS: usize = 3;
/// The share of iperf3's goodput that the engine must reach.
const SHARE_MIN: f64 = 0.99;

/// Two namespaces with a wire between them, which carries at most `cap` (in the words of tc) each way.
fn wire(cap: Option<&str>) -> Namespaces {
    let wire = Namespaces::new("openloop-bulk", &["a", "b"]);
    let (near, far) = (wire.of("a"), wire.of("b"));
    run(&format!("ip link add wire netns {near} type veth peer name wire netns {far}"));
    for (name, address) in [(near, NEAR), (far, FAR)] {
        run(&format!("ip -n {name} addr add {address}/24 dev wire"));
        run(&format!("ip -n {name} link set wire up"));
        if let Some(cap) = cap {
            let bucket = format!("root tbf rate {cap} burst 1m latency 5ms");
            run(&format!("ip netns exec {name} tc qdisc replace dev wire {bucket}"));
        }
    }
    wire
}

/// What one run reached, and what it cost the client.
#[derive(Copy, Clone)]
struct Figures {
    gigabits: f64,
    cpu_percent: f64,
}

fn by_iperf(wire: &Namespaces, is_upload: bool) -> Figures {
    let start = |part: &str, line: &str| {
        let words = wire.within(part);
        let mut command = Command::new(program(&["ip"]));
        command.args(&words[1..]).arg(program(&["iperf3"])).args(line.split_whitespace());
        Process::start(command, None)
    };
    let mut server = start("b", "--server --one-off --forceflush --interval 0");
    e2e::waiting::wait_for("iperf3's port", SOON, || server.stdout().contains("listening").then_some(()));
    let way = if is_upload { "" } else { "--reverse" };
    let line = format!("--client {FAR} --time {SECONDS} --omit 1 --parallel 4 --json {way}");
    let mut client = start("a", &line);
    assert!(client.wait(SOON * 2).success(), "{}\n{}", client.stdout(), client.stderr());
    server.wait(SOON);
    let told = parse("iperf3's report", client.stdout().as_bytes());
    Figures {
        gigabits: number(&told, "/end/sum_received/bits_per_second") / 1e9,
        cpu_percent: number(&told, "/end/cpu_utilization_percent/host_total"),
    }
}

/// `load` says how much: users, or a bandwidth.
fn by_engine(wire: &Namespaces, is_upload: bool, driver: &str, load: &str) -> Figures {
    let (target_flags, flags, field) = if is_upload {
        ("target", "--body-size 1MiB", "/bytes_sent")
    } else {
        ("target --body-size 1MiB", "", "/bytes_received")
    };
    let target = Target::start_on(&format!("{FAR}:0"), Engine::new(target_flags).under(wire.within("b")));
    let line = format!("{load} --cores 1 --warmup 1s -d {SECONDS}s --io {driver} {flags}");
    let outcome = Engine::patient(&line).arg(target.url()).under(wire.within("a")).run().expect(0);
    drop(target.stop());
    let summary = outcome.summary();
    assert_eq!(outcome.audit().failed(), 0, "{}", outcome.told());
    assert_eq!(summary["throughput"]["link"]["interface"], "wire", "{}", outcome.told());
    // Whole seconds only: behind them the link drains.
    let whole = items(summary, "/timeline").iter().take(SECONDS as usize);
    let bytes: u64 = whole.map(|second| count(second, field)).sum();
    let seconds = f64::from(SECONDS);
    Figures {
        gigabits: bytes as f64 * 8.0 / seconds / 1e9,
        cpu_percent: number(summary, "/generator/cpu_s") / (seconds + 1.0) * 100.0,
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Fills the wire both ways; whoever falls short, in words.
fn fill(cap: Option<&str>) -> Vec<String> {
    let spaces = wire(cap);
    let name = cap.unwrap_or("no cap");
    let mut short = Vec::new();
    for (way, is_upload) in [("download", false), ("upload", true)] {
        let mut runs: [Vec<Figures>; 3] = Default::default();
        for _ in 0..ROUNDS {
            runs[0].push(by_iperf(&spaces, is_upload));
            runs[1].push(by_engine(&spaces, is_upload, "uring", "--users 4"));
            runs[2].push(by_engine(&spaces, is_upload, "epoll", "--users 4"));
        }
        let goodput = |runs: &[Figures]| median(runs.iter().map(|run| run.gigabits).collect());
        let cpu = |runs: &[Figures]| median(runs.iter().map(|run| run.cpu_percent).collect());
        let reference = goodput(&runs[0]);
        for (who, runs) in ["iperf3", "engine, io_uring", "engine, epoll"].iter().zip(&runs) {
            let share = goodput(runs) / reference;
            println!(
                "{name:>8} {way:<9} {who:<17} {:7.3} Gbit/s  {:6.2} % of iperf3's  CPU {:5.1} %",
                goodput(runs),
                share * 100.0,
                cpu(runs)
            );
            if share < SHARE_MIN {
                short.push(format!("{name}, {way}, {who}: {:.2} % of iperf3's goodput", share * 100.0));
            }
        }
    }
    short
}

#[test]
fn links_of_1_and_10_gigabits_are_filled() {
    let _hold = alone();
    let short: Vec<String> = ["1gbit", "10gbit"].into_iter().flat_map(|cap| fill(Some(cap))).collect();
    assert!(short.is_empty(), "{short:#?}");
}

/// 94 % of each cap, which leaves room for the headers of TCP, IP and Ethernet and little more.
#[test]
fn a_bandwidth_that_was_asked_for_is_reached() {
    let _hold = alone();
    let mut off = Vec::new();
    for (cap, asked) in [("1gbit", 0.94), ("10gbit", 9.4)] {
        let spaces = wire(Some(cap));
        for (way, is_upload) in [("download", false), ("upload", true)] {
            for driver in ["uring", "epoll"] {
                let load = format!("--gbit {asked} --connections 16");
                let runs = (0..ROUNDS).map(|_| by_engine(&spaces, is_upload, driver, &load).gigabits);
                let reached = median(runs.collect());
                let line = format!("{cap:>8} {way:<9} {driver:<6} asked {asked} reached {reached:.3} Gbit/s");
                println!("{line}");
                // Four seconds hold a few hundred bodies or more; those on their way at either end are not whole.
                if (reached / asked - 1.0).abs() > 1.0 - SHARE_MIN {
                    off.push(line);
                }
            }
        }
    }
    assert!(off.is_empty(), "{off:#?}");
}

#[test]
fn what_an_uncapped_wire_carries() {
    let _hold = alone();
    // The machine is the limit, which is no promise: figures for people.
    fill(None);
}
