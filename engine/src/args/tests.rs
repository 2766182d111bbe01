//! Right and wrong command lines, one row each.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use plan::{Body, CatchUp, Cores, IoChoice, Load, Pacing, Rate};
use verdict::ExitCode;

use super::*;

/// A made-up process.
#[derive(Default)]
struct Fake {
    variables: BTreeMap<&'static str, &'static str>,
}

impl Fake {
    fn with(variables: &[(&'static str, &'static str)]) -> Self {
        Self { variables: variables.iter().copied().collect() }
    }
}

impl Surroundings for Fake {
    fn variable(&self, name: &str) -> Option<OsString> {
        self.variables.get(name).map(OsString::from)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match path.to_str() {
            Some("body.json") => Ok(b"{}".to_vec()),
            Some("-") => Ok(b"piped".to_vec()),
            Some("ca.pem" | "cert.pem" | "key.pem") => Ok(b"-----BEGIN CERTIFICATE-----".to_vec()),
            Some("cert.der") => Ok(vec![0x30, 0x82]),
            Some("locked") => Err(io::ErrorKind::PermissionDenied.into()),
            Some("folder") => Err(io::ErrorKind::IsADirectory.into()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn is_directory(&self, path: &Path) -> bool {
        matches!(path.to_str(), Some("folder" | "/tmp" | "/dev" | "."))
    }
}

/// Splits like a shell without any quoting; `·` stands for a space inside a word.
fn words(line: &str) -> Vec<OsString> {
    let words =
        line.split_whitespace().map(|word| if word == "''" { String::new() } else { word.replace('·', " ") });
    std::iter::once("engine".to_owned()).chain(words).map(OsString::from).collect()
}

fn parsed(line: &str, variables: &[(&'static str, &'static str)]) -> Result<Command, Refusal> {
    parse(words(line), &Fake::with(variables))
}

fn run(line: &str, variables: &[(&'static str, &'static str)]) -> Run {
    match parsed(line, variables) {
        Ok(Command::Run(run)) => *run,
        other => panic!("{line}: {other:?}"),
    }
}

fn highest(run: &Run) -> Option<u64> {
    run.plan.highest_rate().map(|rate| rate.as_micro() / 1_000_000)
}

#[test]
fn the_definition_of_the_command_line_is_sound() {
    CommandLine::command().debug_assert();
}

#[test]
fn the_line_of_the_readme_runs_the_built_in_target() {
    let run = run("--tps 50000 --cores all", &[]);
    assert!(run.plan.url.is_none());
    assert_eq!((highest(&run), &run.plan.cores), (Some(50_000), &Cores::All));
    assert_eq!(run.plan.duration_ns, plan::DEFAULT_DURATION_NS);
}

#[test]
fn every_flag_reaches_the_plan() {
    let run = run(
        "https://h:8443/p -X PUT -H A:·b -H C:·d --body-file body.json --timeout 2s --grace 1s --fail-status 5xx \
         --max-head 8k --max-body 1MiB --rate 6k/m -d 30s --process poisson --seed 7 --catch-up smooth --share 2/4 \
         --warmup 5s -c 64 --warm-connections 8 --close-after 100 --queue 0 --connect-to h:8443:127.0.0.1:1 --dns 4 --source 10.0.0.1-10.0.0.3 \
         --cacert ca.pem --cert cert.pem --key key.pem --no-resumption --tls-min 1.3 --cores 0-1 --io epoll \
         --pacing spin --max-lag 50ms --control engine.sock --i-own h --rate-guard 1k --threshold p99<50ms \
         --json /tmp/run.json --ndjson - --tag a=b --tag c=d --run-id r1 --worker-id 3 --quiet --progress-every 1s \
         --color never",
        &[],
    );
    let plan = &run.plan;
    let url = plan.url.as_ref().expect("a URL");
    assert_eq!((url.authority().as_str(), url.target()), ("h:8443", "/p"));
    assert_eq!((plan.request.method.as_str(), plan.request.body.block()), ("PUT", b"{}".to_vec()));
    assert_eq!(plan.request.headers.len(), 2);
    assert_eq!((plan.timeout_ns, plan.grace_ns), (2_000_000_000, 1_000_000_000));
    assert_eq!((plan.limits.head_bytes, plan.limits.body_bytes), (8_192, 1_048_576));
    assert!(plan.fail_status.contains(500) && !plan.fail_status.contains(404));
    let Load::Open { profile, process, catch_up } = &plan.load else { panic!("the open model") };
    assert_eq!((profile.max_rate(), *catch_up), (Rate::per_second(100), CatchUp::Smooth));
    assert_eq!(format!("{process:?}"), "Poisson { seed: 7 }");
    assert_eq!((plan.share.index(), plan.share.of()), (2, 4));
    assert_eq!((plan.duration_ns, plan.warmup_ns), (30_000_000_000, 5_000_000_000));
    let connections = &plan.connections;
    assert_eq!((connections.cap.map(u32::from), connections.warm, connections.queue), (Some(64), 8, Some(0)));
    assert_eq!((connections.close_after.map(u64::from), connections.connect_to.len()), (Some(100), 1));
    assert!(plan.tls.identity.is_some() && !plan.tls.resumption);
    assert!(matches!(plan.tls.trust, plan::Trust::Pem(_)));
    assert_eq!(plan.tls.min_version, plan::TlsVersion::V1_3);
    assert_eq!(
        (&plan.cores, plan.io, plan.pacing),
        (&Cores::List(vec![0, 1]), IoChoice::Epoll, Pacing::Spin)
    );
    assert_eq!(plan.max_lag.any_ns, 50_000_000);
    assert_eq!((plan.rails.own_hosts.len(), plan.rails.rate_guard), (1, Some(Rate::per_second(1_000))));
    assert_eq!(run.thresholds.len(), 1);
    assert_eq!(plan.thresholds, ["p99<50ms"]);
    let tags: Vec<String> = plan.tags.iter().map(|tag| format!("{}={}", tag.name, tag.value)).collect();
    assert_eq!(tags, ["a=b", "c=d", "worker_id=3"]);
    assert_eq!(plan.run_id.as_ref().map(plan::RunId::as_str), Some("r1"));
    let outputs = Outputs {
        json: Some(Sink::File("/tmp/run.json".into())),
        ndjson: Some(Sink::Stdout),
        quiet: true,
        progress_every_ns: 1_000_000_000,
        color: Color::Never,
        control: Some("engine.sock".into()),
    };
    assert!(outputs.document_on_stdout());
    assert_eq!(run.outputs, outputs);
}

#[test]
fn short_flags_are_those_that_fingers_know() {
    let run = run("http://h/ -u 4 -r 2 -n 10k -d 1m -c 2 -k", &[]);
    let Load::Closed(users) = run.plan.load else { panic!("the closed model") };
    assert_eq!((users.count, users.spawn_rate), (4, Some(Rate::per_second(2))));
    assert_eq!((run.plan.count, run.plan.duration_ns), (Some(10_000), 60_000_000_000));
    assert_eq!(run.plan.tls.trust, plan::Trust::Insecure);
}

#[test]
fn the_templates_variables_are_read() {
    let template = [
        ("WORKER_ID", "3"),
        ("RUN_ID", "1763666374"),
        ("TARGET_TPS", "2000"),
        ("LOAD_PATTERN", "static"),
        ("DURATION", "10m"),
        ("TASK_CLASS", "com.example.MyTask"),
        ("ENGINE_URL", "http://10.0.0.7/"),
    ];
    let run_of = |line| run(line, &template);
    let plain = run_of("");
    assert_eq!((highest(&plain), plain.plan.duration_ns), (Some(2_000), 600_000_000_000));
    assert_eq!(plain.plan.tags[0].value, "3");
    assert_eq!(plain.plan.run_id.expect("an id").as_str(), "1763666374");
    assert_eq!(highest(&run_of("--tps 5")), Some(5));
    assert_eq!(
        run_of("--stages 30s:100").plan.duration_ns,
        30_000_000_000,
        "stages silence the rest of the load"
    );
    let users = run_of("--users 3");
    assert_eq!((highest(&users), users.plan.duration_ns), (None, 600_000_000_000));
    let ramp = run("", &[("TARGET_TPS", "100"), ("LOAD_PATTERN", "ramp"), ("DURATION", "10s")]);
    let Load::Open { profile, .. } = ramp.plan.load else { panic!("the open model") };
    assert_eq!((profile.rate_at(0), profile.arrival_count()), (Rate::ZERO, 500));
}

#[test]
fn flags_win_over_variables_and_ours_over_the_templates() {
    let variables =
        [("ENGINE_TPS", "20"), ("TARGET_TPS", "30"), ("ENGINE_TAG", "a=1\nb=2\n"), ("ENGINE_QUIET", "true")];
    let by_variable = run("", &variables);
    assert_eq!(highest(&by_variable), Some(20));
    assert_eq!(by_variable.plan.tags.len(), 2);
    assert!(by_variable.outputs.quiet);
    let by_flag = run("--tps 10 --tag c=3", &variables);
    assert_eq!((highest(&by_flag), by_flag.plan.tags.len()), (Some(10), 1));
    assert!(!run("--tps 1", &[("ENGINE_QUIET", "false")]).outputs.quiet);
    let body = run("--tps 1 --body-file body.json", &[("ENGINE_BODY", "x")]);
    assert_eq!(body.plan.request.body, Body::Given(b"{}".to_vec()));
    assert_eq!(run("--tps 1 --body-file -", &[]).plan.request.body, Body::Given(b"piped".to_vec()));
    let made = run("--tps 1 --body-size 1MiB", &[("ENGINE_BODY", "x"), ("ENGINE_BODY_FILE", "nowhere")]);
    assert_eq!(made.plan.request.body, Body::Made { size: 1 << 20 });
    assert_eq!(made.plan.request.method.as_str(), "POST");
    assert_eq!(run("--tps 1", &[("ENGINE_BODY_SIZE", "10GiB")]).plan.request.body.size(), 10 << 30);
}

#[test]
fn every_flag_has_its_variable() {
    let definition = CommandLine::command();
    // Any text is a body; the other exceptions take any file name.
    let accepts_anything = ["help", "version", "body", "json", "ndjson", "control", "rate"];
    let mut checked = 0;
    for flag in definition.get_arguments().filter_map(clap::Arg::get_long) {
        if accepts_anything.contains(&flag) {
            continue;
        }
        let name = format!("ENGINE_{}", flag.to_uppercase().replace('-', "_"));
        let name: &'static str = Box::leak(name.into_boxed_str());
        let error = parsed("--tps 1", &[(name, "\u{7f}")]);
        // The load's own variables are silenced by a flag.
        let error = if matches!(flag, "tps" | "gbit" | "stages" | "users") {
            parsed("", &[(name, "\u{7f}")])
        } else {
            error
        };
        let message = error.expect_err(name).message;
        assert!(message.starts_with(&format!("variable {name}")), "{name}: {message}");
        checked += 1;
    }
    assert!(checked > 45, "{checked} flags");
    let files = [("ENGINE_JSON", "a"), ("ENGINE_NDJSON", "b"), ("ENGINE_CONTROL", "c"), ("ENGINE_BODY", "d")];
    let run = run("--tps 1", &files);
    assert_eq!(run.outputs.json, Some(Sink::File("a".into())));
    assert_eq!(run.outputs.ndjson, Some(Sink::File("b".into())));
    assert_eq!((run.outputs.control, run.plan.request.body), (Some("c".into()), Body::Given(b"d".to_vec())));
}

#[test]
fn colour_follows_the_environment_unless_a_flag_says_otherwise() {
    for (line, variables, color) in [
        ("--tps 1", &[][..], Color::Auto),
        ("--tps 1", &[("NO_COLOR", "1")], Color::Never),
        ("--tps 1", &[("NO_COLOR", "")], Color::Auto),
        ("--tps 1", &[("CLICOLOR_FORCE", "1")], Color::Always),
        ("--tps 1 --color always", &[("NO_COLOR", "1")], Color::Always),
    ] {
        assert_eq!(run(line, variables).outputs.color, color, "{line} {variables:?}");
    }
}

#[test]
fn every_command_is_known_where_a_url_may_stand() {
    let definition = CommandLine::command();
    let mut names: Vec<&str> = definition.get_subcommands().map(clap::Command::get_name).collect();
    let mut known = command::COMMANDS.to_vec();
    names.sort_unstable();
    known.sort_unstable();
    assert_eq!(names, known);
}

#[test]
fn help_and_version_are_printed_and_nothing_at_all_is_an_error() {
    let Ok(Command::Print(help)) = parsed("--help", &[]) else { panic!("help") };
    for part in [
        "Load (open model)",
        "Load (closed model)",
        "--tps <RATE>",
        "Examples:",
        "Exit codes:",
        "ENGINE_MAX_LAG",
    ] {
        assert!(help.contains(part), "{part}\n{help}");
    }
    assert!(matches!(parsed("--version", &[]), Ok(Command::Print(text)) if text.starts_with("engine ")));
    assert!(matches!(parsed("target --help", &[]), Ok(Command::Print(text)) if text.contains("--stall")));
    assert!(matches!(parsed("", &[]), Ok(Command::Nothing(help)) if help.contains("--tps")));
}

#[test]
fn other_commands() {
    let Ok(Command::Target(alone)) = parsed(
        "target --port 9000 --cores 2 --tls --body-size 1k --delay exp:5ms --stall 1s/10s --error-rate 1% -H A:·b \
         --truth -",
        &[],
    ) else {
        panic!("target")
    };
    assert_eq!((alone.config.listen.port(), alone.cores.clone()), (9_000, Cores::Count(2)));
    assert_eq!((alone.config.body_bytes, alone.config.tls.is_some()), (1_024, true));
    assert_eq!(alone.config.headers, [("A".to_owned(), "b".to_owned())]);
    assert!(alone.config.stall.is_some() && alone.truth == Some(Sink::Stdout));
    let Ok(Command::Merge(merge)) = parsed("merge a.json b.json --json - --threshold p99<1s", &[]) else {
        panic!("merge")
    };
    assert_eq!((merge.files.len(), merge.json, merge.thresholds.len()), (2, Some(Sink::Stdout), 1));
    assert!(matches!(parsed("schema summary", &[]), Ok(Command::Schema(Some(name))) if name == "summary"));
    assert!(matches!(parsed("schema", &[]), Ok(Command::Schema(None))));
    assert!(matches!(parsed("doctor -c 100", &[]), Ok(Command::Doctor { connections: Some(100) })));
}

/// Wrong command lines, and what their one line of an answer must contain.
const WRONG: &[(&str, &str)] = &[
    // Whom to load.
    ("'' --tps 1", "URL: the URL is empty: is a variable unset? →"),
    ("--url= --tps 1", "--url: the URL is empty"),
    ("example.com --tps 1", "URL: \"example.com\" is not a URL → http://example.com"),
    ("localhost --tps 1", "→ http://localhost"),
    ("ftp://h/ --tps 1", "does not speak ftp"),
    ("http://h:99999/ --tps 1", "URL: \"99999\" is not a port → 1 to 65535"),
    ("http://[::1/ --tps 1", "close the bracket"),
    ("http://h/a·b --tps 1", "URL (column 11): the URL has a space → write it as %20"),
    ("http://me:hunter2@h/ --tps 1", "user name or password (not shown)"),
    ("http://a/ http://b/ --tps 1", "one argument too many (not shown) → one URL"),
    ("http://a/ --url http://b/ --tps 1", "--url: the URL is given twice"),
    (
        "tagret --tps 1",
        "\"tagret\" is neither a URL nor a command → a URL such as http://127.0.0.1:8080/, or one of run,",
    ),
    ("http://h/", "nothing says how much load: there is no rate → --tps 1000"),
    ("run", "run: nothing says what to run: there is no plan file, and no rate → engine run plan.yaml"),
    ("check", "check: there is no plan file → engine check plan.yaml"),
    ("--tps 1 --workload browse", "--workload: it picks a workload of a plan file, and there is none"),
    ("http://h/ -d 5s", "there is no rate"),
    ("-d 5s", "there is no rate"),
    // The request.
    ("--tps 1 -X get", "--method: \"get\" is not a method; methods are case-sensitive → GET"),
    ("--tps 1 -X G·T", "is not a method"),
    ("--tps 1 -H hunter2", "--header: the header has no colon"),
    ("--tps 1 -H A·:b", "a space before its colon"),
    ("--tps 1 -H Content-Length:·5", "header Content-Length cannot be set → leave it out"),
    ("--tps 1 -H Host:a -H Host:b", "header host is given twice"),
    (
        "-H Authorization: hunter2 --tps 1",
        "--header: the header's value stands outside it (not shown) → quotes",
    ),
    ("--tps 1 --body a --body-file body.json", "--body: --body and --body-file both say the body"),
    ("--tps 1 --body-file body.json --body-size 1k", "--body-file and --body-size both say the body"),
    ("--tps 1 --body-size big", "--body-size: \"big\" is not a size"),
    ("--tps 1 --body-size 2000GiB", "is more than a body may have → at most 1024GiB"),
    ("--tps 1 --body-file nowhere", "--body-file: cannot read \"nowhere\": there is no such file"),
    ("--tps 1 --body-file locked", "permission denied"),
    ("--tps 1 --body-file folder", "it is a directory"),
    ("--tps 1 --body-file ''", "the file name is empty"),
    ("--tps 1 --timeout 10", "--timeout: \"10\" has no unit → 10s"),
    ("--tps 1 --timeout 0s", "gives up before it sends"),
    ("--tps 1 --fail-status 4", "--fail-status: \"4\" is not a status"),
    ("--tps 1 --max-head 1", "1KiB to 16MiB"),
    ("--tps 1 --max-body big", "--max-body: \"big\" is not a size"),
    // The open model.
    ("--tps abc", "--tps: \"abc\" is not a rate → e.g. 5000"),
    ("--tps ''", "--tps: the rate is empty: is a variable unset?"),
    ("--tps 0", "at rate 0 nothing would be sent"),
    ("--tps -5", "--tps: \"-5\" is not a rate → a rate is 0 or more"),
    ("--tps 5m", "5/m is per minute, 5M is millions per second"),
    ("--tps 5,000", "→ 5000"),
    ("--tps 5000rps", "→ 5000"),
    ("--tps 1e3", "is not a rate"),
    ("--tps 5/x", "after \"/\" comes a unit of time"),
    ("--tps 99999M", "above the highest rate"),
    ("--tps", "--tps: there is no value → --tps <RATE>"),
    ("--tps 1 --tps 2", "--tps: it is given twice → once"),
    ("--tps 1 --rate 2", "--tps: it is given twice → once"),
    ("--tps 1 -d 30", "--duration: \"30\" has no unit → 30s"),
    ("--tps 1 -d 0s", "a run of 0s sends nothing"),
    ("--tps 1 -d forever", "--duration: \"forever\" is not a duration"),
    ("--tps 1 -d 10min", "→ 10m"),
    ("--tps 1 -d 400d", "is too long → at most 366d"),
    ("--tps 1 -d {\"a\":1}", "is not a duration"),
    ("--gbit ten", "--gbit: \"ten\" is not a number of Gbit/s → e.g. 10"),
    ("--gbit 10Gbit", "→ a number alone, e.g. 10 for 10 Gbit/s"),
    ("--gbit 0", "at 0 Gbit/s nothing would be sent"),
    ("--gbit 10 --tps 5", "--gbit and --tps both say how much load"),
    ("--gbit 10 --stages 30s:1000", "--gbit and --stages both say how much load"),
    ("--gbit 10 --users 5", "--gbit and --users both say how much load"),
    ("--stages 30s", "--stages (column 1): stage \"30s\" has no rate"),
    ("--stages 30s:1000,", "--stages (column 10): a stage is empty"),
    ("--stages 1000:30s", "the wrong way round → 30s:1000"),
    ("--stages 30:1000", "\"30\" has no unit → 30s"),
    ("--stages 30s:1000 --tps 5", "--tps and --stages both say the rate"),
    ("--stages 30s:1000 -d 5s", "the stages already say how long the run is"),
    ("--stages 30s:0", "every stage leads to rate 0"),
    (
        "--tps 1 --pattern spike",
        "--pattern: \"spike\" is not a load pattern that the engine knows by name → draw it",
    ),
    (
        "--tps 1 --process random",
        "--process: \"random\" is not an arrival process → one of constant, poisson",
    ),
    ("--tps 1 --seed 5", "nothing is random in this plan"),
    ("--tps 1 --process poisson --seed -1", "--seed: \"-1\" is not a seed"),
    ("--tps 1 --catch-up hurry", "one of burst, smooth, skip"),
    ("--tps 1 --share 5/4", "--share: \"5/4\" is more than all parts"),
    ("--tps 1 --share 0/4", "shares count from 1"),
    ("--tps 1 --warmup 5", "--warmup: \"5\" has no unit"),
    ("--tps 1 --warmup 5s -n 5", "do not go together"),
    ("--tps 1 --grace x", "--grace: \"x\" is not a duration"),
    ("--tps 1 -n 0", "a run of 0 requests sends nothing"),
    ("--tps 1 -n 1.5", "--count: \"1.5\" is not a whole number of requests"),
    // The closed model.
    ("--users 5 --tps 5", "a run has one of them"),
    ("--users 0", "0 users send nothing"),
    ("--users many", "--users: \"many\" is not a number of users"),
    ("--users 5 --process poisson", "users have none"),
    ("--users 5 --spawn-rate x", "--spawn-rate: \"x\" is not a rate"),
    ("--tps 5 --spawn-rate 1", "it is about users, and there are none"),
    ("--users 5 --think 1", "--think: \"1\" has no unit → 1s"),
    ("--tps 5 --think 1s", "it is about users"),
    // Connections and TLS.
    ("--tps 1 -c 0", "over 0 connections"),
    ("--tps 1 -c lots", "--connections: \"lots\" is not a number of connections"),
    ("--tps 1 -c 4 --warm-connections 5", "--connections 5"),
    ("--tps 1 --close-after 0", "at least one request"),
    ("--tps 1 --queue -1", "--queue: \"-1\" is not a number of arrivals"),
    ("--tps 1 --connect-to h:80", "--connect-to: \"h:80\" is not HOST:PORT:ADDR:PORT"),
    ("--tps 1 --dns ipv6", "--dns: \"ipv6\" is not a choice of addresses → one of auto, all, first, 4, 6"),
    ("--tps 1 --source eth0", "--source: \"eth0\" is not an address → e.g. 10.0.0.1,10.0.0.2"),
    ("--tps 1 --local-ips 10.0.0.9-10.0.0.1", "--source: \"10.0.0.9-10.0.0.1\" is not a range"),
    (
        "--tps 1 --source-ip 10.0.0.0/8",
        "--source: \"10.0.0.0/8\" stands for more than 4096 addresses → fewer",
    ),
    ("--tps 1 --unix-socket ''", "--unix-socket: the socket's path is empty: is a variable unset?"),
    ("--tps 1 --unix-socket a.sock", "--unix-socket: it says where to connect, the URL says what to ask for"),
    ("http://h/ --tps 1 --unix-socket a.sock --dns 4", "--dns: a Unix socket (--unix-socket) has no network"),
    ("http://h/ --tps 1 --unix-socket a.sock --source 10.0.0.1", "--source: a Unix socket"),
    ("http://h/ --tps 1 --unix-socket a.sock --connect-to ::h:1", "--connect-to: a Unix socket"),
    ("--tps 1 -k --cacert ca.pem", "leave one out"),
    ("--tps 1 --cacert nowhere.pem", "--cacert: cannot read \"nowhere.pem\": there is no such file"),
    ("--tps 1 --cacert cert.der", "holds no PEM text"),
    ("--tps 1 --cert cert.pem", "add --key FILE"),
    ("--tps 1 --key key.pem", "add --cert FILE"),
    ("--tps 1 --tls-min 1.1", "--tls-min: \"1.1\" is not a TLS version → one of 1.2, 1.3"),
    ("--tps 1 --tls-min 1.3 --tls-max 1.2", "newer than --tls-max"),
    // The engine, safety, results.
    ("--tps 1 --cores 0", "--cores: \"0\" is no core → at least 1, or all"),
    ("--tps 1 --cores 3-0", "runs backwards → 0-3"),
    ("--tps 1 --io io_uring", "--io: \"io_uring\" is not an I/O driver → one of auto, uring, epoll"),
    ("--tps 1 --pacing fast", "one of sleep, spin"),
    ("--tps 1 --max-lag 5", "--max-lag: \"5\" has no unit"),
    ("--tps 1 --control /nowhere/s", "there is no directory \"/nowhere\""),
    ("--tps 1 --control -", "the control socket is a Unix socket"),
    ("--tps 1 --i-own http://h/", "--i-own: \"http://h/\" is not a host → the host alone"),
    ("--tps 1 --i-own *.example", "each host by name"),
    ("--tps 1 --rate-guard x", "--rate-guard: \"x\" is not a rate"),
    ("--tps 1 --threshold p99", "--threshold: \"p99\" compares nothing"),
    ("--tps 1 --threshold p99<50", "has no unit → 50ms"),
    ("--tps 1 --threshold latency<50ms", "\"latency\" is not a metric"),
    ("--tps 1 --threshold error_rate<1", "→ e.g. error_rate<1%"),
    ("--tps 1 --json /nowhere/run.json", "--json: there is no directory \"/nowhere\" → make it first"),
    ("--tps 1 --json folder", "is a directory"),
    ("--tps 1 --json ''", "the file name is empty"),
    ("--tps 1 --json - --ndjson -", "cannot both have standard output"),
    ("--tps 1 --json a --ndjson a", "name the same file"),
    ("--tps 1 --tag build", "--tag: \"build\" is not a tag → name=value"),
    ("--tps 1 --tag a=1 --tag a=2", "tag a is given twice"),
    ("--tps 1 --run-id a/b", "--run-id: \"a/b\" is not a run id"),
    ("--tps 1 --worker-id ''", "the worker id is empty"),
    ("--tps 1 --progress-every 0s", "at least 1s, or --quiet"),
    ("--tps 1 --color yes", "one of auto, always, never"),
    ("--tps 1 --quiet=yes", "--quiet: it is a switch and takes no value → --quiet"),
    // Flags that do not exist, and other tools' words.
    ("--tsp 1", "--tsp: no such flag → did you mean --tps?"),
    ("--duraton 5s", "did you mean --duration?"),
    (
        "target --think 1s",
        "--think: a flag of a run, not of this command → engine target --help shows its flags",
    ),
    ("--xyzzy", "--xyzzy: no such flag → see engine --help"),
    ("--token=hunter2", "no such flag"),
    ("http://h/ -R 100", "-R: no such flag here → --tps RATE"),
    ("http://h/ -q 100", "-q: no such flag here → --tps RATE"),
    ("http://h/ -z 10s", "-z: no such flag here → -d DURATION"),
    ("http://h/ -t 4", "-t: no such flag here → -d DURATION for the time, or --cores N"),
    ("http://h/ --qps 100", "--qps: no such flag here → --tps RATE"),
    ("http://h/ --vus 10", "--vus: no such flag here → --users COUNT"),
    ("http://h/ --concurrency=10", "→ -c CONNECTIONS"),
    ("http://h/ --run-time 5m", "→ -d DURATION"),
    ("http://h/ --data {}", "→ --body TEXT"),
    ("http://h/ -rate=100/s", "-rate: long flags have two dashes → --rate"),
    ("http://h/ -duration=5s", "-duration: long flags have two dashes → --duration"),
    ("http://h/ -qps 5", "-qps: no such flag here → --tps RATE"),
    ("--tps 1 -d -5s", "a value that begins with - is written --flag=VALUE"),
    ("--tps 1 -d=-5s", "--duration: \"-5s\" is not a duration → a duration is not negative"),
    // The other commands.
    ("--tps 5 target", "command target comes after flags of a run → engine target"),
    ("target --listen here", "--listen: address \"here\""),
    ("target --delay sometimes", "--delay: delay law \"sometimes\""),
    ("target --stall 10s/1s", "--stall: stall \"10s/1s\""),
    ("target --error-rate 2", "--error-rate: fraction \"2\""),
    ("target --error-status 200", "--error-status: that status is no error → 400 to 599"),
    ("target --body-size 2GiB", "at most 1GiB"),
    ("target --cert cert.pem", "add --key FILE"),
    ("target --cert cert.pem --key key.pem", "add --tls"),
    ("target --truth /nowhere/t", "--truth: there is no directory"),
    ("target --tps 5", "--tps: a flag of a run, not of this command"),
    ("merge", "<FILE>...: it is missing → engine merge <FILE>..."),
    ("merge -json all.json a", "-json: long flags have two dashes → --json"),
    ("merge --jsno all.json a", "--jsno: no such flag → did you mean --json?"),
    ("debug", "<PLAN>: it is missing → engine debug <PLAN>"),
    (
        "debug plan.yaml --workload a --scenario b",
        "--workload and --scenario do not go together → leave one out",
    ),
    (
        "doctor now",
        "one argument too many (not shown) → engine doctor takes flags alone: engine doctor --help",
    ),
    ("merge '' b", "file name 1 is empty"),
    ("merge a --threshold x", "--threshold: \"x\" compares nothing"),
    ("schema a b", "one argument too many (not shown) → engine schema [NAME]"),
    ("doctor -c x", "--connections: \"x\" is not a number of connections"),
];

#[test]
fn wrong_command_lines_get_one_line_that_says_where_what_and_how_to_fix_it() {
    let mut faults = Vec::new();
    for (line, fragment) in WRONG {
        let refusal = match parsed(line, &[]) {
            Err(refusal) => refusal,
            Ok(command) => {
                faults.push(format!("{line}\n  was accepted: {command:?}"));
                continue;
            }
        };
        let message = &refusal.message;
        for (holds, what) in [
            (message.contains(fragment), "another message"),
            (message.contains(" → "), "no fix"),
            (!message.contains(char::is_control), "more than a line"),
            (message.chars().count() < 260, "too long"),
            (!message.contains("hunter2"), "a secret"),
            (refusal.exit_code == ExitCode::Usage, "another exit code"),
        ] {
            if !holds {
                faults.push(format!("{line}\n  gave {what}: {message}\n  expected: {fragment}"));
            }
        }
    }
    assert!(WRONG.len() >= 80 && faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn wrong_variables_are_named_and_secrets_in_them_withheld() {
    for (name, value, fragment) in [
        ("ENGINE_URL", "", "variable ENGINE_URL: the URL is empty: is a variable unset?"),
        ("ENGINE_URL", "http://me:hunter2@h/", "variable ENGINE_URL: the URL has a user name or password"),
        ("ENGINE_HEADER", "Authorization hunter2", "variable ENGINE_HEADER: the header has no colon"),
        ("ENGINE_HEADER", "", "variable ENGINE_HEADER: the value is empty"),
        ("ENGINE_DURATION", "30", "variable ENGINE_DURATION: \"30\" has no unit → 30s"),
        ("DURATION", "10min", "variable DURATION: \"10min\" is not a duration → 10m"),
        ("DURATION", "", "variable DURATION: the duration is empty"),
        ("LOAD_PATTERN", "spike", "variable LOAD_PATTERN: \"spike\""),
        ("RUN_ID", "${RUN_ID}", "variable RUN_ID: \"${RUN_ID}\" is not a run id"),
        ("WORKER_ID", "", "variable WORKER_ID: the worker id is empty"),
        ("ENGINE_QUIET", "maybe", "variable ENGINE_QUIET: \"maybe\" is not a switch → one of true"),
        ("ENGINE_TAG", "token=x\nhunter2@", "variable ENGINE_TAG: the text (withheld"),
        ("ENGINE_CONNECT_TO", "hunter2@", "variable ENGINE_CONNECT_TO: the text (withheld"),
    ] {
        let refusal = parsed("--tps 1", &[(name, value)]).expect_err(name);
        assert!(refusal.message.contains(fragment), "{name}: {}", refusal.message);
        assert!(!refusal.message.contains("hunter2"), "{}", refusal.message);
        assert_eq!(refusal.exit_code, ExitCode::Usage);
    }
    let refusal = parsed("", &[("TARGET_TPS", "${TARGET_TPS}")]).expect_err("not expanded");
    assert!(refusal.message.starts_with("variable TARGET_TPS: "), "{}", refusal.message);
}

#[test]
fn the_rate_guard_is_a_safety_rail() {
    let refusal = parsed("--tps 101", &[("ENGINE_RATE_GUARD", "100")]).expect_err("too fast");
    assert_eq!(refusal.exit_code, ExitCode::Refused);
    assert!(refusal.message.contains("above the guard of 100/s"), "{}", refusal.message);
}

#[test]
fn arguments_that_are_not_text_are_refused_without_being_shown() {
    use std::os::unix::ffi::OsStringExt as _;
    let arguments = vec![OsString::from("engine"), OsString::from_vec(b"hunter2\xff".to_vec())];
    let refusal = parse(arguments, &Fake::default()).expect_err("not UTF-8");
    assert!(
        refusal.message.contains("not UTF-8") && !refusal.message.contains("hunter2"),
        "{}",
        refusal.message
    );
}
