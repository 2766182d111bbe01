//! Servers of other makes that come as Python packages, each set in an environment of its own.
//!
//! What it is: an environment in the temporary folder, made once and used by all tests that ask for the same packages.
//! What it is not: a change to the machine's own Python.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use crate::process::{Process, program, shell_code};

/// How long the packages may take to come.
const LIMIT: Duration = Duration::from_mins(8);

/// The interpreter of an environment that has these packages (`name==version`).
///
/// # Panics
/// When it cannot be made: `cargo xtask test` installs what is needed, and the packages come from Python's registry.
pub fn with_packages(name: &str, packages: &[&str]) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("openloop-python-{name}"));
    let wanted = packages.join("\n");
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(folder.with_extension("lock"))
        .expect("a file can be made in the temporary folder");
    while flock(&lock, FlockOperation::LockExclusive) == Err(rustix::io::Errno::INTR) {}
    let (stamp, python) = (folder.join("packages"), folder.join("bin/python"));
    if fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return python;
    }
    // One that another run left half made, or for other packages.
    let _ = fs::remove_dir_all(&folder);
    let mut make = Command::new(program(&["python3"]));
    make.args(["-m", "venv"]).arg(&folder);
    finish(make, &folder);
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(packages);
    finish(install, &folder);
    fs::write(&stamp, wanted).expect("the stamp can be written");
    python
}

fn finish(command: Command, folder: &Path) {
    let line = format!("{command:?}");
    let mut process = Process::start(command, None);
    let code = shell_code(process.wait(LIMIT));
    assert_eq!(code, 0, "{line} for {}\n{}{}", folder.display(), process.stdout(), process.stderr());
}
