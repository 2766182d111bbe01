//! The documents say what is so: flags, exit codes, arrows, promises, links and command lines are held against the
//! program and the sources.
//!
//! Command lines are tried without running them: behind safety rails that no plan passes, a line that is right ends with the
//! rails' exit code, and a line that is wrong with that of a usage error.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use e2e::Engine;
use e2e::engine::binary;
use e2e::machine::{among_others, repository};
use e2e::process::{Process, program, shell_code};

/// The exit code of a safety rail.
const REFUSED: i32 = 4;
/// The exit code of an environment that refuses.
const ENVIRONMENT: i32 = 3;
const PLAN: &str = "schema: openloop.plan/1\ntargets: {a: http://127.0.0.1:1}\nworkloads: {a: {tps: 1, for: 1s, request: /}}\n";

/// What users and maintainers read, decisions aside.
const DOCUMENTS: &[&str] = &[
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "docs/architecture.md",
    "docs/fleet.md",
    "docs/glossary.md",
    "docs/hostile.md",
    "docs/measuring.md",
    "docs/nodes.md",
    "docs/own-protocols.md",
    "docs/plan-file.md",
    "docs/promises.md",
    "docs/schedule.md",
    "docs/truth.md",
];

fn document(name: &str) -> String {
    let path = repository().join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The cells of the rows of all tables in a text.
fn rows(text: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect();
    text.lines().filter(|line| line.starts_with("| ")).map(cells).collect()
}

/// What stands in backticks.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The flags that a text names.
fn flags(text: &str) -> BTreeSet<String> {
    let words = text.split(|character: char| !(character.is_ascii_alphanumeric() || character == '-'));
    words.filter(|word| word.starts_with("--") && word.len() > 2).map(str::to_owned).collect()
}

#[test]
fn the_readme_names_every_flag() {
    let _hold = among_others();
    let of_a_run = flags(&Engine::new("--help").run().expect(0).stdout);
    assert!(of_a_run.len() > 50, "{of_a_run:?}");
    let named = flags(&document("README.md"));
    let missing: Vec<&String> = of_a_run
        .difference(&named)
        .filter(|flag| !["--help", "--version"].contains(&flag.as_str()))
        .collect();
    assert!(missing.is_empty(), "the README lacks {missing:?}");
}

#[test]
fn the_pages_of_fleets_name_every_flag_of_theirs() {
    let _hold = among_others();
    let help = Engine::of("coordinator", "--help").run().expect(0).stdout;
    let (_, commands) = help.split_once("Commands:\n").expect("the commands are listed");
    let commands = commands.lines().take_while(|line| !line.is_empty());
    let commands: Vec<&str> =
        commands.filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).collect();
    assert!(commands.len() > 15, "{commands:?}");
    let of_a_run = flags(&Engine::new("--help").run().expect(0).stdout);
    let named = flags(&(document("docs/fleet.md") + &document("docs/nodes.md")));
    let mut of_fleets = flags(&Engine::new("node --help").run().expect(0).stdout);
    for command in commands.into_iter().filter(|command| !command.is_empty()) {
        of_fleets
            .extend(flags(&Engine::of("coordinator", &format!("{command} --help")).run().expect(0).stdout));
    }
    let missing: Vec<&String> =
        of_fleets.iter().filter(|flag| !named.contains(*flag) && !of_a_run.contains(*flag)).collect();
    assert!(missing.is_empty() && of_fleets.len() > 80, "the pages of fleets lack {missing:?}");
}

#[test]
fn the_page_of_fleets_names_every_operation_of_the_api() {
    let description = document("coordinator/openapi.json");
    let description: serde_json::Value = serde_json::from_str(&description).expect("it is JSON");
    let text = document("docs/fleet.md");
    let paths: Vec<&String> = description["paths"].as_object().expect("paths").keys().collect();
    // What differs in its last word alone stands behind the first of its kind: `POST /runs/{run}/stop`, `/abort`.
    let is_named = |path: &str| {
        let last = path.rsplit_once('/').map_or(path, |(_, last)| last);
        text.contains(path) || text.contains(&format!("`/{last}`"))
    };
    let missing: Vec<&&String> = paths.iter().filter(|path| !is_named(path)).collect();
    assert!(missing.is_empty() && paths.len() > 15, "docs/fleet.md lacks {missing:?}");
}

