//! Challenges and their answers, as an iteration sees them.

use scenario::{Answer, Auth, BodySource, Outcome, RequestStep, Step, Then};

use crate::harness::{answer, compile, request, run_slot, set, template};

fn step(url: &str, change: impl FnOnce(&mut RequestStep)) -> Step {
    request(|request| {
        request.url = template(url);
        request.auth = Some(Auth::Digest {
            user: template("{{users.name}}"),
            password: template("{{secret.password}}"),
        });
        change(request);
    })
}

fn challenge(extra: &str) -> String {
    format!("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"r\", qop=\"auth\"{extra}\r\n")
}

/// Answers with one head after the other.
fn heads<'a>(heads: &'a [(u16, &'a str)]) -> impl FnMut(usize) -> Answer<'a> {
    move |number| answer(heads[number].0, heads[number].1, b"")
}

/// The parameter of a request's credentials.
fn parameter<'a>(text: &'a str, name: &str) -> &'a str {
    let line =
        text.lines().find(|line| line.starts_with("Authorization: Digest ")).expect("it has credentials");
    let from = line.find(&format!("{name}=")).expect(name) + name.len() + 1;
    line[from..].split(',').next().expect("a value").trim_matches('"')
}

#[test]
fn a_challenge_is_answered_and_its_nonce_used_again() {
    let program = compile(vec![
        step("/a?x={{uuid}}", |request| {
            request.method = "POST".into();
            request.body = BodySource::Text(template("{{uuid}}"));
        }),
        step("/b", |_| {}),
        set("x", "1"),
        step("/c", |_| {}),
    ]);
    let first = challenge(", nonce=n1, opaque=\"o\"");
    let stale = challenge(", nonce=n2, stale=true");
    let info = "HTTP/1.1 200 OK\r\nAuthentication-Info: nextnonce=\"n3\"\r\n";
    let seen =
        run_slot(&program, 7, heads(&[(401, &first), (200, ""), (401, &stale), (200, info), (200, "")]));
    assert_eq!(seen.outcome, Some(Outcome::Done));
    let [bare, login, old, new, next] = &seen.requests[..] else { panic!("{:?}", seen.requests) };
    assert!(!bare.contains("Authorization"), "{bare}");
    let line = login.lines().find(|line| line.starts_with("Authorization")).expect("credentials");
    assert_eq!(login.replace(&format!("{line}\r\n"), ""), *bare, "the same request but for its credentials");
    assert_eq!((parameter(login, "username"), parameter(login, "opaque")), ("ann", "o"));
    assert_eq!(parameter(login, "uri"), login.split(' ').nth(1).expect("a target"));
    for (text, nonce, count) in [
        (login, "n1", "00000001"),
        (old, "n1", "00000002"),
        (new, "n2", "00000001"),
        (next, "n3", "00000001"),
    ] {
        assert_eq!((parameter(text, "nonce"), parameter(text, "nc")), (nonce, count), "{text}");
    }
    let then: Vec<Then> = seen.answers.iter().map(|answered| answered.then).collect();
    assert_eq!(then, [Then::Again, Then::Continue, Then::Again, Then::Continue, Then::Continue]);
    let other = run_slot(&program, 8, heads(&[(401, &first), (200, ""), (200, ""), (200, "")]));
    assert_ne!(parameter(login, "cnonce"), parameter(&other.requests[1], "cnonce"));
    assert!(!other.requests[0].contains("Authorization"), "the next visitor is a stranger");
}

#[test]
fn credentials_that_are_refused_are_not_tried_again() {
    let program = compile(vec![step("/a", |_| {}), step("/b", |_| {})]);
    let (first, other) = (challenge(", nonce=n1"), challenge(", nonce=n2"));
    let seen = run_slot(&program, 7, heads(&[(401, &first), (401, &other), (401, &first), (401, &other)]));
    let has_credentials: Vec<bool> =
        seen.requests.iter().map(|text| text.contains("Authorization: Digest")).collect();
    assert_eq!(has_credentials, [false, true, false, true]);
    assert_eq!(seen.outcome, Some(Outcome::Done));
    // Nothing that can be answered: the response is what it is.
    for head in ["", "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=\"r\"\r\n"] {
        let seen = run_slot(&program, 7, heads(&[(401, head), (200, "")]));
        assert_eq!(seen.requests.len(), 2, "{head}");
    }
    let seen = run_slot(&program, 7, heads(&[(403, &first), (200, "")]));
    assert_eq!(seen.requests.len(), 2);
}

#[test]
fn another_host_learns_nothing() {
    let program = compile(vec![step("/a", |request| request.redirects = 3)]);
    let (first, stale) = (challenge(", nonce=n1"), challenge(", nonce=n2, stale=true"));
    let away = "HTTP/1.1 302 Found\r\nLocation: http://other.test/x\r\n";
    let near = "HTTP/1.1 302 Found\r\nLocation: /near\r\n";
    let seen = run_slot(&program, 7, heads(&[(401, &first), (302, near), (302, away), (401, &stale)]));
    assert_eq!(seen.requests.len(), 4, "what another host asks for is not answered: {:?}", seen.requests);
    assert_eq!(parameter(&seen.requests[2], "uri"), "/near");
    assert!(!seen.requests[3].contains("Authorization"), "{}", seen.requests[3]);
    assert_eq!(seen.outcome, Some(Outcome::Done));
}
