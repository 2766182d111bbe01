//! Who is measured: how each client is called, and what it says about itself.
//!
//! Every client gets the same target, the same connections and the same time. Flags are each one's own way of saying
//! so, and one thread, because it has one core.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::PerfError;
use crate::baselines::Kind;
use crate::child::{Ended, Running};
use crate::programs::Programs;

/// Requests for each second of a run, where a client takes a count only: without TLS and with it.
const CHURN_PER_SECOND: u32 = 10_000;
const HANDSHAKES_PER_SECOND: u32 = 700;

/// What all clients of a table are to do.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) is_tls: bool,
    pub(crate) connections: u32,
    pub(crate) seconds: u32,
    /// Requests per second; `None` is a closed loop at saturation.
    pub(crate) rate: Option<u32>,
    /// Every request on a connection of its own.
    pub(crate) is_churn: bool,
    /// Bytes of body in each request, a POST then; 0 is a GET.
    pub(crate) request_bytes: usize,
    /// TLS sessions may be resumed; who has a flag is told when not.
    pub(crate) resumes: bool,
    /// The certificate by which the engine verifies the target's; without it, and by the peers, it is not verified.
    pub(crate) authority: Option<PathBuf>,
}

impl Load {
    fn url(&self) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{}/", self.address)
    }

    /// How long a run may take before it counts as hung.
    fn limit_ns(&self) -> u64 {
        (u64::from(self.seconds) + 30) * clock::NANOS_PER_SECOND
    }
}

/// Which client.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Baseline(Kind),
    Engine {
        io: &'static str,
        pacing: &'static str,
    },
    /// The engine with a plan file: iterations of three requests, plain ones or a journey.
    Plan {
        is_journey: bool,
    },
    Wrk,
    H2load,
    Oha {
        corrected: bool,
    },
    Hey,
}

/// A client that can be run.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) name: String,
    pub(crate) what: What,
    program: PathBuf,
}

/// What one run gave.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) ended: Ended,
    /// What the client itself reported, if it reports in JSON; else null.
    pub(crate) report: Value,
}

impl Client {
    /// A client under its name, if its program is there.
    pub(crate) fn new(name: &str, what: What, programs: &Programs) -> Option<Self> {
        let program = match what {
            What::Baseline(kind) if kind.is_runtime() => programs.runtimes.clone(),
            // Ourselves, even if the file has been replaced since we started.
            What::Baseline(_) => Some(PathBuf::from("/proc/self/exe")),
            What::Engine { .. } | What::Plan { .. } => programs.engine.clone(),
            What::Wrk => programs.wrk.clone(),
            What::H2load => programs.h2load.clone(),
            What::Oha { .. } => programs.oha.clone(),
            What::Hey => programs.hey.clone(),
        }?;
        Some(Self { name: name.to_owned(), what, program })
    }

    /// Runs it once, on its cores, to its end.
    pub(crate) fn run(&self, load: &Load, cores: &[usize], scratch: &Path) -> Result<Run, String> {
        let report_path = scratch.join("report.json");
        // A report of an earlier run must not be taken for this one's.
        let _ = std::fs::remove_file(&report_path);
        let mut arguments = self.arguments(load, cores, &report_path);
        if self.what == What::Wrk && load.request_bytes > 0 {
            // It has no flag for a method or a body.
            let path = scratch.join("upload.lua");
            std::fs::write(&path, upload_script(load.request_bytes)).map_err(|error| error.to_string())?;
            arguments.splice(0..0, ["-s".to_owned(), path.display().to_string()]);
        }
        if let What::Plan { is_journey } = self.what {
            write_plan(load, is_journey, scratch).map_err(|error| error.to_string())?;
        }
        let running = Running::start(&self.program, &arguments, cores, scratch, "client");
        let ended = running
            .and_then(|running| running.finish(load.limit_ns()))
            .map_err(|error: PerfError| error.to_string())?;
        let text = match self.what {
            What::Engine { .. } | What::Plan { .. } => {
                std::fs::read_to_string(&report_path).unwrap_or_default()
            }
            _ => ended.output.clone(),
        };
        let report = serde_json::from_str(&text).unwrap_or(Value::Null);
        // The engine's exit code is its verdict on the run, which is reported; that it reported is what counts here.
        let is_done = match self.what {
            What::Engine { .. } => report.is_object(),
            // Iterations that fail are shorter than those that are to be measured.
            What::Plan { .. } => {
                let iterations = &report["workloads"]["visits"]["iterations"];
                iterations["completed"].as_u64() > Some(0)
                    && iterations["failed"].as_object().is_some_and(serde_json::Map::is_empty)
            }
            _ => ended.code == Some(0),
        };
        if is_done && !ended.overran { Ok(Run { ended, report }) } else { Err(last_words(&ended)) }
    }

