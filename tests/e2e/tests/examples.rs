//! Every file of `examples/` is run, as its reader would run it, and what it claims of itself is checked.
//!
//! Scripts are started by their interpreters with `ENGINE` and `OUT` set. Of the YAML fragments the commands that start
//! the engine are taken out and run, with the fragments' own variables, against a target of the test. Plans are checked: by the engine,
//! and against the schema as another reader of YAML sees them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use e2e::document::{Audit, Schema, count, items, parse, text};
use e2e::engine::binary;
use e2e::machine::{among_others, repository};
use e2e::process::{Process, program, shell_code};
use e2e::{Engine, Target};
use serde_json::Value;
use tempfile::TempDir;
use yaml_rust2::{Yaml, YamlLoader};

/// What is run here. A file that is not in this list has no test.
const EXAMPLES: &[&str] = &[
    "closed-model.sh",
    "control-socket.py",
    "fleet.sh",
    "github-actions.yml",
    "kubernetes-job.yaml",
    "plans",
    "poisson.sh",
    "quickstart.sh",
    // Its tests are those of own protocols, tests/ci/own_protocols.rs.
    "redis",
    "s3.yaml",
    "shares-and-merge.sh",
    "stages.sh",
    "tls-self-signed.sh",
];

const LIMIT: Duration = Duration::from_mins(2);

/// Other programs may keep the machine busy; how punctual the engine is, is the matter of other tests.
const PATIENCE: (&str, &str) = ("ENGINE_MAX_LAG", "1h");

fn example(name: &str) -> PathBuf {
    repository().join("examples").join(name)
}

