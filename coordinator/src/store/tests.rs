//! What is kept is given back, to this life of the coordinator and the next.

use std::collections::BTreeMap;

use measure::{Gauges, Shape, Totals};
use verdict::ExitCode;
use wire::Measured;

use super::*;
use crate::director::{Conclusion, Fact, Mark, Merged};
use crate::files::Repository;
use crate::handle::{LogsQuery, RunsQuery, StartRequest};
use crate::submission::{Rails, of_request};

/// A coordinator's folder.
struct State(tempfile::TempDir);

impl State {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn open(&self) -> Store {
        Store::open(self.0.path()).expect("a database")
    }

    fn submitted(&self, run: u128, name: &str) -> Box<Submitted> {
        self.submitted_to(run, name, "")
    }

    fn submitted_to(&self, run: u128, name: &str, project: &str) -> Box<Submitted> {
        let request = StartRequest {
            words: ["--url=http://127.0.0.1:1/", "--tps=5", "--header=Authorization: hunter2"]
                .map(str::to_owned)
                .into(),
            variables: BTreeMap::from([("ENGINE_DURATION".to_owned(), "3s".to_owned())]),
            name: name.to_owned(),
            project: project.to_owned(),
            ..StartRequest::default()
        };
        let repository = Repository::open(self.0.path()).expect("a repository");
        let submitted = of_request(&request, run, 7, &repository, &Rails::default()).expect("a valid plan");
        Box::new(submitted)
    }
}

/// Hands records over; waits until the last is durable.
async fn keep(store: &Store, records: Vec<Record>, first: u64) {
    let last = first + records.len() as u64 - 1;
    for (number, record) in (first..).zip(records) {
        store.write(Write::Keep(number, Box::new(record)));
    }
    store.durable().wait_for(|durable| *durable == Ok(last)).await.expect("the writer lives");
}

fn taken(submitted: &Submitted) -> Record {
    Record::Taken(Box::new(submitted.submission.clone()))
}

fn measured(sent: u64) -> Measured {
    let mut totals = Totals::new(Shape::default());
    totals.counters.sent = sent;
    Measured::pack(&totals)
}

fn noted(text: &str) -> Fact {
    Fact::Noted { at_ns: 5, text: text.to_owned() }
}

fn merged(run: u128, second: u64, sent: u64, next: u64) -> Record {
    let gauges = Gauges { connections: 3, in_flight: 2, waiting: 1 };
    let sums = wire::Overall { cpu_ns: 9, in_flight: vec![0, 3], ..wire::Overall::default() }.pack();
    let (incarnation, recovered) = (u64::MAX, Some(12));
    let mark = Mark { node: "a".to_owned(), incarnation, next, until_ns: 4, sums, recovered };
    Record::Merged(Box::new(Merged {
        run,
        whole: Vec::new(),
        seconds: vec![(second, measured(sent), gauges)],
        marks: vec![mark],
    }))
}

