//! Counts that outlive this process: a file in which a part's shards count, and the agent says what of it was told.
//!
//! ```text
//!   page 0   what it is: magic, length, run, life, boot of the machine, shape, shards, a check; which bank holds
//!   bank 0   ┐ what is in deltas that were kept: number of the next one, epoch, until when, the sums of all of them.
//!   bank 1   ┘ The one that does not hold is written, then holds: whoever is killed between leaves the other.
//!   shard 0  the results' zero, the last turn; the words of its tally, and those of its warm-up's
//!   shard 1  …                                                    each from a page of its own on
//! ```
//!
//! What it is: the form of the file, and the making of it: [`Live`] for the part, [`Seat`] for a shard, [`Told`] for whoever
//! keeps its deltas. What it is not: the reading, which is [`found`]'s, of the next life.
//!
//! Shards only ever raise their words, from the start of the run to its end, and no second is marked in them: what was not
//! told is what they hold less what the bank and the deltas behind it do, so that a second is counted once, wherever between
//! its end and its delta the process died. A request is counted as sent before the driver has it, so that a target never
//! saw one that is not counted.
//!
//! Invariants: each word has one writer; a bank that holds is never written.
//! Units: words of 8 bytes; instants are nanoseconds of the monotonic clock.

pub(crate) mod found;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use clock::Timestamp;
use mapping::{MappingError, Sheet, Words};
use measure::{Counters, IterationCounters, Recorder, Shape, Tallied, Totals, tally_words};

/// `OL-LIVE1`.
const MAGIC: u64 = u64::from_le_bytes(*b"OL-LIVE1");
/// Words of a page.
const PAGE: usize = 512;
/// Larger files are not made: 256 MiB.
const WORDS_MOST: usize = 32 << 20;

// In page 0.
const LENGTH: usize = 1;
const RUN: usize = 2;
const LIFE: usize = 4;
const BOOT: usize = 5;
const SHAPE: usize = 7;
const SHARDS: usize = 11;
/// Of all words before it; written last.
const CHECK: usize = 12;
/// Which bank holds.
const HOLDS: usize = 16;

// In a bank, before its sums.
const NEXT: usize = 0;
const EPOCH: usize = 1;
const UNTIL: usize = 2;
/// The warm-up is in a delta.
const WARMUP_TOLD: usize = 3;
const BANK_HEAD: usize = 16;

// Of a shard, before its tallies.
const ORIGIN: usize = 0;
const LAST_TURN: usize = 1;
const SHARD_HEAD: usize = 16;

/// Where the parts of a file lie that has so many shards of such a shape.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
struct Form {
    shape: Shape,
    shards: usize,
    tally: usize,
}

impl Form {
    /// Nothing where it would be too long.
    fn of(shape: Shape, shards: usize) -> Option<Self> {
        let kinds = [shape.names, shape.workloads, shape.groups, shape.checks, shards];
        if kinds.iter().any(|count| *count > 1 << 20) {
            return None;
        }
        let form = Self { shape, shards, tally: tally_words(shape) };
        (form.length() <= WORDS_MOST).then_some(form)
    }

    const fn bank(&self, number: usize) -> usize {
        PAGE + number * (BANK_HEAD + self.tally).next_multiple_of(PAGE)
    }

    const fn shard(&self, number: usize) -> usize {
        self.bank(2) + number * (SHARD_HEAD + 2 * self.tally).next_multiple_of(PAGE)
    }

    const fn length(&self) -> usize {
        self.shard(self.shards)
    }

    /// The words of a shard's tally, or of its warm-up's.
    const fn tally(&self, shard: usize, warmup: bool) -> std::ops::Range<usize> {
        let start = self.shard(shard) + SHARD_HEAD + if warmup { self.tally } else { 0 };
        start..start + self.tally
    }
}

/// Which file it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The folder of such files.
    pub folder: PathBuf,
    /// The run.
    pub run: u128,
    /// The life of the node.
    pub life: u64,
    /// The boot of the machine, as the kernel names it.
    pub boot_id: String,
}

impl Site {
    fn path(&self) -> PathBuf {
        self.folder.join(format!("{:032x}-{}.{ENDING}", self.run, self.life))
    }
}

/// How such files are called, behind their run and life.
const ENDING: &str = "live";

/// The number in a boot's name, which is 128 bits in hexadecimal digits; nothing in what is none.
fn boot_number(boot_id: &str) -> Option<u128> {
    let digits: String = boot_id.chars().filter(|one| *one != '-').collect();
    u128::from_str_radix(&digits, 16).ok().filter(|number| digits.len() == 32 && *number != 0)
}

/// The two words of a number.
#[expect(clippy::cast_possible_truncation, reason = "it is cut in two")]
const fn halves(number: u128) -> [u64; 2] {
    [(number >> 64) as u64, number as u64]
}

/// The file of a part, as long as its run is under way.
#[derive(Debug)]
pub struct Live {
    sheet: Sheet,
    form: Form,
    path: PathBuf,
}

impl Live {
    /// Makes the file for a part of so many shards.
    ///
    /// # Errors
    /// There is no room for it, or nothing to know it again by.
    pub fn create(site: &Site, shape: Shape, shards: usize) -> Result<Self, String> {
        let boot = boot_number(&site.boot_id).ok_or("the kernel does not name this boot of the machine")?;
        let form = Form::of(shape, shards).ok_or("the plan has too many names")?;
        let path = site.path();
        let sheet = Sheet::create(&path, form.length()).map_err(|error: MappingError| error.to_string())?;
        let ([run, run_low], [boot, boot_low]) = (halves(site.run), halves(boot));
        let sizes =
            [shape.names, shape.workloads, shape.groups, shape.checks, shards].map(|size| size as u64);
        let known = [MAGIC, form.length() as u64, run, run_low, site.life, boot, boot_low];
        let told = [&known[..], &sizes[..]].concat();
        let page = sheet.words(0..PAGE);
        let words = page.as_ref();
        for (word, value) in words.iter().zip(&told) {
            word.store(*value, Ordering::Release);
        }
        words[CHECK].store(check(&told), Ordering::Release);
        Ok(Self { sheet, form, path })
    }

