//! Hot path. Iterations: what a scenario does, from its arrival to its end, among the exchanges of a shard.
//!
//! ```text
//!   arrival ──► begun ──► ready ──resume──► due request ──► waiting or in flight ──answer──► ready
//!                           ▲  │                                                     └─────► ended
//!                           │  ├── think, barrier ──► resting ──► ready
//!                           └──┴── ended: completed, failed; cut off when the run ends
//! ```
//!
//! What it is: the places of a shard's iterations, and the part of its turn that resumes them.
//! What it is not: the language of scenarios, which is the crate of that name; nor a schedule.
//!
//! Invariants: an iteration is in one of the lists, or has one request that waits or is in flight, never both; a request
//! of an iteration is due at the moment at which the answer before it came and its think time was over, and counts from
//! then; nothing is resumed from within a completion, so that no chain of failures can nest.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use clock::Timestamp;
use http1::Response;
use measure::{DropReason, FailReason, IterationEnd};
use scenario::{Answer, Answered, Context, Failure, Iteration, Next, Outcome, Then, Workspace};

use super::exchange::{Cause, NONE};
use super::release::FAILED_CONNECT_PAUSE_NS;
use super::scenarios::{Columns, Filling, ScenarioSettings, TokenValue};
use super::waiting::Waiting;
use super::workload::{Due, Task, Workload};
use super::{RELEASES_PER_TURN, Settings, Shard};
use crate::conn::Capture;
use crate::io::{ConnId, Io};

/// How often a shard looks whether a barrier has opened: 1 ms.
const BARRIER_LOOK_NS: u64 = 1_000_000;

/// Iterations for which a shard has memory before it starts, those of all its scenarios together: about 3 MB. Beyond it,
/// memory grows with the most that were under way at one time.
const PLACES_AT_START: usize = 1_024;

/// Bytes of a request and of a response that are kept, for which there is memory before the start.
const REQUEST_BYTES: usize = 512;
const RESPONSE_BYTES: usize = 1_024;

/// Memory of a request that is kept for later ones, at most: 1 MiB. What a larger body took goes back to the system, so that
/// it is there once for each that is under way, and not for all that ever were.
const KEPT_REQUEST_BYTES: usize = 1 << 20;

/// Names one iteration of a shard.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct IterationId {
    scenario: u16,
    place: u32,
}

/// One that waits at a barrier.
#[derive(Copy, Clone, Debug)]
struct AtBarrier {
    id: IterationId,
    barrier: u16,
    /// How many must have come.
    needed: u64,
    since: Timestamp,
}

/// A group that an iteration is in.
#[derive(Copy, Clone, Debug)]
struct Entered {
    group: u16,
    at: Timestamp,
    /// The iteration's think time until then.
    think_ns: u64,
}

/// One place for an iteration; it is used again for the next.
#[derive(Debug)]
struct Place {
    is_busy: bool,
    /// A request of it is with a connection.
    is_in_flight: bool,
    workload: u16,
    user: u32,
    warmup: bool,
    intended: Timestamp,
    /// The request step that it is at.
    step: u16,
    iteration: Iteration,
    columns: Columns,
    /// The request that is to be sent next.
    request: Vec<u8>,
    groups: Vec<Entered>,
    think_ns: u64,
}

impl Place {
    /// What is counted of the request that was written last.
    fn request_of(&self, settings: &ScenarioSettings) -> u16 {
        if self.iteration.is_bare() {
            settings.bare_requests[usize::from(self.step)]
        } else {
            settings.first_request + self.step
        }
    }
}

/// A scenario and its iterations on one shard.
#[derive(Debug)]
struct Scenario {
    settings: ScenarioSettings,
    places: Vec<Place>,
    free: Vec<u32>,
}

impl Scenario {
    /// With places for so many iterations, if it may have as many.
    fn new(settings: ScenarioSettings, places: usize) -> Self {
        let (places_at_start, free) = (Vec::with_capacity(places), Vec::with_capacity(places));
        let mut scenario = Self { settings, places: places_at_start, free };
        let places = (0..places).map_while(|_| scenario.take_place()).count();
        // Popped from the back, so that low places (warm in the cache) are used first.
        scenario.free.extend((0..u32::try_from(places).unwrap_or(u32::MAX)).rev());
        scenario
    }

