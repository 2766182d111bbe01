//! Instructions of the hot path, held against a baseline: a gate that no noise can move.
//!
//! What it is: callgrind counts what `src/instructions/` executes in user space; each row runs twice, once with double
//! the count, and the difference is what one more costs. The build is this tree's release build.
//! What it is not: time. A cache miss counts nothing here, and the kernel nothing at all; `perf/` measures those.
//!
//! Instructions of the program itself and of libraries are held apart: those of shared ones (the C library: copying,
//! comparing) depend on the distribution, those of ring's arithmetic on random keys.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use serde_json::{Value, json};

/// More than so much above the baseline is a failure.
const OURS_AT_MOST: f64 = 1.03;
/// Of the libraries' part, and so many instructions on top: an older or newer C library copies otherwise.
const LIBRARIES_AT_MOST: f64 = 1.25;
const LIBRARIES_SLACK: f64 = 20.0;

/// Set to write the baseline anew.
const RENEW: &str = "RENEW_INSTRUCTIONS";
const HOW_TO_RENEW: &str = "if the work is worth its price, write the baseline anew and commit it with the reason: \
                            RENEW_INSTRUCTIONS=1 cargo test -p benches --test instructions";

/// Instructions, by where they are.
#[derive(Copy, Clone, Debug, PartialEq)]
struct Cost {
    ours: f64,
    libraries: f64,
}

/// Name to cost of one more.
type Costs = BTreeMap<String, Cost>;

#[test]
fn the_hot_path_executes_no_more_instructions_than_its_baseline_allows() {
    let program = build();
    let (machine, rows) = rows(&program);
    let mut costs = measure(&program, &rows);
    let again = measure(&program, &rows[..1]);
    let first = &rows[0].0;
    assert_eq!(costs[first], again[first], "{first}: a second run counts the same");
    let canary = costs.remove("canary").expect("there is a canary");
    let table = table(&costs, &Costs::new());
    assert!(
        canary.ours > costs[first].ours * OURS_AT_MOST,
        "work was added to every request and the gate would not have seen it: {canary:?}\n{table}"
    );
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.json");
    let mut document: Value =
        serde_json::from_str(&std::fs::read_to_string(&path).unwrap_or_default()).unwrap_or(json!({}));
    if std::env::var_os(RENEW).is_some() {
        document["rust"] = toolchain().into();
        document[&machine] = to_json(&costs);
        std::fs::write(&path, format!("{document:#}\n")).expect("the baseline can be written");
        return;
    }
    let Some(baseline) = document.get(&machine).map(from_json) else {
        // There is nothing to hold the count against; that it repeats and sees work was checked above.
        print(&format!("{}: no baseline for {machine}; counted here:\n{table}", path.display()));
        return;
    };
    assert_eq!(document["rust"], toolchain().as_str(), "the pinned compiler has changed; {HOW_TO_RENEW}");
    assert!(
        is_built_by(&program, &toolchain()),
        "the counted program was not built by the pinned compiler, {}: its count would say nothing",
        toolchain()
    );
    let verdicts = judge(&baseline, &costs);
    let table = self::table(&costs, &baseline);
    assert!(verdicts.is_empty(), "{}\n{HOW_TO_RENEW}\n\n{table}", verdicts.join("\n"));
    print(&table);
}

/// Shown with `--nocapture`, and when the test fails.
#[expect(clippy::print_stdout, reason = "tests speak to the terminal")]
fn print(text: &str) {
    println!("{text}");
}

/// Builds the program in release, as this tree's programs are built, whatever flags the environment would add.
fn build() -> PathBuf {
    let mut command = Command::new(env!("CARGO"));
    command
        .args(["build", "--locked", "--release", "--package", "benches", "--bin", "instructions"])
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit());
    // What cargo tells tests of their own package would have build scripts run again, here and in the next build.
    let told = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_", "CARGO_PRIMARY_"];
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        let is_flag = name == "RUSTFLAGS" || name == "CARGO_ENCODED_RUSTFLAGS";
        if is_flag || told.iter().any(|prefix| name.starts_with(prefix)) {
            command.env_remove(&*name);
        }
    }
    let output = command.output().expect("cargo runs");
    assert!(output.status.success(), "the counted program does not build");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == "instructions")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .expect("cargo names the executable")
}

/// What kind of machine the program sees, and its rows with their counts.
fn rows(program: &Path) -> (String, Vec<(String, u64)>) {
    let output = valgrind(&["--tool=none"], program, &[]);
    let mut lines = output.lines();
    let machine = lines.next().expect("the first line is the machine").to_owned();
    let row = |line: &str| {
        let (count, name) = line.split_once(' ').expect("a count and a name");
        (name.to_owned(), count.parse().expect("a count"))
    };
    (machine, lines.map(row).collect())
}

