use std::collections::BTreeMap;
use std::io;

use measure::{DropReason, ErrorClass, Snapshot};
use wire::{Delta, Measured};

use super::found::{Deltas, Found, Unusable, recover};
use super::*;

const BOOT_ID: &str = "0b9e5c1a-43d2-4c6e-9a57-2f3b8d1c7e60";
const SHAPE: Shape = Shape { names: 2, workloads: 1, groups: 1, checks: 1 };
const MS: u64 = 1_000_000;

/// A part with two shards, and what its agent keeps.
struct Part {
    folder: tempfile::TempDir,
    told: Told,
    seats: Vec<Seat>,
    recorders: Vec<Recorder<Words>>,
    kept: BTreeMap<u64, Delta>,
    sequence: u64,
    /// Everything that was sealed.
    sealed: Totals,
}

impl Part {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let site = Site { folder: folder.path().to_owned(), run: 7, life: 3, boot_id: BOOT_ID.to_owned() };
        let live = Live::create(&site, SHAPE, 2).expect("there is room");
        let seats: Vec<Seat> = (0..2).map(|shard| live.seat(shard)).collect();
        let recorders =
            seats.iter().zip(0..).map(|(seat, shard)| seat.recorder(0, shard, SHAPE, false)).collect();
        for seat in &seats {
            seat.begins(Timestamp::from_nanos(1_000 * MS));
        }
        Self {
            folder,
            told: live.told(),
            seats,
            recorders,
            kept: BTreeMap::new(),
            sequence: 0,
            sealed: Totals::new(SHAPE),
        }
    }

    /// So many requests are due, all but one of them leave, all but two of those are answered.
    fn work(&mut self, shard: usize, count: u64) {
        let recorder = &mut self.recorders[shard];
        recorder.scheduled(count);
        (1..count).for_each(|_| recorder.sent(1));
        (3..count).for_each(|_| recorder.ok(1, 90, 80, 200));
    }

    /// A second ends; whether its delta is kept, and whether that is noted.
    fn second(&mut self, is_kept: bool, is_noted: bool) {
        let mut totals = Totals::new(SHAPE);
        for recorder in &mut self.recorders {
            totals.absorb(&recorder.seal(Box::new(Snapshot::new(SHAPE)), 0, 1));
        }
        self.sealed.merge(&totals);
        let delta = Delta {
            run: 7,
            incarnation: 3,
            sequence: self.sequence,
            epoch: 5,
            second: self.sequence,
            until_ns: (self.sequence + 1) * 1_000 * MS,
            measured: Measured::pack(&totals),
            gauges: measure::Gauges::default(),
            recovered: false,
        };
        self.sequence += 1;
        let kept = Kept { sequence: delta.sequence, epoch: delta.epoch, until_ns: delta.until_ns };
        if is_noted {
            self.told.kept(kept, &Counted::of(&totals));
        }
        if is_kept {
            self.kept.insert(delta.sequence, delta);
        }
    }

    fn file(&self) -> Vec<u8> {
        fs::read(&self.told.path).expect("it is there")
    }

    /// What the next life makes of a file.
    fn rest_of(&self, bytes: &[u8]) -> Result<Option<Delta>, Unusable> {
        let mut found = Found::read(bytes, BOOT_ID)?;
        found.renumber(self.kept_until(7, 3));
        let kept: Vec<Delta> = self.kept.range(found.next..).map(|(_, delta)| delta.clone()).collect();
        found.rest(&kept)
    }

    fn rest(&self) -> Option<Delta> {
        self.rest_of(&self.file()).expect("it can be read")
    }
}

impl Deltas for Part {
    fn since(&self, run: u128, life: u64, sequence: u64) -> io::Result<Vec<Delta>> {
        assert_eq!((run, life), (7, 3));
        Ok(self.kept.range(sequence..).map(|(_, delta)| delta.clone()).collect())
    }

    fn kept_until(&self, _: u128, _: u64) -> Option<u64> {
        let (number, last) = self.kept.last_key_value()?;
        Some(if last.recovered { *number } else { number + 1 })
    }

    fn keep(&mut self, delta: Delta) -> io::Result<()> {
        assert!(self.kept.insert(delta.sequence, delta).is_none(), "a number has one content");
        Ok(())
    }
}