    /// How many iterations are under way.
    fn busy(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// A place for another iteration. As many are made as are needed at one time, and kept.
    fn take_place(&mut self) -> Option<u32> {
        if let Some(place) = self.free.pop() {
            return Some(place);
        }
        let place = u32::try_from(self.places.len()).ok().filter(|place| *place < self.settings.most)?;
        self.places.push(Place {
            is_busy: false,
            is_in_flight: false,
            workload: 0,
            user: NONE,
            warmup: false,
            intended: Timestamp::ZERO,
            step: 0,
            iteration: Iteration::new(&self.settings.program, self.settings.variables_bytes),
            columns: Columns::for_some(self.settings.columns.len()),
            request: Vec::with_capacity(REQUEST_BYTES),
            groups: Vec::with_capacity(self.settings.program.groups().len()),
            think_ns: 0,
        });
        Some(place)
    }
}

/// All iterations of one shard, and what they use in turn.
#[derive(Debug)]
pub(super) struct Iterations {
    scenarios: Vec<Scenario>,
    /// Iterations to be resumed, and since when.
    ready: VecDeque<(IterationId, Timestamp)>,
    /// Iterations whose request is to be sent once more, elsewhere or with credentials: which, to which target, and since when.
    redirected: VecDeque<(IterationId, u16, u16, Timestamp)>,
    /// Iterations that think, the next to go on first.
    resting: BinaryHeap<Reverse<(Timestamp, IterationId)>>,
    at_barriers: Vec<AtBarrier>,
    /// Memory of requests that were written for one exchange.
    buffers: Vec<Vec<u8>>,
    /// Memory of responses that were read.
    pub(super) captures: Vec<Capture>,
    /// Bytes of a response that are kept, at most.
    pub(super) kept_bytes: usize,
    workspace: Workspace,
}

impl Iterations {
    /// None under way yet.
    pub(super) fn new(settings: &Settings) -> Self {
        let kept_body_bytes = settings.kept_body_bytes as usize;
        let scenarios = settings.scenarios.iter().cloned();
        let places_each = PLACES_AT_START.checked_div(settings.scenarios.len()).unwrap_or(0);
        let places = places_each * settings.scenarios.len();
        let connections: usize = settings.targets.iter().map(|target| target.connections as usize).sum();
        let exchanges = connections.min(places);
        // One that is taken out for an exchange comes back to where it has room.
        let mut buffers = Vec::with_capacity(places + exchanges);
        buffers.resize_with(exchanges, || Vec::with_capacity(REQUEST_BYTES));
        let mut captures = Vec::with_capacity(exchanges);
        captures.resize_with(exchanges, || Capture::for_bytes(RESPONSE_BYTES));
        Self {
            scenarios: scenarios.map(|scenario| Scenario::new(scenario, places_each)).collect(),
            ready: VecDeque::with_capacity(places),
            redirected: VecDeque::with_capacity(places),
            resting: BinaryHeap::with_capacity(places),
            at_barriers: Vec::with_capacity(places),
            buffers,
            captures,
            kept_bytes: settings.response_limits.head_bytes as usize + kept_body_bytes,
            workspace: Workspace::new(kept_body_bytes),
        }
    }

    /// Whether some are to be resumed at once.
    pub(super) fn are_ready(&self) -> bool {
        !self.ready.is_empty() || !self.redirected.is_empty()
    }

    /// When they must be looked at next.
    pub(super) fn next_look(&self, now: Timestamp) -> Timestamp {
        let rested = self.resting.peek().map_or(Timestamp::MAX, |&Reverse((due, _))| due);
        let barrier =
            if self.at_barriers.is_empty() { Timestamp::MAX } else { now.plus_nanos(BARRIER_LOOK_NS) };
        rested.min(barrier)
    }

    /// How many are under way.
    pub(super) fn under_way(&self) -> usize {
        self.scenarios.iter().map(Scenario::busy).sum()
    }

