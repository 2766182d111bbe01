//! Deltas on disk, until the coordinator has them for good.
//!
//! What it is: one file for each run and life, a record for each delta, read again by whoever finds the file. What it is not:
//! safe against the end of the machine: what the kernel has not written yet goes with it; the end of the process loses nothing.
//!
//! Form: a record is the length of what follows, its CRC-32 (both 32 bits, least byte first), and the delta as it travels.
//! Invariants: a record whose check does not hold ends its file; what cannot be written is kept in memory instead.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use measure::Totals;
use prost::Message as _;
use wire::{ByShard, Delta, Measured, RunKey, grpc};

use super::DELTA_BYTES_MAX;
use super::event::LeftBehind;
use crate::live::found::Deltas;

/// The length and the check before a record.
const HEAD_BYTES: usize = 8;
/// How a file of deltas is called, behind its run and life.
const ENDING: &str = "deltas";
/// And one that is to take the place of such a file.
const UNFINISHED: &str = "new";

/// Where a delta is.
#[derive(Clone, Debug)]
enum Place {
    Disk { offset: u64, bytes: usize },
    Memory(Box<Delta>),
}

/// The deltas of one life for one run.
#[derive(Debug)]
struct Roll {
    path: PathBuf,
    /// None until the first is kept, or where it cannot be opened.
    file: Option<File>,
    end: u64,
    places: BTreeMap<u64, Place>,
}

/// All deltas that are kept.
#[derive(Debug)]
pub(super) struct Spool {
    folder: PathBuf,
    rolls: BTreeMap<(RunKey, u64), Roll>,
}

impl Spool {
    /// Opens the folder, with what earlier lives left in it.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let mut spool = Self { folder: folder.to_owned(), rolls: BTreeMap::new() };
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == UNFINISHED) {
                // Whoever wrote it was killed: the file that it was made of is there.
                fs::remove_file(&path)?;
                continue;
            }
            let Some(key) = path.file_name().and_then(|name| key_of(&name.to_string_lossy())) else {
                continue;
            };
            let roll = Roll::read(&path)?;
            if roll.places.is_empty() {
                fs::remove_file(&path)?;
            } else {
                spool.rolls.insert(key, roll);
            }
        }
        Ok(spool)
    }

    /// What is here of each run and life.
    pub(super) fn left(&mut self) -> Vec<LeftBehind> {
        let left = self.rolls.iter_mut().filter_map(|(&(run, incarnation), roll)| {
            roll.drop_before_a_gap();
            let (first, _) = roll.places.first_key_value()?;
            let (last, _) = roll.places.last_key_value()?;
            Some(LeftBehind { run, incarnation, first: *first, end: last + 1 })
        });
        left.collect()
    }

    /// Keeps a delta; an error says why it is kept in memory alone.
    pub(super) fn keep(&mut self, delta: Delta) -> io::Result<()> {
        let (run, incarnation) = (delta.run, delta.incarnation);
        let path = self.folder.join(format!("{run:032x}-{incarnation}.{ENDING}"));
        let roll = self.rolls.entry((run, incarnation)).or_insert_with(|| Roll::new(path));
        roll.keep(delta)
    }

    /// One behind the last delta of a life that is kept; nothing where none is.
    pub(super) fn end(&self, run: RunKey, incarnation: u64) -> Option<u64> {
        let (last, _) = self.rolls.get(&(run, incarnation))?.places.last_key_value()?;
        Some(last + 1)
    }

    /// A delta that was kept.
    pub(super) fn find(&self, run: RunKey, incarnation: u64, sequence: u64) -> io::Result<Delta> {
        let gone = || io::Error::new(io::ErrorKind::NotFound, "the delta is not kept any more");
        self.rolls.get(&(run, incarnation)).ok_or_else(gone)?.find(sequence)
    }

    /// Puts the deltas of that life from `from` on together, two and two, under new numbers without gaps; yields one behind
    /// the last. An error leaves everything as it was.
    pub(super) fn coalesce(&mut self, run: RunKey, incarnation: u64, from: u64) -> io::Result<u64> {
        let gone = || io::Error::new(io::ErrorKind::NotFound, "the deltas are not kept any more");
        self.rolls.get_mut(&(run, incarnation)).ok_or_else(gone)?.coalesce(from)
    }

    /// Forgets the deltas of that life up to and with this one.
    pub(super) fn forget(&mut self, run: RunKey, incarnation: u64, through: u64) {
        let Some(roll) = self.rolls.get_mut(&(run, incarnation)) else { return };
        roll.places = roll.places.split_off(&through.saturating_add(1));
        if roll.places.is_empty() {
            roll.empty();
        }
    }

    /// Forgets everything about a run.
    pub(super) fn discard(&mut self, run: RunKey) {
        self.rolls.retain(|(of, _), roll| {
            if *of == run {
                roll.empty();
            }
            *of != run
        });
    }
}