#[test]
fn a_killed_life_leaves_what_no_delta_has() {
    let mut part = Part::new();
    assert!(part.rest().is_none(), "nothing was counted");
    part.work(0, 10);
    part.work(1, 20);
    part.second(true, true);
    assert!(part.rest().is_some_and(|delta| delta.measured.counters().sent == 0), "only what is under way");
    part.work(1, 5);
    part.recorders[0].failed(1, ErrorClass::Reset, 50, None);
    part.recorders[0].dropped(0, DropReason::Expired);
    part.seats[1].turns(Timestamp::from_nanos(2_400 * MS));
    let rest = part.rest().expect("something is in no delta");
    assert_eq!((rest.run, rest.incarnation, rest.sequence, rest.epoch), (7, 3, 1, 5));
    assert_eq!((rest.second, rest.until_ns, rest.recovered), (1, 1_400 * MS, true));
    let counters = rest.measured.counters();
    assert_eq!((counters.scheduled, counters.sent, counters.ok), (5, 4, 2));
    assert_eq!(counters.errors_of(ErrorClass::Reset), 1);
    // Two of each shard and of each piece of work were under way, less the one that failed.
    assert_eq!(counters.cut_off, 5);
    // One of each piece waited; one of those expired.
    assert_eq!(
        (counters.dropped_for(DropReason::Expired), counters.dropped_for(DropReason::Interrupted)),
        (1, 2)
    );
    let mut all = part.sealed.clone();
    all.merge(&rest.measured.unpack());
    assert!(all.balanced(), "{:?}", all.counters.audit());
    assert_eq!(all.counters.sent, 9 + 19 + 4);
}

/// Wherever between a shard's seal and the note of its delta the process dies, what is found and what was kept are together
/// what was counted, once.
#[test]
fn no_second_is_lost_or_counted_twice() {
    // Sealed and not kept; kept and not noted; noted.
    for (is_kept, is_noted) in [(false, false), (true, false), (true, true)] {
        let mut part = Part::new();
        part.work(0, 10);
        part.second(true, true);
        part.work(0, 7);
        part.second(is_kept, is_noted);
        part.work(1, 4);
        let rest = part.rest().expect("something is in no delta");
        assert_eq!(rest.sequence, if is_kept { 2 } else { 1 });
        part.keep(rest).expect("kept");
        let mut all = Totals::new(SHAPE);
        part.kept.values().for_each(|delta| all.merge(&delta.measured.unpack()));
        assert!(all.balanced());
        assert_eq!((all.counters.scheduled, all.counters.sent), (21, 18), "kept {is_kept}, noted {is_noted}");
        assert!(part.rest().is_none(), "it is found once");
    }
}

/// Killed at any store of the note that a delta was kept.
#[test]
fn a_note_that_was_torn_is_as_before_or_as_after() {
    for seconds in 1..4 {
        let mut part = Part::new();
        for second in 0..seconds {
            part.work(0, 10 + second);
            part.second(true, true);
        }
        part.work(1, 9);
        let before = part.file();
        part.second(true, true);
        part.work(0, 6);
        let after = part.file();
        let expected = part.rest_of(&after).expect("it can be read");
        // The shard's words as after; of the bank's, stored in the order in which they lie, so many; what holds, last.
        let shards = 8 * Form::of(SHAPE, 2).expect("a small plan").shard(0);
        let changed: Vec<usize> =
            (0..shards).step_by(8).filter(|at| before[*at..at + 8] != after[*at..at + 8]).collect();
        let (banks, holds): (Vec<usize>, Vec<usize>) = changed.into_iter().partition(|at| *at != 8 * HOLDS);
        assert!(banks.len() > 5 && holds.len() == 1);
        let mut file = after.clone();
        file[..shards].copy_from_slice(&before[..shards]);
        for at in banks.into_iter().chain(holds) {
            assert_eq!(part.rest_of(&file).expect("it can be read"), expected, "before the store at {at}");
            file[at..at + 8].copy_from_slice(&after[at..at + 8]);
        }
        assert_eq!(file, after);
    }
}

/// Of four deltas two became one; the process dies before that is noted, or a second after it.
#[test]
fn what_was_put_together_counts_once() {
    for is_noted in [false, true] {
        let mut part = Part::new();
        for count in [10, 20, 30, 40] {
            part.work(0, count);
            part.second(true, true);
        }
        let [first, second, last] = [1, 2, 3].map(|number| part.kept.remove(&number).expect("it was kept"));
        let mut both = first.measured.unpack();
        both.merge(&second.measured.unpack());
        part.kept.insert(1, Delta { sequence: 1, measured: Measured::pack(&both), ..second });
        part.kept.insert(2, Delta { sequence: 2, ..last });
        let mut sent = 9 + 19 + 29 + 39 + 4;
        if is_noted {
            part.told.renumbered(3);
            part.sequence = 3;
            part.work(1, 8);
            part.second(true, true);
            sent += 7;
        }
        part.work(1, 5);
        let rest = part.rest().expect("something is in no delta");
        assert_eq!(rest.sequence, if is_noted { 4 } else { 3 }, "numbers have no gaps");
        part.keep(rest).expect("kept");
        let mut all = Totals::new(SHAPE);
        part.kept.values().for_each(|delta| all.merge(&delta.measured.unpack()));
        assert_eq!((all.counters.sent, all.balanced()), (sent, true), "noted: {is_noted}");
        assert!(part.rest().is_none(), "it is found once");
    }
}