#[tokio::test]
async fn runs_that_go_on_are_given_back_whole() {
    let state = State::new();
    let submitted = state.submitted(5, "first");
    {
        let store = state.open();
        assert_eq!(store.term(), 1);
        store.write(Write::Submitted(submitted.clone()));
        // Never taken: nobody was told that it was.
        store.write(Write::Submitted(state.submitted(6, "second")));
        let fact = |number, text| Record::Fact { run: 5, number, fact: noted(text) };
        let merges = [merged(5, 0, 10, 1), merged(5, 0, 20, 2), merged(5, 1, 5, 3)];
        keep(
            &store,
            [taken(&submitted), fact(0, "one"), fact(1, "two")].into_iter().chain(merges).collect(),
            1,
        )
        .await;
        let reason = |reason: Option<&str>| reason.map(str::to_owned);
        let shut = |node: &str, why| Record::Quarantine { node: node.to_owned(), reason: reason(why) };
        keep(&store, vec![shut("a", Some("liar")), shut("b", Some("late")), shut("b", None)], 7).await;
        let drained = |node: &str, exit| Record::Drain { node: node.to_owned(), exit };
        let drains = vec![drained("c", Some(false)), drained("c", Some(true)), drained("d", Some(false))];
        keep(&store, drains.into_iter().chain([drained("d", None)]).collect(), 10).await;
    }
    let store = state.open();
    assert_eq!(store.term(), 2, "each opening is a term");
    let standing = store.standing().expect("read");
    assert_eq!(standing.quarantined, BTreeMap::from([("a".to_owned(), "liar".to_owned())]));
    assert_eq!(standing.draining, BTreeMap::from([("c".to_owned(), true)]));
    let kept = store.unfinished().expect("read back");
    assert_eq!(kept.len(), 1);
    let kept = &kept[0];
    assert_eq!((kept.run, kept.at_unix_ns), (5, 7));
    assert_eq!(kept.spec, submitted.submission.spec);
    assert_eq!(kept.terms, submitted.submission.terms);
    assert_eq!(kept.facts, [noted("one"), noted("two")]);
    let seconds: Vec<(u64, u64)> =
        kept.seconds.iter().map(|(second, measured, _)| (*second, measured.counters().sent)).collect();
    assert_eq!(seconds, [(0, 10), (0, 20), (1, 5)]);
    assert_eq!(kept.seconds[0].2, Gauges { connections: 3, in_flight: 2, waiting: 1 });
    assert_eq!(kept.marks.len(), 1, "the latest stands for those before");
    assert_eq!((kept.marks[0].incarnation, kept.marks[0].next), (u64::MAX, 3));
    let share = kept.marks[0].share().expect("sums are read again");
    assert_eq!((share.sums.cpu_ns, share.sums.in_flight, share.recovered), (9, vec![0, 3], Some(12)));
}

#[tokio::test]
async fn a_run_that_has_ended_is_history() {
    let state = State::new();
    let store = state.open();
    for run in 1..=4u128 {
        let project = if run == 4 { "other" } else { "default" };
        let submitted = state.submitted_to(run, &format!("Run {run}"), project);
        store.write(Write::Submitted(submitted.clone()));
        let conclusion =
            Conclusion { summary: None, exit: ExitCode::Environment, reason: Some("none came".into()) };
        let concluded = Record::Concluded { run, conclusion: Box::new(conclusion) };
        let first = u64::try_from(run).expect("small") * 3;
        keep(&store, vec![taken(&submitted), merged(run, 0, 1, 1), concluded], first).await;
        let view = RunView {
            id: RunId(run),
            name: format!("Run {run}"),
            project: project.to_owned(),
            tags: BTreeMap::from([("team".to_owned(), format!("t{run}"))]),
            ..RunView::default()
        };
        store.write(Write::View(Box::new(view)));
        for (second, revision) in [(0, 1), (1, 2), (0, 3)] {
            let second = SecondView { revision, second, ..SecondView::default() };
            store.write(Write::Second(RunId(run), Arc::new(second)));
        }
    }
    store.flush().await.expect("written");
    assert!(store.unfinished().expect("read").is_empty());
    let page = |query: RunsQuery| store.runs(&query).expect("a page");
    let ids = |page: &crate::handle::RunsPage| page.runs.iter().map(|run| run.id.0).collect::<Vec<_>>();
    let first = page(RunsQuery { limit: Some(3), ..RunsQuery::default() });
    assert_eq!((ids(&first), first.before), (vec![4, 3, 2], Some(RunId(2))));
    let rest = page(RunsQuery { before: first.before, ..RunsQuery::default() });
    assert_eq!((ids(&rest), rest.before), (vec![1], None));
    assert_eq!(ids(&page(RunsQuery { search: Some("TEAM=T2".into()), ..RunsQuery::default() })), [2]);
    assert_eq!(ids(&page(RunsQuery { project: Some("default".into()), ..RunsQuery::default() })), [3, 2, 1]);
    assert_eq!(store.run(RunId(3)).expect("read").expect("it is there").name, "Run 3");
    let seconds = store.seconds(RunId(3), 1, 10).expect("read");
    let seen: Vec<(u64, u64)> = seconds.iter().map(|view| (view.revision, view.second)).collect();
    assert_eq!(seen, [(2, 1), (3, 0)], "what was corrected replaces what it corrects");
    store.write(Write::DeleteRun(RunId(3)));
    store.write(Write::Retain(Retention { runs: 2, lines: 10 }));
    store.flush().await.expect("written");
    assert_eq!(ids(&page(RunsQuery::default())), [4, 2], "the oldest goes first");
    assert!(store.run(RunId(3)).expect("read").is_none());
    assert!(store.seconds(RunId(3), 0, 10).expect("read").is_empty());
}

