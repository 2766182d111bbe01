//! Shards of a fleet in simulated time: cells change hands, leases run out, shards join late. Whatever happens, together they
//! have the plan's arrivals once, and what nobody owned is known.

use super::*;
use crate::io::sim::Random;
use crate::shard::hand_over::{Hand, Share, Tenure};
use crate::shard::lease::Lease;
use crate::shard::users::{Newcomers, Stay};

const RATE: u64 = 900;
const LASTS: u64 = 2 * SECOND;
/// Whoever is told so long before hears of it, whatever it is doing: a turn comes every 20 ms.
const NOTICE: u64 = 25 * MS;

fn whole(process: Process) -> Arrivals {
    let profile = Profile::constant(Rate::per_second(RATE), LASTS).expect("a valid profile");
    Arrivals::new(Arc::new(profile), process, &Cells::none())
}

/// What a shard is told that is to own `cells` from an instant on.
fn hand(process: Process, epoch: u32, from_ns: u64, cells: &Cells) -> Command {
    let shares = vec![Share::Open(whole(process).of_owner(cells, from_ns))];
    Command::Hand(Box::new(Hand { epoch, from_ns, shares }))
}

/// A lab whose shard has a lease of so long, from the boot of the simulation on.
fn leased(lease_ns: u64) -> Lab {
    let mut lab = Lab::new(RATE, LASTS);
    let lease = Arc::new(Lease::new(if lease_ns == u64::MAX { u64::MAX } else { BOOT + LEAD + lease_ns }));
    lab.settings.tenure = Some(Tenure { lease, clock: Timestamp::as_nanos });
    lab
}

/// How many arrivals fall to somebody who owns these cells from these instants on, and nothing before or from `until_ns` on.
fn expected(process: Process, owned: &[(u64, Cells)], until_ns: u64) -> u64 {
    let stretch = |(place, (from_ns, cells)): (usize, &(u64, Cells))| {
        let end_ns = owned.get(place + 1).map_or(u64::MAX, |next| next.0).min(until_ns);
        whole(process).of_owner(cells, *from_ns).take_while(|arrival| arrival.due_ns < end_ns).count() as u64
    };
    owned.iter().enumerate().map(stretch).sum()
}

#[test]
fn cells_change_hands_and_together_they_have_the_plan() {
    let (mut refused, mut obeyed) = (0, 0);
    for seed in 0..60 {
        let mut random = Random::new(seed);
        let process = if seed % 3 == 0 { Process::Poisson { seed } } else { Process::Deterministic };
        // Three shards and nobody; each epoch deals anew, some of them told too late for anybody to obey.
        let mut epochs = vec![(0, 0)];
        let mut from_ns = 0;
        for _ in 0..=random.up_to(4) {
            from_ns += 60 * MS + random.up_to(399) * MS + random.up_to(999_999);
            let told_ns = from_ns - NOTICE + random.up_to(2) / 2 * 2 * NOTICE;
            epochs.push((from_ns, told_ns));
        }
        let deals: Vec<Vec<Cells>> = epochs
            .iter()
            .map(|_| {
                let weights: Vec<u64> = (0..4).map(|_| random.up_to(4)).collect();
                let weights = if weights.iter().all(|&weight| weight == 0) { vec![1; 4] } else { weights };
                Cells::all().deal(&weights).expect("there are weights")
            })
            .collect();
        let mut scheduled = 0;
        let mut truth: Vec<Timestamp> = Vec::new();
        for shard in 0..3 {
            let mut lab = leased(u64::MAX);
            if seed % 2 == 1 {
                lab.network = Network::rough(seed * 3 + shard as u64);
            }
            lab.before = vec![hand(process, 0, 0, &deals[0][shard])];
            let later = epochs.iter().zip(&deals).zip(0..).skip(1);
            lab.acts = later
                .map(|(((from_ns, told_ns), cells), epoch)| {
                    (*told_ns, Act::Tell(hand(process, epoch, *from_ns, &cells[shard])))
                })
                .collect();
            let outcome = lab.run();
            let case = format!("seed {seed}, shard {shard}");
            assert!(outcome.totals.balanced(), "{case}: {:?}", outcome.totals.counters.audit());
            let counters = &outcome.totals.counters;
            let mut owned = Vec::new();
            for &(epoch, in_time) in &outcome.handed {
                let (from_ns, told_ns) = epochs[epoch as usize];
                assert_eq!(in_time, told_ns < from_ns || epoch == 0, "{case}, epoch {epoch}");
                if in_time {
                    owned.push((from_ns, deals[epoch as usize][shard].clone()));
                }
            }
            assert_eq!(counters.scheduled, expected(process, &owned, u64::MAX), "{case}: {owned:?}");
            scheduled += counters.scheduled;
            truth.extend(outcome.truth.requests.iter().map(|request| request.sent));
            refused += outcome.handed.iter().filter(|(_, in_time)| !in_time).count();
            obeyed += outcome.handed.len();
        }
        // All of them obeyed or refused alike, so nobody's part alone is missing.
        let owned: Vec<_> = epochs
            .iter()
            .zip(&deals)
            .filter(|((from_ns, told_ns), _)| told_ns < from_ns || *from_ns == 0)
            .map(|((from_ns, _), cells)| (*from_ns, cells[0].union(&cells[1]).union(&cells[2])))
            .collect();
        assert_eq!(scheduled, expected(process, &owned, u64::MAX), "seed {seed}");
        assert!(truth.len() as u64 <= scheduled, "seed {seed}: {} sent of {scheduled}", truth.len());
        truth.sort_unstable();
        let plan: Vec<_> = whole(process).of_owner(&Cells::all(), 0).collect();
        for (index, at) in truth.iter().enumerate() {
            let due_ns = plan[index].due_ns;
            let offset = at.nanos_since(Timestamp::from_nanos(BOOT + LEAD));
            assert!(offset >= due_ns, "seed {seed}: request {index} left at {offset} ns, due at {due_ns}");
        }
    }
    assert!(refused > 20 && obeyed - refused > 100, "{refused} of {obeyed} were refused");
}

