//! A peer that follows a script, step by step.

use std::collections::VecDeque;
use std::sync::Arc;

use super::peer::{Pace, Peer, Turn};

/// One step of a [`Script`]. Each begins when the one before it is done.
#[derive(Clone, Debug)]
pub enum Step {
    /// Waits for so many further bytes.
    Await(usize),
    /// Waits for so many further bytes and sends them back.
    Echo(usize),
    /// Waits so many nanoseconds.
    Pause(u64),
    /// Sends bytes.
    Send(Arc<[u8]>),
    /// Sends a FIN and goes on reading.
    Finish,
    /// Closes.
    Close,
    /// Resets.
    Reset,
    /// Reads from here on at that pace only.
    Pace(Pace),
}

/// A peer that does what its steps say and then keeps silent, reading. See [`Step`].
#[derive(Clone, Debug)]
pub struct Script {
    steps: VecDeque<Step>,
    pace: Option<Pace>,
    /// What was read and no step has used.
    read: Vec<u8>,
    pausing: bool,
}

impl Script {
    /// A peer that follows `steps`.
    pub fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self { steps: steps.into_iter().collect(), pace: None, read: Vec::new(), pausing: false }
    }

    fn go_on(&mut self, turn: &mut Turn<'_>) {
        while !self.pausing
            && let Some(step) = self.steps.front()
        {
            match step {
                Step::Await(count) | Step::Echo(count) if self.read.len() < *count => return,
                Step::Await(count) => drop(self.read.drain(..count)),
                Step::Echo(count) => turn.send(0, self.read.drain(..count).collect::<Vec<u8>>()),
                Step::Pause(pause_ns) => {
                    self.pausing = true;
                    turn.wake(*pause_ns);
                }
                Step::Send(bytes) => turn.send(0, Arc::clone(bytes)),
                Step::Finish => turn.finish(0),
                Step::Close => turn.close(0),
                Step::Reset => turn.reset(0),
                Step::Pace(pace) => self.pace = Some(*pace),
            }
            self.steps.pop_front();
        }
    }
}

impl Peer for Script {
    fn connected(&mut self, turn: &mut Turn<'_>) {
        self.go_on(turn);
    }

    fn receive(&mut self, bytes: &[u8], turn: &mut Turn<'_>) {
        self.read.extend_from_slice(bytes);
        self.go_on(turn);
    }

    fn wake(&mut self, turn: &mut Turn<'_>) {
        self.pausing = false;
        self.go_on(turn);
    }

    fn pace(&self) -> Option<Pace> {
        self.pace
    }
}
