//! Programs with a protocol of their own.

use std::sync::Arc;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::*;
use crate::protocol::{About, Flag, Given, Protocol, Scheme, Session, Spoken, Status};

/// A made-up process, which has variables and one file.
struct Fake(BTreeMap<&'static str, &'static str>);

impl Surroundings for Fake {
    fn variable(&self, name: &str) -> Option<OsString> {
        self.0.get(name).map(OsString::from)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match path.to_str() {
            Some("body.json") => Ok(b"{}".to_vec()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn is_directory(&self, _path: &Path) -> bool {
        false
    }
}

/// Splits like a shell without any quoting; `·` stands for a space inside a word.
fn words(line: &str) -> Vec<OsString> {
    let words = line.split_whitespace().map(|word| word.replace('·', " "));
    std::iter::once("echo-load".to_owned()).chain(words).map(OsString::from).collect()
}

const ABOUT: About = About {
    name: "echo-load",
    about: "Loads an echo server.",
    schemes: &[
        Scheme { name: "echo", default_port: 7, is_secure: false },
        Scheme { name: "echos", default_port: 7, is_secure: true },
    ],
    flags: &[Flag { name: "line-size", value: "BYTES", help: "Bytes of a line" }],
};

#[derive(Debug)]
struct Echo;

impl Protocol for Echo {
    fn requests(&self) -> Vec<String> {
        vec!["echo".into()]
    }

    fn statuses(&self) -> Vec<Status> {
        vec![Status::good("same")]
    }

    fn session(&self) -> Box<dyn Session> {
        unreachable!("nobody connects")
    }
}

/// What a command line comes to, and the value of the program's own flag.
fn parsed(
    line: &str,
    variables: &[(&'static str, &'static str)],
) -> (Result<Command, Refusal>, Option<String>) {
    let mut size = None;
    let command =
        parse_own(words(line), &Fake(variables.iter().copied().collect()), &ABOUT, |given: &Given| {
            size = given.text("line-size").map(str::to_owned);
            match given.text("line-size") {
                Some("huge") => Err("--line-size: \"huge\" is no size → 64".to_owned()),
                _ => Spoken::new("echo", Arc::new(Echo)),
            }
        });
    (command, size)
}

#[test]
fn its_runs_have_the_engines_flags_and_its_own() {
    let line = "echos://localhost --tps 5k -d 3s --threshold echo:·p99<5ms --line-size 9 --close-after 5";
    let (Ok(Command::Run(run)), size) = parsed(line, &[("ENGINE_LINE_SIZE", "8")]) else {
        panic!("{:?}", parsed(line, &[]))
    };
    assert_eq!(size.as_deref(), Some("9"), "a flag wins over its variable");
    assert_eq!(run.spoken.map(|spoken| spoken.name), Some("echo"));
    let url = run.plan.url.expect("a URL");
    assert_eq!((url.to_string().as_str(), url.port()), ("echos://localhost/", 7));
    assert!(url.scheme().is_secure() && run.plan.tls.alpn.is_empty());
    let variables = [("ENGINE_LINE_SIZE", "8"), ("ENGINE_URL", "echo://[::1]:70"), ("TARGET_TPS", "9")];
    let (Ok(Command::Run(run)), size) = parsed("-n 7", &variables) else { panic!("variables do as well") };
    assert_eq!((size.as_deref(), run.plan.count), (Some("8"), Some(7)));
}

#[test]
fn what_is_about_http_is_refused() {
    for (line, fragment) in [
        (
            "echo://h --tps 1 -X POST",
            "--method: it is about HTTP, and this program speaks echo → leave it out",
        ),
        ("echo://h --tps 1 -H A:·b", "--header: it is about HTTP"),
        ("echo://h --tps 1 --body x", "--body: it is about HTTP"),
        ("echo://h --tps 1 --body-file body.json", "--body-file: it is about HTTP"),
        ("echo://h --tps 1 --body-size 1k", "--body-size: it is about HTTP"),
        ("echo://h --tps 1 --fail-status 5xx", "--fail-status: it is about HTTP"),
        ("echo://h --tps 1 --max-head 2k", "--max-head: it is about HTTP"),
        ("echo://h --tps 1 --max-body 2k", "--max-body: it is about HTTP"),
        ("echo://h --gbit 1", "--gbit: it is about HTTP"),
        ("echo://h --tps 1 --workload a", "--workload: it is about HTTP"),
        ("run plan.yaml", "run: it is about HTTP, and this program speaks echo"),
        ("target", "target: it is about HTTP"),
        ("check plan.yaml", "check: it is about HTTP"),
        ("debug plan.yaml", "debug: it is about HTTP"),
        (
            "--tps 1",
            "nothing says whom to load: the built-in target speaks HTTP alone → a URL, e.g. echo://127.0.0.1:7",
        ),
        ("http://h --tps 1", "the engine does not speak http → echo:// or echos://"),
        ("h:7 --tps 1", "→ echo://h:7 or echos://h:7"),
        ("echo --tps 1", "\"echo\" is not a URL"),
        ("echo://h/path --tps 1", "echo has no paths → the host and port alone"),
        ("echo://h", "nothing says how much load"),
        ("echo://h --tps 1 --line-size huge", "--line-size: \"huge\" is no size → 64"),
        ("echo://h --tps 1 --lines", "--lines"),
        ("echo://h --tps 1 -rate=5", "long flags have two dashes"),
    ] {
        let refusal = parsed(line, &[]).0.expect_err(line);
        assert_eq!(refusal.exit_code, verdict::ExitCode::Usage, "{line}");
        assert!(refusal.message.contains(fragment), "{line}: {}", refusal.message);
        assert!(!refusal.message.contains("engine --help"), "{line}: {}", refusal.message);
    }
}

#[test]
fn variables_that_are_about_http_are_refused_by_their_names() {
    let refusal = parsed("echo://h --tps 1", &[("ENGINE_HEADER", "A: b")]).0.expect_err("it is of HTTP");
    assert!(refusal.message.contains("ENGINE_HEADER: it is about HTTP"), "{}", refusal.message);
}

#[test]
fn its_help_is_its_own() {
    let Command::Print(help) = parsed("--help", &[]).0.expect("help") else { panic!("help is printed") };
    for word in
        ["echo-load URL --tps RATE", "Loads an echo server.", "--line-size <BYTES>", "echo://127.0.0.1:7"]
    {
        assert!(help.contains(word), "{word}: {help}");
    }
    for word in ["--method", "--body", "--fail-status", "--gbit", "built-in", "Run a plan file"] {
        assert!(!help.contains(word), "{word}: {help}");
    }
    assert!(matches!(parsed("", &[]).0, Ok(Command::Nothing(_))));
    assert!(matches!(parsed("doctor", &[]).0, Ok(Command::Doctor { .. })));
    assert!(matches!(parsed("schema summary", &[]).0, Ok(Command::Schema(_))));
}