/// Every row, as many at a time as there are cores.
fn measure(program: &Path, rows: &[(String, u64)]) -> Costs {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let costs = Mutex::new(Costs::new());
    let next = Mutex::new(rows.iter().enumerate());
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while let Some((place, (name, count))) = { next.lock().expect("no thread panicked").next() } {
                    let run = |times: u64| {
                        let file = scratch.path().join(format!("{place}-{times}"));
                        count_instructions(program, name, count * times, &file)
                    };
                    let (once, twice) = (run(1), run(2));
                    let per = |of: fn(&Cost) -> f64| ((of(&twice) - of(&once)) / *count as f64).max(0.0);
                    let cost = Cost { ours: per(|cost| cost.ours), libraries: per(|cost| cost.libraries) };
                    costs.lock().expect("no thread panicked").insert(name.clone(), cost);
                }
            });
        }
    });
    costs.into_inner().expect("no thread panicked")
}

fn count_instructions(program: &Path, name: &str, count: u64, file: &Path) -> Cost {
    let file_option = format!("--callgrind-out-file={}", file.display());
    // A function to toggle at lets callgrind begin with its eyes closed, unless it is told otherwise behind it.
    let toggles = ["--toggle-collect=*OtherEnd::answer", "--toggle-collect=*OtherEnd::new"];
    let options = ["--tool=callgrind", &file_option, toggles[0], toggles[1], "--collect-atstart=yes"];
    valgrind(&options, program, &[name, &count.to_string()]);
    let profile = std::fs::read_to_string(file).expect("callgrind writes its profile");
    sum(&profile)
}

/// Runs the program under valgrind with nothing in its environment, and gives what it printed.
fn valgrind(options: &[&str], program: &Path, arguments: &[&str]) -> String {
    let output = Command::new("valgrind")
        .arg("--quiet")
        .args(options)
        .arg(program)
        .args(arguments)
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| {
            panic!("valgrind: {error}; `cargo xtask test` installs it (apt-get install valgrind)")
        });
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "valgrind cannot run {arguments:?}: {}\n{complaints}", output.status);
    String::from_utf8(output.stdout).expect("text")
}

/// Sums up a callgrind profile by object, ring being a library like those that are linked at run time: what its arithmetic
/// takes depends on random keys. The format is described in valgrind's manual: after `ob=` and `fn=`, lines
/// of a position and a cost; the line behind `calls=` holds what the callee cost, which stands with the callee too.
fn sum(profile: &str) -> Cost {
    let (mut names, mut files): (BTreeMap<&str, bool>, BTreeMap<&str, bool>) = Default::default();
    let mut cost = Cost { ours: 0.0, libraries: 0.0 };
    let (mut is_library, mut is_ring, mut is_call, mut total) = (false, false, false, None);
    for line in profile.lines() {
        if let Some(object) = line.strip_prefix("ob=").or_else(|| line.strip_prefix("cob=")) {
            // `(7) /lib/libc.so.6` the first time, `(7)` from then on.
            let (id, name) = object.split_once(' ').unwrap_or((object, ""));
            let kind = *names.entry(id).or_insert_with(|| !name.ends_with("/instructions"));
            if line.starts_with("ob=") {
                is_library = kind;
            }
        } else if let Some((key, file)) = line.split_once('=')
            && matches!(key, "fl" | "fi" | "fe" | "cfi" | "cfl")
        {
            let (id, name) = file.split_once(' ').unwrap_or((file, ""));
            let of_ring = *files.entry(id).or_insert_with(|| name.contains("/ring-"));
            if !key.starts_with('c') {
                is_ring = of_ring;
            }
        } else if line.starts_with("calls=") {
            is_call = true;
        } else if let Some(text) = line.strip_prefix("summary: ") {
            total = text.parse::<f64>().ok();
        } else if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first)) {
            let spent: f64 =
                line.split_once(' ').and_then(|(_, spent)| spent.parse().ok()).unwrap_or(f64::NAN);
            if !std::mem::take(&mut is_call) {
                *(if is_library || is_ring { &mut cost.libraries } else { &mut cost.ours }) += spent;
            }
        }
    }
    assert_eq!(Some(cost.ours + cost.libraries), total, "the profile adds up to callgrind's own sum");
    cost
}