#[test]
fn every_exit_code_is_documented() {
    // `Self::Name => 12,` are the codes' numbers.
    let codes: Vec<String> = document("crates/verdict/src/exit.rs")
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Self::")?.split_once(" => ")?.1.strip_suffix(','))
        .filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
        .map(str::to_owned)
        .collect();
    assert!(codes.len() >= 15, "{codes:?}");
    for (name, reserved) in [("README.md", true), ("docs/architecture.md", false)] {
        let text = document(name);
        let listed: BTreeSet<String> = rows(&text)
            .iter()
            .flat_map(|row| row[0].split(" / ").map(str::to_owned).collect::<Vec<_>>())
            .collect();
        for code in &codes {
            let is_reserved =
                reserved && text.contains("16 and 17 are reserved") && ["16", "17"].contains(&code.as_str());
            assert!(listed.contains(code) || is_reserved, "{name} does not list exit code {code}");
        }
    }
}

/// The arrows as xtask has them: a package and what it may import.
fn arrows() -> BTreeMap<String, BTreeSet<String>> {
    let source = document("crates/xtask/src/arrows.rs");
    let (_, table) = source.split_once("ARROWS: &[(&str, &[&str])] = &[").expect("the table begins");
    let (table, _) = table.split_once("\n];").expect("the table ends");
    let text: String = table.lines().filter(|line| !line.trim().starts_with("//")).collect();
    let names = |text: &str| text.split('"').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let entries = text.split("),").map(|entry| {
        let mut names = names(entry).into_iter();
        let package = names.next()?;
        let mut imports: BTreeSet<String> = names.collect();
        if entry.contains("ANYTHING") {
            imports.insert("anything".to_owned());
        }
        Some((package, imports))
    });
    entries.flatten().collect()
}

#[test]
fn the_arrows_are_those_that_xtask_checks() {
    let text = document("docs/architecture.md");
    let mut documented = BTreeMap::new();
    for row in rows(&text).into_iter().filter(|row| row.len() == 3) {
        let (name, imports) = (quoted(&row[0]), &row[2]);
        let [name] = name.as_slice() else { continue };
        let imports = match imports.as_str() {
            "nothing" => BTreeSet::new(),
            "anything" => BTreeSet::from(["anything".to_owned()]),
            list => quoted(list).into_iter().collect(),
        };
        documented.insert(name.clone(), imports);
    }
    assert_eq!(documented, arrows());
}

#[test]
fn every_promise_names_a_test_that_exists() {
    let mut numbers = BTreeSet::new();
    let text = document("docs/promises.md");
    for row in rows(&text).iter().filter(|row| row[0].starts_with('P')) {
        let [number, promise, holder] = row.as_slice() else { panic!("a promise has three cells: {row:?}") };
        assert!(numbers.insert(number.clone()), "{number} stands twice");
        assert!(promise.len() > 20, "{row:?}");
        let tests = quoted(holder);
        assert!(!tests.is_empty() || holder == "*pending*", "{row:?}");
        for test in tests {
            let (file, function) =
                test.split_once("::").unwrap_or_else(|| panic!("{number}: {test} is no path::test"));
            let source = document(file);
            let is_test = source.contains(&format!("fn {function}("))
                && ["#[test]", "#[tokio::test"].iter().any(|mark| source.contains(mark));
            assert!(is_test, "{number}: there is no test {function} in {file}");
        }
    }
    assert!(numbers.len() > 30, "{numbers:?}");
}

/// The names of the headings of a text, as links have them.
fn anchors(text: &str) -> BTreeSet<String> {
    let name = |heading: &str| {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|kept| kept.is_alphanumeric() || " -_".contains(*kept));
        kept.map(|kept| if kept == ' ' { '-' } else { kept }).collect()
    };
    text.lines().filter(|line| line.starts_with('#')).map(name).collect()
}

#[test]
fn links_lead_somewhere() {
    for name in DOCUMENTS {
        let folder = repository().join(name).parent().map(PathBuf::from).expect("a file is in a folder");
        for link in
            document(name).split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(link, _)| link))
        {
            let file = link.split('#').next().unwrap_or_default();
            if link.starts_with("https://") {
                continue;
            }
            let path = if file.is_empty() { repository().join(name) } else { folder.join(file) };
            assert!(path.exists(), "{name}: {link} leads nowhere");
            if let Some((_, anchor)) = link.split_once('#') {
                let text = fs::read_to_string(&path).expect("a text");
                assert!(anchors(&text).contains(anchor), "{name}: {link} leads to no heading");
            }
        }
    }
}

