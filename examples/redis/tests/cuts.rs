//! However bytes are cut, the same replies come of them; and whatever comes, the parser answers.

use proptest::prelude::*;
use redis::{ErrorKind, Malformed, Parser, Reply, Step};

/// Encoded replies, and what they are.
fn reply() -> impl Strategy<Value = (Vec<u8>, Reply)> {
    let text = "[a-z ]{0,40}";
    let leaf = prop_oneof![
        text.prop_map(|text| (format!("+{text}\r\n").into_bytes(), Reply::Simple)),
        (prop::sample::select(ErrorKind::ALL), text).prop_map(|(kind, text)| {
            // No error begins with the words for all others.
            let kind = if kind == ErrorKind::Other { ErrorKind::Err } else { kind };
            (format!("-{} {text}\r\n", kind.name()).into_bytes(), Reply::Error(kind))
        }),
        any::<i64>().prop_map(|number| (format!(":{number}\r\n").into_bytes(), Reply::Integer)),
        prop::collection::vec(any::<u8>(), 0..60).prop_map(|bytes| {
            let head = format!("${}\r\n", bytes.len()).into_bytes();
            ([head, bytes, b"\r\n".to_vec()].concat(), Reply::Bulk)
        }),
        Just((b"$-1\r\n".to_vec(), Reply::Nil)),
        Just((b"*-1\r\n".to_vec(), Reply::Nil)),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop::collection::vec(inner, 0..4).prop_map(|elements| {
            let head = format!("*{}\r\n", elements.len()).into_bytes();
            let bytes = elements.into_iter().map(|(bytes, _)| bytes);
            (std::iter::once(head).chain(bytes).collect::<Vec<_>>().concat(), Reply::Array)
        })
    })
}

/// All replies of bytes that come in these pieces.
fn replies<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Reply>, Malformed> {
    let (mut parser, mut replies) = (Parser::default(), Vec::new());
    for mut piece in pieces {
        while !piece.is_empty() {
            let Step { consumed, reply } = parser.receive(piece)?;
            assert!(consumed > 0 && (reply.is_some() || consumed == piece.len()));
            replies.extend(reply);
            piece = &piece[consumed..];
        }
    }
    Ok(replies)
}

proptest! {
    #[test]
    fn replies_are_the_same_however_they_are_cut(several in prop::collection::vec(reply(), 1..4)) {
        let expected: Vec<Reply> = several.iter().map(|(_, reply)| *reply).collect();
        let bytes = several.into_iter().map(|(bytes, _)| bytes).collect::<Vec<_>>().concat();
        prop_assert_eq!(replies([&bytes[..]]), Ok(expected.clone()));
        prop_assert_eq!(replies(bytes.chunks(1)), Ok(expected.clone()));
        for cut in 0..bytes.len() {
            let (head, tail) = bytes.split_at(cut);
            prop_assert_eq!(replies([head, tail]), Ok(expected.clone()));
        }
        // Every beginning lacks its last reply.
        let (_, beginning) = bytes.split_last().expect("there is a reply");
        prop_assert_eq!(replies([beginning]).map(|replies| replies.len()), Ok(expected.len() - 1));
    }

    #[test]
    fn whatever_comes_is_judged_the_same_however_it_is_cut(
        bytes in prop::collection::vec(prop::sample::select(&b"+-:$*0123\r\nERx "[..]), 0..40),
        cut in 0_usize..40,
    ) {
        let (head, tail) = bytes.split_at(cut.min(bytes.len()));
        prop_assert_eq!(replies([&bytes[..]]), replies([head, tail]));
        prop_assert_eq!(replies([&bytes[..]]), replies(bytes.chunks(1)));
    }
}
