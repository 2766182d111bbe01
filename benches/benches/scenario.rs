//! What a scenario's step costs beside the exchange: the rendering of a request with three values, and one value taken out of a
//! JSON body of 1 KiB, near its end.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use scenario::{
    Answer, Assignment, Context, Extraction, HeaderField, Iteration, JsonPath, Key, Next, Origin, Outcome,
    Program, RequestStep, Scenario, Scope, Source, Step, Target, Template, Values, Workspace,
};

struct Row;

impl Values for Row {
    fn column(&self, _: u16) -> Option<&[u8]> {
        Some(b"ann.example")
    }
}

fn template(text: &str) -> Template {
    Template::parse(text, Origin(0)).expect("a valid template")
}

/// Three variables, set once, and a request that uses them.
fn program() -> Program {
    let set = |name: &str, value: &str| Assignment {
        variable: name.into(),
        origin: Origin(0),
        value: template(value),
    };
    let header = |name: &str, value: &str| HeaderField {
        name: name.into(),
        origin: Origin(0),
        value: template(value),
    };
    let path = JsonPath::parse("$.items[-1].token", Origin(0)).expect("a valid path");
    let request = RequestStep {
        name: "step".into(),
        url: template("/cart/{{a}}?page={{b}}"),
        headers: vec![header("Accept", "application/json"), header("X-Trace", "{{c}}")],
        extractions: vec![Extraction {
            variable: "token".into(),
            origin: Origin(0),
            source: Source::Json(path),
            default: None,
        }],
        ..RequestStep::default()
    };
    let steps = vec![
        Step::Set(vec![set("a", "{{iteration}}"), set("b", "7"), set("c", "trace-me")]),
        Step::Request(Box::new(request)),
    ];
    let scenario = Scenario { name: "s".into(), steps, ..Scenario::default() };
    let scope = Scope { targets: vec!["shop".into()], ..Scope::default() };
    let target = Target { is_secure: false, authority: "shop.test".into(), base_path: String::new() };
    Program::compile(&scenario, &scope, &[target]).expect("a valid scenario")
}

fn body() -> Vec<u8> {
    let item =
        |index: usize| format!(r#"{{"id":{index},"name":"an item in the cart","token":"t{index:04}"}}"#);
    let items: Vec<String> = (0..17).map(item).collect();
    format!(r#"{{"ok":true,"items":[{}]}}"#, items.join(",")).into_bytes()
}

fn scenarios(criterion: &mut Criterion) {
    let program = program();
    let mut iteration = Iteration::new(&program, 1 << 10);
    let mut workspace = Workspace::new(64 << 10);
    let context = Context { unix_ns: 0, values: &Row };
    let mut out = Vec::with_capacity(1 << 10);
    let mut group = criterion.benchmark_group("scenario");
    group.bench_function("set three variables and render", |bencher| {
        bencher.iter(|| {
            out.clear();
            iteration.begin(Key::new(1, 0), black_box(7), 7);
            assert_eq!(iteration.resume(&program, &context, &mut out), Next::Request { step: 0 });
            black_box(&out);
        });
    });
    let body = body();
    assert!((900..1_200).contains(&body.len()), "{}", body.len());
    let answer =
        Answer { status: 200, head: b"", body: Some(&body), body_bytes: body.len() as u64, response_ns: 1 };
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("extract from 1 KiB", |bencher| {
        bencher.iter(|| {
            let answered = iteration.answer(&program, 0, &context, black_box(&answer), &mut workspace);
            assert_eq!(answered.then, scenario::Then::Continue);
        });
    });
    assert_eq!(iteration.resume(&program, &context, &mut out), Next::Ended(Outcome::Done));
    group.finish();
}

criterion_group!(benches, scenarios);
criterion_main!(benches);