impl Deltas for Spool {
    fn since(&self, run: u128, life: u64, sequence: u64) -> io::Result<Vec<Delta>> {
        let Some(roll) = self.rolls.get(&(run, life)) else { return Ok(Vec::new()) };
        roll.places.range(sequence..).map(|(number, _)| roll.find(*number)).collect()
    }

    fn kept_until(&self, run: u128, life: u64) -> Option<u64> {
        let roll = self.rolls.get(&(run, life))?;
        let last = *roll.places.last_key_value()?.0;
        let is_recovered = roll.find(last).is_ok_and(|delta| delta.recovered);
        Some(if is_recovered { last } else { last + 1 })
    }

    fn keep(&mut self, delta: Delta) -> io::Result<()> {
        Self::keep(self, delta)
    }
}

impl Roll {
    const fn new(path: PathBuf) -> Self {
        Self { path, file: None, end: 0, places: BTreeMap::new() }
    }

    /// Reads a file up to its end or to the first record that is torn.
    fn read(path: &Path) -> io::Result<Self> {
        let mut bytes = Vec::new();
        let mut file = OpenOptions::new().read(true).write(true).open(path)?;
        file.read_to_end(&mut bytes)?;
        let mut roll = Self::new(path.to_owned());
        let mut offset = 0;
        while let Some((delta, length)) = record(&bytes[offset..]) {
            let bytes = length - HEAD_BYTES;
            let place = Place::Disk { offset: (offset + HEAD_BYTES) as u64, bytes };
            roll.places.insert(delta.sequence, place);
            offset += length;
        }
        roll.end = offset as u64;
        roll.file = Some(file);
        Ok(roll)
    }

    /// Numbers have no gaps: what lies before a gap is of no use to whoever counts.
    fn drop_before_a_gap(&mut self) {
        let followed = |number: &u64| self.places.contains_key(&(number + 1));
        let last = self.places.keys().next_back().copied().unwrap_or(0);
        if let Some(gap) = self.places.keys().copied().rfind(|number| *number != last && !followed(number)) {
            self.places = self.places.split_off(&(gap + 1));
        }
    }

    fn keep(&mut self, delta: Delta) -> io::Result<()> {
        let sequence = delta.sequence;
        match self.write(&delta) {
            Ok(place) => {
                self.places.insert(sequence, place);
                Ok(())
            }
            Err(error) => {
                self.places.insert(sequence, Place::Memory(Box::new(delta)));
                Err(error)
            }
        }
    }

