//! Words that travel: what one reading noted, read again from what was carried.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;

use super::*;
use crate::{Carried, Recording};

/// A made-up process.
struct Fake(BTreeMap<&'static str, &'static str>);

impl Surroundings for Fake {
    fn variable(&self, name: &str) -> Option<OsString> {
        self.0.get(name).map(OsString::from)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match path.to_str() {
            Some("plans/shop.yaml") => Ok(PLAN.into()),
            Some("../ca.pem") => Ok(b"-----BEGIN CERTIFICATE-----".to_vec()),
            Some("plans/../rows.csv") => Ok(b"id\n1\n".to_vec()),
            Some("-") => Ok(b"piped".to_vec()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn is_directory(&self, path: &Path) -> bool {
        path == Path::new("/tmp")
    }
}

const PLAN: &str = "schema: openloop.plan/1\n\
    secrets: {password: {env: SHOP_PASSWORD}}\n\
    targets: {shop: \"http://${SHOP_HOST:-127.0.0.1}/\"}\n\
    data: {rows: {file: ../rows.csv}}\n\
    workloads: {browse: {tps: 200, for: 5s, scenario: rowed}}\n\
    scenarios: {rowed: {data: rows, steps: [{get: \"/{{rows.id}}\"}]}}\n";

/// Reads words as a program with the flags of a run does; yields what its nodes are told, with the files put under `folder`.
fn carried(
    words: &[&str],
    variables: &[(&'static str, &'static str)],
    folder: &Path,
) -> (Run, Vec<String>, Carried) {
    let fake = Fake(variables.iter().copied().collect());
    let recording = Recording::of(&fake);
    let matches = Line::command().get_matches_from(std::iter::once("engine").chain(words.iter().copied()));
    let flags = Flags::from_arg_matches(&matches).expect("flags");
    let run = crate::run(flags, &recording).expect("a run");
    let left_out = [OUTPUTS, OF_A_NODE].concat();
    let told = words_of(&matches, &left_out);
    let noted = recording.without(&left_out);
    let mut files = BTreeMap::new();
    let names = noted
        .files
        .iter()
        .map(|path| (path.to_str().expect("text").to_owned(), fake.read(path).expect("a file")));
    for (place, (name, bytes)) in names.chain(noted.piped.map(|bytes| ("-".to_owned(), bytes))).enumerate() {
        let path = folder.join(place.to_string());
        std::fs::write(&path, bytes).expect("a file");
        files.insert(name, path);
    }
    (run, told, Carried { variables: noted.variables, files })
}

#[test]
fn flags_and_variables_mean_the_same_elsewhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let words = [
        "https://h/p",
        "-X",
        "PUT",
        "-H",
        "A: -b",
        "-H",
        "C: d",
        "--body-file",
        "-",
        "-d",
        "3s",
        "--cacert",
        "../ca.pem",
        "--no-resumption",
        "--cores",
        "1",
        "--json",
        "/tmp/a.json",
    ];
    let variables = [
        ("TARGET_TPS", "50"),
        ("ENGINE_IO", "epoll"),
        ("ENGINE_NDJSON", "/tmp/b"),
        ("NO_COLOR", "1"),
        ("HOME", "/root"),
    ];
    let (here, told, carried) = carried(&words[..], &variables, folder.path());
    assert_eq!(
        told,
        [
            "--method=PUT",
            "--header=A: -b",
            "--header=C: d",
            "--body-file=-",
            "--duration=3s",
            "--cacert=../ca.pem",
            "--no-resumption",
            "--",
            "https://h/p"
        ]
    );
    assert_eq!(
        carried.variables.keys().collect::<Vec<_>>(),
        ["TARGET_TPS"],
        "what is read, and concerns all nodes"
    );
    let there = of_words(&told, &carried).expect("the same run");
    let of_nodes = |mut plan: plan::Plan| {
        (plan.cores, plan.io) = Default::default();
        format!("{plan:?}")
    };
    assert_eq!(of_nodes(there.plan), of_nodes(here.plan));
    assert!(here.outputs.json.is_some() && here.outputs.ndjson.is_some());
    assert_eq!((there.outputs.json, there.outputs.ndjson), (None, None));
}

#[test]
fn plan_files_find_their_files_and_variables_elsewhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let variables = [("SHOP_PASSWORD", "hunter2"), ("SHOP_HOST", "10.0.0.7"), ("OTHER", "x")];
    let (here, told, carried) = carried(&["plans/shop.yaml", "--tps", "50"], &variables, folder.path());
    assert_eq!(told, ["--tps=50", "--", "plans/shop.yaml"]);
    assert_eq!(carried.variables.len(), 2, "{carried:?}");
    assert_eq!(carried.files.keys().collect::<Vec<_>>(), ["plans/../rows.csv", "plans/shop.yaml"]);
    assert!(!format!("{carried:?}").contains("hunter2"));
    let there = of_words(&told, &carried).expect("the same run");
    assert_eq!(format!("{:?}", there.plan), format!("{:?}", here.plan));
    let (here, there) = (here.file.expect("a file"), there.file.expect("a file"));
    assert_eq!(format!("{:?}", there.file), format!("{:?}", here.file));
    assert_eq!(here.folder.join("../rows.csv"), PathBuf::from("plans/../rows.csv"));
    assert_eq!(std::fs::read(there.folder.join("../rows.csv")).expect("its place"), b"id\n1\n");
}

#[test]
fn what_was_not_carried_is_not_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("secret.pem");
    std::fs::write(&secret, "-----BEGIN CERTIFICATE-----").expect("a file");
    let words = |path: &str| ["--tps=1".to_owned(), format!("--cacert={path}"), "https://h/".to_owned()];
    for path in [secret.to_str().expect("text"), "/etc/hostname", "../../../../../../etc/hostname", "-"] {
        let refusal = of_words(&words(path), &Carried::default()).expect_err(path);
        assert!(refusal.message.contains("there is no such file"), "{path}: {refusal}");
    }
    let plan = of_words(&["/etc/plan.yaml".to_owned()], &Carried::default()).expect_err("no such plan");
    assert!(plan.message.contains("there is no such file → the path of a plan"), "{plan}");
}

#[test]
fn words_that_are_no_run_are_refused() {
    for (words, fragment) in [
        (&["target"][..], "command target comes after flags of a run"),
        (&["-rate=5"], "-rate: long flags have two dashes"),
        (&["--tsp=1"], "--tsp: no such flag → did you mean --tps?"),
        (&["--help"], "--help: no such flag"),
        (&["--share"], "--share: there is no value"),
        (&[], "run: nothing says what to run"),
        (&["http://h/"], "nothing says how much load"),
    ] {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let refusal = of_words(&words, &Carried::default()).expect_err(fragment);
        assert!(refusal.message.contains(fragment), "{words:?}: {refusal}");
    }
}
