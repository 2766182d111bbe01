//! What directing a large fleet costs: a coordinator, as it is shipped, beneath simulated nodes over real gRPC.
//!
//! What it is: `coordinator serve` as a process of its own; nodes as tasks of this one, each with the engine's own agent and a
//! connection of its own; a run started and followed over the API, as people do. What it is not: load; nothing is sent to the
//! target that the plan names.
//!
//! Invariant: what the nodes say they sent, what the stream showed second by second and what the report says are compared; a
//! measurement in which they differ says so.
//! Units: nanoseconds and bytes.

mod load;
mod node;
mod people;
mod process;
mod told;

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::arguments::FleetOptions;
use crate::child::{Running, cores, now_ns, own_cpu_ns, raise_file_limit};
use crate::statistics::Spread;
use crate::{PerfError, emit, environment, programs, say};
use load::Load;
use node::World;
use people::Seen;
use process::Sample;
use told::Told;

/// How often the coordinator's process is looked at.
const SAMPLED_EVERY: Duration = Duration::from_millis(250);
/// How long anything may take to come about.
const PATIENCE_NS: u64 = 120 * S;
/// The start and the end of a run are no steady state.
const EDGE_NS: u64 = 2 * S;
const S: u64 = 1_000_000_000;

/// What nodes and the coordinator had said and used at an instant.
#[derive(Clone, Debug)]
struct Instant {
    process: Sample,
    from_nodes: (u64, u64),
    to_nodes: (u64, u64),
    own_cpu_ns: u64,
}

/// What happened when.
#[derive(Debug)]
struct Course {
    begun: Instant,
    joined: Instant,
    submitted: Instant,
    start_ns: u64,
    seen: Seen,
    report: Value,
    samples: Vec<Instant>,
    delta_bytes: usize,
    world: Arc<World>,
}

/// Measures and prints.
pub(crate) fn print(options: &FleetOptions) -> Result<(), PerfError> {
    raise_file_limit();
    let coordinator = match &options.coordinator {
        Some(path) => path.clone(),
        None => {
            programs::build("coordinator", "coordinator", &[]).map_err(|what| PerfError::Refused { what })?
        }
    };
    let scratch = tempfile::tempdir().map_err(PerfError::system("cannot create a scratch folder"))?;
    let course = carry_out(options, &coordinator, scratch.path())?;
    let (markdown, document) = render(options, &course);
    emit(&markdown)?;
    let Some(path) = &options.json else { return Ok(()) };
    std::fs::write(path, format!("{document:#}\n")).map_err(|source| PerfError::Output { source })
}

