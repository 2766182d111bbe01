use scenario::{
    Check, Extraction, Failure, JsonPath, Origin, Outcome, Pattern, Program, RegexSubject, Source, StatusSet,
    Step, Subject, Test, Then,
};

use crate::harness::{Transcript, answer, compile, get, request, run_slot, template};

fn extraction(source: Source, default: Option<&str>) -> Extraction {
    Extraction { variable: "v".into(), origin: Origin(0), source, default: default.map(template) }
}

fn extracting(source: Source, default: Option<&str>) -> Program {
    compile(vec![request(|request| request.extractions.push(extraction(source, default)))])
}

fn json(path: &str) -> JsonPath {
    JsonPath::parse(path, Origin(0)).expect(path)
}

fn pattern(text: &str) -> Pattern {
    Pattern::parse(text, Origin(0)).expect(text)
}

const HEAD: &str = "HTTP/1.1 201 Created\r\nLocation: /x/7\r\nSet-Cookie: sid=s1; Path=/\r\nContent-Type: application/json\r\n";
const BODY: &[u8] = br#"{"id": 12, "items": [{"n": "a\u00e4\n"}, {"n": "b"}], "text": "order id=77 done"}"#;

fn given(program: &Program) -> Transcript {
    run_slot(program, 1, |_| answer(201, HEAD, BODY))
}

#[test]
fn values_are_extracted() {
    let regex = |text: &str, group, subject| Source::Regex { pattern: pattern(text), group, subject };
    for (source, expected) in [
        (Source::Json(json("$.id")), Some("12")),
        (Source::Json(json("$.items[0].n")), Some("aä\n")),
        (Source::Json(json("$.items[-1]")), Some("{\"n\": \"b\"}")),
        (Source::Json(json("$.nothing")), None),
        (regex(r"id=(\d+)", 1, RegexSubject::Body), Some("77")),
        (regex(r"id=\d+", 0, RegexSubject::Body), Some("id=77")),
        (regex(r"/(\d)$", 1, RegexSubject::Header("location".into())), Some("7")),
        (regex(r"zzz", 0, RegexSubject::Body), None),
        (Source::Header("content-type".into()), Some("application/json")),
        (Source::Header("x".into()), None),
        (Source::Cookie("sid".into()), Some("s1")),
        (Source::Cookie("x".into()), None),
        (Source::Status, Some("201")),
    ] {
        let seen = given(&extracting(source.clone(), None));
        assert_eq!(seen.variables[0].as_deref(), expected, "{source:?}");
        let outcome = if expected.is_some() { Outcome::Done } else { Outcome::Failed(Failure::Extract) };
        assert_eq!(seen.outcome, Some(outcome));
        let seen = given(&extracting(source, Some("{{region}}!")));
        assert_eq!(
            (seen.variables[0].as_deref(), seen.outcome),
            (expected.or(Some("eu!")), Some(Outcome::Done))
        );
    }
}

#[test]
fn what_was_extracted_is_used() {
    let step =
        request(|request| request.extractions.push(extraction(Source::Json(json("$.items[1].n")), None)));
    assert!(given(&compile(vec![step, get("/{{v}}")])).requests[1].starts_with("GET /b "));
}

#[test]
fn a_body_that_is_cut_gives_the_value_or_none() {
    for source in
        [Source::Json(json("$.id")), Source::Json(json("$.items[1].n")), Source::Json(json("$.items[-1].n"))]
    {
        let program = extracting(source, None);
        let whole = given(&program).variables[0].clone();
        for end in 0..BODY.len() {
            let seen = run_slot(&program, 1, |_| answer(200, HEAD, &BODY[..end]));
            match seen.outcome {
                Some(Outcome::Done) => assert_eq!(seen.variables[0], whole, "cut at {end}"),
                outcome => assert_eq!(outcome, Some(Outcome::Failed(Failure::Extract)), "cut at {end}"),
            }
        }
    }
}

