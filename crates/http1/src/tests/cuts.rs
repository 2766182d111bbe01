//! The same bytes mean the same, however they are cut: for responses that are right by construction, for damaged
//! ones and for mere bytes.

use proptest::collection::vec;
use proptest::prelude::{BoxedStrategy, Just, Strategy, any, prop_assert_eq, prop_oneof, proptest};
use proptest::sample::{Index, select};

use super::{Exchange, reference};
use crate::framing::Head;
use crate::head::HeadMachine;
use crate::{Limits, Response, ResponseMachine, syntax, whole};

/// A response, and what it means by construction.
#[derive(Clone, Debug)]
struct Generated {
    bytes: Vec<u8>,
    head_request: bool,
    response: Response,
    by_end: bool,
}

#[derive(Clone, Debug)]
enum GeneratedBody {
    None,
    Length(Vec<u8>),
    Chunks(Vec<(Vec<u8>, String)>, String),
    UntilClose(Vec<u8>),
}

fn any_case(word: &'static str) -> impl Strategy<Value = String> {
    vec(any::<bool>(), word.len()).prop_map(move |upper| {
        let letters = word.chars().zip(upper);
        letters.map(|(letter, upper)| if upper { letter.to_ascii_uppercase() } else { letter }).collect()
    })
}

/// Field lines that say nothing about framing.
fn other_fields() -> impl Strategy<Value = Vec<String>> {
    let names =
        select(vec!["Date", "Server", "X", "Content-Lengt", "Content-Lengths", "Connections", "ETag", "a_b"]);
    let value = prop_oneof!["[ -~\u{e9}\t]{0,40}", Just(String::new())];
    vec((names, value).prop_map(|(name, value)| format!("{name}:{value}\r\n")), 0..6)
}

fn chunk_extension() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[ ]?;[a-z]{1,9}(=\"?[a-z\t]{0,9}\"?)?"]
}

fn body() -> impl Strategy<Value = GeneratedBody> {
    let data = || vec(any::<u8>(), 0..200);
    let chunk = (vec(any::<u8>(), 1..70), chunk_extension());
    prop_oneof![
        Just(GeneratedBody::None),
        data().prop_map(GeneratedBody::Length),
        (vec(chunk, 0..5), "(T[a-z]{0,9}: ?[a-z]{0,9}\r\n){0,2}")
            .prop_map(|(chunks, trailers)| GeneratedBody::Chunks(chunks, trailers)),
        data().prop_map(GeneratedBody::UntilClose),
    ]
}

/// Writes `body`; the framing field it needs, and its size.
fn write_body(body: &GeneratedBody, bytes: &mut Vec<u8>) -> (Option<(&'static str, String)>, u64) {
    match body {
        GeneratedBody::None => (None, 0),
        GeneratedBody::UntilClose(data) => {
            bytes.extend_from_slice(data);
            (None, data.len() as u64)
        }
        GeneratedBody::Length(data) => {
            bytes.extend_from_slice(data);
            (Some(("content-length", data.len().to_string())), data.len() as u64)
        }
        GeneratedBody::Chunks(chunks, trailers) => {
            for (data, extension) in chunks {
                bytes.extend_from_slice(format!("{:x}{extension}\r\n", data.len()).as_bytes());
                bytes.extend_from_slice(data);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(format!("0\r\n{trailers}\r\n").as_bytes());
            let size = chunks.iter().map(|(data, _)| data.len() as u64).sum();
            (Some(("transfer-encoding", "chunked".to_owned())), size)
        }
    }
}

fn generated() -> BoxedStrategy<Generated> {
    let connection = prop_oneof![
        Just(None),
        any_case("close").prop_map(Some),
        any_case("keep-alive").prop_map(Some),
        Just(Some("x, y".to_owned()))
    ];
    let interim =
        vec(select(vec!["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Hints\r\nLink: </x>\r\n\r\n"]), 0..3);
    let status = select(vec![200_u16, 201, 204, 302, 304, 400, 500, 799]);
    let names = (any_case("content-length"), any_case("transfer-encoding"), any_case("connection"));
    let shape = (any::<bool>(), any::<bool>(), status, select(vec!["", " ", " OK", " Not \u{e9}"]));
    (shape, body(), other_fields(), other_fields(), connection, interim, names)
        .prop_map(|((http11, head, status, reason), body, before, after, connection, interim, names)| {
            let http11 = http11 || matches!(body, GeneratedBody::Chunks(..));
            let has_body = !head && status != 204 && status != 304;
            let mut data = Vec::new();
            let (field, size) = write_body(&body, &mut data);
            let claims = matches!(body, GeneratedBody::Chunks(..)) || (field.is_some() && size > 0);
            let by_end = has_body && field.is_none();
            let line = format!("HTTP/1.{} {status}{reason}\r\n", u8::from(http11));
            let framing = field.map(|(name, value)| {
                let name = if name == "content-length" { &names.0 } else { &names.1 };
                format!("{name}: {value}\r\n")
            });
            let option = connection.as_ref().map(|option| format!("{}: {option}\r\n", names.2));
            let option = option.unwrap_or_default();
            let head_text = [
                line,
                before.concat(),
                framing.unwrap_or_default(),
                after.concat(),
                option,
                "\r\n".to_owned(),
            ]
            .concat();
            let says = |word| connection.as_ref().is_some_and(|option| option.eq_ignore_ascii_case(word));
            let persists = !says("close") && (http11 || says("keep-alive"));
            let keep_alive = persists && !by_end && (head || status != 204 || !claims);
            let head_bytes = u32::try_from(head_text.len()).unwrap();
            let body_bytes = if has_body { size } else { 0 };
            let mut bytes = [interim.concat().into_bytes(), head_text.into_bytes()].concat();
            if has_body {
                bytes.extend_from_slice(&data);
            }
            let response = Response { status, keep_alive, head_bytes, body_bytes };
            Generated { bytes, head_request: head, response, by_end }
        })
        .boxed()
}

/// Places to cut at.
fn cuts() -> impl Strategy<Value = Vec<Index>> {
    vec(any::<Index>(), 0..8)
}

fn places(cuts: &[Index], length: usize) -> Vec<usize> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(length + 1)).collect();
    places.sort_unstable();
    places
}