    fn arguments(&self, load: &Load, cores: &[usize], report: &Path) -> Vec<String> {
        let (url, seconds, connections, threads) = (load.url(), load.seconds, load.connections, cores.len());
        let only_if = |wanted: bool, text: &'static str| if wanted { text } else { "" };
        let line = match self.what {
            What::Baseline(kind) => {
                let own = only_if(!kind.is_runtime(), "baseline ");
                let rate = load.rate.map_or_else(String::new, |rate| format!(" --rate {rate}"));
                format!("{own}{} {} {connections} {seconds}{rate}", kind.name(), load.address)
            }
            What::Engine { io, pacing } => {
                let close = only_if(load.is_churn, "--close-after 1 ");
                let body = match load.request_bytes {
                    0 => String::new(),
                    bytes => format!("--body-size {bytes} "),
                };
                let load = match load.rate {
                    Some(rate) => format!("--tps {rate} --connections {connections}"),
                    None => format!("--users {connections}"),
                };
                let cores = ranges(cores);
                format!(
                    "{url} {load} {close}{body}--duration {seconds}s --cores {cores} --io {io} --pacing {pacing} --insecure --quiet"
                )
            }
            What::Plan { .. } => {
                format!("--cores {} --io uring --pacing sleep --quiet", ranges(cores))
            }
            What::Wrk => format!("-t{threads} -c{connections} -d{seconds}s {url}"),
            // With a duration it does not come to its end when the target closes connections.
            What::H2load if load.is_churn => {
                let per_second = if load.is_tls { HANDSHAKES_PER_SECOND } else { CHURN_PER_SECOND };
                format!("--h1 -t{threads} -c{connections} -n{} {url}", seconds * per_second)
            }
            What::H2load => format!("--h1 -t{threads} -c{connections} -D{seconds} {url}"),
            What::Oha { corrected } => {
                let rate = load.rate.map_or_else(String::new, |rate| format!("-q {rate} "));
                let correction = only_if(corrected, "--latency-correction ");
                let close = only_if(load.is_churn, "--disable-keepalive ");
                format!(
                    "-c {connections} -z {seconds}s {rate}{correction}{close}--insecure --no-tui --output-format json {url}"
                )
            }
            What::Hey => {
                // Its rate is that of one worker.
                let rate = load.rate.map_or_else(String::new, |rate| {
                    format!("-q {} ", f64::from(rate) / f64::from(connections))
                });
                let close = only_if(load.is_churn, "-disable-keepalive ");
                format!("-cpus {threads} -c {connections} -z {seconds}s {rate}{close}{url}")
            }
        };
        let mut arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        if load.is_churn && matches!(self.what, What::Wrk | What::H2load) {
            // They have no flag for it, but do as the target does, which obeys this field.
            arguments.splice(0..0, ["-H".to_owned(), "Connection: close".to_owned()]);
        }
        if let What::Plan { .. } = self.what {
            // Paths may hold blanks.
            let plan = report.with_file_name(PLAN);
            arguments.splice(0..0, ["run".to_owned(), plan.display().to_string()]);
            arguments.extend(["--json".to_owned(), report.display().to_string()]);
        }
        if matches!(self.what, What::Engine { .. }) {
            // A path may hold blanks.
            arguments.extend(["--json".to_owned(), report.display().to_string()]);
            if !load.is_tls || load.authority.is_some() {
                arguments.retain(|argument| argument != "--insecure");
            }
            if let Some(authority) = &load.authority {
                arguments.extend(["--cacert".to_owned(), authority.display().to_string()]);
            }
            if !load.resumes {
                arguments.push("--no-resumption".to_owned());
            }
        }
        arguments
    }
}

impl Run {
    /// CPU per request as the client itself measured it, start-up left out; few do.
    pub(crate) fn own_cpu_us(&self) -> Option<f64> {
        let own = &self.report["cpu_us_per_request"];
        own.as_f64().or_else(|| self.report["generator"]["cpu_us_per_request"].as_f64())
    }

