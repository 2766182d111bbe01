//! One run of the lab: a target with a log of its own, an engine whose zero is known, and the retries that a shared
//! machine makes necessary.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use e2e::control::Control;
use e2e::engine::write;
use e2e::machine::{Neighbours, settle};
use e2e::process::{Process, program};
use e2e::waiting::{SOON, monotonic_ns, wait_for};
use e2e::{Engine, Outcome, Target, count};
use rustix::process::{Pid, Signal};
use serde_json::json;

use crate::oracle::{Comparison, FIGURES, Seen};

/// The server in another language.
const PYTHON: &str = include_str!("law.py");

/// From which share of the machine on neighbours spoil a run.
const NEIGHBOURS_MAX: f64 = 0.08;
/// How many runs of a case neighbours may spoil.
const DISTURBED_MAX: u32 = 6;
/// How many undisturbed runs a case has to get it right; the table says how many it took.
const RUNS_MAX: u32 = 3;

/// Who serves.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Maker {
    /// `engine target`.
    BuiltIn,
    /// Python, asyncio.
    Python,
}

impl Maker {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::BuiltIn => "built-in",
            Self::Python => "Python",
        }
    }
}

/// How a case is run.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) driver: &'static str,
    pub(crate) shards: u32,
    pub(crate) maker: Maker,
}

impl Setting {
    /// The engine's flags. With one shard the target has a core of its own.
    pub(crate) fn flags(&self) -> String {
        let cores = if self.shards == 1 { "1-1".to_owned() } else { self.shards.to_string() };
        format!("--io {} --cores {cores}", self.driver)
    }
}

/// Both drivers, one shard and two; and a target that shares no code with the engine.
pub(crate) const SETTINGS: [Setting; 5] = [
    Setting { driver: "uring", shards: 1, maker: Maker::BuiltIn },
    Setting { driver: "uring", shards: 2, maker: Maker::BuiltIn },
    Setting { driver: "epoll", shards: 1, maker: Maker::BuiltIn },
    Setting { driver: "epoll", shards: 2, maker: Maker::BuiltIn },
    Setting { driver: "uring", shards: 1, maker: Maker::Python },
];

/// What the target does, in the words of `engine target`.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Behaviour {
    pub(crate) law: &'static str,
    /// Length, period and offset from the first request, in milliseconds.
    pub(crate) stall: Option<(u32, u32, u32)>,
    pub(crate) body_bytes: u32,
}

impl Behaviour {
    pub(crate) const fn law(law: &'static str) -> Self {
        Self { law, stall: None, body_bytes: 17 }
    }

    pub(crate) const fn stall(length: u32, period: u32, offset: u32) -> Self {
        Self { law: "none", stall: Some((length, period, offset)), body_bytes: 17 }
    }
}

/// Where a program runs: in which network namespace, and at which address of it.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The words before a command line.
    pub(crate) wrapper: Vec<String>,
    pub(crate) address: Ipv4Addr,
}

impl Place {
    pub(crate) const fn loopback() -> Self {
        Self { wrapper: Vec::new(), address: Ipv4Addr::LOCALHOST }
    }
}

/// A target that logs every request.
#[derive(Debug)]
pub(crate) enum Server {
    /// `engine target`, and its list.
    BuiltIn(Target, PathBuf),
    /// The server in Python, its log and its address.
    Python(Process, PathBuf, SocketAddr),
}

