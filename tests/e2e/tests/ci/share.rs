//! Four machines without a coordinator: their shares merged are the whole plan.

use std::path::{Path, PathBuf};

use e2e::document::{Schema, items, parse};
use e2e::machine::among_others;
use e2e::{Engine, Outcome, Target, count, number};
use serde_json::Value;

/// Runs a plan; `name` is the summary's file in `folder`.
fn run(line: &str, share: Option<u32>, target: &Target, folder: &Path, name: &str) -> (Outcome, PathBuf) {
    let file = folder.join(name);
    let mut engine = Engine::new(line).args("--max-lag 1h --json").arg(&file).arg(target.url());
    if let Some(index) = share {
        engine = engine.args(&format!("--share {index}/4"));
    }
    (engine.run().expect(0), file)
}

fn read(file: &Path) -> Value {
    parse("the summary", &std::fs::read(file).expect("it was written"))
}

/// Arrivals due in each second.
fn due(summary: &Value) -> Vec<u64> {
    items(summary, "/timeline").iter().map(|second| count(second, "/asked")).collect()
}

/// Runs the whole plan and its four shares; both summaries.
fn whole_and_merged(line: &str) -> (Value, Value) {
    let folder = tempfile::tempdir().expect("a folder");
    let target = Target::start("");
    let (_, whole) = run(line, None, &target, folder.path(), "whole.json");
    let whole = read(&whole);
    let sent = count(&whole, "/audit/sent");
    assert_eq!(count(&target.truth(), "/requests"), sent);
    // Shares are made to run at the same time; two of them do.
    let mut files = Vec::new();
    for pair in [[1, 2], [3, 4]] {
        std::thread::scope(|scope| {
            let (target, folder) = (&target, folder.path());
            let threads = pair.map(|index| {
                scope.spawn(move || run(line, Some(index), target, folder, &format!("{index}.json")).1)
            });
            files.extend(threads.map(|thread| thread.join().expect("its run passed")));
        });
    }
    let parts: Vec<Value> = files.iter().map(|file| read(file)).collect();
    assert_eq!(
        count(&target.stop(), "/requests"),
        2 * sent,
        "the shares sent something else than the whole plan"
    );
    let merged = folder.path().join("merged.json");
    let mut merge = Engine::new("merge --json").arg(&merged);
    for file in &files {
        merge = merge.arg(file);
    }
    let outcome = merge.run().expect(0);
    assert!(outcome.stdout.starts_with("PASS (exit 0)"), "{}", outcome.told());
    let merged = read(&merged);
    Schema::of("summary").admit(&merged);
    check_sums(&merged, &parts);
    (whole, merged)
}

/// The merged summary is exactly what its parts say together.
fn check_sums(merged: &Value, parts: &[Value]) {
    for latency in ["response", "response_ok", "service", "queue", "lag", "connect", "first_byte"] {
        let at = |figure: &str| format!("/latency_ns/{latency}/{figure}");
        let of_parts =
            |figure: &str| parts.iter().map(move |part| count(part, &at(figure))).collect::<Vec<u64>>();
        assert_eq!(count(merged, &at("count")), of_parts("count").iter().sum::<u64>(), "{latency}");
        assert_eq!(count(merged, &at("sum")), of_parts("sum").iter().sum::<u64>(), "{latency}");
        assert_eq!(Some(count(merged, &at("max"))), of_parts("max").into_iter().max(), "{latency}");
        let least = parts
            .iter()
            .filter(|part| count(part, &at("count")) > 0)
            .map(|part| count(part, &at("min")))
            .min();
        assert_eq!(Some(count(merged, &at("min"))), least, "{latency}");
        // A percentile of the whole lies between those of the parts; never their average by rule.
        for quantile in ["p50", "p99"] {
            let of_each = of_parts(quantile);
            let (low, high) = (of_each.iter().min().expect("parts"), of_each.iter().max().expect("parts"));
            let merged = count(merged, &at(quantile));
            // To three significant digits: a percentile stands for its bucket.
            let holds = *low - low / 1_000 <= merged && merged <= *high + high / 1_000;
            assert!(holds, "{latency} {quantile}: {merged} of {of_each:?}");
        }
    }
    for pointer in
        ["/audit/scheduled", "/audit/sent", "/audit/ok", "/bytes/sent", "/bytes/received", "/status/200"]
    {
        assert_eq!(
            count(merged, pointer),
            parts.iter().map(|part| count(part, pointer)).sum::<u64>(),
            "{pointer}"
        );
    }
    assert_eq!(
        items(merged, "/generator/shards").len(),
        parts.iter().map(|part| items(part, "/generator/shards").len()).sum::<usize>()
    );
}

