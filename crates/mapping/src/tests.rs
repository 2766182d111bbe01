use std::fs;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use tempfile::{NamedTempFile, TempDir};

use super::*;

fn file(bytes: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

/// The file mapped, whatever its size.
fn mapped(file: &NamedTempFile) -> Mapping {
    let mapping = Mapping::open_limited(file.path(), 0).unwrap();
    assert!(mapping.is_mapped());
    mapping
}

#[test]
fn copies_and_maps_show_the_same_bytes() {
    for size in [1, 4_095, 4_096, 4_097, 100_000] {
        let bytes: Vec<u8> = (0..size).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let file = file(&bytes);
        let copied = Mapping::open(file.path()).unwrap();
        assert!(!copied.is_mapped());
        assert_eq!(copied.bytes(), bytes);
        assert_eq!(mapped(&file).bytes(), bytes);
    }
}

#[test]
fn an_empty_file_is_an_empty_slice() {
    let file = file(b"");
    for copied_bytes_max in [0, COPIED_BYTES_MAX] {
        assert_eq!(Mapping::open_limited(file.path(), copied_bytes_max).unwrap().bytes(), b"");
    }
}

#[test]
fn files_above_the_limit_are_mapped() {
    let file = file(b"first");
    for (size, is_mapped) in [(COPIED_BYTES_MAX, false), (COPIED_BYTES_MAX + 1, true)] {
        file.as_file().set_len(size).unwrap();
        let mapping = Mapping::open(file.path()).unwrap();
        assert_eq!(mapping.is_mapped(), is_mapped);
        assert_eq!(mapping.bytes().len() as u64, size);
        assert!(mapping.bytes().starts_with(b"first\0"));
        mapping.check_unchanged().unwrap();
    }
}

#[test]
fn a_map_is_read_by_many_threads_and_outlives_its_file() {
    let file = file(&vec![7; 100_000]);
    let mapping = Arc::new(mapped(&file));
    file.close().unwrap();
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let mapping = Arc::clone(&mapping);
            thread::spawn(move || mapping.bytes().iter().map(|byte| u64::from(*byte)).sum::<u64>())
        })
        .collect();
    for reader in readers {
        assert_eq!(reader.join().unwrap(), 700_000);
    }
    mapping.check_unchanged().unwrap();
}

#[test]
fn a_changed_map_is_told_and_a_copy_does_not_change() {
    type Change = (&'static str, fn(&NamedTempFile));
    let changes: [Change; 3] = [
        ("shortened", |file| file.as_file().set_len(10).unwrap()),
        ("grown", |file| file.as_file().set_len(10_000).unwrap()),
        ("overwritten", |file| {
            fs::write(file.path(), vec![8; 5_000]).unwrap();
            // The clock that stamps files may stand still for some milliseconds.
            file.as_file().set_modified(std::time::UNIX_EPOCH).unwrap();
        }),
    ];
    for (name, change) in changes {
        let file = file(&[7; 5_000]);
        let (map, copy) = (mapped(&file), Mapping::open(file.path()).unwrap());
        map.check_unchanged().unwrap();
        change(&file);
        let error = map.check_unchanged().expect_err(name);
        assert!(matches!(error, MappingError::Changed { .. }), "{name}: {error}");
        copy.check_unchanged().unwrap();
        assert_eq!(copy.bytes(), [7; 5_000], "{name}");
    }
}

#[test]
fn a_replaced_file_stays_what_it_was() {
    let directory = TempDir::new().unwrap();
    let (path, next) = (directory.path().join("users.csv"), directory.path().join("next.csv"));
    fs::write(&path, [7; 5_000]).unwrap();
    let map = Mapping::open_limited(&path, 0).unwrap();
    fs::write(&next, b"new").unwrap();
    fs::rename(&next, &path).unwrap();
    map.check_unchanged().unwrap();
    assert_eq!(map.bytes(), [7; 5_000]);
    assert_eq!(Mapping::open(&path).unwrap().bytes(), b"new");
}

/// A file of more bytes than its size says, as those that the kernel makes up.
#[test]
fn a_file_that_grows_while_it_is_copied_is_refused() {
    let error = Mapping::open("/proc/self/status").expect_err("its size is 0, its content is not");
    assert!(matches!(error, MappingError::Changed { .. }), "{error}");
}

#[test]
fn what_is_no_regular_file_is_refused_at_once() {
    let directory = TempDir::new().unwrap();
    let missing = directory.path().join("missing.csv");
    let pipe = directory.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    for (path, what) in [
        (missing.as_path(), "missing.csv\": cannot be opened (No such file or directory"),
        (directory.path(), "is no regular file → "),
        (&pipe, "pipe\": is no regular file → "),
        (Path::new("/dev/zero"), "\"/dev/zero\": is no regular file → "),
    ] {
        let message = Mapping::open(path).expect_err(what).to_string();
        assert!(message.contains(what) && message.contains(" → ") && !message.contains('\n'), "{message}");
    }
}

#[test]
fn debug_output_shows_no_byte() {
    let shown = format!("{:?}", mapped(&file(b"password")));
    assert!(
        shown.contains("is_mapped: true") && shown.contains("bytes: 8") && !shown.contains("password"),
        "{shown}"
    );
}

#[test]
fn words_of_a_sheet_are_in_its_file_and_nobody_elses() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("sheet");
    let sheet = Sheet::create(&path, 1_000).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), 8_000);
    let (first, last) = (sheet.words(0..10), sheet.words(990..1_000));
    drop(sheet);
    first.as_ref()[9].store(7, Ordering::Release);
    last.as_ref()[0].store(u64::MAX - 1, Ordering::Release);
    let found = |path: &Path| -> Vec<u64> {
        let bytes = fs::read(path).unwrap();
        bytes.chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap())).collect()
    };
    let words = found(&path);
    assert_eq!((words[9], words[990], words.iter().filter(|word| **word != 0).count()), (7, u64::MAX - 1, 2));
    // A new sheet in the same place begins at 0, and whoever has the old one keeps it.
    let again = Sheet::create(&path, 10).unwrap();
    again.words(0..10).as_ref()[0].store(1, Ordering::Release);
    first.as_ref()[0].store(2, Ordering::Release);
    assert_eq!(found(&path), [1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(first.as_ref()[9].load(Ordering::Acquire), 7);
}

#[test]
fn private_words_are_zero_and_count() {
    let sheet = Sheet::private(100);
    let words = sheet.words(10..20);
    assert!(words.as_ref().iter().all(|word| word.load(Ordering::Relaxed) == 0));
    words.as_ref()[0].store(3, Ordering::Relaxed);
    assert_eq!(sheet.words(10..11).as_ref()[0].load(Ordering::Relaxed), 3);
    assert!(Sheet::private(0).words(0..0).as_ref().is_empty());
}

#[test]
fn a_sheet_that_cannot_be_made_leaves_nothing() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("sheet");
    // More than any disk has, and more than can be said.
    for count in [1 << 50, usize::MAX] {
        let message = Sheet::create(&path, count).unwrap_err().to_string();
        assert!(message.contains("cannot be made") && !message.contains('\n'), "{message}");
        assert!(!path.exists());
    }
    assert!(Sheet::create(directory.path().join("no").join("folder"), 1).is_err());
}
