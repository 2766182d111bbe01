//! Dealing: which of an engine's shards owns which of its cells, while cells come and go.
//!
//! ```text
//!   asked ──► losing: every shard that has less is told ──all in time──► gaining: every shard that gets more ──► obeyed
//!                │ one was told too late                                     │ one was told too late
//!                └───────────────► declined, and what was before is restored ◄┘
//! ```
//!
//! What it is: a machine between whoever says what the engine owns and its shards. Cells stay with the shard that has them,
//! where they can: its connections are warm, its users in the middle of something.
//! What it is not: a clock or a queue; it is told the present, and yields what is to be told.
//!
//! Invariants: nobody gets a cell before everybody else has given it up, so that no arrival has two owners; a change is
//! obeyed by every shard or declined; instants never go back.
//! Units: nanoseconds counted from the plan's zero.

use std::collections::VecDeque;
use std::sync::Arc;

use schedule::{Cells, Profile, ScheduleError};

use crate::prepare::WholeWorkload;
use crate::shard::hand_over::Hand;

/// How long before a change every shard must have heard of it, twice over: 100 ms.
pub const HAND_OVER_LEAD_NS: u64 = 100_000_000;

/// A change that was asked for.
#[derive(Clone, Debug)]
struct Asked {
    epoch: u32,
    from_ns: u64,
    cells: Cells,
    /// Nobody waits for an answer: it restores what was before.
    is_repair: bool,
}

/// A change under way.
#[derive(Debug)]
struct Move {
    asked: Asked,
    /// What each shard is to have in the end.
    target: Vec<Cells>,
    is_gaining: bool,
    /// What each shard was told in this step and has not answered.
    told: Vec<Option<Cells>>,
    is_late: bool,
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Which.
    pub epoch: u32,
    /// Why not, if it was declined.
    pub outcome: Result<(), String>,
}

/// The cells of an engine among its shards.
#[derive(Debug)]
pub struct Dealing {
    workloads: Vec<WholeWorkload>,
    /// What each shard has.
    held: Vec<Cells>,
    /// What the engine has, in its own and its coordinator's view.
    owned: Cells,
    latest_ns: u64,
    asked: VecDeque<Asked>,
    moving: Option<Move>,
    answers: VecDeque<Answer>,
    /// Shards whose lease has run out, and from when on nothing was theirs.
    given_up: Vec<Option<u64>>,
    /// A shard has ended: nothing changes hands any more.
    is_ending: bool,
}

impl Dealing {
    /// Nobody has anything yet.
    pub fn new(workloads: Vec<WholeWorkload>, shards: usize) -> Self {
        Self {
            workloads,
            held: vec![Cells::none(); shards],
            owned: Cells::none(),
            latest_ns: 0,
            asked: VecDeque::new(),
            moving: None,
            answers: VecDeque::new(),
            given_up: vec![None; shards],
            is_ending: false,
        }
    }

    /// For arrivals that are due from `from_ns` on, the engine's cells are these. An [`Answer`] follows.
    pub fn assign(&mut self, epoch: u32, from_ns: u64, cells: Cells) {
        self.asked.push_back(Asked { epoch, from_ns, cells, is_repair: false });
    }

    /// Goes on, as far as it can go before shards answer; `now_ns` is the present, which is below zero while the start is to
    /// come, and none before it is known. `tell` says whether a shard can hear.
    pub fn advance(&mut self, now_ns: Option<i128>, tell: &mut impl FnMut(usize, Hand) -> bool) {
        loop {
            match self.moving.take() {
                Some(moving) if moving.told.iter().any(Option::is_some) => {
                    self.moving = Some(moving);
                    return;
                }
                Some(moving) if moving.is_late => {
                    let reason = "a shard heard of it after its instant; name a later one";
                    self.end(&moving.asked, Err(reason.to_owned()), now_ns);
                }
                Some(moving) if moving.is_gaining => self.end(&moving.asked, Ok(()), now_ns),
                Some(moving) => self.step(Move { is_gaining: true, ..moving }, tell),
                None => {
                    let Some(asked) = self.asked.pop_front() else { return };
                    match self.begin(&asked, now_ns) {
                        Ok(moving) => self.step(moving, tell),
                        Err(reason) => self.end(&asked, Err(reason), now_ns),
                    }
                }
            }
        }
    }

