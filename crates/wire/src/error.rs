//! Why a message was refused.
//!
//! What it is: the field and what is wrong with it. What it is not: a judgement of who sent it.

/// A message breaks the contract, or its bounds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub struct WireError {
    /// The part of the message.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl WireError {
    pub(crate) const fn new(field: &'static str, problem: &'static str) -> Self {
        Self { field, problem }
    }
}