#[test]
fn a_delta_that_the_disk_did_not_take_is_recovered_in_its_place() {
    let mut part = Part::new();
    part.work(0, 10);
    part.second(true, true);
    // This one is kept in memory, and the next is kept again.
    part.work(0, 20);
    part.second(false, false);
    part.work(1, 30);
    part.second(true, true);
    part.work(1, 5);
    let rest = part.rest().expect("something is in no delta");
    assert_eq!(rest.sequence, 1, "the number that nothing has");
    assert_eq!(rest.measured.counters().sent, 19 + 4);
    part.keep(rest).expect("kept");
    let mut all = Totals::new(SHAPE);
    part.kept.values().for_each(|delta| all.merge(&delta.measured.unpack()));
    assert_eq!((all.counters.sent, all.balanced()), (9 + 19 + 29 + 4, true));
}

#[test]
fn the_warm_up_is_recovered_until_it_was_told() {
    let mut part = Part::new();
    let mut recorder = part.seats[0].recorder(0, 0, SHAPE, true);
    recorder.set_warmup(true);
    recorder.scheduled(3);
    recorder.sent(0);
    recorder.iteration_scheduled(0);
    recorder.iteration_begun(0);
    part.work(1, 10);
    let rest = part.rest().expect("something is in no delta");
    let totals = rest.measured.unpack();
    assert_eq!((totals.warmup.scheduled, totals.warmup.sent, totals.warmup.cut_off), (3, 1, 1));
    assert_eq!((totals.workloads[0].warmup.cut_off, totals.counters.sent), (1, 9));
    assert!(totals.balanced());
    // Its end is told with the last second.
    let mut last = Totals::new(SHAPE);
    last.absorb(&recorder.seal(Box::new(Snapshot::new(SHAPE)), 0, 1));
    part.told.kept(Kept { sequence: 0, epoch: 1, until_ns: 0 }, &Counted::of(&last));
    let rest = part.rest().expect("something is in no delta");
    assert_eq!((rest.measured.warmup(), rest.measured.counters().sent), (Counters::default(), 9));
}

#[test]
fn what_cannot_be_trusted_is_not_used() {
    let mut part = Part::new();
    part.work(0, 10);
    part.second(true, true);
    part.work(0, 10);
    let whole = part.file();
    assert!(part.rest_of(&whole).expect("it can be read").is_some());
    let changed = |at: usize, word: u64| {
        let mut bytes = whole.clone();
        bytes[8 * at..][..8].copy_from_slice(&word.to_ne_bytes());
        bytes
    };
    let shard = Form::of(SHAPE, 2).expect("a small plan").tally(0, false).start;
    let rows = [
        (Vec::new(), Unusable::Unmade),
        (vec![0; whole.len()], Unusable::Unmade),
        (changed(0, 5), Unusable::Damaged),
        (changed(LIFE, 9), Unusable::Damaged),
        (changed(SHARDS, 1 << 40), Unusable::Damaged),
        (changed(HOLDS, 2), Unusable::Damaged),
        (whole[..whole.len() - 8].to_vec(), Unusable::Damaged),
        // Fewer were due than were sent, and than were told.
        (changed(shard, 1), Unusable::Damaged),
    ];
    for (number, (bytes, why)) in rows.into_iter().enumerate() {
        assert_eq!(part.rest_of(&bytes).expect_err("it is of no use"), why, "row {number}");
    }
    for boot_id in ["", "0b9e5c1a-43d2-4c6e-9a57-2f3b8d1c7e61", "none"] {
        assert_eq!(Found::read(&whole, boot_id).expect_err("another boot"), Unusable::Rebooted);
    }
}

#[test]
fn the_next_life_finds_it_once_and_says_so() {
    let mut part = Part::new();
    part.work(0, 10);
    part.second(true, true);
    part.work(0, 5);
    let folder = part.folder.path().to_owned();
    fs::write(folder.join("strange.live"), vec![1; 10_000]).expect("written");
    fs::write(folder.join("other"), "not ours").expect("written");
    let lines = recover(&folder, BOOT_ID, &mut part).expect("the folder can be read");
    assert_eq!((part.kept.len(), part.kept[&1].recovered), (2, true));
    let all = lines.join("\n");
    assert!(all.contains("recovered after a kill: 4 requests") && all.contains("strange.live"), "{all}");
    assert!(recover(&folder, BOOT_ID, &mut part).expect("the folder can be read").is_empty());
    let left: Vec<_> =
        fs::read_dir(&folder).expect("a folder").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["other"]);
}

#[test]
fn a_file_that_would_be_too_large_is_not_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let site = |boot_id: &str| Site {
        folder: folder.path().to_owned(),
        run: 7,
        life: 3,
        boot_id: boot_id.to_owned(),
    };
    let many = Shape::requests(16_384);
    assert!(Live::create(&site(BOOT_ID), many, 64).unwrap_err().contains("too many names"));
    assert!(Live::create(&site(""), SHAPE, 1).unwrap_err().contains("boot"));
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
}