    fn begin(&mut self, asked: &Asked, now_ns: Option<i128>) -> Result<Move, String> {
        if self.is_ending {
            return Err("the run is ending here".to_owned());
        }
        if asked.from_ns < self.latest_ns {
            return Err(format!(
                "it begins at {} ns of the run, and another change later, at {} ns",
                asked.from_ns, self.latest_ns
            ));
        }
        if now_ns.is_some_and(|now_ns| now_ns + i128::from(HAND_OVER_LEAD_NS) > i128::from(asked.from_ns)) {
            return Err(format!(
                "it begins less than {} ms from now; name a later instant",
                HAND_OVER_LEAD_NS / 1_000_000
            ));
        }
        let weights = vec![1; self.held.len()];
        let dealt = asked.cells.deal_again(&self.held, &weights);
        let target = dealt.map_err(|error: ScheduleError| error.to_string())?;
        self.latest_ns = asked.from_ns;
        let told = vec![None; self.held.len()];
        Ok(Move { asked: asked.clone(), target, is_gaining: false, told, is_late: false })
    }

    /// Tells every shard whose cells a step changes.
    fn step(&mut self, mut moving: Move, tell: &mut impl FnMut(usize, Hand) -> bool) {
        for shard in 0..self.held.len() {
            let (held, target) = (&self.held[shard], &moving.target[shard]);
            let cells = if moving.is_gaining { target.clone() } else { held.intersection(target) };
            if cells == *held {
                continue;
            }
            let from_ns = moving.asked.from_ns;
            let shares =
                self.workloads.iter().map(|workload| workload.share(&cells, held, from_ns)).collect();
            if tell(shard, Hand { epoch: moving.asked.epoch, from_ns, shares }) {
                moving.told[shard] = Some(cells);
            } else {
                moving.is_late = true;
            }
        }
        self.moving = Some(moving);
    }

    /// A shard has answered a hand.
    pub fn handed(&mut self, shard: usize, in_time: bool) {
        let Some(moving) = &mut self.moving else { return };
        if let Some(cells) = moving.told[shard].take() {
            if in_time {
                self.held[shard] = cells;
                self.given_up[shard] = None;
            }
            moving.is_late |= !in_time;
        }
    }

    /// A shard has ended: it has nothing, and answers nothing.
    pub fn shard_over(&mut self, shard: usize) {
        self.held[shard] = Cells::none();
        self.is_ending = true;
        self.handed(shard, false);
    }

    /// A shard's lease ran out; yields from when on nothing was the engine's once that is true of each of `living`.
    pub fn gave_up(&mut self, shard: usize, at_ns: u64, living: &[bool]) -> Option<u64> {
        self.held[shard] = Cells::none();
        self.given_up[shard] = Some(at_ns);
        let mut living = living.iter().zip(&self.given_up).filter(|(is_living, _)| **is_living);
        if !living.all(|(_, at_ns)| at_ns.is_some()) {
            return None;
        }
        self.owned = Cells::none();
        if let Some(moving) = &mut self.moving {
            moving.is_late = true;
        }
        // Whoever asks for more sees that first, and knows what it can ask for.
        for asked in std::mem::take(&mut self.asked) {
            let reason = "the lease ran out before it began".to_owned();
            self.end(&asked, Err(reason), None);
        }
        let latest = self.given_up.iter_mut().filter_map(Option::take).max();
        self.latest_ns = self.latest_ns.min(latest.unwrap_or(0));
        latest
    }

    /// A change is over.
    fn end(&mut self, asked: &Asked, outcome: Result<(), String>, now_ns: Option<i128>) {
        match &outcome {
            Ok(()) => self.owned = asked.cells.clone(),
            Err(_) => self.restore(asked.epoch, now_ns),
        }
        if !asked.is_repair {
            self.answers.push_back(Answer { epoch: asked.epoch, outcome });
        }
    }

