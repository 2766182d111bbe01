//! The parsers of the scenario's texts, and what of a response reaches them: JSON bodies and cookies.

use std::ops::ControlFlow;

use scenario::{
    Answer, Auth, Condition, Context, Iteration, JsonPath, Key, Next, Origin, Program, RequestStep, Scenario,
    ScenarioError, Scope, Step, Target, Template, Workspace,
};

/// The input: a template.
pub fn scenario_template(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Some(template) = accepted(text, Template::parse(text, Origin(1))) {
        for expression in template.expressions() {
            assert!(text.get(expression.offset..expression.offset + expression.length).is_some());
        }
    }
}

/// The input: a condition.
pub fn scenario_condition(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Some(condition) = accepted(text, Condition::parse(text, Origin(1))) {
        assert!(!condition.templates().is_empty());
    }
}

/// The input: a path in the first line, a document in the others. What another parser reads, this one reads too; every match is
/// a document of its own, and there are as many as are counted.
pub fn scenario_json_path(input: &[u8]) {
    let mut lines = input.splitn(2, |&byte| byte == b'\n');
    let Ok(text) = std::str::from_utf8(lines.next().unwrap_or_default()) else { return };
    let json = lines.next().unwrap_or_default();
    let Some(path) = accepted(text, JsonPath::parse(text, Origin(1))) else { return };
    let count = path.count(json);
    if serde_json::from_slice::<serde_json::Value>(json).is_ok() {
        assert!(count.is_ok(), "a valid document is refused");
        let mut found = 0;
        let result = path.find(json, &mut |value| {
            assert!(serde_json::from_slice::<serde_json::Value>(value).is_ok(), "a match is no value");
            found += 1;
            ControlFlow::Continue(())
        });
        assert_eq!(result.map(|()| found), count);
    }
    if let Ok(first) = path.first(json) {
        assert!(first.is_some() || count.is_ok());
    }
}

/// A scenario that takes the same step twice.
fn twice(step: RequestStep, cookies: bool) -> Program {
    let step = Step::Request(Box::new(step));
    let scenario = Scenario { name: "s".into(), cookies, steps: vec![step.clone(), step], data: Vec::new() };
    let scope = Scope { targets: vec!["t".into()], ..Scope::default() };
    let target = Target { is_secure: false, authority: "www.example.test".into(), base_path: "/a".into() };
    Program::compile(&scenario, &scope, &[target]).expect("the scenario is valid")
}

/// The input: the header lines of a 401. Whatever they ask for, it is answered at most once, by one line of credentials.
pub fn scenario_challenge(input: &[u8]) {
    let login = Auth::Digest { user: Template::literal("a\"b"), password: Template::literal("c") };
    let step = RequestStep { name: "step".into(), auth: Some(login), ..RequestStep::default() };
    let program = twice(step, false);
    let mut iteration = Iteration::new(&program, 1 << 10);
    let mut workspace = Workspace::new(1 << 10);
    let context = Context { unix_ns: 1_763_666_374_000_000_000, values: &() };
    let mut out = Vec::new();
    iteration.begin(Key::new(1, 1), 0, 0);
    for step in [0, 1] {
        out.clear();
        assert!(matches!(iteration.resume(&program, &context, &mut out), Next::Request { .. }));
        assert_eq!(iteration.is_bare(), lines(&out, b"Authorization: Digest ") == 0);
        let answer = Answer { status: 401, head: input, body: Some(&[]), body_bytes: 0, response_ns: 1 };
        let is_challenged = iteration.is_challenged(&program, step, 401, input);
        let answered = iteration.answer(&program, step, &context, &answer, &mut workspace);
        assert_eq!(answered.then == scenario::Then::Again, is_challenged);
        if is_challenged {
            out.clear();
            iteration.again(&program, step, &context, &mut out).expect("nothing is filled in");
            assert_eq!(lines(&out, b"Authorization: Digest username=\""), 1);
            assert_eq!(lines(&out, b""), 4);
            let again = iteration.answer(&program, step, &context, &answer, &mut workspace);
            assert_ne!(again.then, scenario::Then::Again, "it goes round");
        }
    }
}

/// How many lines of a request's head begin so.
fn lines(request: &[u8], start: &[u8]) -> usize {
    let head = request.strip_suffix(b"\r\n\r\n").expect("the head ends once");
    assert!(
        !head.iter().any(|byte| byte.is_ascii_control() && !b"\r\n".contains(byte)),
        "a control character"
    );
    head.split(|&byte| byte == b'\n').filter(|line| line.starts_with(start)).count()
}

/// The input: the header lines of a response. Whatever they set, the next request has at most one line of cookies, and no
/// line that the scenario did not ask for.
pub fn scenario_cookies(input: &[u8]) {
    let step = RequestStep { name: "step".into(), redirects: 1, ..RequestStep::default() };
    let program = twice(step, true);
    let mut iteration = Iteration::new(&program, 1 << 10);
    let mut workspace = Workspace::new(1 << 10);
    let context = Context { unix_ns: 1_763_666_374_000_000_000, values: &() };
    let mut out = Vec::new();
    iteration.begin(Key::new(1, 1), 0, 0);
    for status in [200, 302] {
        out.clear();
        assert!(matches!(iteration.resume(&program, &context, &mut out), Next::Request { .. }));
        check(&out);
        let answer = Answer { status, head: input, body: Some(&[]), body_bytes: 0, response_ns: 1 };
        let answered =
            iteration.answer(&program, u16::from(status == 302), &context, &answer, &mut workspace);
        if answered.then == scenario::Then::Redirect {
            out.clear();
            iteration.follow(&program, 1, &context, &mut out).expect("nothing is filled in");
            check(&out);
        }
    }
}

fn check(request: &[u8]) {
    let text = request.strip_suffix(b"\r\n\r\n").expect("the head ends once");
    let mut cookies = 0;
    for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        assert!(!line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t'), "a control character");
        cookies += usize::from(line.starts_with(b"Cookie: "));
        let known: [&[u8]; 4] = [b"GET /", b"Host: ", b"User-Agent: ", b"Cookie: "];
        assert!(known.iter().any(|start| line.starts_with(start)), "line {index} is not the scenario's");
    }
    assert!(cookies <= 1);
}

/// The value, if the parser accepted its text. An error has to lie within it, and be fit for a terminal.
fn accepted<T>(text: &str, result: Result<T, ScenarioError>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            assert!(text.get(error.offset..error.offset + error.length).is_some(), "{error:?}");
            assert!(!error.to_string().chars().any(char::is_control), "{error:?}");
            None
        }
    }
}
