//! Replays every committed corpus through its target: whatever a fuzzer once found stays found.

use std::fs;
use std::path::{Path, PathBuf};

/// A file of a corpus has so many bytes at most, and a corpus so many files: it is replayed with every change.
const BYTES_MAX: usize = 8 << 10;
const FILES: std::ops::RangeInclusive<usize> = 5..=500;

/// A test for each target, by its name, so that `cargo xtask long coverage` can tell them apart.
macro_rules! replays {
    ($($name:ident)*) => {
        const REPLAYED: &[&str] = &[$(stringify!($name)),*];
        $(#[test]
        fn $name() {
            replay(stringify!($name));
        })*
    };
}

replays! {
    control_request
    feeder_csv
    feeder_jsonl
    http1_request
    http1_response
    measure_histogram
    plan_document
    plan_request
    plan_texts
    redis_reply
    report_merge
    scenario_challenge
    scenario_condition
    scenario_cookies
    scenario_json_path
    scenario_template
    target_request
    target_texts
    tls_pem
    tls_session
    verdict_threshold
    wire_message
}

fn corpora() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

#[expect(clippy::print_stdout, reason = "shown only if the target panics")]
fn replay(name: &str) {
    let (_, target) =
        fuzz::TARGETS.iter().find(|(known, _)| *known == name).expect("every target has a name");
    let mut count = 0;
    for entry in fs::read_dir(corpora().join(name)).expect("every target has a corpus") {
        let path = entry.expect("the folder can be read").path();
        let input = fs::read(&path).expect("the file can be read");
        assert!(input.len() <= BYTES_MAX, "{} is no small file", path.display());
        println!("{}", path.display());
        target(&input);
        count += 1;
    }
    assert!(FILES.contains(&count), "the corpus of {name} has {count} files");
}

/// Neither a corpus without a target, nor a target that cargo-fuzz or the replay does not know.
#[test]
fn corpora_and_targets_match() {
    let names = |directory: PathBuf| -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    };
    let targets: Vec<&str> = fuzz::TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names(corpora()), targets);
    assert_eq!(names(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets")), targets);
    assert_eq!(REPLAYED, targets);
}
