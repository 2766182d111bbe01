//! A user of the machine: values for templates, a target, and a loop that answers every request.

use scenario::{
    Answer, Answered, Assignment, Condition, Context, FeederNames, Iteration, Key, Next, Origin, Outcome,
    Program, RequestStep, Scenario, Scope, Step, Target, Template, Then, Values, Workspace,
};

pub(crate) const UNIX_NS: u64 = 1_763_666_374_123_000_000;

pub(crate) struct Row;

impl Values for Row {
    fn column(&self, index: u16) -> Option<&[u8]> {
        [&b"ann"[..], b"a b&c", b"x\r\nEvil: 1"].get(usize::from(index)).copied()
    }

    fn secret(&self, _: u16) -> Option<&[u8]> {
        Some(b"hunter2")
    }

    fn setup(&self, _: u16) -> Option<&[u8]> {
        Some(b"from-setup")
    }

    fn file(&self, _: u16) -> Option<&[u8]> {
        Some(b"file\0bytes")
    }

    fn token(&self, _: u16) -> Option<&[u8]> {
        Some(b"oauth-token")
    }
}

pub(crate) fn context() -> Context<'static> {
    Context { unix_ns: UNIX_NS, values: &Row }
}

pub(crate) fn scope() -> Scope {
    Scope {
        constants: vec![("region".into(), "eu".into())],
        secrets: vec!["password".into()],
        setup: vec!["token".into()],
        feeders: vec![FeederNames { name: "users".into(), columns: None }],
        targets: vec!["shop".into(), "api".into()],
    }
}

pub(crate) fn targets() -> Vec<Target> {
    let target = |is_secure, authority: &str, base_path: &str| Target {
        is_secure,
        authority: authority.into(),
        base_path: base_path.into(),
    };
    vec![target(false, "shop.test:8080", ""), target(true, "api.test", "/v1")]
}

pub(crate) fn template(text: &str) -> Template {
    Template::parse(text, Origin(0)).expect(text)
}

pub(crate) fn condition(text: &str) -> Condition {
    Condition::parse(text, Origin(0)).expect(text)
}

pub(crate) fn request(change: impl FnOnce(&mut RequestStep)) -> Step {
    let target = Some(("shop".to_owned(), Origin(0)));
    let mut request = RequestStep { name: "step".into(), target, ..RequestStep::default() };
    change(&mut request);
    Step::Request(Box::new(request))
}

pub(crate) fn get(url: &str) -> Step {
    request(|request| request.url = template(url))
}

pub(crate) fn set(variable: &str, value: &str) -> Step {
    Step::Set(vec![Assignment { variable: variable.into(), origin: Origin(0), value: template(value) }])
}

pub(crate) fn compile(steps: Vec<Step>) -> Program {
    let data = vec![("users".to_owned(), Origin(0))];
    let scenario = Scenario { name: "s".into(), data, cookies: true, steps };
    Program::compile(&scenario, &scope(), &targets()).unwrap_or_else(|errors| panic!("{errors:?}"))
}

/// What was seen of an iteration.
#[derive(Debug, Default)]
pub(crate) struct Transcript {
    /// Every request as text.
    pub(crate) requests: Vec<String>,
    /// Everything else that was to be done.
    pub(crate) events: Vec<Next>,
    pub(crate) answers: Vec<Answered>,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) variables: Vec<Option<String>>,
}

/// A response that `run` gives.
pub(crate) fn answer<'a>(status: u16, head: &'a str, body: &'a [u8]) -> Answer<'a> {
    Answer {
        status,
        head: head.as_bytes(),
        body: Some(body),
        body_bytes: body.len() as u64,
        response_ns: 5_000_000,
    }
}

/// Runs one iteration; `respond` is told the number of the request, from 0.
pub(crate) fn run_slot<'a>(
    program: &Program,
    slot: u64,
    mut respond: impl FnMut(usize) -> Answer<'a>,
) -> Transcript {
    let mut iteration = Iteration::new(program, 4 << 10);
    let mut workspace = Workspace::new(64 << 10);
    let mut seen = Transcript::default();
    let mut out = Vec::new();
    iteration.begin(Key::new(42, 0), slot, slot);
    let outcome = 'run: loop {
        match iteration.resume(program, &context(), &mut out) {
            Next::Request { step } => loop {
                seen.requests.push(String::from_utf8_lossy(&out).into_owned());
                out.clear();
                let given = respond(seen.requests.len() - 1);
                let answered = iteration.answer(program, step, &context(), &given, &mut workspace);
                seen.answers.push(answered);
                match answered.then {
                    Then::Continue => break,
                    Then::Redirect => {
                        iteration
                            .follow(program, step, &context(), &mut out)
                            .expect("the redirect can be followed");
                    }
                    Then::Again => {
                        iteration.again(program, step, &context(), &mut out).expect("it can be sent again");
                    }
                    Then::Ended(outcome) => break 'run outcome,
                }
            },
            Next::Ended(outcome) => break outcome,
            event => seen.events.push(event),
        }
    };
    assert!(out.is_empty(), "nothing but requests is left in the buffer");
    seen.outcome = Some(outcome);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let count = u16::try_from(program.variables().len()).expect("few variables");
    seen.variables = (0..count).map(|index| iteration.variable(index).map(text)).collect();
    seen
}

pub(crate) fn run(program: &Program) -> Transcript {
    run_slot(program, 7, |_| answer(200, "", b""))
}
