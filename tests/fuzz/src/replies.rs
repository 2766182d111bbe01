//! Replies of a Redis server, which the example of an own protocol reads.

use redis::{Malformed, Parser, Reply, Step};

/// The input: the length of pieces, then what a server sends. However it is cut, the same replies come of it.
pub fn redis_reply(input: &[u8]) {
    let Some((&length, bytes)) = input.split_first() else { return };
    let whole = replies(bytes, bytes.len().max(1));
    assert_eq!(replies(bytes, usize::from(length).max(1)), whole);
    assert_eq!(replies(bytes, 1), whole);
}

/// The replies of bytes that come in pieces of a length, and whether what follows them is none.
fn replies(bytes: &[u8], length: usize) -> (Vec<Reply>, Result<(), Malformed>) {
    let (mut parser, mut replies) = (Parser::default(), Vec::new());
    for mut piece in bytes.chunks(length) {
        while !piece.is_empty() {
            match parser.receive(piece) {
                Ok(Step { consumed, reply }) => {
                    assert!(consumed > 0 && (reply.is_some() || consumed == piece.len()));
                    replies.extend(reply);
                    piece = &piece[consumed..];
                }
                Err(malformed) => return (replies, Err(malformed)),
            }
        }
    }
    (replies, Ok(()))
}