/// A command with nothing of this process's environment that could reach the engine.
fn bare(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    command.env_clear().env("LC_ALL", "C.UTF-8").env(PATIENCE.0, PATIENCE.1);
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// Runs a command to its end and demands that it exits with 0; yields its standard output.
#[track_caller]
fn finish(command: Command) -> String {
    let line = format!("{command:?}");
    let mut process = Process::start(command, None);
    let code = shell_code(process.wait(LIMIT));
    assert_eq!(code, 0, "{line}\n{}\n{}", process.stderr(), process.stdout());
    process.stdout()
}

/// What a script left behind.
struct Left {
    folder: TempDir,
    printed: String,
}

impl Left {
    /// Runs a script of the examples.
    #[track_caller]
    fn by(interpreter: &str, name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let mut command = bare(program(&[interpreter]));
        command.arg(example(name)).env("ENGINE", binary()).env("OUT", folder.path());
        command.env("COORDINATOR", binary().with_file_name("coordinator"));
        Self { printed: finish(command), folder }
    }

    #[track_caller]
    fn document(&self, name: &str) -> Value {
        let path = self.folder.path().join(name);
        parse(name, &fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }

    #[track_caller]
    fn audit(&self, name: &str) -> Audit {
        Audit::of(&self.document(name))
    }
}

#[test]
fn every_example_has_its_test() {
    let mut names: Vec<String> = fs::read_dir(repository().join("examples"))
        .expect("the examples are there")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert_eq!(names, EXAMPLES);
}

#[test]
fn quickstart() {
    let _hold = among_others();
    let left = Left::by("sh", "quickstart.sh");
    assert!(left.printed.starts_with("PASS (exit 0)"), "{}", left.printed);
    let summary = left.document("summary.json");
    assert_eq!(Audit::of(&summary).sent, 15_000);
    assert_eq!(summary.pointer("/target/builtin"), Some(&Value::Bool(true)));
    assert_eq!(items(&summary, "/thresholds").len(), 2);
}

#[test]
fn fleet() {
    let _hold = among_others();
    let left = Left::by("sh", "fleet.sh");
    assert!(left.printed.starts_with("PASS (exit 0)"), "{}", left.printed);
    let report = left.document("report.json");
    assert_eq!(Audit::of(&report).sent, 3_000);
    let sent = [1, 2, 3].map(|number| count(&report, &format!("/nodes/local-{number}/totals/sent")));
    assert_eq!(sent.iter().sum::<u64>(), 3_000, "{sent:?}");
    assert!(sent[0] > sent[1] && sent[1] > sent[2], "{sent:?}");
}

#[test]
fn stages() {
    let _hold = among_others();
    let left = Left::by("sh", "stages.sh");
    let audit = left.audit("summary.json");
    assert_eq!((audit.scheduled, audit.sent), (2_900, 2_900));
    let lines = fs::read_to_string(left.folder.path().join("seconds.ndjson")).expect("intervals are there");
    let seconds: Vec<Value> = lines.lines().map(|line| parse("an interval", line.as_bytes())).collect();
    let scheduled: u64 = seconds.iter().map(|second| count(second, "/scheduled")).sum();
    assert_eq!(scheduled, 2_900);
    assert!(seconds.len() >= 5, "{lines}");
}

#[test]
fn poisson() {
    let _hold = among_others();
    let left = Left::by("sh", "poisson.sh");
    let [first, second, third] =
        ["first.json", "second.json", "third.json"].map(|name| left.audit(name).scheduled);
    assert_eq!(first, second, "a seed gives the same arrivals again");
    assert_ne!(first, third, "another seed gives others");
    // Ten standard deviations of a Poisson count of 2,000.
    for arrivals in [first, third] {
        assert!(arrivals.abs_diff(2_000) < 450, "{arrivals}");
    }
    assert_eq!(left.printed.lines().count(), 3);
}

#[test]
fn shares_and_merge() {
    let _hold = among_others();
    let left = Left::by("sh", "shares-and-merge.sh");
    let merged = left.document("merged.json");
    assert_eq!(Audit::of(&merged).scheduled, 2_000);
    assert_eq!(items(&merged, "/parts").len(), 4);
    for share in 1..=4 {
        assert_eq!(left.audit(&format!("share-{share}.json")).scheduled, 500);
    }
    assert_eq!(count(&left.document("truth.json"), "/requests"), Audit::of(&merged).sent);
}

#[test]
fn tls_self_signed() {
    let _hold = among_others();
    let left = Left::by("sh", "tls-self-signed.sh");
    let summary = left.document("summary.json");
    assert_eq!(Audit::of(&summary).ok, 400);
    assert!(count(&summary, "/latency_ns/tls/count") >= 40);
    assert_eq!(summary.pointer("/target/insecure"), Some(&Value::Bool(false)));
    assert!(count(&left.document("truth.json"), "/tls_handshakes") >= 40);
}

#[test]
fn closed_model() {
    let _hold = among_others();
    let left = Left::by("sh", "closed-model.sh");
    let summary = left.document("summary.json");
    assert_eq!(Audit::of(&summary).sent, 1_000);
    assert_eq!(text(&summary, "/plan/process"), "users");
    assert!(count(&summary, "/connections/connects") <= 8);
}

#[test]
fn control_socket() {
    let _hold = among_others();
    let left = Left::by("python3", "control-socket.py");
    let summary = left.document("summary.json");
    let audit = Audit::of(&summary);
    // 300 in the first second; the rate is doubled at some time after it.
    assert!((1_200 + 300..=300 + 3 * 600).contains(&audit.scheduled), "{audit:?}");
    assert!(left.printed.starts_with("second 0: sent "), "{}", left.printed);
    assert!(left.printed.contains("\nsecond 2: "), "{}", left.printed);
}

/// The plans, wherever they lie, and words of the page that explains each. Those outside of `plans/` are run by tests of their own,
/// beside what they load.
const PLANS: &[(&str, &[&str])] = &[
    ("plans/constant-users.yaml", &["0s to 10m, 250 users", "connections  at most 250\n"]),
    (
        "plans/ramp-then-rate.yaml",
        &[
            "0s to 2m, 1,000 iterations of call",
            "2m to 12m, 60,000 iterations of call",
            "arrivals     61,000",
        ],
    ),
    ("plans/staged-users.yaml", &["0s to 14m, 3,000 users", "connections  at most 3,000\n"]),
    ("s3.yaml", &["0s to 1m, about 600 iterations", "arrivals     4,020 iterations"]),
];

/// Variables without which a plan of the examples has nothing to go by.
const NEEDED: &[(&str, &str)] = &[("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "secret")];

/// Every file of the examples that says of itself that it is a plan.
fn plans() -> Vec<String> {
    let folder = repository().join("examples");
    let (mut folders, mut plans) = (vec![folder.clone()], Vec::new());
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).expect("the examples are there") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if fs::read_to_string(&path).is_ok_and(|text| text.contains("schema: openloop.plan/")) {
                let name = path.strip_prefix(&folder).expect("it lies in the folder");
                plans.push(name.to_string_lossy().into_owned());
            }
        }
    }
    plans.sort();
    plans
}

#[test]
fn plans_are_valid_and_mean_what_they_say() {
    let _hold = among_others();
    assert_eq!(plans(), PLANS.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    let schema = Schema::of("plan");
    for (name, words) in PLANS {
        let path = example(name);
        let check = Engine::new("check").arg(&path);
        let check = NEEDED.iter().fold(check, |check, (name, value)| check.variable(name, value));
        let page = check.run().expect(0);
        for word in *words {
            assert!(page.stdout.contains(word), "{name} {word}: {}", page.told());
        }
        schema.admit(&json(&yaml(&fs::read_to_string(&path).expect("it is a text"))));
    }
}

#[test]
fn plans_are_made_smaller_by_variables() {
    let _hold = among_others();
    let check = |name: &str| {
        let line = Engine::new("check").arg(example("plans").join(name));
        line.variable("COME", "2s").variable("STAY", "5s").variable("GO", "1s").variable("USERS", "7")
    };
    let staged = check("staged-users.yaml").run().expect(0);
    assert!(staged.stdout.contains("0s to 8s, 7 users"), "{}", staged.told());
    let constant = check("constant-users.yaml").run().expect(0);
    assert!(constant.stdout.contains("0s to 5s, 7 users"), "{}", constant.told());
    let rate = check("ramp-then-rate.yaml").variable("ARRIVALS", "40").variable("TPS", "20").run().expect(0);
    assert!(rate.stdout.contains("140 iterations"), "{}", rate.told());
}

#[test]
fn plans_load_their_target_with_what_they_say() {
    let _hold = among_others();
    for (name, sent) in
        [("constant-users.yaml", None), ("ramp-then-rate.yaml", Some(70)), ("staged-users.yaml", None)]
    {
        let target = Target::start("--delay 5ms");
        let outcome = Engine::new("run")
            .arg(example("plans").join(name))
            .args("--max-lag 1h")
            .json()
            .variable("BASE_URL", &target.url())
            .variable("COME", "1s")
            .variable("STAY", "2s")
            .variable("GO", "1s")
            .variable("USERS", "5")
            .variable("ARRIVALS", "30")
            .variable("TPS", "20")
            .run()
            .expect(0);
        let audit = outcome.audit();
        assert_eq!(count(&target.stop(), "/requests"), audit.sent, "{name}: {}", outcome.told());
        assert!(sent.is_none_or(|sent| sent == audit.sent) && audit.sent > 10, "{name}: {}", outcome.told());
    }
}

/// What an editor hands to the schema.
fn json(value: &Yaml) -> Value {
    match value {
        Yaml::Hash(entries) => entries.iter().map(|(key, value)| (scalar(key), json(value))).collect(),
        Yaml::Array(values) => values.iter().map(json).collect(),
        Yaml::Boolean(truth) => Value::Bool(*truth),
        Yaml::Integer(number) => Value::from(*number),
        Yaml::Real(text) => Value::from(text.parse::<f64>().expect("a number")),
        text => Value::from(scalar(text)),
    }
}

fn yaml(text: &str) -> Yaml {
    let mut documents =
        YamlLoader::load_from_str(text).unwrap_or_else(|error| panic!("no YAML: {error}\n{text}"));
    assert_eq!(documents.len(), 1);
    documents.remove(0)
}

/// A scalar as text.
fn scalar(value: &Yaml) -> String {
    match value {
        Yaml::String(text) | Yaml::Real(text) => text.clone(),
        Yaml::Integer(number) => number.to_string(),
        other => panic!("no scalar: {other:?}"),
    }
}

/// Replaces `opening NAME closing` by the values of the names; an unknown name fails.
fn filled(text: &str, opening: &str, closing: &str, values: &BTreeMap<&str, String>) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(opening) {
        let (name, after) = after.split_once(closing).expect("what is opened is closed");
        filled.push_str(before);
        filled.push_str(values.get(name.trim()).unwrap_or_else(|| panic!("nobody sets {name} in {text}")));
        rest = after;
    }
    filled + rest
}

/// The environment of a job, and its `run` lines that start the engine.
fn job(
    workflow: &Yaml,
    name: &str,
    values: &BTreeMap<&str, String>,
) -> (BTreeMap<String, String>, Vec<String>) {
    let job = &workflow["jobs"][name];
    let fill = |value: &Yaml| filled(&scalar(value), "${{", "}}", values);
    let environment = job["env"].as_hash().into_iter().flatten();
    let environment = environment.map(|(name, value)| (scalar(name), fill(value))).collect();
    let steps = job["steps"].as_vec().expect("a job has steps");
    let runs = steps.iter().filter(|step| !step["run"].is_badvalue()).map(|step| fill(&step["run"]));
    (environment, runs.filter(|line| line.starts_with("engine ")).collect())
}

#[test]
fn github_actions() {
    let _hold = among_others();
    let workflow = yaml(&fs::read_to_string(example("github-actions.yml")).expect("the fragment is there"));
    let target = Target::start("");
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let shell = |environment: &BTreeMap<String, String>, line: &str| {
        let programs = binary().parent().expect("the engine is in a folder").display().to_string();
        let mut command = bare(program(&["bash"]));
        // Runners call bash this way.
        command.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", line]).current_dir(folder.path());
        command
            .env("PATH", format!("{programs}:{}", std::env::var("PATH").unwrap_or_default()))
            .envs(environment);
        finish(command);
    };
    let shares =
        workflow["jobs"]["share"]["strategy"]["matrix"]["share"].as_vec().expect("the matrix has shares");
    assert_eq!(shares.len(), 4);
    for share in shares {
        let values = BTreeMap::from([
            ("vars.TARGET_URL", target.url()),
            ("vars.TARGET_HOST", "127.0.0.1".to_owned()),
            ("github.run_id", "4711".to_owned()),
            ("matrix.share", scalar(share)),
        ]);
        let (mut environment, lines) = job(&workflow, "share", &values);
        assert_eq!(lines.len(), 1, "one line of the job starts the engine");
        // The fragment's own load is for a staging system, for minutes.
        for (name, value) in [("TARGET_TPS", "400"), ("DURATION", "1s")] {
            assert!(
                environment.insert(name.to_owned(), value.to_owned()).is_some(),
                "the fragment sets {name}"
            );
        }
        shell(&environment, &lines[0]);
    }
    let (environment, lines) = job(&workflow, "verdict", &BTreeMap::new());
    assert_eq!(lines.len(), 1, "one line of the job starts the engine");
    shell(&environment, &lines[0]);
    let merged =
        parse("the merged summary", &fs::read(folder.path().join("merged.json")).expect("it was written"));
    assert_eq!(Audit::of(&merged).scheduled, 400);
    assert_eq!(count(&target.stop(), "/requests"), 400);
}

#[test]
fn kubernetes_job() {
    let _hold = among_others();
    let template = fs::read_to_string(example("kubernetes-job.yaml")).expect("the template is there");
    // Comments show how the template is filled in by a shell; they are not filled in here.
    let lines: Vec<&str> = template.lines().filter(|line| !line.starts_with('#')).collect();
    let template = lines.join(
        "
",
    );
    let target = Target::start("");
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let mut files = Vec::new();
    for worker in 1..=2 {
        let values = BTreeMap::from([
            ("RUN_ID", "nightly-7".to_owned()),
            ("WORKERS", "2".to_owned()),
            ("WORKER_ID", worker.to_string()),
            ("TARGET_TPS", "300".to_owned()),
            ("DURATION", "1s".to_owned()),
            ("TARGET_URL", target.url()),
        ]);
        let manifest = yaml(&filled(&template, "${", "}", &values));
        assert_eq!(scalar(&manifest["metadata"]["name"]), format!("openloop-nightly-7-{worker}"));
        let container = &manifest["spec"]["template"]["spec"]["containers"][0];
        let list = |name: &str| container[name].as_vec().expect("the container has it").iter().map(scalar);
        let environment: Vec<(String, String)> = container["env"]
            .as_vec()
            .expect("the container has variables")
            .iter()
            .map(|variable| (scalar(&variable["name"]), scalar(&variable["value"])))
            .collect();
        let known = environment.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        let mut words = list("command").chain(list("args")).map(|word| filled(&word, "$(", ")", &known));
        assert_eq!(words.next().as_deref(), Some("engine"));
        let mut command = bare(binary());
        command.args(words).envs(environment.iter().cloned());
        let summary = finish(command);
        assert_eq!(text(&parse("the pod's log", summary.as_bytes()), "/tags/worker_id"), worker.to_string());
        let file = folder.path().join(format!("{worker}.json"));
        fs::write(&file, summary).expect("it can be written");
        files.push(file);
    }
    let merged =
        Engine::new("merge --threshold dropped<1").arg(&files[0]).arg(&files[1]).json().run().expect(0);
    assert_eq!(merged.audit().scheduled, 300);
    assert_eq!(text(merged.summary(), "/run/id"), "nightly-7");
    assert_eq!(count(&target.stop(), "/requests"), 300);
}
