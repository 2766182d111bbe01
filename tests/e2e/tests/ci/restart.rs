//! A coordinator that is killed and started again under a run: what those hear who follow it, and reports before the end.

use std::collections::BTreeMap;

use e2e::document::{Audit, Schema, number, parse};
use e2e::events::{Event, Events};
use e2e::machine::among_others;
use e2e::served::Served;
use e2e::waiting::{SOON, wait_for};
use e2e::{Target, count, text};
use serde_json::Value;

/// Sent requests by second, as heard.
#[derive(Default)]
struct Heard {
    sent: BTreeMap<u64, u64>,
    last: Option<u64>,
}

impl Heard {
    fn take(&mut self, event: &Event) {
        for point in event.data["points"].as_array().into_iter().flatten() {
            self.sent.insert(count(point, "/second"), count(point, "/sent"));
        }
        self.last = event.id.or(self.last);
    }

    /// Listens until so many seconds are known, or to the end.
    fn listen(&mut self, events: &mut Events, seconds: usize) {
        for event in events {
            self.take(&event);
            if self.sent.len() >= seconds {
                return;
            }
        }
    }
}

fn first(served: &Served, path: &str, last: Option<u64>) -> Event {
    Events::open(served.people, path, last).next().expect("an event")
}

#[test]
fn whoever_follows_a_run_misses_no_second_when_the_coordinator_is_killed() {
    let _hold = among_others();
    let target = Target::start("");
    let mut served = Served::start("--lease 10s");
    let _nodes = served.attend(&["a", "b"]);
    let submit = served.asked("submit --tps 100 --duration 16s --max-lag 1h --nodes 2 --name followed");
    let submitted = submit.arg(target.url()).run().expect(0);
    let run = served.get("/runs")["runs"][0]["id"].as_str().expect("a run").to_owned();
    assert!(submitted.stdout.contains(&run), "{}", submitted.told());
    let path = format!("/api/v1/runs/{run}/stream");
    let mut heard = Heard::default();
    let mut events = Events::open(served.people, &path, None);
    heard.listen(&mut events, 4);
    is_reported_so_far(&served, &run);

    served.kill();
    heard.listen(&mut events, usize::MAX);
    let (before, last) = (heard.sent.len(), heard.last);
    served.again();
    // Who names nothing hears everything from the begin; and so does who names what nobody was told.
    let known = |event: &Event| (event.name.clone(), count(&event.data, "/points/0/second"));
    wait_for("the history", SOON, || {
        (first(&served, &path, None).data["points"][0]["second"] == 0).then_some(())
    });
    assert_eq!(known(&first(&served, &path, None)), ("history".to_owned(), 0));
    assert_eq!(known(&first(&served, &path, Some(1 << 52))), ("history".to_owned(), 0));
    // Who goes on where it was has no gap, though seconds came and the numbers of events began anew meanwhile.
    wait_for("seconds that the reader lacks", SOON, || {
        (served.get(&format!("/runs/{run}"))["seconds"].as_u64()? > before as u64 + 2).then_some(())
    });
    let mut events = Events::open(served.people, &path, last);
    heard.listen(&mut events, usize::MAX);
    let seconds = served.get(&format!("/runs/{run}/seconds"));
    let seconds = seconds.as_array().expect("a list of seconds").iter();
    let told: BTreeMap<u64, u64> =
        seconds.map(|second| (count(second, "/second"), count(second, "/counts/sent"))).collect();
    assert_eq!(heard.sent, told);
    assert!(told.keys().copied().eq(0..told.len() as u64) && told.len() >= 16, "{told:?}");

    let report = served.get(&format!("/runs/{run}/report"));
    assert_eq!(
        (text(&report, "/verdict/result"), count(&report, "/audit/sent")),
        ("pass", 1_600),
        "{report:#}"
    );
    assert_eq!(report["run"].get("under_way"), None);
    assert_eq!(told.values().sum::<u64>(), 1_600);
    assert_eq!(count(&target.stop(), "/requests"), 1_600);

    // What has ended is the same after one more death.
    served.kill();
    served.again();
    assert_eq!(served.get(&format!("/runs/{run}/report")), report);
    let names: Vec<String> = Events::open(served.people, &path, None).map(|event| event.name).collect();
    assert_eq!(names, ["history", "end"]);
}

/// A run under way has a report, which says that it is one of a run under way.
fn is_reported_so_far(served: &Served, run: &str) {
    let report = served.get(&format!("/runs/{run}/report"));
    is_so_far(&report);
    let shown = served.asked("report followed --json -").run().expect(0);
    assert!(shown.stderr.starts_with("UNDER WAY, SO FAR PASS (exit 0)"), "{}", shown.told());
    let later = parse("the report", shown.stdout.as_bytes());
    is_so_far(&later);
    assert!(count(&later, "/audit/sent") >= count(&report, "/audit/sent"));
}

fn is_so_far(report: &Value) {
    Schema::of("summary").admit(report);
    assert_eq!(report["run"]["under_way"], true, "{:#}", report["run"]);
    let (audit, complete_s) = (Audit::of(report), number(report, "/run/elapsed_s"));
    assert!((3.0..=16.0).contains(&complete_s), "{complete_s}");
    // A second ends at a whole second of each node: an arrival on its boundary may be told with the next.
    let due = complete_s * 100.0;
    assert!((audit.sent as f64 - due).abs() <= 4.0, "{audit:?} after {complete_s} s");
    assert!((number(report, "/rate/sent_tps") - 100.0).abs() < 2.0, "{:#}", report["rate"]);
    let timeline = report["timeline"].as_array().map_or(0, Vec::len);
    assert!((timeline as f64 - complete_s).abs() < 1e-9, "{timeline} seconds in {complete_s} s");
    assert_eq!(report["nodes"].as_object().map(serde_json::Map::len), Some(2));
}
