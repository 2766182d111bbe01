//! Wrong plans, each with the place and the words of its first fault.

use std::fmt::Write as _;

use super::{Fake, PlanFile};

mod beyond;

pub(in crate::document) use beyond::beyond_a_schema;

/// The plan, line and column of its first fault (0: any), and what the message holds.
pub(in crate::document) type Row = (String, (usize, usize), &'static str);

/// What stands around a workload: the fault lies in the part that each row writes.
fn with(part: &str) -> String {
    format!("schema: openloop.plan/1\ntargets: {{a: http://127.0.0.1}}\n{part}\n")
}

/// A plan whose only workload is `load`.
fn workload(load: &str) -> String {
    with(&format!("workloads:\n  w: {{{load}, request: /}}"))
}

/// A plan whose only scenario has one step.
fn step(step: &str) -> String {
    with(&format!("workloads: {{w: {{tps: 1, scenario: s}}}}\nscenarios:\n  s:\n    - {step}"))
}

/// A plan with one good workload and `part`.
fn beside(part: &str) -> String {
    with(&format!("workloads: {{w: {{tps: 1, request: /}}}}\n{part}"))
}

/// A plan with one good workload on `target`.
fn target(target: &str) -> String {
    format!("schema: openloop.plan/1\ntargets: {{a: {target}}}\nworkloads: {{w: {{tps: 1, request: /}}}}\n")
}

/// Wrong plans that a schema rejects too.
pub(in crate::document) fn rows() -> Vec<Row> {
    [plans(), targets(), loads(), steps()].concat()
}

fn plans() -> Vec<Row> {
    vec![
        (String::new(), (1, 1), "the plan is empty"),
        ("name: x".into(), (1, 1), "does not say what it is → schema: openloop.plan/1"),
        ("schema: openloop.plan/2\n".into(), (1, 9), "is not a schema that this engine reads"),
        ("schema: openloop.plan/1\n".into(), (1, 1), "a plan needs"),
        ("- a\n- b\n".into(), (1, 1), "a plan is a list → a mapping"),
        ("just text".into(), (1, 1), "a plan is a single value"),
        (beside("workload: 1"), (4, 1), "a plan has no key \"workload\" → did you mean workloads?"),
        (beside("warmup: 5s"), (4, 1), "a plan has no key \"warmup\" → under options: {warmup: …}"),
        (beside("timeout: 5s"), (4, 1), "→ under defaults: {timeout: …}"),
        (beside("tps: 5"), (4, 1), "→ in a workload: workloads: {main: {tps: …}}"),
        (beside("scenarios: {a: {get: /}}"), (4, 17), "→ in a step: steps: [{get: …}]"),
        (
            beside("scenarios: {a: {check: {status: 200}}}"),
            (4, 17),
            "→ in a step: steps: [{get: /, check: …}]",
        ),
        (beside("scenarios: {a: {users: 5}}"), (4, 17), "→ in the workload that runs the scenario"),
        (beside("scenarioz: {}"), (4, 1), "did you mean scenarios?"),
        (beside("name: a b"), (4, 7), "is not a run id"),
        (beside("seed: -1"), (4, 7), "is not a whole number"),
        (beside("name:"), (4, 5), "there is no value here"),
        (beside("name: x\nname: y"), (5, 1), "stands here a second time"),
        (beside("tags: {a b: c}"), (4, 8), "is not a name for a tag"),
        (beside("variables: {1a: x}"), (4, 13), "is no name"),
        (beside("variables: {a: [1]}"), (4, 16), "here stands a list, where a single value belongs"),
        (beside("variables: {\"${TPS}\": x}"), (4, 14), "not put into keys"),
        (beside("secrets: {a: plain}"), (4, 14), "does not stand in the plan itself"),
        (beside("secrets: {a: {envv: X}}"), (4, 15), "did you mean env?"),
        (beside("secrets: {a: {env: TPS, file: token.txt}}"), (4, 25), "env and file do not go together"),
        (beside("data: {d: {order: random}}"), (4, 12), "a data source needs file"),
        (beside("data: {d: {file: users.csv, order: suffled}}"), (4, 36), "did you mean shuffled?"),
        (beside("data: {d: {file: users.csv, unique: yes}}"), (4, 37), "is a text in YAML 1.2 → true"),
        (beside("limits: {names: 0}"), (4, 17), "at least 1"),
        (beside("options: {duration: 30}"), (4, 21), "\"30\" has no unit → 30s"),
        (beside("options: {io: urign}"), (4, 15), "is not an I/O driver"),
        (beside("options: {cathc-up: skip}"), (4, 11), "did you mean catch-up?"),
        (beside("thresholds: p99<5ms"), (4, 13), "thresholds is a single value → a list"),
        (beside("thresholds: [{name: x}]"), (4, 15), "a threshold needs that"),
        (beside("thresholds: [{that: p99<5ms, name: a, tag: {b: c}}]"), (4, 39), "a name or about tags"),
        (beside("setup: {steps: []}"), (4, 16), "there are no steps"),
        (beside("defaults: {redirects: 99}"), (4, 23), "off, or 1 to 20"),
        (beside("data: {d: {file: users.csv, columns: [a, a]}}"), (4, 42), "a second time"),
        (
            beside("data: {d: {file: users.csv, unique: true, order: random}}"),
            (4, 43),
            "random rows are not unique",
        ),
        (
            beside("data: {d: {file: users.csv, unique: true, at-end: repeat}}"),
            (4, 43),
            "unique rows cannot be repeated",
        ),
    ]
}

fn targets() -> Vec<Row> {
    vec![
        (
            with("workloads: {w: {tps: 1, request: /}}").replace("targets", "targetz"),
            (2, 1),
            "did you mean targets?",
        ),
        (target("{connections: 5}"), (2, 15), "a target needs url"),
        (target("{url: http://h, conections: 5}"), (2, 30), "did you mean connections?"),
        (target("{url: http://h, connections: 0}"), (2, 43), "at least 1"),
        (target("{url: http://h, insecure: on}"), (2, 40), "is a text in YAML 1.2 → true"),
        (target("{url: http://h, alpn: [h2]}"), (2, 37), "speaks HTTP/1.1 only"),
        (target("{url: http://h, cert: ca.pem}"), (2, 30), "a certificate needs its key → add key FILE"),
        (target("{url: http://h, insecure: true, cacert: ca.pem}"), (2, 30), "leave one out"),
    ]
}

fn loads() -> Vec<Row> {
    vec![
        (with("workloads: {}"), (3, 12), "workloads is empty"),
        (with("workloads: {w: {tps: 1}}"), (3, 17), "nothing says what this workload does"),
        (
            with("workloads: {w: {tps: 1, scenario: buy, request: /}}\nscenarios: {buy: [{get: /}]}"),
            (3, 40),
            "scenario and request do not go together",
        ),
        (with("workloads: {w: {request: /}}"), (3, 17), "nothing says how much load this workload is"),
        (with("workloads: {w: {vus: 5, request: /}}"), (3, 17), "did you mean users?"),
        (workload("tps: 10x"), (4, 12), "\"10x\" is not a rate"),
        (workload("tps: 5, users: 5"), (4, 15), "tps and users do not go together"),
        (workload("tps: 5, durration: 1s"), (4, 15), "a workload has no key \"durration\""),
        (workload("tps: 5, headers: {a: b}"), (4, 15), "→ in the request: request: {get: /, headers: …}"),
        (
            workload("stages: [{for: 1s, users: 5}], spawn-rate: 1"),
            (4, 38),
            "stages already say how users come and go",
        ),
        (workload("tps: 5, post: /"), (4, 15), "→ under request: {post: …}"),
        (workload("tps: 5, duration: 1s"), (4, 15), "did you mean for?"),
        (workload("tps: 5, arrivals: poison"), (4, 25), "is not an arrival process"),
        (workload("stages: []"), (4, 15), "there are 0 stages"),
        (workload("stages: [{tps: 5}]"), (4, 17), "a stage needs for"),
        (workload("stages: [{for: 1s}]"), (4, 17), "a stage needs tps"),
        (workload("stages: [{for: 1s, tps: 5, users: 5}]"), (4, 26), "users or a rate, not both"),
        (workload("steps: [{get: /}]"), (4, 7), "requests stand under scenario:"),
        (workload("sine: {mean: 5, amplitude: 5}"), (4, 14), "a sine needs period"),
        (workload("tps: 1, start: 5"), (4, 22), "has no unit"),
        (workload("once: {users: 5}, iterations: 9"), (4, 25), "one iteration for each user"),
        (workload("ramp: {arrivals: 5, over: 1s}, for: 5s"), (4, 38), "already say how long"),
        (workload("stages: [{for: 1s, tps: 5}], for: 5s"), (4, 36), "already say how long"),
        (workload("users: 5, arrivals: poisson"), (4, 17), "users have none"),
        (workload("tps: 5, spawn-rate: 1"), (4, 15), "it is about users"),
    ]
}

fn steps() -> Vec<Row> {
    vec![
        (step("gte: /"), (6, 7), "this step does not say what it does → did you mean get?"),
        (step("get: /\n      insecure: true"), (7, 7), "→ in its target: {url: …, insecure: …}"),
        (step("get: /\n      warmup: 1s"), (7, 7), "→ for the whole run, options: {warmup: …}"),
        (step("get: /\n      timout: 1s"), (7, 7), "did you mean timeout?"),
        (step("get: {{x}}"), (6, 13), "quotation marks around {{ … }}"),
        (step("get: /\n      post: /"), (7, 7), "get and post do not go together"),
        (step("get: /\n      headers: {\"a b\": c}"), (7, 0), ""),
        (step("get: /\n      body: x\n      json: {}"), (8, 7), "body and json do not go together"),
        (step("get: /\n      body: {a: b}"), (7, 14), "a body has no key"),
        (step("put: /\n      body: x\n      bytes: 1k"), (8, 7), "body and bytes do not go together"),
        (step("put: /\n      bytes: many"), (7, 14), "is not a size"),
        (
            step(
                "get: /\n      auth: {oauth2: {token-url: http://id/t, client-id: a, client-secret: b, credentials: url}}",
            ),
            (7, 92),
            "a place for credentials",
        ),
        (step("put: /\n      bytes: {uniform: [1k]}"), (7, 24), "a uniform law has two ends"),
        (step("put: /\n      bytes: {unifrom: [1k, 2k]}"), (7, 15), "did you mean uniform?"),
        (step("put: /\n      bytes: {normal: {mean: 1k}}"), (7, 24), "deviation"),
        (step("get: /\n      multipart: [{name: a}]"), (7, 20), "the part has no value"),
        (step("get: /\n      auth: {basic: {user: a}}"), (7, 22), "a login needs password"),
        (step("get: /\n      auth: {kerberos: x}"), (7, 14), "auth has no key"),
        (step("get: /\n      extract: {a: {header: x, group: 2}}"), (7, 32), "group belongs to a regex"),
        (step("get: /\n      extract: {a: {default: x}}"), (7, 17), "where the value lies"),
        (step("get: /\n      check: [{status: 20}]"), (7, 0), ""),
        (step("get: /\n      check: [{stauts: 200}]"), (7, 16), "did you mean status?"),
        (step("get: /\n      check: [{time: 200ms}]"), (7, 22), "a time is no exact value"),
        (step("get: /\n      check: [{body: {count: 2}}]"), (7, 23), "count cannot be asked of body"),
        (step("get: /\n      check: [{body: {sha256: abc}}]"), (7, 31), "no SHA-256 digest"),
        (step("get: /\n      check: [{size: {above: 10x}}]"), (7, 30), "is not a size"),
        (step("get: /\n      check: [{status: 200, else: stpo}]"), (7, 35), "did you mean stop?"),
        (step("think: 5"), (6, 14), "has no unit"),
        (step("think: {unifrom: [1s, 2s]}"), (6, 15), "did you mean uniform?"),
        (step("while: \"1 == 1\"\n      steps: [{get: /}]"), (6, 7), "a while step needs most"),
        (step("repeat: 3"), (6, 7), "a repeat step needs steps"),
        (step("choose: []"), (6, 7), "nothing to choose from"),
        (step("choose: [{weight: 0, steps: [{get: /}]}]"), (6, 25), "at least 1"),
        (step("barrier: {name: a}"), (6, 17), "a barrier needs users"),
        (step("stop: everything"), (6, 13), "what can be stopped"),
        (step("get: cart"), (6, 12), "a path begins with / → /cart"),
        (with("workloads: {w: {tps: 1, request: GET /}}"), (3, 34), "of the path → {get: /}"),
        (step("get: http://h/"), (6, 12), "the host stands under targets:"),
    ]
}

#[test]
fn wrong_plans_say_where_what_and_how_to_fix_it() {
    let mut rows = rows();
    rows.extend(beyond_a_schema());
    assert!(rows.len() >= 80, "{} rows", rows.len());
    let mut missed = String::new();
    for (text, (line, column), words) in rows {
        let Err(error) = PlanFile::parse("plan.yaml", text.as_bytes(), &Fake) else {
            let _ = write!(missed, "accepted, {words}:\n{text}\n=====\n");
            continue;
        };
        let fault = &error.faults[0];
        let message = format!("{} → {}", fault.what, fault.fix);
        let placed = fault.line == line && (column == 0 || fault.column == column);
        if !placed || !message.contains(words) || fault.fix.is_empty() {
            let _ = write!(missed, "{line}:{column} {words}\n{error}\n--\n{text}\n=====\n");
        }
    }
    assert!(missed.is_empty(), "{missed}");
}