#[test]
fn a_shard_that_did_not_run_at_the_instant_obeys_as_if_it_had() {
    let process = Process::Deterministic;
    let halves = Cells::all().deal(&[1, 1]).expect("there are weights");
    for frozen in [10 * MS, 700 * MS] {
        let mut lab = leased(u64::MAX);
        lab.before = vec![hand(process, 0, 0, &halves[0])];
        let from_ns = 500 * MS;
        lab.acts = vec![
            (400 * MS, Act::Tell(hand(process, 1, from_ns, &halves[1]))),
            // What was told before lies in the queue while it does not run.
            (495 * MS - 1, Act::Freeze(frozen)),
        ];
        let outcome = lab.run();
        let counters = &outcome.check("frozen").totals.counters;
        assert_eq!(outcome.handed, [(0, true), (1, true)]);
        let owned = [(0, halves[0].clone()), (from_ns, halves[1].clone())];
        assert_eq!(counters.scheduled, expected(process, &owned, u64::MAX));
        assert_eq!(counters.sent, counters.scheduled);
    }
}

#[test]
fn nothing_leaves_after_the_lease() {
    for (case, frozen, warm) in
        [("runs", 0, 0), ("was stopped", 800 * MS, 0), ("waits for connections", 700 * MS, 40)]
    {
        let process = Process::Deterministic;
        let lease_ns = 600 * MS;
        let mut lab = leased(lease_ns);
        if warm > 0 {
            // One connection, and a target slower than the plan: many wait when the lease ends.
            lab.target().connections = 1;
            lab.server.delay = DelayLaw::Fixed(20 * MS);
        }
        lab.before = vec![hand(process, 0, 0, &Cells::all())];
        if frozen > 0 {
            lab.acts = vec![(500 * MS, Act::Freeze(frozen))];
        }
        let outcome = lab.run();
        let counters = &outcome.check(case).totals.counters;
        assert_eq!(outcome.gave_up.len(), 1, "{case}");
        let at_ns = outcome.gave_up[0];
        assert!((lease_ns..lease_ns + MS).contains(&at_ns), "{case}: {at_ns}");
        // All that was due before the end of the lease is accounted for, and nothing behind it is.
        let owned = [(0, Cells::all())];
        assert_eq!(counters.scheduled, expected(process, &owned, at_ns), "{case}");
        let last = outcome.truth.requests.iter().map(|request| request.sent).max().expect("some were sent");
        let until =
            outcome.start.plus_nanos(if frozen > 0 && warm == 0 { 500 * MS + COALESCE } else { lease_ns });
        assert!(
            last <= until.plus_nanos(MS),
            "{case}: sent {} ns after the start",
            last.nanos_since(outcome.start)
        );
        assert_eq!(outcome.dropped(DropReason::Late) > 0, frozen > 0 || warm > 0, "{case}");
    }
}

const COALESCE: u64 = crate::shard::COALESCE_NS;