fn carry_out(options: &FleetOptions, coordinator: &Path, scratch: &Path) -> Result<Course, PerfError> {
    let state = scratch.join("state");
    let words = [
        "serve",
        "--nodes-listen",
        "127.0.0.1:0",
        "--http-listen",
        "127.0.0.1:0",
        "--state",
        &state.display().to_string(),
    ];
    let words = words.map(str::to_owned);
    let running = Running::start(coordinator, &words, &cores()?, scratch, "coordinator")?;
    let said = scratch.join("coordinator.err");
    let (nodes_at, people_at) = addresses(&said)?;
    let world = Arc::new(World {
        load: Load::new(options.names, options.tps, options.seconds),
        told: Told::new(options.seconds),
        address: nodes_at,
        empty: empty_summary(),
    });
    let delta_bytes = world.load.measured(options.tps / u64::from(options.nodes), 0).bytes().len();
    let pid = running.pid();
    let look = {
        let (world, state) = (Arc::clone(&world), state.clone());
        move || Instant {
            process: process::sample(pid, &state),
            from_nodes: world.told.from_nodes.read(),
            to_nodes: world.told.to_nodes.read(),
            own_cpu_ns: own_cpu_ns(),
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads((cores()?.len() / 2).max(1))
        .enable_all()
        .build()
        .map_err(PerfError::system("cannot start the nodes"))?;
    let begun = look();
    say(&format!("{} nodes join", options.nodes));
    let tasks: Vec<_> = (0..u64::from(options.nodes))
        .map(|number| runtime.spawn(node::live(number, Arc::clone(&world))))
        .collect();
    wait_for(|| world.told.taken_in.load(Relaxed) == u64::from(options.nodes), "the nodes to join")?;
    let joined = look();
    let (submitted, run) = submit(options, &people_at, &look)?;
    say(&format!("run {run}"));
    let (seen, samples) = watch(&people_at, &run, look)?;
    let report = people::ask(&people_at, &format!("GET /api/v1/runs/{run}/report"), "")?;
    for task in tasks {
        // A node whose connection broke is a finding, and the others' figures stand.
        if let Ok(Err(what)) = runtime.block_on(task) {
            say(&what);
        }
    }
    Ok(Course {
        begun,
        joined,
        submitted,
        start_ns: world.told.start_ns.load(Relaxed),
        seen,
        report,
        samples,
        delta_bytes,
        world,
    })
}

/// Follows a run to its end, and looks at everything all the while.
fn watch(
    people_at: &str,
    run: &str,
    look: impl Fn() -> Instant + Send + 'static,
) -> Result<(Seen, Vec<Instant>), PerfError> {
    let is_over = Arc::new(AtomicBool::new(false));
    let looking = thread::spawn({
        let is_over = Arc::clone(&is_over);
        move || {
            let mut samples = Vec::new();
            while !is_over.load(Relaxed) {
                samples.push(look());
                rest(SAMPLED_EVERY);
            }
            samples
        }
    });
    let seen = people::follow(people_at, run);
    is_over.store(true, Relaxed);
    let samples = looking.join().unwrap_or_default();
    Ok((seen?, samples))
}

#[expect(clippy::disallowed_methods, reason = "nothing is driven here; a person waits")]
fn rest(duration: Duration) {
    thread::sleep(duration);
}

/// Queues the run; yields how things stood before, and its id.
fn submit(
    options: &FleetOptions,
    people_at: &str,
    look: &impl Fn() -> Instant,
) -> Result<(Instant, String), PerfError> {
    let words = json!([
        "--url",
        "http://127.0.0.1:9/",
        "--tps",
        options.tps.to_string(),
        "--duration",
        format!("{}s", options.seconds),
    ]);
    let body =
        json!({ "words": words, "nodes": { "expect": options.nodes, "weights": "equal" } }).to_string();
    let submitted = look();
    let run = people::ask(people_at, "POST /api/v1/runs", &body)?;
    let id = run["id"].as_str().map(str::to_owned);
    let id = id.ok_or_else(|| PerfError::Refused { what: format!("the run has no id: {run}") })?;
    Ok((submitted, id))
}

/// Where nodes and where people connect, from what the coordinator says at its start.
fn addresses(said: &Path) -> Result<(String, String), PerfError> {
    let find = || {
        let text = std::fs::read_to_string(said).unwrap_or_default();
        let nodes = text.split("--coordinator ").nth(1)?.lines().next()?.trim().to_owned();
        let people = text.split("people: http://").nth(1)?.split('/').next()?.to_owned();
        Some((nodes, people))
    };
    wait_for(|| find().is_some(), "the coordinator to listen")?;
    find().ok_or_else(|| PerfError::Refused {
        what: "the coordinator does not say where it listens".to_owned(),
    })
}

fn wait_for(is_so: impl Fn() -> bool, what: &str) -> Result<(), PerfError> {
    let begin = now_ns();
    while !is_so() {
        if now_ns() - begin > PATIENCE_NS {
            let detail = format!("{what}: waited for {} s", PATIENCE_NS / S);
            return Err(PerfError::Failed { program: "the fleet".to_owned(), detail });
        }
        rest(Duration::from_millis(5));
    }
    Ok(())
}

fn empty_summary() -> String {
    let (facts, passed) = (report::RunFacts::default(), verdict::Verdict::passed());
    report::Summary::new(&facts, &measure::Totals::default(), Vec::new(), &passed).to_json()
}

/// The two samples that bound the steady part of the run.
fn steady(options: &FleetOptions, course: &Course) -> Option<(Instant, Instant)> {
    let end_ns = course.start_ns + u64::from(options.seconds) * S;
    let inside =
        |one: &&Instant| (course.start_ns + EDGE_NS..=end_ns - EDGE_NS / 2).contains(&one.process.at_ns);
    let first = course.samples.iter().find(inside)?;
    let last = course.samples.iter().rfind(inside)?;
    (first.process.at_ns < last.process.at_ns).then(|| (first.clone(), last.clone()))
}

/// How long after the end of a second, and after the last node sealed it, it stood in the stream; in seconds.
fn lags(course: &Course) -> (Vec<f64>, Vec<f64>) {
    let (mut of_end, mut of_sealing) = (Vec::new(), Vec::new());
    for (second, seen_ns) in &course.seen.first_ns {
        let end_ns = course.start_ns + (second + 1) * S;
        of_end.push(seen_ns.saturating_sub(end_ns) as f64 / 1e9);
        if let Some(sealed_ns) = course.world.told.last_sealed_ns(*second) {
            of_sealing.push(seen_ns.saturating_sub(sealed_ns) as f64 / 1e9);
        }
    }
    (of_end, of_sealing)
}

fn render(options: &FleetOptions, course: &Course) -> (String, Value) {
    let mut text = format!(
        "# A fleet of {} nodes\n\n- {}\n- plan: {} arrivals per second for {} s on paper, {} names; each node tells {} bytes a second\n",
        options.nodes,
        environment::host_line(),
        options.tps,
        options.seconds,
        options.names,
        course.delta_bytes,
    );
    let mut figures = Vec::new();
    let took = |from: &Instant, to_ns: u64| to_ns.saturating_sub(from.process.at_ns) as f64 / 1e9;
    let used = |from: &Instant, to: &Instant| (to.process.cpu_ns - from.process.cpu_ns) as f64 / 1e9;
    figures.push(("joining", took(&course.begun, course.joined.process.at_ns), "s"));
    figures.push(("joining, CPU of the coordinator", used(&course.begun, &course.joined), "s"));
    figures.push(("from the order to the start", took(&course.submitted, course.start_ns), "s"));
    if let Some(at_start) = course.samples.iter().find(|one| one.process.at_ns >= course.start_ns) {
        figures.push(("until the start, CPU of the coordinator", used(&course.submitted, at_start), "s"));
    }
    if let Some((first, last)) = steady(options, course) {
        figures.extend(of_steady(options, course, &first, &last, &mut text));
    }
    let (of_end, of_sealing) = lags(course);
    for (what, lags) in [("a second's end", of_end), ("its last sealing", of_sealing)] {
        let Some(Spread { median, max, .. }) = Spread::of(lags) else { continue };
        let (half, most) = match what {
            "a second's end" => ("lag after a second's end, median", "lag after a second's end, greatest"),
            _ => ("lag after its last sealing, median", "lag after its last sealing, greatest"),
        };
        figures.push((half, median, "s"));
        figures.push((most, max, "s"));
    }
    text.push_str("\n| figure | value | |\n|---|---:|---|\n");
    for (name, value, unit) in &figures {
        let digits = if *value < 10.0 { 3 } else { 1 };
        writeln!(text, "| {name} | {value:.digits$} | {unit} |").expect("strings take everything");
    }
    let shown: u64 = course.seen.sent.values().sum();
    let counted = course.report["audit"]["sent"].as_u64().unwrap_or(0);
    let told = course.world.told.sent.load(Relaxed);
    let verdict = &course.report["verdict"];
    let same = told == counted && shown == counted;
    writeln!(
        text,
        "\n{}: nodes say {told} requests, the stream showed {shown}, the report has {counted}, unassigned {}; verdict {}, exit {}",
        if same { "nothing lost" } else { "DIFFERENT" },
        course.report["audit"]["unassigned"],
        verdict["result"],
        verdict["exit_code"],
    )
    .expect("strings take everything");
    let (lapsed, declined) = (&course.world.told.lapsed, &course.world.told.declined);
    for (what, count) in [("leases ended", lapsed), ("changes came too late", declined)] {
        let count = count.load(Relaxed);
        if count > 0 {
            writeln!(text, "- {count} {what}: the machine was too busy for so many nodes")
                .expect("strings take everything");
        }
    }
    let by_name: serde_json::Map<String, Value> =
        figures.iter().map(|(name, value, _)| ((*name).to_owned(), json!(value))).collect();
    let document = json!({
        "nodes": options.nodes, "seconds": options.seconds, "names": options.names, "tps": options.tps,
        "delta_bytes": course.delta_bytes, "figures": by_name, "sent": { "nodes": told, "stream": shown, "report": counted },
    });
    (text, document)
}

/// Figures of the steady part.
fn of_steady(
    options: &FleetOptions,
    course: &Course,
    first: &Instant,
    last: &Instant,
    text: &mut String,
) -> Vec<(&'static str, f64, &'static str)> {
    let wall_s = (last.process.at_ns - first.process.at_ns) as f64 / 1e9;
    let nodes = f64::from(options.nodes);
    let per_s = |of: fn(&Instant) -> u64| (of(last).saturating_sub(of(first))) as f64 / wall_s;
    let resident = course.samples.iter().map(|one| one.process.resident_bytes).max().unwrap_or(0) as f64;
    let idle = course.begun.process.resident_bytes as f64;
    let threads = by_thread(&first.process, &last.process, wall_s);
    writeln!(text, "- cores by thread: {threads}").expect("strings take everything");
    vec![
        ("CPU of the coordinator", per_s(|one| one.process.cpu_ns) / 1e9, "cores"),
        ("CPU of all simulated nodes", per_s(|one| one.own_cpu_ns) / 1e9, "cores"),
        ("memory of the coordinator, most", resident / 1e6, "MB"),
        ("of that for each node", (resident - idle) / nodes / 1e3, "kB"),
        ("from nodes", per_s(|one| one.from_nodes.1) / 1e6, "MB/s"),
        ("to nodes", per_s(|one| one.to_nodes.1) / 1e6, "MB/s"),
        ("from each node", per_s(|one| one.from_nodes.1) / nodes / 1e3, "kB/s"),
        ("to each node", per_s(|one| one.to_nodes.1) / nodes / 1e3, "kB/s"),
        ("messages from nodes", per_s(|one| one.from_nodes.0), "/s"),
        ("messages to nodes", per_s(|one| one.to_nodes.0), "/s"),
        ("loopback, headers and everything", per_s(|one| one.process.loopback_bytes) / 1e6, "MB/s"),
        ("written to disk", per_s(|one| one.process.written_bytes) / 1e6, "MB/s"),
        ("database, most", database_most(course) / 1e6, "MB"),
    ]
}

fn database_most(course: &Course) -> f64 {
    course.samples.iter().map(|one| one.process.database_bytes).max().unwrap_or(0) as f64
}

/// Cores that the threads of a name used together.
fn by_thread(first: &Sample, last: &Sample, wall_s: f64) -> String {
    let mut sums: std::collections::BTreeMap<&str, i128> = std::collections::BTreeMap::new();
    for (threads, sign) in [(&first.threads, -1), (&last.threads, 1)] {
        for (name, cpu_ns) in threads {
            *sums.entry(name).or_default() += sign * i128::from(*cpu_ns);
        }
    }
    let share = |(name, sum): (&&str, &i128)| format!("{name} {:.3}", *sum as f64 / 1e9 / wall_s);
    sums.iter().map(share).collect::<Vec<_>>().join(", ")
}