/// The two have the same arrivals, second by second. Those of a second's last moment may be reached in the next one.
fn check_arrivals(whole: &Value, merged: &Value) {
    assert_eq!(count(whole, "/audit/scheduled"), count(merged, "/audit/scheduled"));
    assert_eq!(count(whole, "/audit/sent"), count(merged, "/audit/sent"));
    assert_eq!(count(whole, "/latency_ns/response/count"), count(merged, "/latency_ns/response/count"));
    assert!((number(whole, "/rate/asked_tps") - number(merged, "/rate/asked_tps")).abs() < 1e-6);
    for (second, (whole, merged)) in due(whole).iter().zip(due(merged)).enumerate() {
        assert!(whole.abs_diff(merged) <= whole / 4 + 20, "second {second}: {whole} arrivals and {merged}");
    }
}

#[test]
fn four_shares_of_a_steady_plan() {
    let _hold = among_others();
    // 1,994 arrivals: not divisible by four.
    let (whole, merged) = whole_and_merged("--tps 997 -d 2s");
    assert_eq!(count(&whole, "/audit/scheduled"), 1_994);
    check_arrivals(&whole, &merged);
}

#[test]
fn four_shares_of_a_random_plan() {
    let _hold = among_others();
    let (whole, merged) = whole_and_merged("--tps 700 -d 2s --process poisson --seed 7");
    check_arrivals(&whole, &merged);
    let scheduled = count(&whole, "/audit/scheduled");
    // 1,400 ± 5 standard deviations.
    assert!(scheduled.abs_diff(1_400) <= 187, "{scheduled}");
    let target = Target::start("");
    let again = |seed: u32| {
        let line = format!("--tps 700 -d 2s --process poisson --seed {seed}");
        Engine::patient(&line).arg(target.url()).run().expect(0).audit().scheduled
    };
    assert_eq!(again(7), scheduled, "the same seed, other arrivals");
    assert!([8, 9].map(again) != [scheduled; 2], "whatever the seed, the same arrivals");
}

#[test]
fn four_shares_of_stages() {
    let _hold = among_others();
    let (whole, merged) = whole_and_merged("--stages 1s:600,1s:=200");
    assert_eq!(count(&whole, "/audit/scheduled"), 500);
    check_arrivals(&whole, &merged);
}

#[test]
fn merging_says_what_it_cannot_merge() {
    let _hold = among_others();
    let folder = tempfile::tempdir().expect("a folder");
    let target = Target::start("");
    let (_, first) = run("--tps 50 -d 1s", Some(1), &target, folder.path(), "1.json");
    let other = folder.path().join("other.json");
    std::fs::write(&other, "{\"schema\":\"openloop.summary/2\"}").expect("a file");
    let nothing = folder.path().join("nothing.json");
    for (files, words) in [
        (vec![&first, &first], "1/4"),
        (vec![&first, &other], "other.json"),
        (vec![&nothing], "nothing.json"),
    ] {
        let mut merge = Engine::new("merge");
        for file in files {
            merge = merge.arg(file);
        }
        let outcome = merge.run().expect(2);
        assert!(outcome.stdout.is_empty(), "{}", outcome.told());
        assert!(
            outcome.stderr.starts_with("error: merge: ") && outcome.stderr.lines().count() == 1,
            "{}",
            outcome.told()
        );
        assert!(outcome.stderr.contains(words), "{}", outcome.told());
    }
}