impl Server {
    /// Starts it on core 0, with its log in `folder`.
    pub(crate) fn start(maker: Maker, behaviour: Behaviour, place: &Place, folder: &Path) -> Self {
        let log = folder.join("served.csv");
        if maker == Maker::BuiltIn {
            let body_bytes = behaviour.body_bytes;
            let mut line = format!("target --cores 0-0 --body-size {body_bytes} --delay {}", behaviour.law);
            if let Some((length, period, offset)) = behaviour.stall {
                write!(line, " --stall {length}ms/{period}ms@{offset}ms").expect("a String takes it");
            }
            let engine = Engine::new(&line).under(&place.wrapper).arg("--list").arg(&log);
            let target = Target::start_on(&SocketAddr::from((place.address, 0)).to_string(), engine);
            return Self::BuiltIn(target, log);
        }
        let address = SocketAddr::from((place.address, free_port()));
        let process = Process::start(python(folder, address.port(), &log, behaviour, place), None);
        wait_for("the server", SOON, || process.stdout().contains("listening").then_some(()));
        Self::Python(process, log, address)
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::BuiltIn(target, _) => target.url(),
            Self::Python(.., address) => format!("http://{address}/"),
        }
    }

    pub(crate) fn port(&self) -> u16 {
        match self {
            Self::BuiltIn(target, _) => target.address.port(),
            Self::Python(.., address) => address.port(),
        }
    }

    pub(crate) fn pid(&self) -> Pid {
        match self {
            Self::BuiltIn(target, _) => target.running.process.pid(),
            Self::Python(process, ..) => process.pid(),
        }
    }

    /// Ends it; what it has seen.
    pub(crate) fn stop(self) -> Vec<Seen> {
        match self {
            Self::BuiltIn(target, log) => {
                let truth = target.stop();
                assert_eq!(count(&truth, "/delay/list/left_out"), 0);
                let start = count(&truth, "/started_monotonic_ns");
                let seen = |fields: &[u64]| {
                    let asked_ns = start + fields[0];
                    Seen { asked_ns, answered_ns: asked_ns + fields[2] }
                };
                rows(&log).iter().map(|fields| seen(fields)).collect()
            }
            Self::Python(mut process, log, _) => {
                process.signal(Signal::TERM);
                process.wait(SOON);
                let seen = |fields: &Vec<u64>| Seen { asked_ns: fields[0], answered_ns: fields[1] };
                rows(&log).iter().map(seen).collect()
            }
        }
    }
}

/// The command of the server in Python.
fn python(folder: &Path, port: u16, log: &Path, behaviour: Behaviour, place: &Place) -> Command {
    let script = folder.join("law.py");
    write(&script, PYTHON);
    let (length, period, offset) = behaviour.stall.unwrap_or((0, 0, 0));
    let wrapper = place.wrapper.iter().map(String::as_str);
    let mut words = wrapper.chain(["taskset", "-c", "0"]);
    let mut command = Command::new(words.next().expect("there is a first word"));
    command.args(words).arg(program(&["python3"])).arg(script);
    command.arg(port.to_string()).arg(log).arg(behaviour.law).arg("1");
    command.args([length, period, offset].map(|ms| (f64::from(ms) / 1e3).to_string()));
    command.arg(behaviour.body_bytes.to_string());
    command
}

/// The numbers of a CSV file; a head line is passed over.
fn rows(file: &Path) -> Vec<Vec<u64>> {
    let text = std::fs::read_to_string(file).expect("the target wrote its log");
    let lines = text.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_digit()));
    lines.map(|line| line.split(',').map(|field| field.parse().expect("a number")).collect()).collect()
}

/// A port on which nobody listens now.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("it listens").port()
}

/// Runs an engine whose zero is set over its control socket; `act` is called when that is done, with the zero and the
/// engine's process.
pub(crate) fn run_armed(engine: Engine, folder: &Path, act: impl FnOnce(u64, Pid)) -> (Outcome, u64) {
    let socket = folder.join("control");
    let running = engine.arg("--control").arg(&socket).json().start();
    let mut control = Control::connect(&socket);
    wait_for("readiness", SOON, || {
        (control.order(json!({"op": "status"}))["status"]["state"] == "ready").then_some(())
    });
    let zero_ns = monotonic_ns() + 300_000_000;
    control.order(json!({"op": "arm", "at_monotonic_ns": zero_ns}));
    act(zero_ns, running.process.pid());
    (running.finish(), zero_ns)
}

/// What a run of a case found.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) outcome: Outcome,
    pub(crate) comparisons: Vec<Comparison>,
    /// The exit code that the case must have.
    pub(crate) code: i32,
}

