//! A real Chromium, driven by journeys in JavaScript.
//!
//! What it is: Debian's Chromium and npm's `playwright-core`, installed where they are missing, and node, which runs a
//! script of journeys beside `browser.mjs`. What it is not: a journey; those are the tests' own.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{FlockOperation, flock};

/// What every script of journeys imports: a page that tells on itself, and the API.
const TOOLS: &str = include_str!("browser.mjs");
const DRIVER: [&str; 2] = ["playwright-core@1.65", "axe-core@4"];

/// Runs one journey of a script against the page at `root`; yields what it printed.
///
/// # Panics
/// When the journey fails, or when no browser can be had.
pub fn drive(script: &str, journey: &str, root: &str) -> String {
    let folder = folder();
    // Modules are looked for beside the script.
    let own = folder.join(format!("{journey}-{}", std::process::id()));
    fs::create_dir_all(&own).expect("a folder can be made");
    fs::write(own.join("browser.mjs"), TOOLS).expect("the tools can be written");
    fs::write(own.join("journeys.mjs"), script).expect("the script can be written");
    let told = run(Command::new("node").arg(own.join("journeys.mjs")).arg(journey).arg(root));
    fs::remove_dir_all(own).expect("the folder is there");
    assert!(told.contains(&format!("{journey} done")), "{told}");
    told
}

/// The driver's folder: made once, by one at a time.
fn folder() -> PathBuf {
    let folder = std::env::temp_dir().join("openloop-browser");
    fs::create_dir_all(&folder).expect("a folder can be made in the temporary one");
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(folder.join("lock"));
    let lock = lock.expect("a file can be made in the temporary folder");
    while flock(&lock, FlockOperation::LockExclusive) == Err(rustix::io::Errno::INTR) {}
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
    let (stamp, wanted) = (folder.join("packages"), DRIVER.join("\n"));
    if fs::read_to_string(&stamp).ok().as_deref() != Some(&wanted) {
        let options = ["install", "--no-audit", "--no-fund", "--prefix"];
        run(Command::new("npm").args(options).arg(&folder).args(DRIVER));
        fs::write(stamp, wanted).expect("the stamp can be written");
    }
    folder
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
        || Path::new("/usr/bin").join(program).is_file()
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} failed:\n{text}");
    text
}
