//! Replays every committed corpus through its target: whatever a fuzzer once found stays found.

use std::fs;
use std::path::{Path, PathBuf};

fn corpora() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

#[test]
fn corpora_pass() {
    for (name, target) in fuzz::TARGETS {
        let mut count = 0;
        for entry in fs::read_dir(corpora().join(name)).unwrap() {
            let path = entry.unwrap().path();
            let input = fs::read(&path).unwrap();
            assert!(input.len() <= 8 << 10, "{} is no small file", path.display());
            // Shown only if the target panics.
            println!("{}", path.display());
            target(&input);
            count += 1;
        }
        assert!(count >= 5, "the corpus of {name} has {count} files only");
    }
}

/// Neither a corpus without a target nor a target that cargo-fuzz does not know.
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
    let targets: Vec<String> = fuzz::TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(corpora()), targets);
    assert_eq!(names(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets")), targets);
}