    /// Where a shard counts.
    pub fn seat(&self, shard: usize) -> Seat {
        let words = |range| self.sheet.words(range);
        let start = self.form.shard(shard);
        Seat {
            head: words(start..start + SHARD_HEAD),
            tallies: [words(self.form.tally(shard, false)), words(self.form.tally(shard, true))],
        }
    }

    /// Where it is noted what was told.
    pub fn told(self) -> Told {
        let Form { shape, .. } = self.form;
        let (holds, sums) = (self.sheet.words(HOLDS..HOLDS + 1), Tallied::none(shape));
        let bank = |number| {
            let start = self.form.bank(number);
            self.sheet.words(start..start + BANK_HEAD + self.form.tally)
        };
        let banks = [bank(0), bank(1)];
        Told {
            path: self.path,
            holds,
            banks,
            sums,
            next: 0,
            epoch: 0,
            until_ns: 0,
            has_warmup: false,
            has_gap: false,
        }
    }
}

/// Of the words before it, so that what is no such file is not taken for one.
fn check(words: &[u64]) -> u64 {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    u64::from(crc32fast::hash(&bytes)) | 1 << 32
}

/// Where one shard counts.
#[derive(Clone, Debug)]
pub struct Seat {
    head: Words,
    tallies: [Words; 2],
}

impl Seat {
    /// A recorder that counts here, for the warm-up or what comes after it.
    pub(crate) fn recorder(&self, node: u32, shard: u32, shape: Shape, warmup: bool) -> Recorder<Words> {
        Recorder::within(node, shard, shape, self.tallies[usize::from(warmup)].clone())
    }

    /// The results' zero is known.
    pub(crate) fn begins(&self, origin: Timestamp) {
        self.head.as_ref()[ORIGIN].store(origin.as_nanos(), Ordering::Release);
    }

    /// A turn began then.
    #[inline]
    pub(crate) fn turns(&self, now: Timestamp) {
        self.head.as_ref()[LAST_TURN].store(now.as_nanos(), Ordering::Release);
    }
}

/// A recorder that counts in words which end with the process.
pub(crate) fn private_recorder(node: u32, shard: u32, shape: Shape) -> Recorder<Words> {
    let count = tally_words(shape);
    Recorder::within(node, shard, shape, Sheet::private(count).words(0..count))
}

/// What counts of a delta, beside its sums.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its number.
    pub sequence: u64,
    /// The epoch at its end.
    pub epoch: u32,
    /// Up to where it was measured.
    pub until_ns: u64,
}

/// What of a part's counts is in deltas that were kept.
#[derive(Debug)]
pub struct Told {
    path: PathBuf,
    holds: Words,
    banks: [Words; 2],
    sums: Tallied,
    /// The number of the first delta that is not in the sums.
    next: u64,
    /// The epoch at the end of the last that is, and up to where it was measured.
    epoch: u32,
    until_ns: u64,
    has_warmup: bool,
    /// A delta was not kept: what comes behind it is not added. Who reads the file finds the later ones where they were
    /// kept, and what the lost one counted in what is left.
    has_gap: bool,
}

impl Told {
    /// A delta with these sums was kept, so that the next life will find it.
    pub fn kept(&mut self, kept: Kept, counted: &Counted) {
        self.has_gap |= kept.sequence != self.next;
        if self.has_gap {
            return;
        }
        self.next += 1;
        self.sums.add(&counted.measured);
        self.has_warmup |= counted.warmup;
        (self.epoch, self.until_ns) = (kept.epoch, kept.until_ns);
        self.note();
    }

    /// The number of the first delta that is not noted.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Deltas that were kept, all of which are noted, have other numbers now: the next one is this.
    pub fn renumbered(&mut self, next: u64) {
        self.next = next;
        self.note();
    }

    fn note(&self) {
        let other = usize::from(self.holds.as_ref()[0].load(Ordering::Relaxed) == 0);
        let bank = self.banks[other].as_ref();
        let store = |word: &AtomicU64, value| word.store(value, Ordering::Release);
        store(&bank[NEXT], self.next);
        store(&bank[EPOCH], u64::from(self.epoch));
        store(&bank[UNTIL], self.until_ns);
        store(&bank[WARMUP_TOLD], u64::from(self.has_warmup));
        for (word, value) in bank[BANK_HEAD..].iter().zip(self.sums.words()) {
            store(word, *value);
        }
        store(&self.holds.as_ref()[0], other as u64);
    }

    /// Everything was told, or nobody wants it: the file goes.
    pub fn remove(self) {
        remove(&self.path);
    }
}

/// What a delta counts.
#[derive(Clone, Debug)]
pub struct Counted {
    measured: Tallied,
    /// The warm-up, which is told at once, is in it.
    warmup: bool,
}

impl Counted {
    /// Of these sums.
    pub fn of(totals: &Totals) -> Self {
        let none = IterationCounters::default();
        let warmup =
            totals.warmup != Counters::default() || totals.workloads.iter().any(|one| one.warmup != none);
        Self { measured: Tallied::of(totals), warmup }
    }
}

/// A file that stays is read by the next life, which finds nothing in it that was not told.
fn remove(path: &Path) {
    let _ = fs::remove_file(path);
}

#[cfg(test)]
mod tests;