/// What is wrong, a line each.
fn judge(baseline: &Costs, costs: &Costs) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, cost) in costs {
        let Some(base) = baseline.get(name) else {
            wrong.push(format!("{name}: not in the baseline"));
            continue;
        };
        let bounds = [
            ("ours", cost.ours, base.ours, base.ours * OURS_AT_MOST),
            (
                "libraries",
                cost.libraries,
                base.libraries,
                base.libraries * LIBRARIES_AT_MOST + LIBRARIES_SLACK,
            ),
        ];
        for (part, now, before, at_most) in bounds {
            if now > at_most {
                wrong.push(format!(
                    "{name}, {part}: {now:.1} instructions, {before:.1} in the baseline, at most {at_most:.1}"
                ));
            }
        }
    }
    let gone = baseline.keys().filter(|name| !costs.contains_key(*name));
    wrong.extend(gone.map(|name| format!("{name}: in the baseline, but not measured any more")));
    wrong
}

fn table(costs: &Costs, baseline: &Costs) -> String {
    let mut text = String::from("instructions for one more             ours   baseline  libraries\n");
    for (name, cost) in costs {
        let base = baseline.get(name).map_or_else(String::new, |base| format!("{:.1}", base.ours));
        writeln!(text, "{name:<32}{:>10.1}{base:>11}{:>11.1}", cost.ours, cost.libraries)
            .expect("strings take everything");
        if baseline.get(name).is_some_and(|base| cost.ours * OURS_AT_MOST < base.ours) {
            text.push_str("  ^ cheaper than its baseline, which could be written anew\n");
        }
    }
    text
}

/// Whether that compiler has left its name in the program, as it does in the section for comments.
fn is_built_by(program: &Path, toolchain: &str) -> bool {
    let mark = format!("rustc version {toolchain}");
    let bytes = std::fs::read(program).expect("the program can be read");
    bytes.windows(mark.len()).any(|window| window == mark.as_bytes())
}

/// The pinned compiler.
fn toolchain() -> String {
    let text = include_str!("../../rust-toolchain.toml");
    let channel = text.lines().find_map(|line| line.strip_prefix("channel = "));
    channel.expect("a channel is pinned").trim_matches('"').to_owned()
}

fn to_json(costs: &Costs) -> Value {
    let round = |figure: f64| (figure * 10.0).round() / 10.0 + 0.0;
    let row = |(name, cost): (&String, &Cost)| {
        (name.clone(), json!({ "ours": round(cost.ours), "libraries": round(cost.libraries) }))
    };
    Value::Object(costs.iter().map(row).collect())
}

fn from_json(value: &Value) -> Costs {
    let figure = |row: &Value, part: &str| row[part].as_f64().expect("a baseline has both figures");
    let row = |(name, row): (&String, &Value)| {
        (name.clone(), Cost { ours: figure(row, "ours"), libraries: figure(row, "libraries") })
    };
    value.as_object().expect("a baseline is a table").iter().map(row).collect()
}

#[test]
fn what_is_above_the_baseline_fails_and_noise_of_the_library_does_not() {
    let cost = |ours: f64, libraries: f64| Cost { ours, libraries };
    let one = |cost: Cost| Costs::from([("a".to_owned(), cost)]);
    let base = one(cost(1_000.0, 100.0));
    for (measured, wrong) in [
        (one(cost(1_000.0, 100.0)), 0),
        (one(cost(1_029.9, 144.9)), 0),
        (one(cost(1_030.1, 100.0)), 1),
        (one(cost(1_000.0, 145.1)), 1),
        (one(cost(2_000.0, 200.0)), 2),
        (one(cost(500.0, 0.0)), 0),
        (Costs::new(), 1),
        (Costs::from([("a".to_owned(), cost(1.0, 1.0)), ("b".to_owned(), cost(1.0, 1.0))]), 1),
    ] {
        assert_eq!(judge(&base, &measured).len(), wrong, "{measured:?}");
    }
    assert_eq!(from_json(&to_json(&base)), base);
}

#[test]
fn profiles_are_summed_by_object_without_what_was_called() {
    let profile = "positions: line\nevents: Ir\nsummary: 137\n\n\
                   ob=(1) /a/instructions\nfl=(1) main.rs\nfn=(1) main\n16 100\ncob=(2) /lib/libc.so.6\ncfn=(2) memcpy\n\
                   calls=3 50\n+1 30\n* 7\n\nob=(2)\nfn=(2)\n-4 30\n";
    assert_eq!(sum(profile), Cost { ours: 107.0, libraries: 30.0 });
    let with_ring = "positions: line\nevents: Ir\nsummary: 186\n\n\
                     ob=(1) /a/instructions\nfl=(1) main.rs\nfn=(1) main\n16 100\ncfi=(2) /b/ring-0.17.14/aes.S\ncfn=(2) aes\n\
                     calls=3 50\n+1 30\n* 7\nfi=(2)\n5 40\nfe=(1)\n6 9\n\nfl=(2)\nfn=(2)\n-4 30\n";
    assert_eq!(sum(with_ring), Cost { ours: 116.0, libraries: 70.0 });
}
