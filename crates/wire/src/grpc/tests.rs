//! Tests of the way of messages over the wire and back.

use std::collections::BTreeMap;

use clock::Timestamp;
use measure::{Gauges, Named, Names, Totals};
use proptest::prelude::*;
use prost::Message as _;
use schedule::{CELL_COUNT, Rate};

use super::*;
use crate::{FromNode, Measured, ToNode, WireError};

const RUN: crate::RunKey = 0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10;
const FENCING: crate::Fencing = crate::Fencing { term: 3, epoch: 8 };

fn there_and_back(message: FromNode) -> Result<FromNode, WireError> {
    let bytes = NodeMessage::from(message).encode_to_vec();
    NodeMessage::decode(bytes.as_slice()).expect("the form is protobuf").try_into()
}

fn to_node_and_back(message: ToNode) -> Result<ToNode, WireError> {
    let bytes = CoordinatorMessage::from(message).encode_to_vec();
    CoordinatorMessage::decode(bytes.as_slice()).expect("the form is protobuf").try_into()
}

fn words(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn hello() -> crate::Hello {
    crate::Hello {
        node: "a".to_owned(),
        incarnation: 7,
        boot_id: "b".to_owned(),
        host: "h".to_owned(),
        pid: 12,
        version: "1.2.3".to_owned(),
        cores: 4,
        capacity: Some(Rate::per_second(9)),
        zone: Some("z".to_owned()),
        labels: words(&[("k", "v")]),
        resume: Some(crate::Resume {
            run: RUN,
            fencing: FENCING,
            start: Some(Timestamp::from_nanos(5)),
            next_sequence: 6,
            fenced_at_ns: Some(0),
        }),
        left_behind: vec![RUN, 1],
    }
}

fn description() -> crate::Description {
    let one = Named { name: "n".to_owned(), tags: words(&[("t", "u")]), stretch_ns: Some((1, 2)) };
    let names = Names {
        requests: vec![one.clone(), Named::from("other".to_owned())],
        workloads: vec![one.clone()],
        groups: vec![one.clone()],
        checks: vec![one],
        beyond: 3,
        statuses: vec!["OK".to_owned()],
    };
    crate::Description { names, summary: "{}".to_owned() }
}

fn delta() -> crate::Delta {
    let mut totals = Totals::default();
    totals.counters.scheduled = 300;
    totals.lag.record_many(12_345, 300);
    crate::Delta {
        run: RUN,
        incarnation: 7,
        sequence: 1,
        epoch: 8,
        second: 2,
        until_ns: 3,
        measured: Measured::pack(&totals),
        gauges: Gauges { connections: 4, in_flight: 5, waiting: 6 },
        recovered: true,
    }
}

#[test]
fn what_a_node_tells_arrives_as_it_was() {
    let refusal = crate::Refusal { exit_code: 4, message: "no".to_owned() };
    let prepared =
        |outcome| FromNode::Prepared(Box::new(crate::Prepared { run: RUN, spec: [9; 32], outcome }));
    let beat = crate::Beat {
        number: 1,
        sent_at: Timestamp::from_nanos(2),
        run: Some(RUN),
        epoch: 3,
        run_ns: 4,
        fenced_at_ns: Some(0),
        scheduled: 5,
        sent: 6,
        lag_p99_ns: 7,
        unacknowledged: 8,
        cpu_milli: 9,
        leaving: true,
    };
    let finished = crate::Finished {
        run: RUN,
        incarnation: 7,
        deltas: 2,
        counters: delta().measured.counters(),
        first_sent_ns: Some(0),
        summary: "{}".to_owned(),
    };
    let line = crate::LogLine { number: 1, unix_ns: 2, run: Some(RUN), text: "x".to_owned() };
    for message in [
        FromNode::Hello(hello()),
        FromNode::Hello(crate::Hello { capacity: None, zone: None, resume: None, ..hello() }),
        FromNode::TimeReply {
            probe: 1,
            received: Timestamp::from_nanos(2),
            replied: Timestamp::from_nanos(3),
        },
        prepared(Ok(description())),
        prepared(Err(refusal)),
        FromNode::Armed { run: RUN, epoch: 1 },
        FromNode::Declined { run: RUN, epoch: 1, reason: "late".to_owned() },
        FromNode::Obeyed { run: RUN, epoch: 1 },
        FromNode::Beat(beat),
        FromNode::Beat(crate::Beat::default()),
        FromNode::Delta(Box::new(delta())),
        FromNode::Finished(Box::new(finished)),
        FromNode::Log(vec![line, crate::LogLine::default()]),
        FromNode::Bye { reason: "done".to_owned() },
    ] {
        assert_eq!(there_and_back(message.clone()), Ok(message));
    }
}

#[test]
fn what_the_coordinator_tells_arrives_as_it_was() {
    let spec = crate::Spec {
        version: "1.2.3".to_owned(),
        words: vec!["--tps".to_owned(), "5".to_owned()],
        variables: words(&[("A", "b")]),
        files: BTreeMap::from([("p.yaml".to_owned(), crate::FileRef { sha256: [3; 32], size: 4 })]),
    };
    let rate = Rate::per_second(5);
    for message in [
        ToNode::Welcome(crate::Welcome {
            term: 1,
            session: 2,
            version: "v".to_owned(),
            lease_ns: 3,
            beat_ns: 4,
            resume: true,
        }),
        ToNode::Refused { reason: "no".to_owned() },
        ToNode::TimeProbe { probe: 1 },
        ToNode::Prepare { run: RUN, fencing: FENCING, spec: Box::new(spec) },
        ToNode::Arm {
            run: RUN,
            fencing: FENCING,
            start: Timestamp::from_nanos(1),
            from_ns: 2,
            cells: schedule::Cells::all(),
            rates: vec![(None, 1, rate), (Some("w".to_owned()), 2, Rate::ZERO)],
        },
        ToNode::Assign { run: RUN, fencing: FENCING, from_ns: 2, cells: schedule::Cells::none() },
        ToNode::SetRate { run: RUN, fencing: FENCING, workload: None, from_ns: 1, rate },
        ToNode::Grant { beat: 1, lease_ns: 2 },
        ToNode::Acknowledged { run: RUN, incarnation: 1, through: 2 },
        ToNode::Stop { run: RUN, fencing: FENCING },
        ToNode::Abort { run: RUN, fencing: FENCING, reason: "r".to_owned() },
        ToNode::Release { run: RUN },
        ToNode::Retire { exit: true },
    ] {
        assert_eq!(to_node_and_back(message.clone()), Ok(message));
    }
}

#[test]
fn what_breaks_a_bound_is_refused_with_the_field() {
    let empty = NodeMessage { message: None };
    assert_eq!(FromNode::try_from(empty).expect_err("nothing is said").field, "message");
    let long = "x".repeat(300);
    let many = (0..65).map(|number| (number.to_string(), String::new())).collect();
    for (broken, field) in [
        (crate::Hello { node: long.clone(), ..hello() }, "node"),
        (crate::Hello { zone: Some(long.clone()), ..hello() }, "zone"),
        (crate::Hello { labels: words(&[("k", &long)]), ..hello() }, "labels"),
        (crate::Hello { labels: many, ..hello() }, "labels"),
        (crate::Hello { left_behind: vec![1; 1_025], ..hello() }, "left_behind"),
    ] {
        let refused = there_and_back(FromNode::Hello(broken)).expect_err(field);
        assert_eq!(refused.field, field);
    }
    let mut short_key = Delta::from(delta());
    short_key.run = bytes::Bytes::from_static(b"15 bytes are no");
    assert_eq!(crate::Delta::try_from(short_key).expect_err("a key").field, "run");
    let mut no_sums = Delta::from(delta());
    no_sums.measured = bytes::Bytes::new();
    assert_eq!(crate::Delta::try_from(no_sums).expect_err("sums").field, "measured");
}

#[test]
fn cells_that_there_are_not_are_refused() {
    let bitmap = |bytes: usize| cells::Form::Bitmap(vec![0xff; bytes].into());
    let gaps = |left_out: Vec<u32>| cells::Form::Gaps(Gaps { left_out });
    for form in [
        bitmap(6_929),
        bitmap(6_931),
        gaps(vec![CELL_COUNT]),
        gaps(vec![u32::MAX, u32::MAX]),
        gaps(vec![0; CELL_COUNT as usize + 1]),
    ] {
        let given = Cells { form: Some(form) };
        assert_eq!(parts::cells(Some(given)).expect_err("no such cells").field, "cells");
    }
    assert_eq!(parts::cells(None).expect_err("missing").field, "cells");
}

#[test]
fn a_plan_has_one_digest_and_another_plan_another() {
    let spec = crate::Spec { words: vec!["a".to_owned(), "b".to_owned()], ..crate::Spec::default() };
    assert_eq!(spec.digest(), spec.clone().digest());
    let other = crate::Spec { words: vec!["ab".to_owned()], ..crate::Spec::default() };
    assert_ne!(spec.digest(), other.digest());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_cells_arrive_in_at_most_a_bitmap(numbers in proptest::collection::vec(0..55_440_u16, 0..400), of in 1_u64..40) {
        let whole = schedule::Cells::all();
        let dealt = whole.deal(&[1, of]).expect("two owners").swap_remove(0);
        for set in [numbers.into_iter().collect(), dealt] {
            let form = parts::cells_form(&set);
            prop_assert!(form.encoded_len() <= 6_930 + 8);
            prop_assert_eq!(parts::cells(Some(form)).expect("cells"), set);
        }
    }

    #[test]
    fn any_bytes_are_refused_or_mean_something(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(message) = NodeMessage::decode(bytes.as_slice())
            && let Ok(message) = FromNode::try_from(message) {
            prop_assert_eq!(there_and_back(message.clone()), Ok(message));
        }
        if let Ok(message) = CoordinatorMessage::decode(bytes.as_slice())
            && let Ok(message) = ToNode::try_from(message) {
            prop_assert_eq!(to_node_and_back(message.clone()), Ok(message));
        }
    }
}
