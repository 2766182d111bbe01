//! A plan file over any number of shards and shares is the same load.

use std::collections::BTreeSet;

use clock::Timestamp;
use plan::{Draft, PlanError, Rate, Share};

use super::*;

const ROWS: u64 = 700;

const PLAN: &str = r"
schema: openloop.plan/1
seed: 3
targets: {one: http://127.0.0.1:1}
data: {rows: {file: rows.csv, order: shuffled, unique: true, at-end: stop}}
workloads:
  steady: {tps: 500, for: 2s, scenario: rowed}
  waves: {sine: {mean: 300, amplitude: 200, period: 1s}, for: 3s, start: 500ms, scenario: plain}
  random: {tps: 200, for: 2s, arrivals: poisson, after: steady, scenario: plain}
  people: {users: 23, for: 5s, scenario: plain}
  each: {users: 9, iterations: 90, for: 5s, scenario: plain}
scenarios:
  rowed: {data: rows, steps: [{get: '/{{rows.id}}'}]}
  plain: [{get: /, check: {status: 200}}]
";

/// The folder that the plan lies in.
struct Folder(tempfile::TempDir);

impl plan::document::World for Folder {
    fn variable(&self, _: &str) -> Result<Option<String>, String> {
        Ok(None)
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        std::fs::read(self.0.path().join(path)).map_err(|error| error.to_string())
    }

    fn look(&self, path: &str) -> Result<(), String> {
        self.read(path).map(drop)
    }

    fn check_threshold(&self, _: &str) -> Result<(), PlanError> {
        Ok(())
    }
}

/// What is due, by workload: when, and in which slot.
type Load = Vec<BTreeSet<(u64, u64)>>;

/// Everything that becomes due over all shards of some shares; users begin their first iteration only.
fn load(folder: &Folder, file: &PlanFile, shards: usize, of: u32) -> Load {
    let mut load: Load = vec![BTreeSet::new(); file.workloads.len()];
    for index in 1..=of {
        let draft = Draft {
            url: Some(file.targets[0].url.clone()),
            rate: Some(Rate::per_second(1)),
            duration_ns: Some(file.duration_ns()),
            share: Share::parse(&format!("{index}/{of}")).expect("a share"),
            ..Draft::default()
        };
        let plan = draft.into_plan().expect("a plan");
        let ways = [vec![Route::from(std::net::SocketAddr::from(([127, 0, 0, 1], 1)))]];
        let run = FileRun {
            file,
            folder: &Paths::within(folder.0.path()),
            plan: &plan,
            ways: &ways,
            caps: &[64],
            unix_offset_ns: 0,
        };
        let prepared = prepare_file(&run, shards, None).expect("it can be run");
        let mut counted = vec![0; file.workloads.len()];
        for (_, workloads) in prepared.shards {
            for (place, mut workload) in workloads.into_iter().enumerate() {
                while let Some(due) =
                    workload.next_due(Timestamp::ZERO).and_then(|_| workload.take(Timestamp::ZERO))
                {
                    assert!(
                        load[place].insert((due.intended.as_nanos(), due.slot)),
                        "slot {} twice",
                        due.slot
                    );
                    counted[place] += 1;
                }
            }
        }
        for (place, expected) in prepared.expected.into_iter().enumerate() {
            assert!(expected.is_none_or(|expected| expected == counted[place]), "workload {place}");
        }
    }
    load
}

#[test]
fn whatever_the_shards_and_shares_the_load_is_the_plans() {
    let folder = Folder(tempfile::tempdir().expect("a folder"));
    let rows: Vec<String> = (0..ROWS).map(|row| row.to_string()).collect();
    std::fs::write(folder.0.path().join("rows.csv"), format!("id\n{}\n", rows.join("\n")))
        .expect("it is written");
    let file = PlanFile::parse("plan.yaml", PLAN.as_bytes(), &folder).expect("a valid plan");
    let whole = load(&folder, &file, 1, 1);
    // 1,000 arrivals, but rows for 700; 300/s on average over three seconds; users of both kinds.
    assert_eq!([0, 1, 3, 4].map(|workload: usize| whole[workload].len()), [700, 900, 23, 9]);
    assert!((300..500).contains(&whole[2].len()), "{}", whole[2].len());
    for (shards, shares) in [(2, 1), (7, 1), (1, 3), (2, 3), (3, 7)] {
        let split = load(&folder, &file, shards, shares);
        assert!(split == whole, "{shards} shards, {shares} shares");
    }
    // Every row of a slot is another one.
    let run = FileRun {
        file: &file,
        folder: &Paths::within(folder.0.path()),
        plan: &Draft { rate: Some(Rate::per_second(1)), ..Draft::default() }.into_plan().expect("a plan"),
        ways: &[],
        caps: &[],
        unix_offset_ns: 0,
    };
    let feeders = feeders(&run, &|_| true);
    let rows = &feeders.expect("the file is there")["rows"];
    let used: BTreeSet<u64> =
        whole[0].iter().map(|(_, slot)| rows.row_for(*slot).expect("a row").0).collect();
    assert_eq!(used.len() as u64, ROWS);
}