impl Finding {
    fn is_right(&self) -> bool {
        self.outcome.code == self.code
            && self.comparisons.iter().all(|comparison| comparison.worst().0 <= 1.0)
    }
}

/// Whether every case is run once and none is judged: to try the lab itself out on a machine that is busy.
pub(crate) fn in_haste() -> bool {
    std::env::var_os("OPENLOOP_HASTE").is_some()
}

/// Runs a case until an undisturbed run is right, at most [`RUNS_MAX`] of these; writes its rows. Yields what is wrong.
pub(crate) fn judge(
    case: &str,
    setting: Setting,
    table: &mut Table,
    mut attempt: impl FnMut() -> Finding,
) -> Option<String> {
    let (mut runs, mut disturbed) = (0, 0);
    loop {
        if !in_haste() {
            settle(Duration::from_secs(30));
        }
        let neighbours = Neighbours::watch();
        let finding = attempt();
        let share = neighbours.share();
        if share > NEIGHBOURS_MAX && disturbed < DISTURBED_MAX && !finding.is_right() && !in_haste() {
            disturbed += 1;
            continue;
        }
        runs += 1;
        if !finding.is_right() && runs < RUNS_MAX && disturbed < DISTURBED_MAX && !in_haste() {
            continue;
        }
        for comparison in &finding.comparisons {
            table.row(case, setting, comparison, finding.outcome.code, runs, share);
        }
        return (!finding.is_right() && !in_haste()).then(|| {
            let worst: Vec<_> =
                finding.comparisons.iter().map(|one| (one.latency, one.worst())).collect();
            let (driver, shards, maker) = (setting.driver, setting.shards, setting.maker.name());
            format!(
                "{case}, {driver}, {shards} shards, {maker}, others used {:.0} %: exit code {} instead of {}; worst {worst:?}\n{}",
                share * 100.0,
                finding.outcome.code,
                finding.code,
                finding.outcome.told()
            )
        });
    }
}

/// A table of the lab, printed line by line as it grows; and to the file `OPENLOOP_TABLE`, if that names one.
#[derive(Debug)]
pub(crate) struct Table {
    file: Option<File>,
}

impl Table {
    /// Begins a table with a title.
    pub(crate) fn begin(title: &str) -> Self {
        let file = std::env::var_os("OPENLOOP_TABLE").map(|path| {
            let file = OpenOptions::new().create(true).append(true).open(path);
            file.expect("the table's file can be written")
        });
        let mut table = Self { file };
        table.line(&format!("\n{title}\n"));
        table
    }

    /// The head of a table of comparisons.
    pub(crate) fn comparisons(title: &str) -> Self {
        let mut table = Self::begin(title);
        let names: Vec<_> = FIGURES.iter().map(|(_, name, _)| *name).collect();
        table.line(&format!(
            "| case | driver | shards | target | latency (ms) | {} | worst error of what is allowed | exit | runs | others |",
            names.join(" | ")
        ));
        table.line(&format!("|{}", "---|".repeat(10 + names.len())));
        table
    }

    fn row(
        &mut self,
        case: &str,
        setting: Setting,
        comparison: &Comparison,
        code: i32,
        runs: u32,
        others: f64,
    ) {
        let cell = |ns: f64| format!("{:.3}", ns / 1e6);
        let pairs = comparison.figures.iter();
        let cells: Vec<String> =
            pairs.map(|figure| format!("{} / {}", cell(figure.reported_ns), cell(figure.true_ns))).collect();
        let (error, name) = comparison.worst();
        self.line(&format!(
            "| {case} | {} | {} | {} | {} | {} | {:.0} % at {name} | {code} | {runs} | {:.0} % |",
            setting.driver,
            setting.shards,
            setting.maker.name(),
            comparison.latency,
            cells.join(" | "),
            error * 100.0,
            others * 100.0,
        ));
    }

    /// Prints a line.
    pub(crate) fn line(&mut self, line: &str) {
        println!("{line}");
        if let Some(file) = &mut self.file {
            writeln!(file, "{line}").expect("the table's file has room");
        }
    }
}
