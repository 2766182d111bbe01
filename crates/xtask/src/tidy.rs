//! Checks that a tool can make and clippy does not: arrows, sizes, headers, lint inheritance.
//!
//! What it is: a list of findings, each with its file; none means tidy.
//! What it is not: a formatter; it changes nothing.

use std::fs;
use std::path::{Path, PathBuf};

use crate::arrows::{ANYTHING, ARROWS, BANNED, FENCED, IMPURE_WORDS, PURE, UNSAFE};
use crate::metadata::{Metadata, Package};

/// A file of more lines than this must be split.
const LINES_MAX: usize = 800;

/// Runs every check.
pub(crate) fn run() -> Result<(), String> {
    let metadata = Metadata::load()?;
    let mut findings = Vec::new();
    for package in metadata.members() {
        check_arrows(&metadata, package, &mut findings);
        check_manifest(package, &mut findings);
        check_sources(package, &mut findings);
    }
    for package in &metadata.packages {
        if BANNED.contains(&package.name.as_str()) {
            findings
                .push(format!("Cargo.lock: {} is in the tree; ring is its only TLS provider", package.name));
        }
    }
    check_promises(&metadata.workspace_root, &mut findings);
    if findings.is_empty() {
        println!("tidy: {} packages in order", metadata.members().count());
        return Ok(());
    }
    Err(format!("{} findings\n  {}", findings.len(), findings.join("\n  ")))
}

fn check_arrows(metadata: &Metadata, package: &Package, findings: &mut Vec<String>) {
    let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == package.name) else {
        findings.push(format!("{}: not in the table of arrows (crates/xtask/src/arrows.rs)", package.name));
        return;
    };
    let ours: Vec<&str> = metadata.members().map(|member| member.name.as_str()).collect();
    for dependency in package.dependencies.iter().filter(|dependency| dependency.kind.is_none()) {
        let name = dependency.name.as_str();
        if dependency.path.is_some() && ours.contains(&name) {
            if *allowed != ANYTHING && !allowed.contains(&name) {
                findings.push(format!("{}: must not import {name}", package.name));
            }
        } else if let Some((_, users)) = FENCED.iter().find(|(fenced, _)| *fenced == name)
            && !users.contains(&package.name.as_str())
        {
            findings.push(format!("{}: {name} may be used only by {}", package.name, users.join(", ")));
        }
    }
}

fn check_manifest(package: &Package, findings: &mut Vec<String>) {
    let text = read(&package.manifest_path);
    if !text.contains("[lints]\nworkspace = true") {
        findings.push(format!("{}: does not inherit the workspace's lints", package.manifest_path.display()));
    }
}

fn check_sources(package: &Package, findings: &mut Vec<String>) {
    let root = package.manifest_path.parent().unwrap_or(Path::new("."));
    let mut sources = Vec::new();
    for folder in ["src", "tests", "benches", "examples"] {
        collect(&root.join(folder), &mut sources);
    }
    for source in sources {
        let text = read(&source);
        if text.starts_with("// This file is @generated") {
            continue;
        }
        let lines = text.lines().count();
        let shown = source.strip_prefix(root).unwrap_or(&source).display().to_string();
        let shown = format!("{}/{shown}", package.name);
        if lines > LINES_MAX {
            findings.push(format!("{shown}: {lines} lines; split it before {LINES_MAX}"));
        }
        let is_test = shown.contains("tests");
        if !is_test && !text.trim_start().starts_with("//!") {
            findings.push(format!("{shown}: does not open with `//!`, saying what it is and is not"));
        }
        let is_root = source.ends_with("src/lib.rs") || source.ends_with("src/main.rs");
        let may_be_unsafe = UNSAFE.contains(&package.name.as_str());
        if is_root && !may_be_unsafe && !text.contains("#![forbid(unsafe_code)]") {
            findings.push(format!("{shown}: a crate root must forbid unsafe code"));
        }
        if PURE.contains(&package.name.as_str()) && !is_test {
            let body = text.split("#[cfg(test)]").next().unwrap_or_default();
            for word in IMPURE_WORDS.iter().filter(|word| body.contains(**word)) {
                findings.push(format!("{shown}: names {word}, but {} is pure", package.name));
            }
        }
    }
}

/// Every promise names the test that enforces it, or says that it is pending.
fn check_promises(root: &Path, findings: &mut Vec<String>) {
    let text = read(&root.join("docs/promises.md"));
    for (number, line) in text.lines().enumerate().filter(|(_, line)| line.starts_with("| P")) {
        if !(line.contains('`') || line.contains("*pending*")) {
            findings.push(format!("docs/promises.md:{}: names no test and is not *pending*", number + 1));
        }
    }
}

fn collect(folder: &Path, sources: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push(path);
        }
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