    /// A quantile of the response time as the client reports it (the engine's in nanoseconds, oha's in seconds).
    pub(crate) fn response_us(&self, quantile: &str) -> Option<f64> {
        let nanoseconds = self.report["latency_ns"]["response"][quantile].as_f64().map(|value| value / 1e3);
        nanoseconds.or_else(|| self.report["latencyPercentiles"][quantile].as_f64().map(|value| value * 1e6))
    }

    /// A quantile of the engine's schedule lag.
    pub(crate) fn lag_us(&self, quantile: &str) -> Option<f64> {
        self.report["latency_ns"]["lag"][quantile].as_f64().map(|value| value / 1e3)
    }

    /// The engine's verdict.
    pub(crate) fn verdict(&self) -> Option<&str> {
        self.report["verdict"]["result"].as_str()
    }
}

/// Cores as the engine is told them.
fn ranges(cores: &[usize]) -> String {
    let ranges: Vec<String> = cores.iter().map(|core| format!("{core}-{core}")).collect();
    ranges.join(",")
}

/// A plan file's name, beside the report.
const PLAN: &str = "plan.yaml";

/// Writes a plan of iterations of three requests, which a journey fills in with a row of data and a value of the first
/// answer, and the rows.
fn write_plan(load: &Load, is_journey: bool, scratch: &Path) -> std::io::Result<()> {
    let Load { connections, seconds, .. } = load;
    let work = load.rate.map_or_else(|| format!("users: {connections}"), |rate| format!("tps: {}", rate / 3));
    let (data, row, steps) = if is_journey {
        (
            "data: {visitors: {file: visitors.csv, order: sequential, at-end: repeat}}\n",
            "    data: visitors\n",
            "      - get: /visit?by={{visitors.name}}\n        extract: {token: {json: $.token}}\n      \
             - get: /basket/{{token}}\n      - get: /leave?by={{visitors.name}}\n",
        )
    } else {
        ("", "", "      - get: /visit\n      - get: /basket\n      - get: /leave\n")
    };
    let plan = format!(
        "schema: openloop.plan/1\ntargets: {{here: {{url: '{}', connections: {connections}}}}}\n{data}\
         workloads: {{visits: {{{work}, for: {seconds}s, scenario: visit}}}}\n\
         scenarios:\n  visit:\n{row}    steps:\n{steps}",
        load.url()
    );
    let rows: Vec<String> = (0..1_000).map(|row| format!("visitor{row}")).collect();
    std::fs::write(scratch.join("visitors.csv"), format!("name\n{}\n", rows.join("\n")))?;
    std::fs::write(scratch.join(PLAN), plan)
}

/// What makes wrk send a body; the string is made once, before the run.
fn upload_script(bytes: usize) -> String {
    format!("wrk.method = \"POST\"\nwrk.body = string.rep(\"x\", {bytes})\n")
}

