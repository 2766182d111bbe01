//! The commands that run other programs, one after another, and stop at the first that fails.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

/// What tests start for real. Debian's package, and the program, or the command line, by which its presence is known.
const SERVERS: &[(&str, &str)] = &[
    ("nginx-light", "nginx"),
    ("apache2-bin", "apache2"),
    ("redis-server", "redis-server"),
    ("python3", "python3"),
    ("python3-venv", "python3 -m ensurepip --version"),
    ("openssl", "openssl"),
    ("valgrind", "valgrind"),
    ("iproute2", "ip"),
    ("nftables", "nft"),
    ("strace", "strace"),
];

/// What tests of the long home use besides.
const TOOLS: &[(&str, &str)] =
    &[("iproute2", "ip"), ("tcpdump", "tcpdump"), ("iperf3", "iperf3"), ("util-linux", "unshare")];

/// What `.ci/run` does.
pub(crate) fn ci() -> Result<(), String> {
    cargo(&["fmt", "--all", "--check"])?;
    crate::tidy::run()?;
    cargo(&["clippy", "--locked", "--workspace", "--all-targets", "--", "--deny", "warnings"])?;
    // The runtimes among the baselines stand behind a feature, and would break unseen.
    cargo(&[
        "clippy",
        "--locked",
        "--package",
        "perf",
        "--features",
        "baselines",
        "--bins",
        "--",
        "--deny",
        "warnings",
    ])?;
    test(&[])
}

/// Sets the machine up and runs every test of the ci home.
pub(crate) fn test(arguments: &[String]) -> Result<(), String> {
    set_up(SERVERS)?;
    // The end-to-end tests drive these; a debug build would be late through its own fault.
    cargo(&[
        "build",
        "--locked",
        "--release",
        "-p",
        "engine",
        "-p",
        "coordinator",
        "-p",
        "executor-blazemeter",
        "-p",
        "redis",
    ])?;
    // Just as the test builds it, which then finds it done.
    cargo(&["build", "--locked", "--release", "--package", "benches", "--bin", "instructions"])?;
    let mut command = vec!["test", "--locked", "--workspace", "--no-fail-fast"];
    command.extend(arguments.iter().map(String::as_str));
    cargo(&command)
}

/// Writes the code that is generated from the fleet's contract; the test that compares it runs with all others.
pub(crate) fn proto() -> Result<(), String> {
    let variables: [(&str, &OsStr); 1] = [("OPENLOOP_WRITE_GENERATED", OsStr::new("1"))];
    cargo_in(Path::new("."), &["test", "--locked", "-p", "wire", "--test", "generated"], &variables)
}

/// Suites of the long home: test targets of the package `e2e` behind its feature `long`.
const SUITES: &[&str] =
    &["long", "truth", "connections", "torture", "bulk", "hostile", "soak", "fleet", "fleet_network"];

/// Seeds of the fleet simulation in the long home.
const FLEET_SEEDS: &str = "20000";

/// Runs the tests of the long home, or of one suite of it; more words pick tests.
pub(crate) fn long(arguments: &[String]) -> Result<(), String> {
    match arguments.first().map(String::as_str) {
        // By name only: two hours, and they write to the working tree.
        Some("fuzz") => return crate::fuzz::run(&arguments[1..]),
        Some("coverage") => return crate::fuzz::print_coverage(&arguments[1..]),
        _ => {}
    }
    // Words behind the suite's name pick tests of processes; `long fleet 5000 2500` runs 2,500 seeds alone, from 5,000 on.
    let picks_seeds = arguments.len() > 1
        && arguments[0] == "fleet"
        && arguments[1..].iter().all(|word| word.parse::<u64>().is_ok());
    if arguments.is_empty() || *arguments == ["fleet"] || picks_seeds {
        let from = OsStr::new(arguments.get(1).map_or("0", String::as_str));
        let seeds = OsStr::new(arguments.get(2).map_or(FLEET_SEEDS, String::as_str));
        let variables = [("SIM_FROM", from), ("SIM_SEEDS", seeds)];
        cargo_in(Path::new("."), &["test", "--locked", "--release", "-p", "sim"], &variables)?;
        if picks_seeds {
            return Ok(());
        }
    }
    set_up(&[SERVERS, TOOLS].concat())?;
    cargo(&["build", "--locked", "--release", "-p", "engine", "-p", "coordinator"])?;
    if matches!(arguments.first().map(String::as_str), None | Some("torture")) {
        cargo(&["test", "--locked", "-p", "engine", "--features", "long", "--test", "torture"])?;
    }
    let named = arguments.first().and_then(|name| SUITES.iter().find(|suite| *suite == name));
    let (suites, filters) = match named {
        Some(suite) => (std::slice::from_ref(suite), &arguments[1..]),
        None => (SUITES, arguments),
    };
    let mut command = vec!["test", "--locked", "-p", "e2e", "--features", "long", "--no-fail-fast"];
    command.extend(suites.iter().flat_map(|suite| ["--test", suite]));
    command.extend(["--", "--nocapture", "--test-threads", "1"]);
    command.extend(filters.iter().map(String::as_str));
    cargo(&command)
}

/// Installs what tests start, where it is missing.
pub(crate) fn set_up(packages: &[(&str, &str)]) -> Result<(), String> {
    let missing: Vec<&str> =
        packages.iter().filter(|(_, program)| !is_present(program)).map(|(package, _)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("xtask: installing {}", missing.join(", "));
    let as_root = std::env::var("USER").is_ok_and(|user| user == "root") || is_root();
    let run = |arguments: &[&str]| {
        let mut words: Vec<&str> = if as_root { Vec::new() } else { vec!["sudo", "-n"] };
        words.extend(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        words.extend(arguments);
        program(words[0], &words[1..])
    };
    run(&["update", "-qq"])?;
    let mut install = vec!["install", "-y", "-qq", "--no-install-recommends"];
    install.extend(&missing);
    run(&install)
}

fn is_present(program: &str) -> bool {
    if let Some((program, words)) = program.split_once(' ') {
        let run =
            Command::new(program).args(words.split(' ')).stdout(Stdio::null()).stderr(Stdio::null()).status();
        return run.is_ok_and(|status| status.success());
    }
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).chain(["/usr/sbin".into()]).any(|folder| folder.join(program).is_file())
    })
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.starts_with(b"0\n"))
}

fn cargo(arguments: &[&str]) -> Result<(), String> {
    program(env!("CARGO"), arguments)
}

fn program(name: &str, arguments: &[&str]) -> Result<(), String> {
    finish(Command::new(name).args(arguments))
}

/// Runs cargo in a folder, with variables of its own.
pub(crate) fn cargo_in(
    folder: &Path,
    arguments: &[&str],
    variables: &[(&str, &OsStr)],
) -> Result<(), String> {
    finish(
        Command::new(env!("CARGO"))
            .args(arguments)
            .current_dir(folder)
            .envs(variables.iter().copied())
            .stdin(Stdio::null()),
    )
}

fn finish(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let name = if name == env!("CARGO") { "cargo".to_owned() } else { name };
    let words: Vec<String> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
    let shown = format!("{name} {}", words.join(" "));
    println!("xtask: {shown}");
    let status = command.status().map_err(|error| format!("cannot run {name}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{shown} failed: {status}")) }
}
