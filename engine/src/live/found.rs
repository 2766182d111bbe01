//! What a life that was killed had counted and not told.
//!
//! What it is: the file of [`super`] read by the next life, and the difference between what shards had counted and what is
//! in deltas, which becomes one delta more. What it is not: a guess: a file that contradicts itself, or is of another boot of
//! the machine, whose pages may be of different times, yields nothing but a line for the log.
//!
//! Nobody writes the file any more: the node's folder is locked, and its lock ends with the last thread of a process.

use std::fs;
use std::io;
use std::path::Path;

use measure::{Gauges, Shape, Tallied, Totals};
use wire::{Delta, Measured};

use super::{
    BANK_HEAD, BOOT, CHECK, Counted, ENDING, EPOCH, Form, HOLDS, LAST_TURN, LENGTH, LIFE, MAGIC, NEXT,
    ORIGIN, PAGE, RUN, SHAPE, SHARDS, UNTIL, WARMUP_TOLD, boot_number, check, remove,
};

/// Where deltas are kept.
pub(crate) trait Deltas {
    /// Those of a life for a run from one number on, rising.
    fn since(&self, run: u128, life: u64, sequence: u64) -> io::Result<Vec<Delta>>;
    /// One behind the last that a life itself kept for a run, not what was recovered of it; nothing where none is left.
    fn kept_until(&self, run: u128, life: u64) -> Option<u64>;
    /// Keeps one more. An error says why it is kept in memory alone.
    fn keep(&mut self, delta: Delta) -> io::Result<()>;
}

/// Why a file says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// It was being made when the process died: nothing had been counted.
    Unmade,
    /// The machine was started anew.
    Rebooted,
    /// It is not such a file, or its numbers contradict each other.
    Damaged,
}

/// A file that was read.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) run: u128,
    pub(crate) life: u64,
    shape: Shape,
    /// The first delta that the bank does not have.
    pub(crate) next: u64,
    epoch: u32,
    until_ns: u64,
    warmup_told: bool,
    told: Tallied,
    /// What all shards counted, closed.
    measured: Tallied,
    warmup: Tallied,
    /// How far the shards came.
    reached_ns: u64,
}

impl Found {
    /// Reads what was in a file.
    pub(crate) fn read(bytes: &[u8], boot_id: &str) -> Result<Self, Unusable> {
        let words: Vec<u64> = bytes
            .chunks_exact(8)
            .map(|word| u64::from_ne_bytes(word.try_into().expect("eight bytes")))
            .collect();
        let is_unmade =
            words.len() < PAGE || (words[CHECK] == 0 && words[PAGE..].iter().all(|word| *word == 0));
        if is_unmade {
            return Err(Unusable::Unmade);
        }
        if words[0] != MAGIC || check(&words[..CHECK]) != words[CHECK] {
            return Err(Unusable::Damaged);
        }
        let joined = |at: usize| u128::from(words[at]) << 64 | u128::from(words[at + 1]);
        if boot_number(boot_id) != Some(joined(BOOT)) {
            return Err(Unusable::Rebooted);
        }
        let found = Self::within(&words, joined(RUN));
        found.ok_or(Unusable::Damaged)
    }

    fn within(words: &[u64], run: u128) -> Option<Self> {
        let size = |at: usize| usize::try_from(words[at]).ok();
        let shape = Shape {
            names: size(SHAPE)?,
            workloads: size(SHAPE + 1)?,
            groups: size(SHAPE + 2)?,
            checks: size(SHAPE + 3)?,
        };
        let form = Form::of(shape, size(SHARDS)?)?;
        if form.length() != words.len() || size(LENGTH)? != words.len() {
            return None;
        }
        let bank = match words[HOLDS] {
            number @ (0 | 1) => &words[form.bank(usize::from(number == 1))..],
            _ => return None,
        };
        let told = Tallied::from_words(shape, bank[BANK_HEAD..][..form.tally].to_vec())?;
        let (mut measured, mut warmup) = (Tallied::none(shape), Tallied::none(shape));
        let mut reached_ns = 0;
        for shard in 0..form.shards {
            let tally =
                |warmup| Tallied::from_words(shape, words[form.tally(shard, warmup)].to_vec())?.close();
            measured.add(&tally(false)?);
            warmup.add(&tally(true)?);
            let head = &words[form.shard(shard)..];
            if head[ORIGIN] > 0 {
                reached_ns = reached_ns.max(head[LAST_TURN].saturating_sub(head[ORIGIN]));
            }
        }
        Some(Self {
            run,
            life: words[LIFE],
            shape,
            next: bank[NEXT],
            epoch: u32::try_from(bank[EPOCH]).ok()?,
            until_ns: bank[UNTIL],
            warmup_told: bank[WARMUP_TOLD] != 0,
            told,
            measured,
            warmup,
            reached_ns,
        })
    }