#[tokio::test]
async fn lines_and_files_are_found() {
    let state = State::new();
    let store = state.open();
    let line = |position, node: &str, run| LogEntry {
        position,
        node: node.to_owned(),
        run,
        text: format!("line {position}"),
        ..LogEntry::default()
    };
    let run = Some(RunId(9));
    store.write(Write::Log(vec![
        line(1, "a", None),
        line(2, "b", run),
        line(3, "a", run),
        line(4, "a", run),
    ]));
    let file =
        FileView { sha256: "00".repeat(32), name: "rows.csv".to_owned(), size: 3, ..FileView::default() };
    store.write(Write::File(Box::new(file.clone())));
    store.flush().await.expect("written");
    let found = |query: LogsQuery| {
        store.logs(&query).expect("lines").iter().map(|line| line.position).collect::<Vec<_>>()
    };
    assert_eq!(found(LogsQuery::default()), [1, 2, 3, 4]);
    assert_eq!(found(LogsQuery { node: Some("a".into()), run, limit: Some(1), ..LogsQuery::default() }), [3]);
    assert_eq!(found(LogsQuery { after: 3, ..LogsQuery::default() }), [4]);
    assert_eq!(store.last_line().expect("read"), 4);
    assert_eq!(store.files().expect("files"), std::slice::from_ref(&file));
    assert_eq!(store.file(&file.sha256).expect("read"), Some(file.clone()));
    store.write(Write::RemoveFile(file.sha256.clone()));
    store.write(Write::Retain(Retention { runs: 1, lines: 1 }));
    store.flush().await.expect("written");
    assert_eq!(store.file(&file.sha256).expect("read"), None);
    assert_eq!(found(LogsQuery::default()), [4]);
}

#[tokio::test]
async fn secrets_are_in_no_file_of_the_database() {
    let state = State::new();
    let store = state.open();
    let submitted = state.submitted(1, "secret");
    store.write(Write::Submitted(submitted.clone()));
    keep(&store, vec![taken(&submitted)], 1).await;
    let mut looked_at = 0;
    for entry in std::fs::read_dir(state.0.path()).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            let bytes = std::fs::read(&path).expect("a file");
            assert!(!bytes.windows(7).any(|window| window == b"hunter2"), "{}", path.display());
            looked_at += 1;
        }
    }
    assert!(looked_at >= 3, "the database, its log and the key: {looked_at}");
    let damaged = store.key.open(&[0; 16], &store.key.seal(&[1; 16], b"x"));
    assert_eq!(damaged, None, "a plan cannot be put in another's place");
}

#[test]
fn what_cannot_be_read_is_refused_in_words() {
    let state = State::new();
    drop(state.open());
    let path = state.0.path().join("coordinator.sqlite");
    let database = Connection::open(&path).expect("a database");
    for other in [schema::VERSION - 1, schema::VERSION + 1] {
        database.pragma_update(None, "user_version", other).expect("another version");
        let error = Store::open(state.0.path()).expect_err("another version's").to_string();
        let said = format!("has format {other}, and this program reads {}", schema::VERSION);
        assert!(error.contains(&said), "{error}");
    }
    drop(database);
    std::fs::write(&path, b"no database at all, but a text that is long enough").expect("a file");
    let error = Store::open(state.0.path()).expect_err("no database").to_string();
    assert!(error.contains("coordinator.sqlite") && error.contains(" → "), "{error}");
}

#[tokio::test]
async fn a_disk_that_fails_is_told_and_nothing_is_called_durable() {
    let state = State::new();
    let store = state.open();
    let submitted = state.submitted(1, "lost");
    store.write(Write::Submitted(submitted.clone()));
    keep(&store, vec![taken(&submitted)], 1).await;
    let beside = Connection::open(state.0.path().join("coordinator.sqlite")).expect("the same database");
    beside.execute_batch("DROP TABLE facts").expect("dropped under its feet");
    store.write(Write::Keep(2, Box::new(Record::Fact { run: 1, number: 0, fact: noted("x") })));
    let mut durable = store.durable();
    durable.wait_for(Result::is_err).await.expect("told");
    assert!(store.flush().await.is_err());
}