    /// Gives the shards back what a change that was declined took from some of them.
    fn restore(&mut self, epoch: u32, now_ns: Option<i128>) {
        let held = self.held.iter().fold(Cells::none(), |sum, cells| sum.union(cells));
        if self.is_ending || held == self.owned || self.given_up.iter().any(Option::is_some) {
            return;
        }
        let soon = now_ns.unwrap_or(0) + 2 * i128::from(HAND_OVER_LEAD_NS);
        let from_ns = u64::try_from(soon).unwrap_or(0).max(self.latest_ns);
        let cells = self.owned.clone();
        self.asked.push_front(Asked { epoch, from_ns, cells, is_repair: true });
    }

    /// What became of the next change that did.
    pub fn answer(&mut self) -> Option<Answer> {
        self.answers.pop_front()
    }

    /// What the engine owns.
    pub fn owned(&self) -> &Cells {
        &self.owned
    }

    /// From when on the latest change holds: no rate may change before that any more, because what shards will own was made
    /// for the rates as they were.
    pub fn latest_ns(&self) -> u64 {
        self.latest_ns
    }

    /// Follows a changed rate.
    pub fn set_profile(&mut self, workload: usize, profile: &Arc<Profile>) {
        self.workloads[workload].set_profile(Arc::clone(profile));
    }

    /// From when on limits leave nothing due of any workload; `None` while some have none.
    pub fn limit_ns(&self) -> Option<u64> {
        self.workloads
            .iter()
            .map(WholeWorkload::limit_ns)
            .try_fold(0, |latest, limit| Some(latest.max(limit?)))
    }

