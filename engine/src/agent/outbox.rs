//! The deltas that a node owes its coordinator.
//!
//! What it is: for each life and run the numbers of what was kept, told and acknowledged. What it is not: the deltas; whoever
//! drives the agent keeps them.
//!
//! Invariants: acknowledged ≤ told ≤ kept, and no more than [`WINDOW`] are told and not acknowledged; a number that was told
//! once stands for the same measurements ever after.

use wire::{Finished, FromNode, RunKey};

use super::event::{Action, LeftBehind};

/// How many deltas may be on their way at one time.
const WINDOW: u64 = 64;
/// Where deltas cannot be put together, that is tried again after so many more.
const TRIED_EVERY: u64 = 64;

/// What is owed for one run and life.
#[derive(Debug)]
struct Stream {
    run: RunKey,
    incarnation: u64,
    /// The first that is not acknowledged.
    owed: u64,
    /// The first that was not told on this connection.
    untold: u64,
    /// The first that was never told.
    fresh: u64,
    /// One behind the last.
    end: u64,
    /// Nothing will be added.
    closed: bool,
    finished: Option<Finished>,
    finished_told: bool,
}

/// Everything that is owed, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    streams: Vec<Stream>,
}

impl Outbox {
    /// What earlier lives left.
    pub(super) fn new(left: Vec<LeftBehind>) -> Self {
        let stream = |left: LeftBehind| Stream {
            owed: left.first,
            untold: left.first,
            // Nobody knows what an earlier life told.
            fresh: left.end,
            end: left.end,
            closed: true,
            ..Stream::new(left.run, left.incarnation)
        };
        Self { streams: left.into_iter().map(stream).collect() }
    }

    /// The number of the next delta of this life.
    pub(super) fn next_sequence(&self, run: RunKey, incarnation: u64) -> u64 {
        self.find(run, incarnation).map_or(0, |stream| stream.end)
    }

    /// One more was kept; yields its number.
    pub(super) fn add(&mut self, run: RunKey, incarnation: u64) -> u64 {
        let stream = self.stream(run, incarnation);
        stream.end += 1;
        stream.end - 1
    }

    /// Whether there are more deltas of which nobody was ever told than there should be; the first of them.
    pub(super) fn crowded(&self, run: RunKey, incarnation: u64, most: u64) -> Option<u64> {
        let stream = self.find(run, incarnation)?;
        let excess = (stream.end - stream.fresh).checked_sub(most.max(2))?;
        excess.is_multiple_of(TRIED_EVERY).then_some(stream.fresh)
    }

    /// Deltas that were never told are fewer now.
    pub(super) fn coalesced(&mut self, run: RunKey, incarnation: u64, end: u64) {
        let stream = self.stream(run, incarnation);
        stream.end = end.clamp(stream.fresh, stream.end);
    }

    /// Nothing follows for that run but this.
    pub(super) fn finish(&mut self, finished: Finished) {
        let stream = self.stream(finished.run, finished.incarnation);
        stream.closed = true;
        stream.finished = Some(finished);
    }

    /// The runs for which something is owed, but for one.
    pub(super) fn runs_but(&self, current: Option<RunKey>) -> Vec<RunKey> {
        let mut runs: Vec<RunKey> =
            self.streams.iter().map(|stream| stream.run).filter(|run| Some(*run) != current).collect();
        runs.dedup();
        runs
    }

    /// How many deltas are not acknowledged.
    pub(super) fn unacknowledged(&self) -> u32 {
        let owed = self.streams.iter().map(|stream| stream.end - stream.owed).sum::<u64>();
        u32::try_from(owed).unwrap_or(u32::MAX)
    }

    /// Whether nothing is owed at all.
    pub(super) fn is_settled(&self) -> bool {
        self.streams.iter().all(|stream| stream.owed == stream.end && stream.finished.is_none())
    }

    /// A new connection: whatever is not acknowledged is told again.
    pub(super) fn rewind(&mut self) {
        for stream in &mut self.streams {
            stream.untold = stream.owed;
            stream.finished_told = false;
        }
    }

    /// Deltas of that life are kept for good.
    pub(super) fn acknowledged(
        &mut self,
        run: RunKey,
        incarnation: u64,
        through: u64,
        actions: &mut Vec<Action>,
    ) {
        let found = |stream: &&mut Stream| (stream.run, stream.incarnation) == (run, incarnation);
        let Some(stream) = self.streams.iter_mut().find(found) else { return };
        // What was never measured cannot be kept.
        let owed = through.saturating_add(1).min(stream.end);
        if owed <= stream.owed {
            return;
        }
        stream.owed = owed;
        stream.untold = stream.untold.max(owed);
        actions.push(Action::Forget { run, incarnation, through: owed - 1 });
        self.streams.retain(|stream| {
            let paid = stream.closed && stream.owed == stream.end && stream.finished.is_none();
            !paid
        });
    }

    /// Nothing of that run is wanted any more.
    pub(super) fn release(&mut self, run: RunKey) {
        self.streams.retain(|stream| stream.run != run);
    }

    /// Tells what is owed, as far as the window allows.
    pub(super) fn tell(&mut self, actions: &mut Vec<Action>) {
        for stream in &mut self.streams {
            let most = stream.end.min(stream.owed.saturating_add(WINDOW));
            for sequence in stream.untold..most {
                let Stream { run, incarnation, .. } = *stream;
                actions.push(Action::Deliver { run, incarnation, sequence });
            }
            stream.untold = stream.untold.max(most);
            stream.fresh = stream.fresh.max(stream.untold);
            if stream.untold == stream.end && !stream.finished_told {
                let Some(finished) = &stream.finished else { continue };
                stream.finished_told = true;
                actions.push(Action::Send(Box::new(FromNode::Finished(Box::new(finished.clone())))));
            }
        }
    }

    fn find(&self, run: RunKey, incarnation: u64) -> Option<&Stream> {
        self.streams.iter().find(|stream| (stream.run, stream.incarnation) == (run, incarnation))
    }

    fn stream(&mut self, run: RunKey, incarnation: u64) -> &mut Stream {
        let place =
            self.streams.iter().position(|stream| (stream.run, stream.incarnation) == (run, incarnation));
        let place = place.unwrap_or_else(|| {
            self.streams.push(Stream::new(run, incarnation));
            self.streams.len() - 1
        });
        &mut self.streams[place]
    }
}

impl Stream {
    const fn new(run: RunKey, incarnation: u64) -> Self {
        Self {
            run,
            incarnation,
            owed: 0,
            untold: 0,
            fresh: 0,
            end: 0,
            closed: false,
            finished: None,
            finished_told: false,
        }
    }
}