    /// Keeps the memory of a request that has left.
    pub(super) fn keep_buffer(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() > KEPT_REQUEST_BYTES {
            buffer.clear();
            buffer.shrink_to(REQUEST_BYTES);
        }
        self.buffers.push(buffer);
    }

    /// Takes a token that was renewed. What it replaces is kept by whoever sends it: nothing is freed here.
    pub(super) fn take_token(&mut self, place: u16, value: &TokenValue) {
        let tokens = self.scenarios.iter_mut().flat_map(|scenario| &mut scenario.settings.tokens);
        for token in tokens.filter(|token| token.place == place) {
            token.value = Some(value.clone());
        }
    }

    /// The place of a scenario's workload among those whose iterations are counted.
    pub(super) fn counted(&self, scenario: u16) -> u32 {
        self.scenarios[usize::from(scenario)].settings.workload
    }

    /// The request that an iteration is about to send.
    pub(super) fn rendered(&self, id: Option<IterationId>) -> &[u8] {
        id.map_or(&[], |id| &self.scenarios[usize::from(id.scenario)].places[id.place as usize].request)
    }
}

impl<I: Io> Shard<I> {
    /// An arrival of a scenario's workload is due.
    pub(super) fn begin_iteration(&mut self, workload: u16, scenario: u16, due: Due) {
        let warmup = due.intended < self.origin;
        let counted = self.iterations.counted(scenario);
        self.recorder(warmup).iteration_scheduled(counted);
        if self.skips(due.intended) {
            return self.drop_iteration(workload, counted, due.user, warmup, DropReason::Late);
        }
        let Some(place) = self.iterations.scenarios[usize::from(scenario)].take_place() else {
            return self.drop_iteration(workload, counted, due.user, warmup, DropReason::QueueFull);
        };
        let id = IterationId { scenario, place };
        let Scenario { settings, places, .. } = &mut self.iterations.scenarios[usize::from(scenario)];
        let place = &mut places[id.place as usize];
        place.is_busy = true;
        place.is_in_flight = false;
        (place.workload, place.user, place.warmup) = (workload, due.user, warmup);
        (place.intended, place.think_ns) = (due.intended, 0);
        let user = if due.user == NONE { due.slot } else { u64::from(due.user) };
        place.iteration.begin(settings.key, due.slot, user);
        let has_data = place.columns.fill(settings, due.slot);
        self.recorder(warmup).iteration_begun(counted);
        if has_data {
            self.resume(id, due.intended);
        } else {
            self.end_iteration(id, IterationEnd::Failed(FailReason::Data), due.intended);
        }
    }

    fn drop_iteration(&mut self, workload: u16, counted: u32, user: u32, warmup: bool, reason: DropReason) {
        self.recorder(warmup).iteration_dropped(counted, reason);
        self.user_goes_on(workload, user, FAILED_CONNECT_PAUSE_NS);
    }

    /// Goes on with an iteration until its next request is due, or it rests, or ends. `due` is the instant at which it
    /// was to go on.
    fn resume(&mut self, id: IterationId, due: Timestamp) {
        loop {
            let unix_ns = self.unix_ns();
            let Scenario { settings, places, .. } = &mut self.iterations.scenarios[usize::from(id.scenario)];
            let place = &mut places[id.place as usize];
            let filling = Filling::of(settings, &place.columns);
            let context = Context { unix_ns, values: &filling };
            place.request.clear();
            match place.iteration.resume(&settings.program, &context, &mut place.request) {
                Next::Request { step } => {
                    place.step = step;
                    let request = place.request_of(settings);
                    let target = self.settings.requests[usize::from(request)].target;
                    return self.step_due(id, request, target, due);
                }
                Next::Think { ns } => {
                    place.think_ns = place.think_ns.saturating_add(ns);
                    self.iterations.resting.push(Reverse((due.plus_nanos(ns), id)));
                    return;
                }
                Next::Wait { barrier } => {
                    let needed = settings.barriers[usize::from(barrier)].arrive();
                    self.iterations.at_barriers.push(AtBarrier { id, barrier, needed, since: self.now });
                    return;
                }
                Next::GroupBegan { group } => {
                    place.groups.push(Entered { group, at: due, think_ns: place.think_ns });
                }
                Next::GroupEnded { .. } => {
                    if let Some(Entered { group, at, think_ns }) = place.groups.pop() {
                        let (total_ns, think_ns) = (due.nanos_since(at), place.think_ns - think_ns);
                        let group = settings.first_group + u32::from(group);
                        let recorder = &mut self.recorders[usize::from(place.warmup)];
                        recorder.group_ended(group, true, total_ns, think_ns);
                    }
                }
                Next::Ended(outcome) => return self.end_iteration(id, end_of(outcome), due),
            }
        }
    }

