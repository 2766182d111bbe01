//! What other load generators report on the same cases: their figures beside the truth, nothing judged.
//!
//! What it is: packaged peers with flags that ask for the same load, as near as each can. What it is not: a race; how much
//! CPU a request costs is measured by `perf`. Peers that are not installed are named. oha is taken from the search path,
//! from the folder into which `perf` installs peers, or from where `OHA` points; locust likewise from `LOCUST`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use e2e::document::parse;
use e2e::engine::write;
use e2e::machine::{alone, repository, settle};
use e2e::process::Process;
use e2e::{Engine, Target, count, number};
use serde_json::Value;

use crate::lab::{Table, in_haste};

/// p50, p99 and p99.9 in milliseconds, as far as a tool tells them.
type Figures = [Option<f64>; 3];

/// A load generator, and how it is asked for 1,000 requests per second.
struct Peer {
    name: &'static str,
    /// The program, or the variable that names it.
    program: &'static str,
    variable: &'static str,
    /// URL for `{}`, without its last slash for `{origin}`, seconds for `{s}`.
    flags: &'static str,
    /// How to ask for the version.
    version: &'static str,
    read: fn(&str, &Path) -> Figures,
}

const PEERS: [Peer; 7] = [
    Peer {
        name: "wrk",
        program: "wrk",
        variable: "WRK",
        flags: "-t1 -c10 -d{s}s --latency {}",
        version: "-v",
        read: wrk,
    },
    Peer {
        name: "h2load",
        program: "h2load",
        variable: "H2LOAD",
        flags: "--h1 -c50 --rps=20 -D{s} {}",
        version: "--version",
        read: |_, _| [None; 3],
    },
    Peer {
        name: "hey",
        program: "hey",
        variable: "HEY",
        flags: "-c 50 -q 20 -z {s}s {}",
        version: "",
        read: hey,
    },
    Peer {
        name: "oha",
        program: "oha",
        variable: "OHA",
        flags: "--no-tui --output-format json -c 50 -q 1000 -z {s}s {}",
        version: "--version",
        read: oha,
    },
    Peer {
        name: "oha",
        program: "oha",
        variable: "OHA",
        flags: "--no-tui --output-format json --latency-correction -c 50 -q 1000 -z {s}s {}",
        version: "--version",
        read: oha,
    },
    Peer {
        name: "oha",
        program: "oha",
        variable: "OHA",
        flags: "--no-tui --output-format json --latency-correction -c 2000 -q 1000 -z {s}s {}",
        version: "--version",
        read: oha,
    },
    Peer {
        name: "locust",
        program: "locust",
        variable: "LOCUST",
        flags: "--headless -u 50 -r 50 -t {s}s -f load.py --csv out -H {origin}",
        version: "--version",
        read: locust,
    },
];

/// 50 users, each 20 times per second.
const LOCUSTFILE: &str = "from locust import FastHttpUser, constant_throughput, task\n\n\nclass Visitor(FastHttpUser):\n    wait_time = constant_throughput(20)\n\n    @task\n    def visit(self):\n        self.client.get(\"/\")\n";

fn milliseconds(text: &str) -> Option<f64> {
    let (digits, factor) = [("us", 1e-3), ("ms", 1.0), ("s", 1e3)]
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
    Some(digits.parse::<f64>().ok()? * factor)
}

/// The word after the one that begins a line, for each of these.
fn after(said: &str, labels: [&str; 3], read: impl Fn(&[&str]) -> Option<f64>) -> Figures {
    labels.map(|label| {
        said.lines().find_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            (words.first()?.trim_end_matches('%') == label).then(|| read(&words)).flatten()
        })
    })
}

fn wrk(said: &str, _: &Path) -> Figures {
    after(said, ["50", "99", "99.9"], |words| milliseconds(words.get(1)?))
}

fn hey(said: &str, _: &Path) -> Figures {
    after(said, ["50", "99", "99.9"], |words| Some(words.get(2)?.parse::<f64>().ok()? * 1e3))
}

fn oha(said: &str, _: &Path) -> Figures {
    let report = parse("oha's report", said.as_bytes());
    ["p50", "p99", "p99.9"].map(|name| Some(report["latencyPercentiles"][name].as_f64()? * 1e3))
}

fn locust(_: &str, folder: &Path) -> Figures {
    let text = std::fs::read_to_string(folder.join("out_stats.csv")).unwrap_or_default();
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let sums: Vec<&str> = lines.last().unwrap_or_default().split(',').collect();
    ["50%", "99%", "99.9%"].map(|name| {
        let place = names.iter().position(|known| *known == name)?;
        sums.get(place)?.parse().ok()
    })
}

