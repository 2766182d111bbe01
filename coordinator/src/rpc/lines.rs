//! How much of a node's log is taken.
//!
//! Invariant: a node that says too much fills no disk, and what was left out is counted in its log.

use clock::{NANOS_PER_SECOND, Timestamp};
use wire::LogLine;

/// Lines that may come at once.
const BURST: u64 = 2_000;
/// One more may come after this time.
const REFILL_NS: u64 = NANOS_PER_SECOND / 100;
/// Longer lines are cut.
const TEXT_BYTES: usize = 4 << 10;

/// The log of one node.
#[derive(Debug, Default)]
pub(super) struct LineGate {
    full_at: Timestamp,
    left_out: u64,
}

impl LineGate {
    /// The lines that are taken.
    pub(super) fn admitted(&mut self, now: Timestamp, lines: Vec<LogLine>) -> Vec<LogLine> {
        let mut taken = Vec::new();
        for line in lines {
            let next = self.full_at.max(now).plus_nanos(REFILL_NS);
            if next > now.plus_nanos(BURST * REFILL_NS) {
                self.left_out += 1;
                continue;
            }
            self.full_at = next;
            if self.left_out > 0 {
                let text = format!("{} lines of this log were left out, there were too many", self.left_out);
                taken.push(LogLine { text, run: None, ..line });
                self.left_out = 0;
            }
            taken.push(cut(line));
        }
        taken
    }
}

fn cut(mut line: LogLine) -> LogLine {
    if line.text.len() > TEXT_BYTES {
        line.text.truncate(line.text.floor_char_boundary(TEXT_BYTES));
        line.text.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(count: usize) -> Vec<LogLine> {
        vec![LogLine { text: "ä".repeat(40_000), ..LogLine::default() }; count]
    }

    #[test]
    fn a_flood_of_lines_is_cut_and_counted() {
        let (mut gate, begin) = (LineGate::default(), Timestamp::from_nanos(77));
        let taken = gate.admitted(begin, lines(5_000));
        assert_eq!(taken.len() as u64, BURST);
        assert!(taken.iter().all(|line| line.text.len() <= TEXT_BYTES + 3 && line.text.ends_with('…')));
        assert!(gate.admitted(begin, lines(10)).is_empty());
        let taken = gate.admitted(begin.plus_nanos(NANOS_PER_SECOND), lines(1));
        assert_eq!(
            (taken.len(), &*taken[0].text),
            (2, "3010 lines of this log were left out, there were too many")
        );
        let quiet = LogLine { text: "it goes on".to_owned(), ..LogLine::default() };
        assert_eq!(gate.admitted(begin.plus_nanos(2 * NANOS_PER_SECOND), vec![quiet.clone()]), [quiet]);
    }
}