    /// Whether some users do not follow their cells.
    pub fn leaves_users_behind(&self) -> bool {
        self.workloads.iter().any(WholeWorkload::leaves_users_behind)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::prepare::WholeUsers;
    use crate::shard::hand_over::Share;
    use crate::shard::workload::Task;

    const MS: u64 = 1_000_000;

    /// A workload whose shares show their cells.
    fn workload() -> WholeWorkload {
        let users = WholeUsers {
            stays: Vec::new(),
            population: 0,
            think_ns: 0,
            each: u64::MAX,
            slots: u64::MAX,
            total: None,
        };
        WholeWorkload::closed(users, Task::Own)
    }

    /// An engine of so many shards, and what each of them has obeyed.
    struct Engine {
        dealing: Dealing,
        shards: Vec<Cells>,
        told: Vec<(usize, Hand)>,
    }

    impl Engine {
        fn new(shards: usize) -> Self {
            let dealing = Dealing::new(vec![workload()], shards);
            Self { dealing, shards: vec![Cells::none(); shards], told: Vec::new() }
        }

        fn advance(&mut self, now_ns: Option<i128>) {
            let Self { dealing, told, .. } = self;
            dealing.advance(now_ns, &mut |shard, hand| {
                told.push((shard, hand));
                true
            });
        }

        /// Each shard answers what it was told; `is_late` says who was told too late.
        fn answer(&mut self, mut is_late: impl FnMut() -> bool) {
            for (shard, hand) in std::mem::take(&mut self.told) {
                let Share::Closed { cells, .. } = &hand.shares[0] else { panic!("users are closed") };
                let in_time = !is_late();
                if in_time {
                    let others = self.shards.iter().enumerate().filter(|(other, _)| *other != shard);
                    for (other, held) in others {
                        let both = held.intersection(cells).count();
                        assert_eq!(both, 0, "shards {shard} and {other} own {both} cells together");
                    }
                    self.shards[shard] = cells.clone();
                }
                self.dealing.handed(shard, in_time);
            }
        }

        fn owned(&self) -> Cells {
            self.shards.iter().fold(Cells::none(), |sum, cells| sum.union(cells))
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_cell_ever_has_two_owners(
            shards in 1_usize..5,
            changes in prop::collection::vec((prop::collection::vec(0_u64..5, 1..4), any::<u64>()), 1..6),
        ) {
            let mut engine = Engine::new(shards);
            let mut now_ns = 0;
            let mut owned = Cells::none();
            for ((weights, mut late), epoch) in changes.into_iter().zip(1..) {
                let cells = match Cells::all().deal(&weights) {
                    Ok(mut parts) => parts.swap_remove(0),
                    Err(_) => Cells::none(),
                };
                engine.dealing.assign(epoch, now_ns + 200 * MS, cells.clone());
                let mut answer = None;
                // A shard is late in one of four cases, at first; then none is, and what was declined is restored.
                for round in 0..40 {
                    engine.advance(Some(i128::from(now_ns)));
                    now_ns += 20 * MS;
                    engine.answer(|| {
                        late = late.rotate_right(2);
                        round < 3 && late % 4 == 3
                    });
                    answer = engine.dealing.answer().or(answer);
                }
                let answer = answer.expect("every change is answered");
                prop_assert_eq!(answer.epoch, epoch);
                if answer.outcome.is_ok() {
                    owned = cells;
                }
                prop_assert!(engine.owned() == owned && *engine.dealing.owned() == owned);
                let sizes = engine.shards.iter().map(Cells::count);
                prop_assert!(sizes.clone().max().unwrap_or(0) - sizes.min().unwrap_or(0) <= 1, "unevenly dealt");
                now_ns += 400 * MS;
            }
        }
    }

    #[test]
    fn what_comes_too_late_is_declined_at_once() {
        let mut engine = Engine::new(2);
        engine.dealing.assign(1, 0, Cells::all());
        engine.advance(None);
        engine.answer(|| false);
        engine.advance(None);
        assert_eq!(engine.dealing.answer(), Some(Answer { epoch: 1, outcome: Ok(()) }));
        let rows = [(2, 1_099, false), (3, 1_101, true), (4, 1_100, false)];
        for (epoch, from_ms, is_obeyed) in rows {
            engine.dealing.assign(epoch, from_ms * MS, Cells::share(1, 2).expect("a share"));
            engine.advance(Some(i128::from(1_000 * MS)));
            engine.answer(|| false);
            engine.advance(Some(i128::from(1_000 * MS)));
            engine.answer(|| false);
            engine.advance(Some(i128::from(1_000 * MS)));
            let answer = engine.dealing.answer().expect("it is answered");
            assert_eq!((answer.epoch, answer.outcome.is_ok()), (epoch, is_obeyed), "{answer:?}");
        }
    }

    #[test]
    fn nothing_changes_hands_once_a_shard_has_ended() {
        let mut engine = Engine::new(2);
        engine.dealing.assign(1, 0, Cells::all());
        engine.advance(None);
        engine.answer(|| false);
        engine.advance(None);
        // One ends while it is told, and nobody hears what comes after.
        engine.dealing.assign(2, 1_000 * MS, Cells::none());
        engine.advance(Some(0));
        engine.dealing.shard_over(0);
        engine.dealing.shard_over(1);
        engine.dealing.assign(3, 2_000 * MS, Cells::all());
        engine.dealing.advance(Some(0), &mut |_, _| false);
        let answers = std::iter::from_fn(|| engine.dealing.answer());
        let outcomes: Vec<_> = answers.map(|answer| (answer.epoch, answer.outcome.is_ok())).collect();
        assert_eq!(outcomes, [(1, true), (2, false), (3, false)]);
    }

    #[test]
    fn a_lapse_is_told_once_when_every_living_shard_has_given_up() {
        let mut engine = Engine::new(3);
        engine.dealing.assign(1, 0, Cells::all());
        engine.advance(None);
        engine.answer(|| false);
        engine.advance(None);
        engine.dealing.assign(2, 10_000 * MS, Cells::none());
        assert_eq!(engine.dealing.gave_up(0, 500, &[true, true, false]), None);
        assert_eq!(engine.dealing.gave_up(1, 700, &[true, true, false]), Some(700));
        assert_eq!(engine.dealing.owned().count(), 0);
        let answers = std::iter::from_fn(|| engine.dealing.answer());
        let outcomes: Vec<_> = answers.map(|answer| (answer.epoch, answer.outcome.is_ok())).collect();
        assert_eq!(outcomes, [(1, true), (2, false)]);
    }
}
