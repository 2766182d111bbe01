//! Whose answer it was: a target that numbers its requests, and tells the number by the status that it answers with.
//!
//! What it proves: every whole answer was counted exactly once, with the status that was given to that request, though
//! every seventh request was answered with something from which another parser would take one answer too many or too
//! few; and no answer that nobody asked for was ever counted.
//! What it does not prove: that two answers of the same turn were not exchanged between two connections. The shard's
//! simulation does (`engine/src/shard/tests/ids.rs`), where the time of each answer tells whose it is.

use std::collections::BTreeMap;
use std::time::Duration;

use e2e::{Engine, count, counts};
use testkit::{Hostile, Seen};

/// The status of one of two answers in one segment, of which nobody can tell which is right.
const DOUBLED: u16 = 290;

/// Sends so many requests; figures for whoever reads.
///
/// # Panics
/// When any answer was counted for a request that it does not belong to.
pub(crate) fn every_answer_is_credited_once(driver: &str, requests: u64, tps: u64) -> String {
    let target = Hostile::start("numbered");
    let line = format!("--tps {tps} -n {requests} --io {driver}");
    // As long as the plan takes, and what any run may take beside it.
    let limit = Duration::from_secs(requests / tps + 90);
    let outcome = Engine::patient(&line).within(limit).arg(target.url()).run().expect(0);
    let audit = outcome.audit();
    let Seen { requests: seen, mut answers, connects, .. } = target.seen();
    assert_eq!((audit.sent, audit.cut_off, audit.dropped()), (requests, 0, 0), "{}", outcome.told());
    // A request that met a connection on its way out was lost with it, and was answered by nobody.
    assert!(seen.len() as u64 <= requests);
    let doubled = answers.remove(&DOUBLED).expect("every twentieth request or so");
    let given: BTreeMap<String, u64> =
        answers.into_iter().map(|(status, count)| (status.to_string(), count)).collect();
    assert_eq!(counts(outcome.summary(), "/status"), given, "{}", outcome.told());
    assert_eq!(audit.ok, given.values().sum::<u64>());
    let desync = count(outcome.summary(), "/audit/errors/desync");
    assert!(desync >= doubled, "{desync} of {doubled} second answers were noticed");
    format!(
        "{driver}: {requests} requests on {} connections: {} answers credited, {desync} refused, errors {:?}",
        connects.len(),
        audit.ok,
        audit.errors,
    )
}
