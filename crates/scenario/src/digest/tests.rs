use proptest::prelude::*;

use super::*;
use crate::arena::Variables;
use crate::draw::{Draws, Key};

fn login(user: &str, password: &str) -> Login {
    let literal = |text: &str| Value::Literal(text.as_bytes().into());
    Login { target: 0, user: literal(user), password: literal(password) }
}

fn head(challenges: &[&str]) -> Vec<u8> {
    let mut head = "HTTP/1.1 401 Unauthorized\r\nDate: today\r\n".to_owned();
    for challenge in challenges {
        head.push_str("WWW-Authenticate: ");
        head.push_str(challenge);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// The header line that answers a challenge.
fn answered(challenge: &Challenge, login: &Login) -> Result<String, Failure> {
    let mut out = b"GET /dir/index.html HTTP/1.1\r\n".to_vec();
    let start = out.len();
    let mut filler = Filler {
        variables: &Variables::new(0, 0),
        values: &(),
        draws: &mut Draws::new(Key::new(0, 0), 0),
        slot: 0,
        user: 0,
        unix_ns: 0,
    };
    challenge.push_field(login, 0..3, 4..19, &mut filler, &mut out)?;
    Ok(String::from_utf8(out.split_off(start)).expect("ASCII"))
}

fn challenge(line: &str) -> Challenge {
    let head = head(&[line]);
    let mut challenge = Challenge::with_room();
    challenge.keep(&offer(&head).expect(line), [1, 2]);
    challenge.count();
    challenge
}

/// RFC 7616 §3.9.1, RFC 2617 §3.5; RFC 2069 §2.4 as its erratum corrects it. The session variant was computed by hand:
/// MD5(MD5(user:realm:password):nonce:cnonce) is the key.
#[test]
fn the_published_examples() {
    let modern = "realm=\"http-auth@example.org\", qop=\"auth, auth-int\", \
                  nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", \
                  opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"";
    let old = "realm=\"testrealm@host.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", \
               opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"";
    for (line, cnonce, password, expected) in [
        (
            format!("Digest {modern}, algorithm=MD5"),
            "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
            "Circle of Life",
            "8ca523f5e9506fed4657c9700eebdbec",
        ),
        (
            format!("Digest {modern}, algorithm=SHA-256"),
            "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
            "Circle of Life",
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
        ),
        (
            format!("digest {old},qop=\"auth,auth-int\""),
            "0a4f113b",
            "Circle Of Life",
            "6629fae49393a05397450978507c4ef1",
        ),
        (format!("Digest {old}"), "0a4f113b", "CircleOfLife", "1949323746fe6a43ef61f9606e7febea"),
        (
            format!("Digest {old}, qop=auth, algorithm=MD5-sess"),
            "0a4f113b",
            "Circle Of Life",
            "8e3825c57e897f5a0dec6c2d4e5059d0",
        ),
    ] {
        let mut challenge = challenge(&line);
        challenge.cnonce = cnonce.into();
        let field = answered(&challenge, &login("Mufasa", password)).unwrap();
        assert!(field.contains(&format!("response=\"{expected}\"")), "{line}: {field}");
    }
}

#[test]
fn a_field_says_what_the_server_needs() {
    let mut known = challenge(
        "Digest realm=\"a \\\"b\\\"\", nonce=n1, opaque=\"\", algorithm=sha-256-sess, qop=auth, userhash=true",
    );
    let field = |challenge: &Challenge| answered(challenge, &login("me", "x")).unwrap();
    let first = field(&known);
    let start = "Authorization: Digest username=\"";
    let parts = "realm=\"a \\\"b\\\"\", nonce=\"n1\", uri=\"/dir/index.html\", algorithm=SHA-256-sess, qop=auth, nc=00000001, \
                 cnonce=\"00000000000000010000000000000002\", opaque=\"\", userhash=true, response=\"";
    assert!(first.starts_with(start) && first.contains(parts) && first.ends_with("\"\r\n"), "{first}");
    assert!(!first.contains("\"me\""), "{first}");
    known.count();
    assert!(field(&known).contains(", nc=00000002, "));
    known.go_on_with(b"n2");
    known.count();
    let later = field(&known);
    assert!(later.contains("nonce=\"n2\"") && later.contains(", nc=00000001, "), "{later}");
    let plain = field(&challenge("Digest realm=r, nonce=n"));
    assert!(plain.contains("username=\"me\", realm=\"r\""), "{plain}");
    assert!(!plain.contains("cnonce") && !plain.contains("qop") && !plain.contains("opaque"), "{plain}");
    let quoted = answered(&challenge("Digest realm=r, nonce=n"), &login("a\"b\\c", "x")).unwrap();
    assert!(quoted.contains("username=\"a\\\"b\\\\c\", "), "{quoted}");
    assert_eq!(answered(&known, &login("a\r\nX: 1", "x")), Err(Failure::Injection));
}

#[test]
fn challenges_are_found_among_others() {
    let good = "Digest realm=\"r\", nonce=\"n\"";
    for (lines, is_found) in [
        (vec![good], true),
        (vec!["Basic realm=\"x\"", good], true),
        (
            vec![
                "Negotiate a87421000492aa874209af8bc028==, Basic realm=\"a, b=c\", Digest realm=r,nonce=n , charset=UTF-8",
            ],
            true,
        ),
        (vec!["Digest realm=r, nonce=n, algorithm=SHA-512-256", good], true),
        (vec!["Digest realm=r, nonce=n, algorithm=SHA-512-256, Digest realm=r, nonce=n"], true),
        (vec!["Digest realm=\"a\\\", b=\\\"c\", nonce = \"n\""], true),
        (vec!["Digest realm=r, nonce=n, qop=\"auth-int\""], false),
        (vec!["Digest realm=r, nonce=n, algorithm=SHA-512-256"], false),
        (vec!["Digest realm=r"], false),
        (vec!["Basic realm=r, nonce=n"], false),
        (vec!["Digest"], false),
        (vec!["Digest realm=\"r, nonce=n"], false),
        (vec![], false),
    ] {
        assert_eq!(offer(&head(&lines)).is_some(), is_found, "{lines:?}");
    }
    let long = format!("Digest realm=r, nonce=\"{}\"", "n".repeat(TEXT_MAX + 1));
    assert_eq!(offer(&head(&[&long])), None);
    let both = head(&["Digest realm=r, nonce=n, stale=TRUE", good]);
    assert!(offer(&both).is_some_and(|offer| offer.is_stale));
    let info = |value: &str| format!("HTTP/1.1 200 OK\r\nAuthentication-Info: {value}\r\n\r\n").into_bytes();
    assert_eq!(next_nonce(&info("rspauth=\"0\", nextnonce=\"n2\"")), Some(&b"n2"[..]));
    assert_eq!(next_nonce(&info("rspauth=\"0\"")), None);
    assert_eq!(next_nonce(b"HTTP/1.1 200 OK\r\n\r\n"), None);
}

proptest! {
    #![proptest_config(crate::proptest_config::cases(2_000))]

    /// Whatever a server writes, reading it ends, and what is kept of it is written back on one line.
    #[test]
    fn foreign_challenges_do_no_harm(
        value in "(Digest|Basic)?[ ,]{0,2}((realm|nonce|qop|opaque|algorithm|stale)[ ]?=[ ]?(\"[ -~\\\\]{0,8}\"|auth|MD5|[a-z=]{0,4})[, ]{0,2}){0,8}",
        cut in 0_usize..64,
    ) {
        let whole = head(&[&value]);
        for head in [&whole[..], &whole[..whole.len().saturating_sub(cut)]] {
            let Some(offer) = offer(head) else { continue };
            let mut challenge = Challenge::default();
            challenge.keep(&offer, [0, 0]);
            let field = answered(&challenge, &login("u", "p")).unwrap();
            prop_assert_eq!(field.matches("\r\n").count(), 1);
            // What it says can be read again.
            let line = format!("WWW-Authenticate{}", &field["Authorization".len()..]);
            prop_assert!(super::offer(line.as_bytes()).is_some(), "{}", field);
        }
    }
}