    /// A request of an iteration is due.
    fn step_due(&mut self, id: IterationId, request: u16, target: u16, due: Timestamp) {
        let place = &self.iterations.scenarios[usize::from(id.scenario)].places[id.place as usize];
        let cause =
            Cause { request, target, workload: place.workload, user: place.user, iteration: id.place };
        let now = self.present.max(due);
        let warmup = due < self.origin;
        let recorder = self.recorder(warmup);
        recorder.scheduled(1);
        recorder.lag(now.nanos_since(due));
        self.request_due(Waiting { cause, intended: due, reached: now, warmup });
    }

    /// The bytes of the request of an iteration that is now sent.
    pub(super) fn take_rendered(&mut self, cause: Cause) -> Vec<u8> {
        let spare = self.iterations.buffers.pop().unwrap_or_default();
        let Some(id) = self.iteration_of(cause) else { return spare };
        let place = &mut self.iterations.scenarios[usize::from(id.scenario)].places[id.place as usize];
        place.is_in_flight = true;
        std::mem::replace(&mut place.request, spare)
    }

    /// The iteration that a request belongs to.
    pub(super) fn iteration_of(&self, cause: Cause) -> Option<IterationId> {
        iteration_of(&self.workloads, cause)
    }

    /// The response to a request of an iteration is complete.
    pub(super) fn iteration_answered(
        &mut self,
        id: IterationId,
        cause: Cause,
        response: &Response,
        response_ns: u64,
        capture: Option<&mut Capture>,
    ) {
        let unix_ns = self.unix_ns();
        let Scenario { settings, places, .. } = &mut self.iterations.scenarios[usize::from(id.scenario)];
        let place = &mut places[id.place as usize];
        place.is_in_flight = false;
        let step = place.step;
        let filling = Filling::of(settings, &place.columns);
        let context = Context { unix_ns, values: &filling };
        let (head, body) = capture.map_or((&[][..], None), |capture| capture.parts(response.body_bytes));
        let answer =
            Answer { status: response.status, head, body, body_bytes: response.body_bytes, response_ns };
        let answered = place.iteration.answer(
            &settings.program,
            step,
            &context,
            &answer,
            &mut self.iterations.workspace,
        );
        self.note_checks(id, step, &answered);
        self.go_on(id, cause, answered.then, 0);
    }

    /// A request of an iteration got no response, or was never sent.
    pub(super) fn iteration_unanswered(&mut self, id: IterationId, cause: Cause, pause_ns: u64) {
        let unix_ns = self.unix_ns();
        let Scenario { settings, places, .. } = &mut self.iterations.scenarios[usize::from(id.scenario)];
        let place = &mut places[id.place as usize];
        place.is_in_flight = false;
        let step = place.step;
        let filling = Filling::of(settings, &place.columns);
        let context = Context { unix_ns, values: &filling };
        place.request.clear();
        let answered = place.iteration.unanswered(&settings.program, step, &context, &mut place.request);
        self.note_checks(id, step, &answered);
        if let Then::Ended(Outcome::Failed(_)) = answered.then {
            // What is missing is the answer, whatever was to be taken from it.
            return self.end_iteration(id, IterationEnd::Failed(FailReason::Request), self.now);
        }
        self.go_on(id, cause, answered.then, pause_ns);
    }

