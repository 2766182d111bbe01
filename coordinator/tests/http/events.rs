//! Streams of events: history first, then what is new; resumed without a gap and without a doubling.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Event, Events, pause};
use crate::edge::{Edge, Setting};

/// Sent requests by second, as the points of these events add up to.
fn seconds(events: &[Event]) -> BTreeMap<u64, u64> {
    let mut sent = BTreeMap::new();
    for point in events.iter().filter_map(|event| event.data["points"].as_array()).flatten() {
        sent.insert(point["second"].as_u64().unwrap(), point["sent"].as_u64().unwrap());
    }
    sent
}

fn read_to_end(mut events: Events) -> Vec<Event> {
    std::iter::from_fn(|| events.next()).collect()
}

#[test]
fn a_reader_gets_the_history_then_every_second_then_the_end() {
    let edge = Edge::start(Setting { behind: 5, ..Setting::default() });
    let run = edge.start_run(40);
    let path = format!("/api/v1/runs/{run}/stream");
    let all = read_to_end(Events::open(edge.address, &path, &[]));
    assert_eq!(all[0].name, "history");
    assert!(all[0].data["points"].as_array().unwrap().len() >= 5, "{:?}", all[0]);
    assert_eq!(all[0].data["stretch_s"], json!(1));
    assert_eq!(all.last().unwrap().name, "end");
    assert_eq!(seconds(&all), (0..40).map(|second| (second, 990)).collect());
    let ids: Vec<u64> = all.iter().filter_map(|event| event.id).collect();
    assert!(ids.is_sorted_by(|left, right| left < right), "each event goes on behind the last: {ids:?}");
    let end = &all.last().unwrap().data;
    assert_eq!((end["counts"]["sent"].as_u64(), end["state"].as_str()), (Some(40 * 990), Some("ended")));
    // Who names a revision that was never given has everything, too.
    let astray = Events::open(edge.address, &path, &[("Last-Event-ID", "99999")]).next().unwrap();
    assert_eq!((astray.name.as_str(), seconds(std::slice::from_ref(&astray)).len()), ("history", 40));
    // Who comes when it is over has everything at once.
    let late = read_to_end(Events::open(edge.address, &path, &[]));
    assert_eq!(late.iter().map(|event| &*event.name).collect::<Vec<_>>(), ["history", "end"]);
    assert_eq!(seconds(&late), seconds(&all));
}

#[test]
fn a_reader_that_was_cut_off_goes_on_where_it_was() {
    let edge = Edge::start(Setting { behind: 20, second: Duration::from_millis(30), ..Setting::default() });
    let run = edge.start_run(80);
    let path = format!("/api/v1/runs/{run}/stream");
    let mut events = Vec::new();
    let mut last = None::<u64>;
    // Cut off after every second event, again and again.
    while events.last().is_none_or(|event: &Event| event.name != "end") {
        let id = last.map(|id| id.to_string());
        let headers: Vec<_> = id.iter().map(|id| ("Last-Event-ID", id.as_str())).collect();
        let mut stream = Events::open(edge.address, &path, &headers);
        let first = stream.next().unwrap();
        assert_eq!(first.name == "history", last.is_none(), "{first:?}");
        let points = first.data["points"].as_array();
        let earliest = points.into_iter().flatten().map(|point| point["second"].as_u64().unwrap()).min();
        assert!(
            earliest.is_none_or(|earliest| earliest >= seconds(&events).len() as u64),
            "told twice: {first:?}"
        );
        last = first.id.or(last);
        events.push(first);
        if let Some(next) = stream.next() {
            last = next.id.or(last);
            events.push(next);
        }
    }
    assert_eq!(seconds(&events), (0..80).map(|second| (second, 990)).collect());
}

#[test]
fn a_second_that_is_corrected_is_told_again() {
    let edge = Edge::start(Setting { behind: 10, second: Duration::from_hours(1), ..Setting::default() });
    let run = edge.start_run(100);
    let mut stream = Events::open(edge.address, &format!("/api/v1/runs/{run}/stream"), &[]);
    let history = stream.next().unwrap();
    assert_eq!(seconds(std::slice::from_ref(&history))[&0], 990);
    let change = edge.post(&format!("/api/v1/runs/{run}/rate"), &json!({"tps": 5}));
    assert_eq!(change.status, 200, "{}", change.text());
    let corrected = std::iter::from_fn(|| stream.next()).find(|event| event.name == "seconds").unwrap();
    assert_eq!(seconds(std::slice::from_ref(&corrected)), BTreeMap::from([(0, 995)]));
    assert!(corrected.id > history.id);
}

#[test]
fn a_long_run_is_told_in_longer_points_with_the_same_sums() {
    let edge = Edge::start(Setting { behind: 10_000, second: Duration::from_hours(1), ..Setting::default() });
    let run = edge.start_run(20_000);
    let mut stream = Events::open(edge.address, &format!("/api/v1/runs/{run}/stream"), &[]);
    let history = stream.next().unwrap().data;
    let points = history["points"].as_array().unwrap();
    assert!(points.len() <= 3_600, "{}", points.len());
    assert!(history["stretch_s"].as_u64().unwrap() > 1);
    let sum = |name: &str| points.iter().map(|point| point[name].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("sent"), sum("stretch_s")), (10_000 * 990, 10_000));
    assert_eq!(sum("sent"), history["run"]["counts"]["sent"].as_u64().unwrap());
    // A program that wants each second asks page by page.
    let mut after = 0;
    let mut count = 0;
    loop {
        let page = edge.get(&format!("/api/v1/runs/{run}/seconds?after={after}&limit=999999")).json();
        let page = page.as_array().unwrap().clone();
        assert!(page.len() <= 3_600);
        count += page.len();
        match page.last() {
            Some(second) => after = second["revision"].as_u64().unwrap(),
            None => break,
        }
    }
    assert_eq!(count, 10_000);
}

#[test]
fn the_fleet_is_told_at_once_and_at_every_change() {
    let edge = Edge::start(Setting::default());
    let mut stream = Events::open(edge.address, "/api/v1/fleet/stream", &[]);
    let state = |event: &Event| event.data["nodes"][0]["state"].as_str().map(str::to_owned);
    while state(&stream.next().unwrap()).as_deref() != Some("ready") {}
    assert_eq!(edge.post("/api/v1/nodes/alpha/drain", &json!({})).status, 200);
    while state(&stream.next().unwrap()).as_deref() != Some("drained") {}
    assert_eq!(edge.get("/api/v1/nodes/alpha").json()["state"], Value::from("drained"));
}

#[test]
fn a_reader_that_does_not_read_costs_nothing_more_and_stops_nobody() {
    let edge = Edge::start(Setting { behind: 3_000, second: Duration::from_millis(5), ..Setting::default() });
    let run = edge.start_run(1_000_000);
    let path = format!("/api/v1/runs/{run}/stream");
    let deaf: Vec<Events> = (0..20).map(|_| Events::open(edge.address, &path, &[])).collect();
    pause(Duration::from_millis(500));
    let before = resident_kib();
    pause(Duration::from_secs(3));
    let grown = resident_kib().saturating_sub(before);
    // 600 seconds of 20 readers would be megabytes each if they were queued.
    assert!(grown < 16 << 10, "{grown} KiB");
    let mut quick = Events::open(edge.address, &path, &[]);
    assert_eq!(quick.next().unwrap().name, "history");
    drop(deaf);
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
