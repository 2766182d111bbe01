//! Hot path. Operation tokens: what the kernel hands back with each completion.
//!
//! What it is: the 64 bits of `user_data`, made of the operation, the connection's place and its generation.
//! What it is not: a table; nothing is looked up here.
//!
//! Invariant: a token is never 0, so that a zeroed entry names no operation.

/// What was asked of the kernel for a connection.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Operation {
    /// Open the connection.
    Connect = 1,
    /// Multishot receive into provided buffers.
    Receive = 2,
    /// Receive that throws the bytes away.
    Discard = 3,
    /// Send that never waits and is silent unless it fails.
    SilentSend = 4,
    /// Send that waits for room and always completes.
    Send = 5,
    /// Wake the waiting thread; belongs to no connection.
    Timer = 6,
}

/// Set in the tokens of cancellations; the rest names the operation to be cancelled.
const CANCELS: u64 = 0x80;
const OPERATION_MASK: u64 = 0x7f;
const INDEX_SHIFT: u32 = 8;
const INDEX_MASK: u64 = 0x00ff_ffff;
const GENERATION_SHIFT: u32 = 32;

/// Most connections that a token can tell apart.
pub(crate) const INDEX_LIMIT: u32 = 1 << 24;

/// `user_data` of one operation of one tenant of one place.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token(u64);

impl Token {
    /// The token of timers, which belong to no connection.
    pub(crate) const TIMER: Self = Self(Operation::Timer as u64);

    /// A token that names nothing.
    pub(crate) const VOID: Self = Self(0);

    pub(crate) const fn new(operation: Operation, index: u32, generation: u32) -> Self {
        Self(((generation as u64) << GENERATION_SHIFT) | ((index as u64) << INDEX_SHIFT) | operation as u64)
    }

    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    /// The token of the cancellation of this operation.
    pub(crate) const fn cancellation(self) -> Self {
        Self(self.0 | CANCELS)
    }

    /// The operation that this cancellation is aimed at.
    pub(crate) const fn cancelled(self) -> Self {
        Self(self.0 & !CANCELS)
    }

    pub(crate) const fn is_cancellation(self) -> bool {
        self.0 & CANCELS != 0
    }

    pub(crate) const fn index(self) -> u32 {
        ((self.0 >> INDEX_SHIFT) & INDEX_MASK) as u32
    }

    pub(crate) const fn generation(self) -> u32 {
        (self.0 >> GENERATION_SHIFT) as u32
    }

    /// The operation, also that of a cancellation; `None` for [`Token::VOID`].
    pub(crate) const fn operation(self) -> Option<Operation> {
        match self.0 & OPERATION_MASK {
            1 => Some(Operation::Connect),
            2 => Some(Operation::Receive),
            3 => Some(Operation::Discard),
            4 => Some(Operation::SilentSend),
            5 => Some(Operation::Send),
            6 => Some(Operation::Timer),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_gives_back_what_went_into_it() {
        let operations = [
            Operation::Connect,
            Operation::Receive,
            Operation::Discard,
            Operation::SilentSend,
            Operation::Send,
            Operation::Timer,
        ];
        for operation in operations {
            for index in [0, 1, 4_095, INDEX_LIMIT - 1] {
                for generation in [0, 1, u32::MAX] {
                    let token = Token::new(operation, index, generation);
                    for token in [token, token.cancellation()] {
                        assert_eq!(token.operation(), Some(operation));
                        assert_eq!(token.index(), index);
                        assert_eq!(token.generation(), generation);
                    }
                    assert!(!token.is_cancellation());
                    assert!(token.cancellation().is_cancellation());
                    assert_eq!(token.cancellation().cancelled(), token);
                    assert_ne!(token, Token::VOID);
                }
            }
        }
        assert_eq!(Token::VOID.operation(), None);
    }
}
