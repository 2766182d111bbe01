//! Wrong plans that a schema accepts: what is wrong lies outside the file, in another place of it, in a text with a
//! language of its own, or in what two values are together.

use super::{Row, beside, step, target, with, workload};

/// Wrong plans that only the reader rejects.
pub(in crate::document) fn beyond_a_schema() -> Vec<Row> {
    [plans(), targets(), loads(), steps()].concat()
}

fn plans() -> Vec<Row> {
    vec![
        (beside("variables: {a: \"x ${NOT}\"}"), (4, 19), "the variable NOT is not set → export NOT"),
        (beside("variables: {a: \"${NOT\"}"), (4, 17), "is not closed by }"),
        (beside("variables: {a: \"${}\"}"), (4, 17), "no name of a variable"),
        (beside("variables: {a: \"${NOT-x}\"}"), (4, 17), "→ ${NOT} or ${NOT:-default}"),
        (beside("variables: {a: \"${A:-${B}}\"}"), (4, 17), "cannot hold another variable"),
        (beside("variables: {a: \"${BINARY}\"}"), (4, 17), "is not UTF-8"),
        (beside("secrets: {a: {env: NOT_SET}}"), (4, 20), "the variable NOT_SET is not set or empty"),
        (beside("secrets: {a: {file: nowhere}}"), (4, 21), "there is no such file"),
        (beside("secrets: {a: {file: empty.txt}}"), (4, 21), "the secret's file is empty"),
        (beside("data: {d: nowhere.csv}"), (4, 11), "cannot read \"nowhere.csv\": there is no such file"),
        (beside("data: {d: data.txt}"), (4, 11), "does not say how it is written → format: csv"),
        (beside("limits: {body: 2GiB}"), (4, 16), "no sensible limit → up to 1GiB"),
        (beside("options: {max-lag: 0s}"), (4, 20), ""),
        (beside("options: {i-own: [\"*.example\"]}"), (4, 20), "is not a host"),
        (beside("thresholds: [x<5]"), (4, 14), "is no threshold"),
        (beside("thresholds: [{that: p99<5ms, over: 10ms}]"), (4, 30), "shorter than a second"),
        (beside("defaults: {timeout: 0s}"), (4, 21), "lasts no time"),
        (beside("defaults: {think: {uniform: [3s, 1s]}}"), (4, 29), "the lower one first"),
    ]
}

fn targets() -> Vec<Row> {
    vec![
        (target("ftp://h"), (2, 14), ""),
        (target("http://me:hunter2@h/"), (2, 14), "in the steps auth: {basic: "),
        (target("http://h/?a=b"), (2, 14), "a target's URL has no query"),
        (target("http://a b/"), (2, 22), "the URL has a space"),
        (
            target("{url: http://h, connections: 5, warm-connections: 6}"),
            (2, 46),
            "cannot be opened before the start",
        ),
        (target("{url: http://h, cacert: token.txt}"), (2, 38), "holds no PEM text"),
        (target("{url: http://h, tls-min: 1.3, tls-max: 1.2}"), (2, 30), "it is newer than tls-max"),
        (target("{url: http://h, unix-socket: /s, dns: all}"), (2, 47), "has no network address"),
    ]
}

fn loads() -> Vec<Row> {
    vec![
        (
            with("workloads: {w: {tps: 1, scenario: by}}\nscenarios: {buy: [{get: /}]}"),
            (3, 35),
            "did you mean buy?",
        ),
        (workload("tps: \"${BAD}\""), (4, 13), "with ${BAD} put in: \"10x\" is not a rate"),
        (workload("tps: 0"), (4, 12), "at rate 0 nothing happens"),
        (workload("tps: 5, for: 0s"), (4, 20), "lasts no time → e.g. 30s"),
        (workload("users: 0"), (4, 14), "at least 1"),
        (workload("stages: \"1s:5,2s:x\""), (4, 24), "is not a rate"),
        (workload("stages: [{for: 1s, tps: 0}]"), (4, 15), "nothing would be sent"),
        (workload("steps: {from: 1, to: 5, by: 0, each: 1s}"), (4, 31), "steps of 0 lead nowhere"),
        (workload("steps: {from: 1, to: 5000, by: 1, each: 1s}"), (4, 34), "at most 1000"),
        (workload("spike: {base: 5, peak: 5, at: 1s, for: 1s}"), (4, 24), "not above the base"),
        (
            workload("spike: {base: 5, peak: 9, at: 9s, for: 2s}"),
            (4, 33),
            "over after 11s, the workload already after 10s",
        ),
        (workload("sine: {mean: 5, amplitude: 6, period: 1s}"), (4, 23), "would fall below 0"),
        (
            workload("sine: {mean: 5, amplitude: 5, period: 1ms}"),
            (4, 37),
            "more than 1000 periods → a period of at least 10ms",
        ),
        (workload("tps: 1, after: v"), (4, 22), "there is no workload \"v\""),
        (workload("tps: 1, after: w"), (4, 22), "wait for each other"),
    ]
}

fn steps() -> Vec<Row> {
    vec![
        (step("put: /\n      bytes: {uniform: [2k, 1k]}"), (7, 24), "the lower one first"),
        (step("put: /\n      bytes: {exponential: 0}"), (7, 28), "a mean of nothing is no law"),
        (step("put: /\n      bytes: {exponential: 200MiB}"), (7, 14), "up to ten times their mean"),
        (step("put: /\n      bytes: 2GiB"), (7, 14), "more than 1 GiB"),
        (
            step("get: /\n      auth: {oauth2: {token-url: id.example, client-id: a, client-secret: b}}"),
            (7, 34),
            "is not a URL",
        ),
        (
            step(
                "set: {a: x}\n    - get: /\n      auth: {oauth2: {token-url: http://h, client-id: \"{{a}}\", client-secret: b}}",
            ),
            (8, 58),
            "a token is fetched before any iteration",
        ),
        (step("put: /\n      bytes: \"{{add(1)}}\""), (7, 17), "add takes 2 arguments, not 1"),
        (step("get: \"/{{x}}\""), (6, 16), "x"),
        (step("get: \"/{{\""), (6, 16), "the expression is not finished"),
        (step("get: /\n      target: b"), (7, 15), "b"),
        (step("get: /\n      headers: {A: b, a: c}"), (7, 23), "a second time"),
        (step("get: /\n      json: .inf"), (7, 13), "JSON has no such number"),
        (step("get: /\n      file: nowhere"), (7, 13), "there is no such file"),
        (step("get: /\n      extract: {a: {json: token}}"), (7, 0), ""),
        (step("get: /\n      extract: {a: {regex: \"(\"}}"), (7, 0), "is not a regular expression"),
        (step("get: /\n      extract: {a: {regex: \"(x)\", group: 2}}"), (7, 42), "has no group"),
        (step("get: /\n      name: \"{{x}}\""), (7, 14), "the same for all iterations"),
        (step("if: \"1 =\"\n      then: [{get: /}]"), (6, 0), ""),
        (step("set: {uuid: x}"), (6, 13), "uuid is a function"),
    ]
}