/// Lines that run the engine, from code blocks, and the flags of whole runs from the cells of tables.
fn command_lines(text: &str) -> Vec<String> {
    let is_run =
        |line: &String| ["--tps ", "--stages ", "--users ", "-u "].iter().any(|flag| line.contains(flag));
    let mut lines = Vec::new();
    for (index, block) in text.split("```").enumerate() {
        if index % 2 == 1 {
            // What stands behind three blanks explains the line.
            let commands = block.lines().filter_map(|line| {
                let line = line.split("   ").next().unwrap_or_default().trim();
                line.strip_prefix("engine ")
                    .or_else(|| line.strip_prefix("cargo run --release -p engine -- "))
            });
            lines.extend(commands.map(str::to_owned).filter(is_run));
        } else {
            let cells = rows(block).into_iter().flatten().filter(|cell| cell.starts_with("`-"));
            lines.extend(cells.filter_map(|cell| quoted(&cell).into_iter().next()).filter(is_run));
        }
    }
    lines
}

#[test]
fn documented_command_lines_are_accepted() {
    let _hold = among_others();
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let mut tried = 0;
    for name in ["README.md", "docs/schedule.md", "docs/measuring.md"] {
        for line in command_lines(&document(name)) {
            let mut command = Command::new(program(&["sh"]));
            command.args(["-c", &format!("exec \"$BINARY\" {line}")]).current_dir(folder.path());
            // No rate passes this guard; users have none, and are sent to an address that nobody may load unasked.
            command.env_clear().env("BINARY", binary()).env("ENGINE_RATE_GUARD", "0.000001");
            command.env("ENGINE_CONNECT_TO", "::8.8.8.8:80");
            let mut process = Process::start(command, None);
            let code = shell_code(process.wait(Duration::from_secs(20)));
            assert_eq!(code, REFUSED, "{name}: engine {line}\n{}", process.stderr());
            tried += 1;
        }
    }
    assert!(tried >= 25, "only {tried} command lines were found");
}

/// Lines of code blocks that run these programs, without what stands behind three blanks and explains them.
fn lines_of_fleets(text: &str) -> Vec<String> {
    let is_one = |line: &String| line.starts_with("coordinator ") || line.starts_with("engine node ");
    let blocks = text.split("```").skip(1).step_by(2).flat_map(str::lines);
    let lines = blocks.map(|line| line.split("   ").next().unwrap_or_default());
    lines.map(|line| line.trim_start_matches("target/release/").trim().to_owned()).filter(is_one).collect()
}

/// Papers are made; everything else is refused for want of a coordinator, of a folder, or by a rail, and not for its words.
#[test]
fn documented_command_lines_of_fleets_are_accepted() {
    let _hold = among_others();
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    for (name, text) in [("node.token", "t"), ("operator.token", "t"), ("plan.yaml", PLAN)] {
        fs::write(folder.path().join(name), text).expect("a file can be written");
    }
    let mut lines: Vec<String> = ["README.md", "docs/fleet.md", "docs/nodes.md"]
        .iter()
        .flat_map(|name| lines_of_fleets(&document(name)))
        .collect();
    // They make what others name.
    lines.sort_by_key(|line| !line.starts_with("coordinator certs "));
    for line in &lines {
        let mut command = Command::new(program(&["sh"]));
        let line = line.split(" > ").next().unwrap_or_default();
        let (name, words) = line.split_once(' ').expect("a program and its words");
        command.args(["-c", &format!("exec \"$BINARY\" {words}")]).current_dir(folder.path());
        command.env_clear().env("BINARY", binary().with_file_name(name));
        command.env("ENGINE_RATE_GUARD", "0.000001").env("ENGINE_CONNECT_WITHIN", "1ms");
        command.env("ENGINE_STATE", folder.path().join("node"));
        command.env("COORDINATOR_STATE", "/dev/null/nowhere").env("COORDINATOR_URL", "http://127.0.0.1:1");
        let mut process = Process::start(command, None);
        let code = shell_code(process.wait(Duration::from_secs(20)));
        let expected = if words.starts_with("certs ") { &[0][..] } else { &[ENVIRONMENT, REFUSED] };
        assert!(expected.contains(&code), "{line}: {code}\n{}", process.stderr());
    }
    assert!(lines.len() >= 12, "only {} command lines were found: {lines:#?}", lines.len());
}

#[test]
fn the_readme_has_the_two_commands_that_begin_everything() {
    let readme = document("README.md");
    for line in ["cargo run --release -p engine -- --tps 50000 --cores all", "cargo xtask test"] {
        assert!(readme.lines().any(|own| own == line), "{line}");
    }
}