    /// The last delta that was kept may have a lower number than the one that is noted: deltas were put together, and the note
    /// was not written anew. All of them are in its sums.
    pub(crate) fn renumber(&mut self, kept_until: Option<u64>) {
        self.next = kept_until.map_or(self.next, |end| self.next.min(end));
    }

    /// What is in no delta, `kept` being those from [`Found::next`] on; nothing where everything is. A damaged file has told
    /// more than was counted.
    pub(crate) fn rest(mut self, kept: &[Delta]) -> Result<Option<Delta>, Unusable> {
        let mut sequence = self.next;
        for delta in kept {
            let counted = Counted::of(&delta.measured.unpack());
            if delta.sequence < self.next || delta.measured.shape() != self.shape {
                return Err(Unusable::Damaged);
            }
            self.told.add(&counted.measured);
            self.warmup_told |= counted.warmup;
            self.until_ns = self.until_ns.max(delta.until_ns);
            self.epoch = self.epoch.max(delta.epoch);
            // Its number is the first that nothing has.
            if delta.sequence == sequence {
                sequence += 1;
            }
        }
        let is_followed = kept.iter().any(|delta| delta.sequence > sequence);
        let rest = self.measured.beyond(&self.told).ok_or(Unusable::Damaged)?;
        let warmup = Some(&self.warmup).filter(|warmup| !self.warmup_told && !warmup.is_empty());
        if rest.is_empty() && warmup.is_none() && !is_followed {
            return Ok(None);
        }
        let mut totals: Totals = rest.totals();
        if let Some(warmup) = warmup {
            warmup.add_as_warmup(&mut totals);
        }
        let until_ns = self.until_ns.max(self.reached_ns);
        Ok(Some(Delta {
            run: self.run,
            incarnation: self.life,
            sequence,
            epoch: self.epoch,
            second: until_ns.saturating_sub(1) / clock::NANOS_PER_SECOND,
            until_ns,
            measured: Measured::pack(&totals),
            gauges: Gauges::default(),
            recovered: true,
        }))
    }
}

/// What dead lives left in a folder: it joins the deltas that they kept; the lines say what was found.
pub(crate) fn recover(folder: &Path, boot_id: &str, deltas: &mut impl Deltas) -> io::Result<Vec<String>> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|ending| ending != ENDING) {
            continue;
        }
        let found = Found::read(&fs::read(&path)?, boot_id);
        let rest = found.and_then(|mut found| {
            found.renumber(deltas.kept_until(found.run, found.life));
            let kept = deltas.since(found.run, found.life, found.next).map_err(|_| Unusable::Damaged)?;
            found.rest(&kept)
        });
        match rest {
            Ok(None) | Err(Unusable::Unmade) => {}
            Ok(Some(delta)) => {
                lines.push(line(&delta));
                // What the disk does not take is told all the same; the file stays, and a later life finds the same.
                if let Err(error) = deltas.keep(delta) {
                    lines.push(format!("recovered counts are kept in memory alone: {error}"));
                    continue;
                }
            }
            Err(Unusable::Rebooted) => lines.push(format!(
                "{}: the machine was started anew; what was counted and not told before that is lost",
                path.display()
            )),
            Err(Unusable::Damaged) => lines.push(format!(
                "{}: cannot be read as counts; what was counted and not told is lost",
                path.display()
            )),
        }
        remove(&path);
    }
    Ok(lines)
}

/// What a delta brings back, for the log.
fn line(delta: &Delta) -> String {
    let (measured, warmup) = (delta.measured.counters(), delta.measured.warmup());
    let both = |pick: fn(&measure::Counters) -> u64| pick(&measured) + pick(&warmup);
    format!(
        "run {:032x}: recovered after a kill: {} requests that were in no delta, up to {:.3} s; {} of them have no latency \
         recorded, {} were under way or about to leave",
        delta.run,
        both(|one| one.sent),
        delta.until_ns as f64 / 1e9,
        both(measure::Counters::completed),
        both(|one| one.cut_off),
    )
}
