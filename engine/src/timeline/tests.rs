//! The timeline on its way into the summary: through a file, through memory, and where the file takes no more.

use measure::{Recorder, Shape, Snapshot};
use report::{RunFacts, Summary};
use schedule::Rate;
use verdict::{Ending, Facts, judge};

use super::*;

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("openloop-timeline-{}-{name}", std::process::id()));
    fs::create_dir_all(&folder).expect("the temporary folder can be made");
    folder
}

/// A second in which `count` requests were answered.
fn totals(count: u64) -> Totals {
    let mut recorder = Recorder::new(0, 0, Shape::requests(1));
    for place in 0..count {
        recorder.scheduled(1);
        recorder.sent(0);
        recorder.lag(place * 1_000);
        recorder.ok(0, place * 1_000_000, place * 900_000, 200);
    }
    let mut totals = Totals::new(Shape::requests(1));
    totals.absorb(&recorder.seal(Box::new(Snapshot::new(Shape::requests(1))), 0, 1_000_000_000));
    totals
}

/// The document of a run whose seconds went through `timeline`, and the same with its seconds held in memory.
fn documents(mut timeline: Timeline, seconds: u64) -> (String, String) {
    let gauges = Gauges { connections: 3, in_flight: 2, waiting: 1 };
    let mut held = Vec::new();
    let mut all = Totals::new(Shape::requests(1));
    for index in 0..seconds {
        let second = totals(index);
        timeline.push(index, &second, gauges, Some(Rate::per_second(index)));
        let asked_micro_tps = Some(index * 1_000_000);
        held.push(report::Second { asked_micro_tps, ..report::second(index, &second, gauges, true) });
        all.merge(&second);
    }
    assert_eq!(timeline.seconds(), seconds);
    let names = measure::Names::requests(["home".to_owned()]);
    let facts = Facts {
        names: &names,
        watched: &[],
        totals: &all,
        sent_micro_tps: 0,
        completed_micro_tps: 0,
        lag_p99_of_worst_second_ns: 0,
        max_lag: plan::MaxLag::DEFAULT,
        ending: Ending::Completed,
    };
    let judged = judge(&facts, &[]);
    let told = RunFacts { names: measure::Names::requests(["home".to_owned()]), ..RunFacts::default() };
    let around = Summary::new(&told, &all, Vec::new(), &judged).around_timeline(seconds);
    let mut pieces = around.before.into_bytes();
    timeline.write_to(&mut pieces).expect("memory takes everything");
    pieces.extend_from_slice(around.behind.as_bytes());
    let pieces = String::from_utf8(pieces).expect("a document is text");
    (pieces, Summary::new(&told, &all, held, &judged).to_json())
}

#[test]
fn through_a_file_the_document_is_the_same_and_the_folder_stays_empty() {
    let folder = folder("same");
    for seconds in [0, 1, 2, 7] {
        let timeline = Timeline::new(Some(&Sink::File(folder.join("summary.json"))));
        assert!(timeline.file.is_some());
        assert_eq!(fs::read_dir(&folder).expect("the folder is there").count(), 0, "a file with a name");
        let (pieces, whole) = documents(timeline, seconds);
        assert_eq!(pieces, whole);
    }
    fs::remove_dir(folder).expect("the folder is empty");
}

#[test]
fn a_file_that_takes_no_more_loses_no_second() {
    let path = folder("full").join("read-only");
    fs::write(&path, "").expect("a file can be made");
    let refuses = File::open(&path).expect("it can be read");
    let (pieces, whole) = documents(Timeline { wanted: true, file: Some(refuses), ..Timeline::default() }, 5);
    assert_eq!(pieces, whole);
    let mut timeline = Timeline { wanted: true, file: File::open(&path).ok(), ..Timeline::default() };
    let second = totals(3);
    timeline.push(0, &second, Gauges::default(), None);
    assert!(timeline.held_bytes() > 0 && timeline.note().is_none());
    fs::remove_dir_all(path.parent().expect("it lies in a folder")).expect("the folder can be removed");
}

#[test]
fn what_is_held_in_memory_leaves_histograms_out_beyond_its_bound_and_says_so() {
    let why = || Some(io::Error::other("no room"));
    let mut timeline = Timeline { wanted: true, why_held: why(), ..Timeline::default() };
    timeline.held = vec![b' '; HELD_BYTES - 1];
    let second = totals(50);
    timeline.push(0, &second, Gauges::default(), None);
    let with = timeline.held_bytes() - (HELD_BYTES - 1);
    assert!(timeline.note().is_none());
    timeline.push(1, &second, Gauges::default(), None);
    let without = timeline.held_bytes() - (HELD_BYTES - 1) - with;
    assert!(without < with, "{without} bytes, {with} with histograms");
    let note = timeline.note().expect("histograms are missing");
    assert!(note.contains("from second 1 on") && note.contains("no room"), "{note}");
}

#[test]
fn nothing_is_kept_for_nobody() {
    let mut timeline = Timeline::new(None);
    timeline.push(0, &totals(3), Gauges::default(), None);
    assert_eq!((timeline.seconds(), timeline.held_bytes()), (0, 0));
}

#[test]
fn where_nameless_files_are_unknown_the_name_is_taken_away_at_once() {
    let folder = folder("named");
    assert!(nameless(&folder.join("missing")).is_err());
    let file = unnamed(&folder).expect("a file can be made");
    file.write_all_at(b"kept", 0).expect("it takes bytes");
    let mut read = [0; 4];
    file.read_exact_at(&mut read, 0).expect("they come back");
    assert_eq!(&read, b"kept");
    fs::remove_dir(folder).expect("the folder is empty");
}