fn checked(subject: Subject, tests: Vec<Test>, stops: bool) -> Transcript {
    let check = Check { name: "c".into(), origin: Origin(0), subject, tests, stops };
    given(&compile(vec![request(|request| request.checks.push(check)), get("/")]))
}

#[test]
fn checks() {
    let is = |text: &str| Test::Is(template(text));
    let not = |text: &str| Test::Not(template(text));
    let has = |text: &str| Test::Contains(template(text));
    let statuses = |text: &str| Subject::Status(StatusSet::parse(text, Origin(0)).unwrap());
    let header = |name: &str| Subject::Header(name.into());
    let digest = |body: &str| {
        let mut digest = [0; 32];
        for (index, byte) in digest.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&body[2 * index..2 * index + 2], 16).unwrap();
        }
        Test::Sha256(digest)
    };
    for (subject, tests, holds) in [
        (statuses("2xx"), vec![], true),
        (statuses("200"), vec![], false),
        (header("content-type"), vec![is("application/json"), has("json"), not("x")], true),
        (header("content-type"), vec![has("json"), has("html")], false),
        (header("x"), vec![Test::Exists(false)], true),
        (header("x"), vec![not("a")], false),
        (header("location"), vec![Test::Exists(true), Test::Matches(pattern(r"\d$"))], true),
        (Subject::Json(json("$.id")), vec![is("12.0"), Test::Above(11.5), Test::Below(13.0)], true),
        (Subject::Json(json("$.id")), vec![Test::Above(12.0)], false),
        (Subject::Json(json("$.text")), vec![Test::Above(1.0)], false),
        (Subject::Json(json("$.items[*]")), vec![Test::Count(2)], true),
        (Subject::Json(json("$.items[*]")), vec![Test::Count(3)], false),
        (Subject::Json(json("$.nothing")), vec![Test::Exists(false)], true),
        (Subject::Json(json("$.nothing")), vec![Test::Count(0)], true),
        (Subject::Json(json("$.nothing")), vec![is("")], false),
        (Subject::Json(json("$.items[0].n")), vec![has("ä\n"), Test::Matches(pattern("^a"))], true),
        (Subject::Body, vec![has("order id={{\"77\"}}"), Test::Matches(pattern("done"))], true),
        (Subject::Body, vec![has("absent")], false),
        (
            Subject::Body,
            vec![digest("00000000000000000000000000000000000000000000000000000000000000ff")],
            false,
        ),
        (
            Subject::Size,
            vec![Test::Above(BODY.len() as f64 - 1.0), Test::Below(BODY.len() as f64 + 1.0)],
            true,
        ),
        (Subject::Size, vec![is("7")], false),
        (Subject::Time, vec![Test::Below(5_000_001.0)], true),
        (Subject::Time, vec![Test::Below(5_000_000.0)], false),
    ] {
        let shown = format!("{subject:?} {tests:?}");
        let seen = checked(subject, tests, false);
        let bits = (seen.answers[0].passed, seen.answers[0].failed);
        assert_eq!(bits, if holds { (1, 0) } else { (0, 1) }, "{shown}");
        assert_eq!((seen.requests.len(), seen.outcome), (2, Some(Outcome::Done)), "counted, not stopped");
    }
    let seen = checked(statuses("200"), vec![], true);
    assert_eq!((seen.requests.len(), seen.outcome), (1, Some(Outcome::Stopped)));
    assert_eq!(seen.answers[0].then, Then::Ended(Outcome::Stopped));
}

#[test]
fn needs_say_what_a_step_looks_at() {
    let needs = |steps: Vec<Step>| compile(steps).requests()[0].needs;
    assert!(!needs(vec![get("/")]).head && !needs(vec![get("/")]).body);
    let body = extracting(Source::Json(json("$.id")), None).requests()[0].needs;
    assert!(body.body && body.head, "the head says how the body is encoded");
    let head = extracting(Source::Header("x".into()), None).requests()[0].needs;
    assert!(head.head && !head.body);
}