    fn write(&mut self, delta: &Delta) -> io::Result<Place> {
        let body = grpc::Delta::from(delta.clone()).encode_to_vec();
        let bytes = body.len();
        let mut record = Vec::with_capacity(HEAD_BYTES + bytes);
        record.extend(u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes());
        record.extend(crc32fast::hash(&body).to_le_bytes());
        record.extend(body);
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let mut options = OpenOptions::new();
                none.insert(options.read(true).write(true).create(true).truncate(true).open(&self.path)?)
            }
        };
        file.write_all_at(&record, self.end)?;
        let offset = self.end + HEAD_BYTES as u64;
        self.end += record.len() as u64;
        Ok(Place::Disk { offset, bytes })
    }

    /// Writes another file and lets it take the place of the first: whoever is killed meanwhile leaves one of the two.
    fn coalesce(&mut self, from: u64) -> io::Result<u64> {
        let mut fresh = Self::new(self.path.with_extension(UNFINISHED));
        let done = self.put_together(from, &mut fresh);
        let done = done.and_then(|end| fs::rename(&fresh.path, &self.path).map(|()| end));
        if done.is_ok() {
            *self = Self { path: std::mem::take(&mut self.path), ..fresh };
        } else {
            fresh.empty();
        }
        done
    }

    /// Writes everything anew, what is from `from` on put together; yields one behind the last.
    fn put_together(&self, from: u64, fresh: &mut Self) -> io::Result<u64> {
        for sequence in self.places.range(..from).map(|(sequence, _)| *sequence) {
            fresh.add(&self.find(sequence)?)?;
        }
        let (mut end, mut held) = (from, None::<Delta>);
        for sequence in self.places.range(from..).map(|(sequence, _)| *sequence) {
            let next = self.find(sequence)?;
            let Some(first) = held.take() else {
                held = Some(next);
                continue;
            };
            if let Some(both) = together(&first, &next) {
                fresh.add(&Delta { sequence: end, ..both })?;
            } else {
                fresh.add(&Delta { sequence: end, ..first })?;
                held = Some(next);
            }
            end += 1;
        }
        if let Some(last) = held {
            fresh.add(&Delta { sequence: end, ..last })?;
            end += 1;
        }
        Ok(end)
    }

    fn add(&mut self, delta: &Delta) -> io::Result<()> {
        let place = self.write(delta)?;
        self.places.insert(delta.sequence, place);
        Ok(())
    }

    fn find(&self, sequence: u64) -> io::Result<Delta> {
        let gone = || io::Error::new(io::ErrorKind::NotFound, "the delta is not kept any more");
        match (self.places.get(&sequence).ok_or_else(gone)?, &self.file) {
            (Place::Memory(delta), _) => Ok((**delta).clone()),
            (Place::Disk { .. }, None) => Err(gone()),
            (Place::Disk { offset, bytes }, Some(file)) => {
                let mut body = vec![0; *bytes];
                file.read_exact_at(&mut body, *offset)?;
                delta_of(&body)
                    .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the delta is damaged"))
            }
        }
    }

    /// Removes the file; the next delta begins another.
    fn empty(&mut self) {
        self.places.clear();
        self.end = 0;
        if self.file.take().is_some() {
            // A file that stays is found by the next life, and delivered once more.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The record that bytes begin with, and its length; nothing where it is torn or damaged.
fn record(bytes: &[u8]) -> Option<(Delta, usize)> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (check, rest) = rest.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let body = rest.get(..length)?;
    if crc32fast::hash(body) != u32::from_le_bytes(*check) {
        return None;
    }
    Some((delta_of(body)?, HEAD_BYTES + length))
}

fn delta_of(body: &[u8]) -> Option<Delta> {
    grpc::Delta::decode(body).ok().and_then(|form| Delta::try_from(form).ok())
}

/// Two deltas that follow each other as one, unless that would be too large to travel.
fn together(first: &Delta, second: &Delta) -> Option<Delta> {
    let mut totals = Totals::new(second.measured.shape());
    for one in [first, second] {
        one.measured.add_to(&mut totals, ByShard::AsTold).ok()?;
    }
    let measured = Measured::pack(&totals);
    let fits = measured.bytes().len() <= DELTA_BYTES_MAX;
    let recovered = first.recovered || second.recovered;
    fits.then(|| Delta { measured, recovered, ..second.clone() })
}

/// The run and the life that a file's name tells.
fn key_of(name: &str) -> Option<(RunKey, u64)> {
    let (run, incarnation) = name.strip_suffix(ENDING)?.strip_suffix('.')?.split_once('-')?;
    Some((RunKey::from_str_radix(run, 16).ok()?, incarnation.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use measure::Gauges;

    use super::*;

    fn delta(run: RunKey, incarnation: u64, sequence: u64) -> Delta {
        let mut totals = Totals::default();
        totals.counters.sent = sequence + 1;
        totals.lag.record(sequence + 5);
        Delta {
            run,
            incarnation,
            sequence,
            epoch: 1,
            second: sequence,
            until_ns: 0,
            measured: Measured::pack(&totals),
            gauges: Gauges::default(),
            recovered: false,
        }
    }

    fn open(folder: &Path) -> (Spool, Vec<LeftBehind>) {
        let mut spool = Spool::open(folder).expect("a folder");
        let left = spool.left();
        (spool, left)
    }

    #[test]
    fn another_life_finds_what_was_not_forgotten() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut spool, left) = open(folder.path());
        assert!(left.is_empty());
        for sequence in 0..4 {
            spool.keep(delta(7, 1, sequence)).expect("kept");
        }
        spool.keep(delta(8, 1, 0)).expect("kept");
        assert_eq!(spool.find(7, 1, 2).expect("it is there"), delta(7, 1, 2));
        spool.forget(7, 1, 1);
        assert!(spool.find(7, 1, 1).is_err());
        spool.forget(8, 1, 0);
        drop(spool);
        // What was forgotten comes again: its number says that it was counted.
        let (mut spool, left) = open(folder.path());
        assert_eq!(left, [LeftBehind { run: 7, incarnation: 1, first: 0, end: 4 }]);
        spool.keep(delta(7, 2, 0)).expect("kept");
        assert_eq!(spool.find(7, 1, 3).expect("it is there"), delta(7, 1, 3));
        spool.discard(7);
        assert!(open(folder.path()).1.is_empty());
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }

    #[test]
    fn what_is_put_together_has_the_same_sums_also_for_another_life() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut spool = Spool::open(folder.path()).expect("an empty folder");
        for sequence in 0..8 {
            spool.keep(delta(7, 1, sequence)).expect("kept");
        }
        spool.forget(7, 1, 0);
        let sums = |spool: &Spool, from: u64, end: u64| {
            let mut totals = Totals::default();
            for sequence in from..end {
                let delta = spool.find(7, 1, sequence).expect("numbers have no gaps");
                assert_eq!(delta.sequence, sequence);
                delta.measured.add_to(&mut totals, ByShard::AsTold).expect("one shape");
            }
            totals
        };
        let before = sums(&spool, 1, 8);
        // Numbers up to 2 were told to somebody; five are left to be put together.
        assert_eq!(spool.coalesce(7, 1, 3).expect("there is room"), 6);
        assert_eq!(spool.find(7, 1, 2).expect("it is there"), delta(7, 1, 2));
        assert_eq!(spool.find(7, 1, 3).expect("it is there").second, 4, "of two, the later second");
        assert_eq!(spool.find(7, 1, 5).expect("it is there").second, 7, "nothing to be put together with");
        assert_eq!(sums(&spool, 1, 6), before);
        spool.keep(Delta { sequence: 6, ..delta(7, 1, 8) }).expect("kept");
        drop(spool);
        fs::write(folder.path().join("half.new"), "written when the process was killed").expect("written");
        let mut spool = Spool::open(folder.path()).expect("a folder of another life");
        assert_eq!(spool.left(), [LeftBehind { run: 7, incarnation: 1, first: 1, end: 7 }]);
        assert_eq!(sums(&spool, 1, 6), before);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }

    #[test]
    fn a_torn_or_damaged_record_ends_the_file_and_nothing_before_it_is_lost() {
        for (harm, whole) in [(Harm::Cut(1), 2), (Harm::Cut(0), 3), (Harm::Flip, 2), (Harm::Garbage, 3)] {
            let folder = tempfile::tempdir().expect("a folder");
            let (mut spool, _) = open(folder.path());
            (0..3).for_each(|sequence| spool.keep(delta(7, 1, sequence)).expect("kept"));
            let path = spool.rolls[&(7, 1)].path.clone();
            let mut bytes = fs::read(&path).expect("the file");
            match harm {
                Harm::Cut(count) => bytes.truncate(bytes.len() - count),
                Harm::Flip => *bytes.last_mut().expect("a byte") ^= 1,
                Harm::Garbage => bytes.extend([0xff; 40]),
            }
            fs::write(&path, bytes).expect("written");
            let (mut spool, left) = open(folder.path());
            assert_eq!((left[0].first, left[0].end), (0, whole), "{harm:?}");
            // What follows overwrites the torn end.
            spool.keep(delta(7, 1, whole)).expect("kept");
            assert_eq!(spool.find(7, 1, whole).expect("it is there"), delta(7, 1, whole));
            drop(spool);
            assert_eq!(open(folder.path()).1[0].end, whole + 1);
        }
    }

    #[derive(Debug)]
    enum Harm {
        Cut(usize),
        Flip,
        Garbage,
    }

    #[test]
    fn what_the_disk_does_not_take_is_kept_in_memory() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut spool, _) = open(&folder.path().join("spool"));
        fs::remove_dir(folder.path().join("spool")).expect("removed");
        assert!(spool.keep(delta(7, 1, 0)).is_err());
        assert_eq!(spool.find(7, 1, 0).expect("it is there"), delta(7, 1, 0));
    }
}