    fn note_checks(&mut self, id: IterationId, step: u16, answered: &Answered) {
        let Scenario { settings, places, .. } = &self.iterations.scenarios[usize::from(id.scenario)];
        let first = settings.first_checks[usize::from(step)];
        let recorder = &mut self.recorders[usize::from(places[id.place as usize].warmup)];
        let mut left = answered.passed | answered.failed;
        while left != 0 {
            let check = left.trailing_zeros();
            recorder.check(first + check, answered.passed >> check & 1 == 1);
            left &= left - 1;
        }
    }

    fn go_on(&mut self, id: IterationId, cause: Cause, then: Then, pause_ns: u64) {
        match then {
            Then::Ended(outcome) => self.end_iteration(id, end_of(outcome), self.now),
            _ if self.stopped || self.handed.has_given_up => {
                self.end_iteration(id, IterationEnd::CutOff, self.now);
            }
            Then::Continue if pause_ns > 0 => {
                self.iterations.resting.push(Reverse((self.now.plus_nanos(pause_ns), id)));
            }
            Then::Continue => self.iterations.ready.push_back((id, self.now)),
            Then::Redirect => self.redirect(id),
            Then::Again => self.send_again(id, cause.target),
        }
    }

    /// Follows a redirect, to the targets of the plan and nowhere else.
    fn redirect(&mut self, id: IterationId) {
        let unix_ns = self.unix_ns();
        let Scenario { settings, places, .. } = &mut self.iterations.scenarios[usize::from(id.scenario)];
        let place = &mut places[id.place as usize];
        let step = place.step;
        let hop = place.iteration.hop(&settings.program, step);
        let known = self.settings.targets.iter().position(|target| {
            target.tls.is_some() == hop.is_secure && target.authority.as_bytes() == hop.authority
        });
        let filling = Filling::of(settings, &place.columns);
        let context = Context { unix_ns, values: &filling };
        place.request.clear();
        let target = known.and_then(|known| u16::try_from(known).ok());
        let followed = place.iteration.follow(&settings.program, step, &context, &mut place.request);
        match (target, followed) {
            (Some(target), Ok(())) => {
                let request = place.request_of(settings);
                self.iterations.redirected.push_back((id, request, target, self.now));
            }
            (None, _) => self.end_iteration(id, IterationEnd::Failed(FailReason::Request), self.now),
            (_, Err(failure)) => self.end_iteration(id, end_of(Outcome::Failed(failure)), self.now),
        }
    }

    /// Sends the request of an iteration once more, with the credentials that its server has asked for.
    fn send_again(&mut self, id: IterationId, target: u16) {
        let unix_ns = self.unix_ns();
        let Scenario { settings, places, .. } = &mut self.iterations.scenarios[usize::from(id.scenario)];
        let place = &mut places[id.place as usize];
        let filling = Filling::of(settings, &place.columns);
        let context = Context { unix_ns, values: &filling };
        place.request.clear();
        match place.iteration.again(&settings.program, place.step, &context, &mut place.request) {
            Ok(()) => {
                let request = place.request_of(settings);
                self.iterations.redirected.push_back((id, request, target, self.now));
            }
            Err(failure) => self.end_iteration(id, end_of(Outcome::Failed(failure)), self.now),
        }
    }

    /// Whether a response asks for credentials that its request is then sent with: no failure.
    #[cold]
    pub(super) fn is_challenged(&mut self, conn: ConnId, cause: Cause, response: &Response) -> bool {
        let Some(id) = self.iteration_of(cause) else { return false };
        let Scenario { settings, places, .. } = &self.iterations.scenarios[usize::from(id.scenario)];
        let place = &places[id.place as usize];
        let capture = self.connections[conn.index as usize].capture.as_mut();
        let head = capture.map_or(&[][..], Capture::head);
        place.iteration.is_challenged(&settings.program, place.step, response.status, head)
    }

