//! What must not leave before something is durable.

use std::collections::{BTreeMap, VecDeque};

use crate::director::Action;

/// Actions that wait, in their order.
#[derive(Debug, Default)]
pub(super) struct Held {
    waiting: VecDeque<(u64, Action)>,
    /// How many of them are of a session; answers have none.
    by_session: BTreeMap<Option<u64>, usize>,
    durable: u64,
}

impl Held {
    /// Takes an action that has to wait; hands back one that need not.
    pub(super) fn hold(&mut self, action: Action) -> Option<Action> {
        let (session, after) = of(&action);
        if after <= self.durable && !self.by_session.contains_key(&session) {
            return Some(action);
        }
        *self.by_session.entry(session).or_default() += 1;
        self.waiting.push_back((after, action));
        None
    }

    /// Everything up to this record is durable.
    pub(super) fn is_durable(&mut self, number: u64) {
        self.durable = self.durable.max(number);
    }

    /// Hands out what need not wait any more, one by one: what carrying it out leads to stays behind what waits.
    pub(super) fn next(&mut self) -> Option<Action> {
        let (_, action) = self.waiting.pop_front_if(|(after, _)| *after <= self.durable)?;
        let (session, _) = of(&action);
        if let Some(count) = self.by_session.get_mut(&session) {
            *count -= 1;
            if *count == 0 {
                self.by_session.remove(&session);
            }
        }
        Some(action)
    }
}

/// Of which session an action is, and what must be durable first.
fn of(action: &Action) -> (Option<u64>, u64) {
    match action {
        Action::Send { session, after, .. } | Action::Close { session, after } => (Some(*session), *after),
        Action::Answer { after, .. } => (None, *after),
        Action::Keep { .. } | Action::Second { .. } | Action::Note { .. } | Action::Log { .. } => (None, 0),
    }
}

#[cfg(test)]
mod tests {
    use wire::ToNode;

    use super::*;

    fn send(session: u64, probe: u64, after: u64) -> Action {
        Action::Send { session, message: Box::new(ToNode::TimeProbe { probe }), after }
    }

    fn probes(actions: &[Action]) -> Vec<u64> {
        let probe = |action: &Action| match action {
            Action::Send { message, .. } => match **message {
                ToNode::TimeProbe { probe } => probe,
                _ => unreachable!("only probes are sent here"),
            },
            _ => 0,
        };
        actions.iter().map(probe).collect()
    }

    /// What is handed out once a record is durable.
    fn release(held: &mut Held, number: u64) -> Vec<Action> {
        held.is_durable(number);
        std::iter::from_fn(|| held.next()).collect()
    }

    #[test]
    fn nothing_leaves_before_its_record_and_each_session_keeps_its_order() {
        let mut held = Held::default();
        assert_eq!(
            probes(&held.hold(send(1, 1, 0)).into_iter().collect::<Vec<_>>()),
            [1],
            "it needs no record"
        );
        assert!(held.hold(send(1, 2, 5)).is_none());
        assert!(held.hold(send(1, 3, 0)).is_none(), "not ahead of what was said before");
        assert!(held.hold(send(2, 4, 0)).is_some(), "another session does not wait");
        assert!(held.hold(send(2, 5, 6)).is_none());
        assert!(held.hold(Action::Close { session: 2, after: 0 }).is_none());
        assert!(release(&mut held, 4).is_empty());
        assert_eq!(probes(&release(&mut held, 5)), [2, 3]);
        assert!(held.hold(send(1, 6, 5)).is_some(), "that is durable");
        assert_eq!(probes(&release(&mut held, 7)), [5, 0]);
        assert!(held.waiting.is_empty() && held.by_session.is_empty());
        assert!(release(&mut held, 3).is_empty() && held.hold(send(1, 7, 7)).is_some(), "numbers never fall");
    }
}