#[test]
fn a_renewed_lease_is_not_noticed_and_a_lost_one_is_begun_anew() {
    let process = Process::Deterministic;
    let mut lab = leased(300 * MS);
    lab.before = vec![hand(process, 0, 0, &Cells::all())];
    lab.acts = (1..5).map(|turn| (turn * 100 * MS, Act::Renew(300 * MS))).collect();
    // It is lost at 700 ms; at 1 s the shard gets a part of the cells again, from 1.2 s on.
    let third = Cells::share(2, 3).expect("a share");
    lab.acts.push((SECOND, Act::Anew(10 * SECOND)));
    lab.acts.push((SECOND, Act::Tell(hand(process, 7, 1_200 * MS, &third))));
    let outcome = lab.run();
    let counters = &outcome.check("anew").totals.counters;
    assert_eq!((outcome.gave_up.len(), outcome.handed.as_slice()), (1, &[(0, true), (7, true)][..]));
    let lost_ns = outcome.gave_up[0];
    assert!((700 * MS..720 * MS).contains(&lost_ns), "{lost_ns}");
    let before = expected(process, &[(0, Cells::all())], lost_ns);
    assert_eq!(counters.scheduled, before + expected(process, &[(1_200 * MS, third)], u64::MAX));
    let gap = outcome.start.plus_nanos(lost_ns + MS)..outcome.start.plus_nanos(1_200 * MS);
    assert_eq!(outcome.truth.requests.iter().filter(|request| gap.contains(&request.sent)).count(), 0);
}

#[test]
fn a_shard_joins_a_run_under_way() {
    let process = Process::Poisson { seed: 4 };
    let half = Cells::share(1, 2).expect("a share");
    let mut lab = leased(u64::MAX);
    // The plan began half a second before the simulation's start; what was due before 700 ms of it is somebody else's.
    lab.settings.warmup_ns = 100 * MS;
    lab.before = vec![hand(process, 3, 700 * MS, &half)];
    lab.began_before_ns = 500 * MS;
    let outcome = lab.run();
    let counters = &outcome.totals.counters;
    assert!(counters.balanced());
    assert_eq!(counters.scheduled, expected(process, &[(700 * MS, half)], u64::MAX));
    let first = outcome.truth.requests.iter().map(|request| request.sent).min().expect("some were sent");
    assert!(first >= outcome.start.plus_nanos(700 * MS));
    // Told when it was handed to the kernel, which is before the target has seen it.
    let told = outcome.first_sent.expect("it was told");
    assert!(told <= first && first.nanos_since(told) < MS);
    // What it measured begins where it came in.
    assert!(
        outcome.sealed.first().is_some_and(|(from_ns, ..)| (350 * MS..700 * MS).contains(from_ns)),
        "{:?}",
        outcome.sealed
    );
}

#[test]
fn a_limit_ends_the_plan_for_shards_without_cells_too() {
    let process = Process::Deterministic;
    let limited = whole(process).with_limit(700);
    let hand = |epoch, from_ns, cells: &Cells| {
        let shares = vec![Share::Open(limited.of_owner(cells, from_ns))];
        Command::Hand(Box::new(Hand { epoch, from_ns, shares }))
    };
    let mut lab = leased(u64::MAX);
    lab.settings.duration_ns = u64::MAX / 4;
    lab.before = vec![hand(0, 0, &Cells::none())];
    let end = Timestamp::from_nanos(BOOT + LEAD).plus_nanos(limited.limit_ns().expect("it is reached"));
    lab.acts = vec![
        (0, Act::Tell(Command::End { at: end })),
        (100 * MS, Act::Tell(hand(1, 300 * MS, &Cells::all()))),
    ];
    let outcome = lab.run();
    assert_eq!(outcome.check("limit").totals.counters.scheduled, 700 - 300 * RATE / 1_000);
    assert_eq!(outcome.sending_ended, Some(end));
}

#[test]
fn users_go_with_their_cells() {
    let mut lab = leased(u64::MAX);
    lab.server.delay = DelayLaw::Fixed(9_960_000);
    // Of six users the shard begins with those of cells 0 to 3, and loses two of them while the fifth comes.
    lab.users = Some(Users2 { count: 0, think_ns: 10 * MS, requests: None });
    let stay = |user, enters_ns| Stay { enters_ns, leaves_ns: u64::MAX, user };
    let hand = |epoch, from_ns, cells: std::ops::Range<u16>, members: Vec<(u64, u64)>| {
        let stays = (0..).take(members.len()).map(|user| stay(user, from_ns)).collect();
        let newcomers = Newcomers { members, stays, iterations: 0 };
        let shares = vec![Share::Closed { cells: cells.collect(), newcomers }];
        Command::Hand(Box::new(Hand { epoch, from_ns, shares }))
    };
    lab.before = vec![hand(0, 0, 0..4, (0..4).map(|user| (user, 0)).collect())];
    lab.acts = vec![(900 * MS, Act::Tell(hand(1, SECOND, 2..5, vec![(4, 10)])))];
    let outcome = lab.run();
    let counters = &outcome.check("users").totals.counters;
    // A round takes 20 ms: four users for a second, then three.
    assert!((340..=356).contains(&counters.sent), "{}", counters.sent);
    assert_eq!(counters.ok, counters.sent);
}
