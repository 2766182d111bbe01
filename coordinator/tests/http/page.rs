//! The page in a real Chromium, driven by `page.mjs`: a run from its form to its report, hostile text, narrow windows,
//! both themes, the keyboard, and what an accessibility checker says.
//!
//! Chromium is Debian's, the driver npm's `playwright-core`; both are installed by this test where they are missing.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use crate::edge::{Edge, Setting};

/// What must stay text wherever it comes in.
const PAYLOADS: &str = include_str!("payloads.txt");
const DRIVER: [&str; 2] = ["playwright-core@1.65", "axe-core@4"];

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} failed:\n{text}");
    text
}

fn is_there(program: &str) -> bool {
    Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output()
        .is_ok_and(|output| output.status.success())
}

/// Chromium, node and the driver's folder.
fn browser() -> PathBuf {
    for (program, package) in [("chromium", "chromium"), ("node", "nodejs"), ("npm", "npm")] {
        if !is_there(program) {
            let sudo = if rustix::process::geteuid().is_root() { "" } else { "sudo -n " };
            let install = format!(
                "{sudo}apt-get install -y --no-install-recommends {package} || \
                 {{ {sudo}apt-get update && {sudo}apt-get install -y --no-install-recommends {package}; }}"
            );
            run(Command::new("sh").args(["-c", &install]));
        }
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
    std::fs::create_dir_all(&folder).unwrap();
    if !folder.join("node_modules/axe-core").exists() {
        run(Command::new("npm")
            .arg("install")
            .args(["--no-audit", "--no-fund", "--prefix"])
            .arg(&folder)
            .args(DRIVER));
    }
    folder
}

fn drive(journey: &str, edge: &Edge) -> String {
    let folder = browser();
    // Modules are looked for beside the script.
    let script = folder.join(format!("{journey}-{}.mjs", edge.address.port()));
    std::fs::write(&script, include_str!("page.mjs")).unwrap();
    let text = run(Command::new("node").arg(&script).arg(journey).arg(format!("http://{}", edge.address)));
    std::fs::remove_file(script).unwrap();
    text
}

#[test]
fn a_run_from_its_form_to_its_report() {
    let edge = Edge::start(Setting { second: Duration::from_millis(200), ..Setting::default() });
    let told = drive("journey", &edge);
    assert!(told.contains("journey done"), "{told}");
}

#[test]
fn hostile_text_stays_text() {
    let payloads: Vec<&str> = PAYLOADS.lines().filter(|line| !line.is_empty()).collect();
    assert!(payloads.len() >= 40, "{}", payloads.len());
    let edge = Edge::start(Setting { words: payloads.join(" "), behind: 2, ..Setting::default() });
    for payload in &payloads {
        let words = ["--url", payload, "--tps", payload, "--duration", "2s"];
        let answer =
            edge.post("/api/v1/runs", &json!({"words": words, "name": payload, "tags": {*payload: payload}}));
        assert!(answer.status == 200 || answer.status == 403, "{payload}: {}", answer.text());
    }
    let told = drive("hostile", &edge);
    assert!(told.contains("hostile done"), "{told}");
}

#[test]
fn everybody_can_use_it() {
    let edge = Edge::start(Setting { second: Duration::from_millis(100), behind: 30, ..Setting::default() });
    edge.start_run(60);
    let told = drive("access", &edge);
    assert!(told.contains("access done"), "{told}");
}
