//! The programs that are measured: found, else installed or built.
//!
//! What it is: peers come from the distribution by package name, oha from its registry, the engine and the runtimes
//! from this tree, in release.
//! What it is not: fatal. A peer that cannot be had is missing from the tables, with a note that says why.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::geteuid;
use serde_json::Value;

use crate::arguments::Options;
use crate::say;

/// Debian's packages, and the programs by which their presence is known.
const PACKAGES: &[(&str, &str)] =
    &[("wrk", "wrk"), ("nghttp2-client", "h2load"), ("hey", "hey"), ("nginx-light", "nginx")];

/// Where everything is, or why it is not.
#[derive(Debug, Default)]
pub(crate) struct Programs {
    pub(crate) engine: Option<PathBuf>,
    pub(crate) runtimes: Option<PathBuf>,
    pub(crate) wrk: Option<PathBuf>,
    pub(crate) h2load: Option<PathBuf>,
    pub(crate) oha: Option<PathBuf>,
    pub(crate) hey: Option<PathBuf>,
    pub(crate) nginx: Option<PathBuf>,
    /// What is missing from the tables, and why.
    pub(crate) notes: Vec<String>,
}

impl Programs {
    /// Finds, installs, builds; the runtimes, which take long, only where they are wanted.
    pub(crate) fn gather(options: &Options, wants_runtimes: bool) -> Self {
        let mut programs = Self::default();
        programs.engine = match &options.engine {
            Some(path) => Some(path.clone()),
            None => programs.noting(build("engine", "engine", &[])),
        };
        if wants_runtimes {
            programs.runtimes = programs.noting(build("perf", "runtimes", &["--features", "baselines"]));
        }
        if !options.no_install {
            let installed = install_packages();
            programs.noting(installed);
        }
        programs.wrk = programs.noting(find("wrk"));
        programs.h2load = programs.noting(find("h2load"));
        programs.hey = programs.noting(find("hey"));
        programs.nginx = programs.noting(find("nginx"));
        // Beside our own build: target/release/perf, target/perf-peers.
        let own = std::env::current_exe().ok();
        let cache = own
            .as_deref()
            .and_then(Path::parent)
            .and_then(Path::parent)
            .map(|target| target.join("perf-peers"));
        programs.oha = programs.noting(oha(cache.as_deref(), options.no_install));
        programs
    }

    fn noting<T>(&mut self, result: Result<T, String>) -> Option<T> {
        result.map_err(|why| self.notes.push(why)).ok()
    }
}

/// Builds a program of this tree and says where cargo put it, whatever target directory is set.
pub(crate) fn build(package: &str, program: &str, more: &[&str]) -> Result<PathBuf, String> {
    say(&format!("building {program}"));
    let output = Command::new(cargo())
        .args(["build", "--release", "--package", package, "--bin", program])
        .args(["--message-format", "json-render-diagnostics"])
        .args(more)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("{program}: cannot run cargo: {error}"))?;
    if !output.status.success() {
        return Err(format!("{program}: it does not build"));
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == program)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .ok_or_else(|| format!("{program}: cargo names no such executable"))
}

fn install_packages() -> Result<(), String> {
    let missing: Vec<&str> =
        PACKAGES.iter().filter(|(_, program)| find(program).is_err()).map(|(package, _)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    say(&format!("installing {}", missing.join(", ")));
    let apt = |arguments: &[&str]| {
        let mut words = if geteuid().is_root() { vec![] } else { vec!["sudo", "-n"] };
        words.extend(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        words.extend(arguments);
        quietly(words[0], &words[1..])
    };
    apt(&["update", "-qq"])?;
    // nginx is started by us, on ports of its own; what the package itself starts would only be in the way, and
    // without its recommendations nothing else comes along.
    let mut install = vec!["install", "-y", "-qq", "--no-install-recommends"];
    install.extend(missing);
    apt(&install)
}

fn oha(cache: Option<&Path>, no_install: bool) -> Result<PathBuf, String> {
    if let Ok(found) = find("oha") {
        return Ok(found);
    }
    let cache = cache.ok_or("oha: nowhere to install it")?;
    let program = cache.join("bin/oha");
    if program.is_file() {
        return Ok(program);
    }
    if no_install {
        return Err("oha: not installed".to_owned());
    }
    say("installing oha (cargo install; minutes)");
    let root = cache.display().to_string();
    quietly(&cargo(), &["install", "--locked", "--root", &root, "oha"])?;
    Ok(program)
}

/// Where a program is.
pub(crate) fn find(program: &str) -> Result<PathBuf, String> {
    std::env::var_os("PATH")
        .and_then(|path| {
            // Servers stand where ordinary users do not look.
            let folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
            folders.map(|folder| folder.join(program)).find(|candidate| candidate.is_file())
        })
        .ok_or_else(|| format!("{program}: not installed"))
}

fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

/// Runs a program to its end; its standard output goes where our messages go.
fn quietly(program: &str, arguments: &[&str]) -> Result<(), String> {
    let shown = format!("{program} {}", arguments.join(" "));
    let output = Command::new(program)
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("{shown}: {error}"))?;
    if output.status.success() { Ok(()) } else { Err(format!("{shown}: {}", output.status)) }
}

/// What a program says about its version, on either stream.
pub(crate) fn version(program: &Path, arguments: &[&str]) -> String {
    let Ok(output) = Command::new(program).args(arguments).output() else {
        return "does not start".to_owned();
    };
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    text.lines().next().unwrap_or("says nothing").trim().to_owned()
}