#[derive(Clone, Debug)]
enum Damage {
    Replace(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    Truncate(Index),
    Append(Vec<u8>),
}

/// Bytes that mean something to a parser, and some that do not.
fn telling_byte() -> impl Strategy<Value = u8> {
    prop_oneof![3 => select(b"\r\n\t :;,\"\0\x7f0159afAFx-".to_vec()), 1 => any::<u8>()]
}

fn damage() -> impl Strategy<Value = Vec<Damage>> {
    let one = prop_oneof![
        (any::<Index>(), telling_byte()).prop_map(|(at, byte)| Damage::Replace(at, byte)),
        (any::<Index>(), telling_byte()).prop_map(|(at, byte)| Damage::Insert(at, byte)),
        any::<Index>().prop_map(Damage::Remove),
        any::<Index>().prop_map(Damage::Truncate),
        vec(telling_byte(), 1..5).prop_map(Damage::Append),
    ];
    vec(one, 0..4)
}

fn damaged(mut bytes: Vec<u8>, damages: Vec<Damage>) -> Vec<u8> {
    for damage in damages {
        if bytes.is_empty() {
            break;
        }
        match damage {
            Damage::Replace(at, byte) => {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            Damage::Insert(at, byte) => bytes.insert(at.index(bytes.len()), byte),
            Damage::Remove(at) => drop(bytes.remove(at.index(bytes.len()))),
            Damage::Truncate(at) => bytes.truncate(at.index(bytes.len())),
            Damage::Append(more) => bytes.extend(more),
        }
    }
    bytes
}

fn small_limits() -> impl Strategy<Value = Limits> {
    prop_oneof![
        Just(Limits::default()),
        (0_u32..200, 0_u64..200, 0_u32..3).prop_map(|(head_bytes, body_bytes, interim)| Limits {
            head_bytes,
            body_bytes,
            interim
        }),
    ]
}

proptest! {
    #[test]
    fn right_responses_mean_what_they_were_made_to(
        sequence in vec((generated(), cuts(), 1_u64..100), 1..5),
    ) {
        let mut machine = ResponseMachine::new(Limits::default());
        for (generated, cuts, most) in &sequence {
            let Generated { bytes, head_request, response, by_end } = generated;
            let exchange = Exchange { bytes, head_request: *head_request, fin: *by_end };
            let cuts = places(cuts, bytes.len());
            let mut twin = machine.clone();
            let trace = exchange.run(&mut machine, &cuts);
            prop_assert_eq!((trace.response, trace.error, trace.by_end), (Some(*response), None, *by_end));
            prop_assert_eq!(exchange.run_discarding(&mut twin, &cuts, *most), trace);
            prop_assert_eq!(reference::response(bytes, *head_request), Some(*response));
            if *by_end {
                machine.reset();
            }
        }
    }

    #[test]
    fn damaged_responses_mean_the_same_in_all_pieces(
        generated in generated(),
        damage in damage(),
        limits in small_limits(),
        head_request in any::<bool>(),
        cuts in cuts(),
        most in 1_u64..100,
    ) {
        let bytes = damaged(generated.bytes, damage);
        let exchange = Exchange { bytes: &bytes, head_request, fin: true };
        let whole = exchange.fresh(limits, &[]);
        let cuts = places(&cuts, bytes.len());
        let every: Vec<usize> = (0..bytes.len()).collect();
        prop_assert_eq!(&exchange.fresh(limits, &cuts), &whole);
        prop_assert_eq!(&exchange.fresh(limits, &every), &whole);
        let discarding = exchange.run_discarding(&mut ResponseMachine::new(limits), &cuts, most);
        prop_assert_eq!(&discarding, &whole);
        // The foreign head parser knows no minor version above 1.
        let is_known = !bytes.windows(7).any(|window| window.starts_with(b"HTTP/1.") && bytes_minor(&bytes) > 1);
        if let Some(response) = whole.response && is_known {
            prop_assert_eq!(reference::response(&bytes, head_request), Some(response));
        }
    }

    #[test]
    fn mere_bytes_mean_the_same_in_all_pieces(
        bytes in vec(telling_byte(), 0..80),
        in_chunks in any::<bool>(),
        cuts in cuts(),
    ) {
        let field: &[u8] = if in_chunks { b"Transfer-Encoding: chunked\r\n\r\n" } else { b"" };
        let bytes = [b"HTTP/1.1 200 OK\r\n", field, &bytes].concat();
        let exchange = Exchange::get(&bytes);
        let whole = exchange.fresh(Limits::default(), &[]);
        prop_assert_eq!(exchange.fresh(Limits::default(), &places(&cuts, bytes.len())), whole);
    }

    /// The shortcut agrees with the machine that judges, wherever it answers.
    #[test]
    fn the_shortcut_agrees(generated in generated(), damage in damage()) {
        let bytes = damaged(generated.bytes, damage);
        if let Some((size, head)) = whole::parse(&bytes) {
            let judged: Option<(usize, Head)> = HeadMachine::default().receive(&bytes, u32::MAX).unwrap();
            prop_assert_eq!(judged, Some((size, head)));
        }
    }

    #[test]
    fn scans_are_exact(bytes in vec(prop_oneof![4 => select(b"aZ-q".to_vec()), 1 => any::<u8>()], 0..40)) {
        let control = bytes.iter().position(u8::is_ascii_control).unwrap_or(bytes.len());
        prop_assert_eq!(syntax::control_free(&bytes), control);
        let token = bytes.iter().position(|byte| !syntax::is_token(*byte)).unwrap_or(bytes.len());
        prop_assert_eq!(syntax::token_length(&bytes), token);
    }
}

/// The greatest minor version that a status line in `bytes` could name.
fn bytes_minor(bytes: &[u8]) -> u8 {
    let minors = bytes.windows(8).filter(|window| window.starts_with(b"HTTP/1."));
    minors.map(|window| window[7].saturating_sub(b'0')).max().unwrap_or(0)
}

/// Every byte at every place of a word, among bytes that the scans skip.
#[test]
fn scans_are_exact_for_every_byte() {
    for length in 1..=24 {
        for at in 0..length {
            for byte in 0..=255 {
                for around in *b"a-Zz" {
                    let mut bytes = vec![around; length];
                    bytes[at] = byte;
                    let control = if byte.is_ascii_control() { at } else { length };
                    assert_eq!(syntax::control_free(&bytes), control, "byte {byte} at {at} of {length}");
                    let token = if syntax::is_token(byte) { length } else { at };
                    assert_eq!(syntax::token_length(&bytes), token, "byte {byte} at {at} of {length}");
                }
            }
        }
    }
}

#[test]
fn long_tokens_are_compared_exactly() {
    for wanted in [&b"content-length"[..], b"transfer-encoding", b"connection"] {
        assert!(syntax::is_long_token(wanted, wanted));
        assert!(syntax::is_long_token(&wanted.to_ascii_uppercase(), wanted));
        assert!(!syntax::is_long_token(&wanted[1..], wanted));
        for at in 0..wanted.len() {
            for byte in (0..=255).filter(|byte| syntax::is_token(*byte)) {
                let mut token = wanted.to_vec();
                token[at] = byte;
                assert_eq!(
                    syntax::is_long_token(&token, wanted),
                    token.eq_ignore_ascii_case(wanted),
                    "{byte} at {at}"
                );
            }
        }
    }
}