/// Why a run failed, in one line.
fn last_words(ended: &Ended) -> String {
    let how = match (ended.overran, ended.code) {
        (true, _) => "did not end".to_owned(),
        (false, Some(code)) => format!("exit code {code}"),
        (false, None) => "ended by a signal".to_owned(),
    };
    let said = [&ended.complaints, &ended.output];
    let line = said.iter().find_map(|text| text.lines().rev().find(|line| !line.trim().is_empty()));
    line.map_or_else(|| how.clone(), |line| format!("{how}: {}", line.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(is_tls: bool, rate: Option<u32>) -> Load {
        let address = SocketAddr::from(([127, 0, 0, 1], 8080));
        Load {
            address,
            is_tls,
            connections: 64,
            seconds: 3,
            rate,
            is_churn: false,
            request_bytes: 0,
            resumes: true,
            authority: None,
        }
    }

    fn line(what: What, load: &Load) -> String {
        let client = Client { name: String::new(), what, program: PathBuf::new() };
        client.arguments(load, &[1], Path::new("a report.json")).join(" ")
    }

    #[test]
    fn each_is_asked_for_the_same_in_its_own_words() {
        let engine = What::Engine { io: "uring", pacing: "sleep" };
        let oha = What::Oha { corrected: true };
        for (what, is_tls, rate, wanted) in [
            (What::Wrk, true, None, "-t1 -c64 -d3s https://127.0.0.1:8080/"),
            (What::H2load, false, None, "--h1 -t1 -c64 -D3 http://127.0.0.1:8080/"),
            (What::Baseline(Kind::Floor), false, None, "baseline floor 127.0.0.1:8080 64 3"),
            (What::Baseline(Kind::Monoio), false, None, "monoio 127.0.0.1:8080 64 3"),
            (
                engine,
                false,
                None,
                "http://127.0.0.1:8080/ --users 64 --duration 3s --cores 1-1 --io uring --pacing sleep --quiet \
                 --json a report.json",
            ),
            (
                engine,
                true,
                Some(20_000),
                "https://127.0.0.1:8080/ --tps 20000 --connections 64 --duration 3s --cores 1-1 --io uring \
                 --pacing sleep --insecure --quiet --json a report.json",
            ),
            (
                oha,
                false,
                Some(20_000),
                "-c 64 -z 3s -q 20000 --latency-correction --insecure --no-tui --output-format json \
                 http://127.0.0.1:8080/",
            ),
        ] {
            assert_eq!(line(what, &load(is_tls, rate)), wanted);
        }
    }

    #[test]
    fn churn_rates_and_cores_are_asked_for_in_each_ones_own_words() {
        let churn = Load { is_churn: true, ..load(false, None) };
        let engine = What::Engine { io: "uring", pacing: "sleep" };
        for (what, load, wanted) in [
            (What::Wrk, &churn, "-H Connection: close -t1 -c64 -d3s http://127.0.0.1:8080/"),
            (What::H2load, &churn, "-H Connection: close --h1 -t1 -c64 -n30000 http://127.0.0.1:8080/"),
            (
                What::Oha { corrected: false },
                &churn,
                "-c 64 -z 3s --disable-keepalive --insecure --no-tui --output-format json http://127.0.0.1:8080/",
            ),
            (What::Hey, &churn, "-cpus 1 -c 64 -z 3s -disable-keepalive http://127.0.0.1:8080/"),
            (
                engine,
                &churn,
                "http://127.0.0.1:8080/ --users 64 --close-after 1 --duration 3s --cores 1-1 --io uring \
                 --pacing sleep --quiet --json a report.json",
            ),
            (
                engine,
                &Load { request_bytes: 1 << 20, ..load(false, None) },
                "http://127.0.0.1:8080/ --users 64 --body-size 1048576 --duration 3s --cores 1-1 --io uring \
                 --pacing sleep --quiet --json a report.json",
            ),
            (
                What::Plan { is_journey: true },
                &load(false, None),
                "run plan.yaml --cores 1-1 --io uring --pacing sleep --quiet --json a report.json",
            ),
            (What::Hey, &load(false, Some(20_000)), "-cpus 1 -c 64 -z 3s -q 312.5 http://127.0.0.1:8080/"),
        ] {
            assert_eq!(line(what, load), wanted);
        }
        let full = Load { is_churn: true, resumes: false, ..load(true, None) };
        let common = "https://127.0.0.1:8080/ --users 64 --close-after 1 --duration 3s --cores 1-1 --io uring \
                      --pacing sleep";
        let report = "--quiet --json a report.json";
        assert_eq!(line(engine, &full), format!("{common} --insecure {report} --no-resumption"));
        let verified = Load { authority: Some(PathBuf::from("an authority.pem")), ..full };
        assert_eq!(
            line(engine, &verified),
            format!("{common} {report} --cacert an authority.pem --no-resumption")
        );
        let client = Client { name: String::new(), what: engine, program: PathBuf::new() };
        let two = client.arguments(&load(false, None), &[0, 2], Path::new("r")).join(" ");
        assert!(two.contains("--cores 0-0,2-2 "), "{two}");
    }

    #[test]
    fn reports_of_each_kind_are_read() {
        let run = |text: &str| Run {
            ended: Ended {
                cpu_ns: 0,
                switches: 0,
                wall_ns: 0,
                code: Some(0),
                overran: false,
                output: String::new(),
                complaints: String::new(),
            },
            report: serde_json::from_str(text).unwrap(),
        };
        let engine = run(r#"{"generator":{"cpu_us_per_request":5.5},"verdict":{"result":"pass"},
            "latency_ns":{"lag":{"p99":12000},"response":{"p50":34000}}}"#);
        assert_eq!((engine.own_cpu_us(), engine.lag_us("p99")), (Some(5.5), Some(12.0)));
        assert_eq!((engine.response_us("p50"), engine.verdict()), (Some(34.0), Some("pass")));
        let oha = run(r#"{"latencyPercentiles":{"p50":0.0005}}"#);
        assert_eq!((oha.response_us("p50"), oha.own_cpu_us()), (Some(500.0), None));
        assert_eq!(run(r#"{"requests":1,"cpu_us_per_request":4.5}"#).own_cpu_us(), Some(4.5));
    }
}
