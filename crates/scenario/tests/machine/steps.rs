use scenario::{
    Barrier, Choice, Choose, Failure, Group, If, Next, Origin, Outcome, Repeat, Step, Think, While,
};

use crate::harness::{answer, compile, condition, get, run, run_slot, set, template};

fn paths(steps: Vec<Step>) -> Vec<String> {
    let seen = run(&compile(steps));
    assert_eq!(seen.outcome, Some(Outcome::Done));
    let path = |request: &String| request.split(' ').nth(1).unwrap_or_default().to_owned();
    seen.requests.iter().map(path).collect()
}

fn counter(name: &str) -> (String, Origin) {
    (name.to_owned(), Origin(0))
}

fn repeat(count: &str, name: &str, steps: Vec<Step>) -> Step {
    Step::Repeat(Repeat { count: template(count), counter: Some(counter(name)), steps })
}

fn when(text: &str, then: Vec<Step>, otherwise: Vec<Step>) -> Step {
    Step::If(If { condition: condition(text), then, otherwise })
}

#[test]
fn loops() {
    assert_eq!(
        paths(vec![repeat("2", "i", vec![repeat("{{i}}", "j", vec![get("/{{i}}{{j}}")]), get("/{{i}}")])]),
        ["/0", "/10", "/1"]
    );
    assert_eq!(paths(vec![repeat("0", "i", vec![get("/")]), get("/end")]), ["/end"]);
    let steps = vec![
        set("n", "x"),
        Step::While(While {
            condition: condition("{{n}} != xxxx"),
            most: 10,
            counter: None,
            steps: vec![set("n", "{{n}}x"), get("/{{n}}")],
        }),
    ];
    assert_eq!(paths(steps), ["/xx", "/xxx", "/xxxx"]);
    let forever = |most| While {
        condition: condition("{{region}} == eu"),
        most,
        counter: Some(counter("i")),
        steps: vec![get("/{{i}}")],
    };
    assert_eq!(paths(vec![Step::While(forever(3))]), ["/0", "/1", "/2"]);
    let wrong = run(&compile(vec![repeat("{{region}}", "i", vec![get("/")])]));
    assert_eq!(wrong.outcome, Some(Outcome::Failed(Failure::Number)));
}

#[test]
fn work_without_requests_pauses() {
    let seen = run(&compile(vec![repeat("1000", "i", vec![set("a", "{{i}}")]), get("/{{a}}")]));
    assert_eq!(seen.events, [Next::Think { ns: 0 }; 3]);
    assert!(seen.requests[0].starts_with("GET /999 "));
}

#[test]
fn conditions() {
    for (text, expected) in [
        ("{{region}} == eu", "/then"),
        ("{{region}} != eu", "/else"),
        ("{{iteration}} < 10 and not {{iteration}} >= 8", "/then"),
        ("{{region}} contains x or {{region}} matches '^e'", "/then"),
        ("{{ upper(region) }} == EU", "/then"),
    ] {
        assert_eq!(
            paths(vec![when(text, vec![get("/then")], vec![get("/else")]), get("/end")]),
            [expected, "/end"]
        );
    }
    assert_eq!(paths(vec![when("{{region}} == x", vec![get("/")], vec![]), get("/end")]), ["/end"]);
    assert_eq!(paths(vec![get("/a"), when("{{region}} == eu", vec![Step::Stop], vec![]), get("/b")]), ["/a"]);
    // Set on one branch only: whether it was is known when it is used.
    let unset = run(&compile(vec![when("{{region}} == x", vec![set("a", "1")], vec![]), get("/{{a}}")]));
    assert_eq!((unset.requests.len(), unset.outcome), (0, Some(Outcome::Failed(Failure::Unset))));
}

#[test]
fn choices_follow_their_weights_and_their_slots() {
    let choice = |weight, path: &str| Choice { weight, steps: vec![get(path)] };
    let choices = vec![choice(3, "/a"), choice(0, "/never"), choice(1, "/b")];
    let program = compile(vec![Step::Choose(Choose { origin: Origin(0), choices }), get("/end")]);
    let chosen = |slot| {
        let seen = run_slot(&program, slot, |_| answer(200, "", b""));
        assert_eq!(seen.requests.len(), 2);
        seen.requests[0].split(' ').nth(1).unwrap().to_owned()
    };
    let first: Vec<String> = (0..4_000).map(chosen).collect();
    let count = |path: &str| first.iter().filter(|chosen| *chosen == path).count();
    // Mean 3,000, standard deviation 27.
    assert!((2_860..=3_140).contains(&count("/a")), "{}", count("/a"));
    assert_eq!(count("/a") + count("/b"), 4_000);
    assert_eq!(chosen(17), first[17]);
}

#[test]
fn groups_barriers_and_thoughts_are_handed_out() {
    let barrier = Barrier { name: "all".into(), origin: Origin(0), users: 3, timeout_ns: 1 };
    let group = Group {
        name: "g".into(),
        origin: Origin(0),
        steps: vec![get("/"), Step::Think(Think::Constant { ns: 5 })],
    };
    let program = compile(vec![Step::Group(group), Step::Barrier(barrier.clone())]);
    let seen = run(&program);
    let events = [
        Next::GroupBegan { group: 0 },
        Next::Think { ns: 5 },
        Next::GroupEnded { group: 0 },
        Next::Wait { barrier: 0 },
    ];
    assert_eq!(seen.events, events);
    assert_eq!((program.groups(), program.barriers()), (&["g".to_owned()][..], &[barrier][..]));
}

#[test]
fn functions() {
    for (expression, expected) in [
        ("base64(\"a?b\")", "YT9i"),
        ("base64url(\"??>\")", "Pz8-"),
        ("hex(region)", "6575"),
        ("upper(lower(\"aB\"))", "AB"),
        ("url(\"a/b c\")", "a%2Fb%20c"),
        ("json(\"a\\\"b\")", "a\\\"b"),
        ("timestamp", "1763666374"),
        ("timestamp_ms()", "1763666374123"),
        ("iso", "2025-11-20T19:19:34.123Z"),
        ("md5(\"abc\")", "900150983cd24fb0d6963f7d28e17f72"),
        ("sha256(\"\")", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (
            "hmac_sha256(\"Jefe\", \"what do ya want for nothing?\")",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        ("random(5, 5)", "5"),
        ("pick(\"x\")", "x"),
        ("secret.password", "hunter2"),
        ("setup.token", "from-setup"),
    ] {
        let seen = run(&compile(vec![set("a", &format!("<{{{{{expression}}}}}>"))]));
        assert_eq!(seen.variables, [Some(format!("<{expected}>"))], "{expression}");
    }
    let uuid = |slot| {
        run_slot(&compile(vec![set("a", "{{uuid}}")]), slot, |_| answer(200, "", b"")).variables[0]
            .clone()
            .unwrap()
    };
    let text = uuid(1);
    assert_eq!((text.len(), &text[14..15], text.split('-').count()), (36, "4", 5), "{text}");
    assert!(matches!(&text[19..20], "8" | "9" | "a" | "b"), "{text}");
    assert_ne!(uuid(1), uuid(2));
    let backwards = run(&compile(vec![set("a", "{{random(2, 1)}}")]));
    assert_eq!(backwards.outcome, Some(Outcome::Failed(Failure::Number)));
}

#[test]
fn variables_are_bounded() {
    let steps = vec![set("a", "0123456789abcdef"), repeat("20", "i", vec![set("a", "{{a}}{{a}}")])];
    assert_eq!(run(&compile(steps)).outcome, Some(Outcome::Failed(Failure::Variables)));
}