impl Peer {
    fn find(&self) -> Option<PathBuf> {
        let named = std::env::var_os(self.variable).map(PathBuf::from);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        folders.push(repository().join("target/perf-peers/bin"));
        let found = folders.into_iter().map(|folder| folder.join(self.program));
        named.into_iter().chain(found).find(|file| file.is_file())
    }

    /// The first number with points in what it says of itself; Debian's word for a tool that does not tell.
    fn version(&self, program: &Path) -> String {
        let said = if self.version.is_empty() {
            Command::new("dpkg-query").args(["-W", "-f", "${Version}", self.program]).output()
        } else {
            Command::new(program).arg(self.version).output()
        };
        let said = said.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
        let text = String::from_utf8_lossy(&said).into_owned();
        let words = text.split(|letter: char| letter.is_whitespace() || letter == '/');
        let is_version =
            |word: &&str| word.contains('.') && word.starts_with(|first: char| first.is_ascii_digit());
        words.into_iter().find(is_version).unwrap_or("?").to_owned()
    }

    fn run(&self, program: &Path, url: &str, seconds: u64) -> Figures {
        let folder = tempfile::tempdir().expect("a folder");
        write(&folder.path().join("load.py"), LOCUSTFILE);
        let flags = self.flags.replace("{s}", &seconds.to_string()).replace("{}", url);
        let flags = flags.replace("{origin}", url.trim_end_matches('/'));
        let mut command = Command::new(program);
        command.current_dir(folder.path()).args(flags.split_whitespace());
        let mut process = Process::start(command, None);
        process.wait(Duration::from_secs(seconds + 60));
        (self.read)(&process.stdout(), folder.path())
    }
}

/// What a row says.
fn row(table: &mut Table, tool: &str, flags: &str, received: u64, figures: Figures) {
    let cells = figures.map(|figure| figure.map_or("not told".to_owned(), |ms| format!("{ms:.1}")));
    table.line(&format!("| {tool} | `{flags}` | {received} | {} |", cells.join(" | ")));
}

fn engine_figures(summary: &Value) -> Figures {
    ["p50", "p99", "p99_9"].map(|name| Some(number(summary, &format!("/latency_ns/response/{name}")) / 1e6))
}

/// One case: the truth, this engine, and every peer that is installed.
fn compare(case: &str, flags: &str) {
    let _hold = alone();
    let seconds = if in_haste() { 3 } else { 30 };
    let mut table = Table::begin(&format!("Peers, {case}, 1,000/s for {seconds} s: milliseconds"));
    table.line("| tool | flags | requests at the target | p50 | p99 | p99.9 |\n|---|---|---|---|---|---|");
    let target = || {
        settle(Duration::from_secs(3));
        Target::start(&format!("--cores 0-0 {flags}"))
    };
    let served = target();
    let line = format!("--tps 1000 -d {seconds}s");
    let outcome = Engine::new(&line).arg(served.url()).json().run();
    let truth = served.stop();
    let truth_figures = if flags.contains("stall") {
        // A tenth of the arrivals waits evenly between 0 and 1 s.
        [Some(0.0), Some(900.0), Some(990.0)]
    } else {
        ["p50", "p99", "p99_9"].map(|name| Some(number(&truth, &format!("/delay/applied_ns/{name}")) / 1e6))
    };
    row(&mut table, "truth", "", seconds * 1_000, truth_figures);
    row(&mut table, "this engine", &line, count(&truth, "/requests"), engine_figures(outcome.summary()));
    for peer in &PEERS {
        let Some(program) = peer.find() else {
            table.line(&format!("| {} | not installed | | | | |", peer.name));
            continue;
        };
        let served = target();
        let figures = peer.run(&program, &served.url(), seconds);
        let received = count(&served.stop(), "/requests");
        let tool = format!("{} {}", peer.name, peer.version(&program));
        let flags =
            peer.flags.replace("{s}", &seconds.to_string()).replace("{origin}", "URL").replace("{}", "URL");
        row(&mut table, &tool, &flags, received, figures);
    }
}

#[test]
#[ignore = "measures other programs and judges nothing: cargo xtask long truth --ignored peers"]
fn peers_at_a_constant_delay() {
    compare("constant 10 ms", "--delay 10ms");
}

#[test]
#[ignore = "measures other programs and judges nothing: cargo xtask long truth --ignored peers"]
fn peers_at_two_delays() {
    compare("7 % 50 ms, else 2 ms", "--delay bimodal:2ms,50ms,0.07");
}

#[test]
#[ignore = "measures other programs and judges nothing: cargo xtask long truth --ignored peers"]
fn peers_at_a_stall() {
    compare("frozen 1 s in every 10 s", "--stall 1s/10s@4500ms");
}
