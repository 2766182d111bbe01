//! Carrying a node's part of a run out: the order of things, from the plan to the report of this node alone.
//!
//! What it is: the run of the command line without what a person has there: no progress, no keys, no files, no thresholds,
//! which are judged on the whole fleet. What it is not: a decision when to begin or what to own.

use std::sync::Arc;
use std::time::Duration;

use clock::{Clock, OsClock, rfc3339, wall_time};
use measure::Names;
use plan::{Load, Share};
use report::Summary;
use verdict::{Ending, ExitCode, Facts, Verdict, judge};

use super::drive::{Course, drive};
use super::{Door, Ended, Event};
use crate::args::Run as RunArguments;
use crate::around::Around;
use crate::dealing::Dealing;
use crate::describe::{Story, facts_of};
use crate::drive::Driven;
use crate::launch::launch;
use crate::live::Live;
use crate::prepare::{Prepared, prepare, shard_count};
use crate::run::Run;
use crate::shard::Settings;
use crate::shard::hand_over::Tenure;
use crate::shard::workload::Workload;
use crate::standalone::{RunError, Stage, keep_off_the_shards, micro_tps, prepare_from, set_up};
use crate::timeline::Timeline;

/// Takes part in a run until it is over, on the calling thread; the door's last event says how it ended.
pub fn take_part(arguments: RunArguments, door: Door) {
    let events = door.events.clone();
    let last = match carry_out(arguments, door) {
        Ok(ended) => Event::Finished(Box::new(ended)),
        Err(error) => {
            let exit_code = error.exit_code().code();
            Event::Refused(wire::Refusal { exit_code, message: error.to_string() })
        }
    };
    // An agent that is gone hears nothing.
    let _ = events.send(last);
}

fn carry_out(arguments: RunArguments, mut door: Door) -> Result<Ended, RunError> {
    let RunArguments { mut plan, sizing, file, spoken, .. } = arguments;
    let (from, spoken) = (file.as_deref(), spoken.as_ref());
    // What a part is, the fleet says.
    plan.share = Share::WHOLE;
    let mut stage = set_up(plan, sizing, from)?;
    stage.run_id.clone_from(&door.circumstances.run_id);
    let count = shard_count(&stage.plan, stage.division.engine.len(), stage.cap);
    let lease = Arc::clone(&door.circumstances.lease);
    let tenure = Tenure { lease: Arc::clone(&lease), clock: |_| clock::boot_nanos() };
    let (mut prepared, mut around) = match from {
        None => {
            let Stage { plan, url, routes, cap, .. } = &stage;
            (prepare(plan, url, routes, count, *cap, spoken, Some(&tenure))?, Around::default())
        }
        Some(from) => prepare_from(&stage, from, count, Some(&tenure))?,
    };
    keep_off_the_shards(&stage);
    around.set_up(&mut prepared, &mut stage.notes)?;
    let Prepared { mut shards, whole, rated, names, connections, expected } = prepared;
    seat(&mut shards, &names, &door, &mut stage.notes);
    let launched = launch(stage.decision.driver, &stage.division.engine, shards);
    let workers = launched.inspect_err(|_| drop(around.tear_down()))?;
    let ends_by_limit = stage.plan.count.is_some() && matches!(stage.plan.load, Load::Open { .. });
    let mut run = Run::new(workers, names.shape(), rated, stage.plan.timeout_ns)
        .with_refresher(around.lend_refresher())
        .in_fleet(Dealing::new(whole, count), lease, ends_by_limit);
    let mut story = stage.story(from, spoken, (&names, &expected, connections));
    story.notes.clone_from(&stage.notes);
    announce(&run, &story, &names, &door);
    let over = drive(&mut run, &mut door, &stage.plan).map_err(RunError::System);
    around.take_back(run.give_back_refresher());
    story.notes.extend(around.tear_down());
    story.notes.extend(around.token_notes());
    let course = over?;
    // The wall clock is read once; the start is as long ago as the monotonic clock says.
    let origin = run.start().map(|start| start.plus_nanos(stage.plan.warmup_ns));
    let ago = origin.map_or(0, |origin| OsClock.now().nanos_since(origin));
    story.started_at = rfc3339(wall_time().saturating_sub(Duration::from_nanos(ago)));
    let ended = conclude(&run, course, &mut story);
    if let Some(builtin) = stage.builtin {
        builtin.stop();
    }
    Ok(ended)
}

/// Has the shards count where it outlives this process. A run without that is a run all the same.
fn seat(shards: &mut [(Settings, Vec<Workload>)], names: &Names, door: &Door, notes: &mut Vec<String>) {
    let Some(site) = &door.circumstances.live else { return };
    match Live::create(site, names.shape(), shards.len()) {
        Ok(live) => {
            for (place, (settings, _)) in shards.iter_mut().enumerate() {
                settings.live = Some(live.seat(place));
            }
            let _ = door.events.send(Event::Counting(Box::new(live.told())));
        }
        Err(error) => notes.push(format!("counts do not outlive this process: {error}")),
    }
}

/// Tells the agent what will be run, before anything is measured.
fn announce(run: &Run, story: &Story<'_>, names: &Names, door: &Door) {
    for note in &story.notes {
        let _ = door.events.send(Event::Note(note.clone()));
    }
    let facts = facts_of(story, run, &driven(&Course::default()));
    let summary = Summary::new(&facts, run.collector().totals(), Vec::new(), &Verdict::passed());
    let description = wire::Description { names: names.clone(), summary: summary.to_json() };
    let _ = door.events.send(Event::Prepared(Box::new(description)));
}

/// The course of a part in the words of any run.
fn driven(course: &Course) -> Driven {
    Driven {
        ending: if course.aborted.is_some() { Ending::Interrupted } else { Ending::Completed },
        timeline: Timeline::default(),
        stopped_at: course.stopped_at,
        rate_changes: course.rate_changes.clone(),
        watched: Vec::new(),
        stopped_by_key: false,
    }
}

fn conclude(run: &Run, course: Course, story: &mut Story<'_>) -> Ended {
    let driven = driven(&course);
    story.notes.extend(course.aborted.map(|reason| format!("ended by the coordinator: {reason}")));
    let mut facts = facts_of(story, run, &driven);
    facts.environment.notes.extend(driven.rate_changes.notes(story.plan.warmup_ns));
    let totals = run.collector().totals();
    let mut judged = judge(
        &Facts {
            totals,
            names: story.names,
            watched: &[],
            sent_micro_tps: micro_tps(totals.counters.sent, facts.run.duration_s),
            completed_micro_tps: micro_tps(totals.counters.completed(), facts.run.elapsed_s),
            lag_p99_of_worst_second_ns: run.collector().lag_p99_worst_ns(),
            max_lag: story.plan.max_lag,
            ending: driven.ending,
        },
        &[],
    );
    if let Some(error) = run.failure() {
        judged.add(ExitCode::Internal, format!("a shard broke off, its results are incomplete: {error}"));
    }
    let first_sent = run.first_sent().zip(run.start());
    Ended {
        counters: totals.counters.clone(),
        first_sent_ns: first_sent.map(|(sent, start)| sent.nanos_since(start)),
        summary: Summary::new(&facts, totals, Vec::new(), &judged).to_json(),
        exit_code: judged.exit_code,
    }
}