    /// Resumes what was answered and what has rested long enough, as far as the turn's bound allows.
    pub(super) fn resume_iterations(&mut self) {
        if self.iterations.scenarios.is_empty() {
            return;
        }
        self.look_at_barriers();
        for _ in 0..RELEASES_PER_TURN {
            if let Some((id, request, target, due)) = self.iterations.redirected.pop_front() {
                self.step_due(id, request, target, due);
            } else if let Some((id, due)) = self.iterations.ready.pop_front() {
                self.resume(id, due);
            } else if let Some(Reverse((due, id))) =
                self.iterations.resting.peek().copied().filter(|Reverse((due, _))| *due <= self.now)
            {
                self.iterations.resting.pop();
                self.resume(id, due);
            } else {
                return;
            }
        }
        self.unfinished_turn = true;
    }

    fn look_at_barriers(&mut self) {
        let mut at = 0;
        while let Some(&AtBarrier { id, barrier, needed, since }) = self.iterations.at_barriers.get(at) {
            let settings = &self.iterations.scenarios[usize::from(id.scenario)].settings;
            let limit_ns = settings.program.barriers()[usize::from(barrier)].timeout_ns;
            if settings.barriers[usize::from(barrier)].is_open(needed)
                || self.now.nanos_since(since) >= limit_ns
            {
                self.iterations.at_barriers.swap_remove(at);
                self.iterations.ready.push_back((id, self.now));
            } else {
                at += 1;
            }
        }
    }

    /// Cuts iterations off: all of them, or those that wait for no answer.
    pub(super) fn cut_off_iterations(&mut self, in_flight_too: bool) {
        self.iterations.ready.clear();
        self.iterations.redirected.clear();
        self.iterations.resting.clear();
        self.iterations.at_barriers.clear();
        for scenario in 0..self.iterations.scenarios.len() {
            for place in 0..self.iterations.scenarios[scenario].places.len() {
                let found = &self.iterations.scenarios[scenario].places[place];
                if found.is_busy && (in_flight_too || !found.is_in_flight) {
                    let id = IterationId {
                        scenario: u16::try_from(scenario).unwrap_or(u16::MAX),
                        place: u32::try_from(place).unwrap_or(u32::MAX),
                    };
                    self.end_iteration(id, IterationEnd::CutOff, self.now);
                }
            }
        }
    }

    fn end_iteration(&mut self, id: IterationId, end: IterationEnd, at: Timestamp) {
        let Scenario { settings, places, free } = &mut self.iterations.scenarios[usize::from(id.scenario)];
        let place = &mut places[id.place as usize];
        place.is_busy = false;
        free.push(id.place);
        let recorder = &mut self.recorders[usize::from(place.warmup)];
        for entered in place.groups.drain(..) {
            recorder.group_ended(settings.first_group + u32::from(entered.group), false, 0, 0);
        }
        recorder.iteration_ended(settings.workload, end, at.nanos_since(place.intended));
        // Who fails without having waited for anything must not fail as fast as it can.
        let pause_ns = if matches!(end, IterationEnd::Failed(_)) { FAILED_CONNECT_PAUSE_NS } else { 0 };
        let (workload, user) = (place.workload, place.user);
        if end != IterationEnd::CutOff {
            self.user_goes_on(workload, user, pause_ns);
        }
    }

    fn unix_ns(&self) -> u64 {
        self.now.as_nanos().wrapping_add(self.settings.unix_offset_ns)
    }
}

/// The iteration that a request belongs to.
#[inline]
pub(super) fn iteration_of(workloads: &[Workload], cause: Cause) -> Option<IterationId> {
    if cause.iteration == NONE {
        return None;
    }
    match workloads[usize::from(cause.workload)].task {
        Task::Scenario(scenario) => Some(IterationId { scenario, place: cause.iteration }),
        Task::Request(_) | Task::Own => None,
    }
}

fn end_of(outcome: Outcome) -> IterationEnd {
    match outcome {
        Outcome::Done => IterationEnd::Completed,
        Outcome::Stopped => IterationEnd::Failed(FailReason::Check),
        Outcome::Failed(Failure::Extract | Failure::Body) => IterationEnd::Failed(FailReason::Extract),
        Outcome::Failed(Failure::Redirect) => IterationEnd::Failed(FailReason::Request),
        Outcome::Failed(Failure::Unset | Failure::Injection | Failure::Number | Failure::Variables) => {
            IterationEnd::Failed(FailReason::Render)
        }
    }
}
