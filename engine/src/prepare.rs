//! Preparing: from a validated plan and a resolved address to what each shard is told.
//!
//! What it is: the split of a plan over shards, exact in arrivals, connections, users and counts.
//! What it is not: it looks at no host and starts nothing.
//!
//! Invariant: whatever the number of shards, their arrivals are exactly the share's arrivals.

mod plan_file;
mod whole;

pub use plan_file::{FileRun, prepare_alone, prepare_file, token_sources};
pub use whole::{WholeUsers, WholeWorkload};

use std::sync::Arc;

use measure::Names;
use plan::{Load, Plan, TlsVersion, Trust, Url};
use rustix::fs::{self, Mode, OFlags};
use scenario::Needs;
use schedule::{Arrivals, Cells, Profile, ScheduleError};

use crate::io::{Message, Route};
use crate::protocol::Spoken;
use crate::run::Rated;
use crate::shard::hand_over::Tenure;
use crate::shard::pacing::{CatchUp, Pacing};
use crate::shard::users::Stay;
use crate::shard::workload::{Task, Workload};
use crate::shard::{FailStatus, RequestSettings, Settings, TargetSettings, TlsSettings};

/// Bodies that nobody needs are thrown away unseen from this size on: 64 KiB, four receive buffers.
const DISCARD_FROM: u64 = 64 << 10;

/// Waiting arrivals that a shard keeps room for, at most: beyond it they are dropped as `queue_full`.
const WAITING_MAX: u64 = 16_000_000;

/// Why a plan cannot be carried out as it stands.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The request cannot be written.
    #[error("the request cannot be sent: {0}")]
    Request(#[from] http1::RequestError),
    /// TLS cannot be set up.
    #[error("{0}")]
    Tls(#[from] tls::SetupError),
    /// The schedule cannot be split.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// A file that the plan names cannot be used.
    #[error("data {name}: {what}")]
    Data {
        /// Its name in the plan.
        name: String,
        /// What is wrong, and how to fix it.
        what: String,
    },
    /// A scenario that was read cannot be run.
    #[error("scenario {name}: {what}")]
    Scenario {
        /// Its name.
        name: String,
        /// What is wrong, and how to fix it.
        what: String,
    },
}

/// What the shards of one engine are told.
#[derive(Debug)]
pub struct Prepared {
    /// For each shard.
    pub shards: Vec<(Settings, Vec<Workload>)>,
    /// What of each workload the shards' parts are made of.
    pub whole: Vec<WholeWorkload>,
    /// The workloads of the open model, the warm-up in front of their profiles.
    pub rated: Vec<Rated>,
    /// What is counted, by name.
    pub names: Names,
    /// Connections over all shards.
    pub connections: u32,
    /// For each workload of a plan file, how many arrivals this engine's share of it has, where that is known.
    pub expected: Vec<Option<u64>>,
}

/// How many shards a plan can keep busy on `cores` cores with `cap` connections: each needs at least one
/// connection, and one user in the closed model.
pub fn shard_count(plan: &Plan, cores: usize, cap: u32) -> usize {
    let users = match plan.load {
        Load::Open { .. } => usize::MAX,
        Load::Closed(_) => plan.users_here() as usize,
    };
    cores.min(cap as usize).min(users).max(1)
}

/// Splits `plan` over `shards` shards with `cap` connections among them, each of which takes the next of `routes`.
/// `url` is the plan's, or the built-in target's; `spoken` is what is spoken instead of HTTP. With a `tenure` the shards
/// begin with nothing, and are told later what they own.
///
/// # Errors
/// See [`PrepareError`].
pub fn prepare(
    plan: &Plan,
    url: &Url,
    routes: &[Route],
    shards: usize,
    cap: u32,
    spoken: Option<&Spoken>,
    tenure: Option<&Tenure>,
) -> Result<Prepared, PrepareError> {
    let per_shard = shards as u64;
    let Sent { requests, names, task, close_after } = match spoken {
        None => of_http(plan, url)?,
        Some(spoken) => of_own(plan, spoken),
    };
    let tls = tls_settings(&plan.tls, url)?;
    let (whole, profile) = whole(plan, task)?;
    let whole = vec![whole];
    let workloads = split(&whole, plan, shards, tenure)?;
    let target = TargetSettings {
        routes: routes.into(),
        first_route: 0,
        authority: url.authority().to_ascii_lowercase(),
        tls: None,
        connections: 0,
        warm_connections: 0,
        close_after,
        waiting_capacity: usize::try_from(plan.queue_limit().div_ceil(per_shard).min(WAITING_MAX))
            .unwrap_or(usize::MAX),
        connect_timeout_ns: plan.timeout_ns,
    };
    let base = Settings {
        node: 0,
        shard: 0,
        shape: names.shape(),
        targets: Vec::new(),
        requests,
        protocol: spoken.cloned(),
        response_limits: http1::Limits {
            head_bytes: plan.limits.head_bytes,
            body_bytes: plan.limits.body_bytes,
            interim: plan.limits.interim,
        },
        discard_from: DISCARD_FROM,
        scenarios: Vec::new(),
        kept_body_bytes: 0,
        unix_offset_ns: 0,
        grace_ns: plan.grace_ns,
        warmup_ns: plan.warmup_ns,
        duration_ns: plan.run_ns(),
        // Arrivals of a fleet's plan may come to a shard that has none at the moment: it is told when the plan ends.
        ends_by_count: plan.count.is_some() && (tenure.is_none() || matches!(plan.load, Load::Closed(_))),
        tenure: tenure.cloned(),
        live: None,
        catch_up: catch_up(plan),
        pacing: pacing(plan),
        cpu_clock: thread_cpu_ns,
        core_wait_clock: thread_core_wait_ns,
    };
    let shards = workloads
        .into_iter()
        .enumerate()
        .map(|(index, workloads)| {
            let target = TargetSettings {
                // Neighbours in the same run begin one behind another.
                first_route: (plan.share.index() as usize - 1) * shards + index,
                connections: part(u64::from(cap), index, shards),
                warm_connections: part(u64::from(plan.connections.warm), index, shards),
                tls: tls.clone().map(|tls| TlsSettings { client: Arc::new(tls.client.separate()), ..tls }),
                ..target.clone()
            };
            let settings = Settings {
                shard: u32::try_from(index).unwrap_or(u32::MAX),
                targets: vec![target],
                ..base.clone()
            };
            (settings, workloads)
        })
        .collect();
    let rated = profile.map(|profile| Rated { name: None, workload: 0, begins_ns: 0, profile });
    let rated = rated.into_iter().collect();
    Ok(Prepared { shards, whole, rated, names, connections: cap, expected: Vec::new() })
}

/// What a plan without a file sends.
struct Sent {
    requests: Vec<RequestSettings>,
    names: Names,
    /// What an arrival begins.
    task: Task,
    close_after: Option<u64>,
}

/// One request of HTTP.
fn of_http(plan: &Plan, url: &Url) -> Result<Sent, http1::RequestError> {
    let (request, close_after) = request_settings(plan, url)?;
    let names = Names::requests([format!("{} {}", plan.request.method.as_str(), path_of(url))]);
    Ok(Sent { requests: vec![request], names, task: Task::Request(0), close_after })
}

/// The requests of an own protocol.
fn of_own(plan: &Plan, spoken: &Spoken) -> Sent {
    let fail_status = FailStatus::new(|code| spoken.declared.is_failure(code));
    let request = |name| RequestSettings {
        name,
        target: 0,
        message: None,
        needs: Needs::default(),
        last_message: None,
        is_head: false,
        fail_status,
        timeout_ns: plan.timeout_ns,
    };
    let names = spoken.declared.names();
    Sent {
        requests: (0..).take(names.requests.len()).map(request).collect(),
        names,
        task: Task::Own,
        close_after: plan.connections.close_after.map(std::num::NonZero::get),
    }
}

/// The request of a plan, and after how many of them a connection closes.
fn request_settings(plan: &Plan, url: &Url) -> Result<(RequestSettings, Option<u64>), http1::RequestError> {
    let headers: Vec<(String, String)> = plan
        .request
        .headers
        .iter()
        .map(|header| (header.name().to_owned(), header.value().to_owned()))
        .collect();
    // RFC 9112 section 9.6: a request that says `Connection: close` is its connection's last.
    let asked = plan.connections.close_after.map(std::num::NonZero::get);
    let close_after = if http1::asks_to_close(&headers) { Some(1) } else { asked };
    let settings = RequestSettings {
        name: 0,
        target: 0,
        message: Some(message(plan, url, &headers)?),
        needs: Needs::default(),
        last_message: match close_after {
            Some(_) => last_request(plan, url, &headers)?,
            None => None,
        },
        is_head: plan.request.method.as_str() == "HEAD",
        fail_status: FailStatus::new(|code| plan.fail_status.contains(code)),
        timeout_ns: plan.timeout_ns,
    };
    Ok((settings, close_after))
}

/// The request as it goes on the wire. A made body's block lies in memory once, and is repeated in sending.
fn message(plan: &Plan, url: &Url, headers: &[(String, String)]) -> Result<Message, http1::RequestError> {
    let body = &plan.request.body;
    let method = plan.request.method.as_str();
    let mut bytes = http1::encode_head(method, url.target(), &url.authority(), headers, body.size())?;
    let head_size = bytes.len();
    bytes.append(&mut body.block());
    Ok(Message::repeating(bytes, head_size, head_size as u64 + body.size()))
}

/// The request of a connection's last exchange. RFC 9112 section 9.6: whoever will close says so, and then the target
/// closes first and keeps the `TIME_WAIT`. A `Connection` header of the plan's own stands as it is.
fn last_request(
    plan: &Plan,
    url: &Url,
    headers: &[(String, String)],
) -> Result<Option<Message>, http1::RequestError> {
    if headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("connection")) {
        return Ok(None);
    }
    let mut headers = headers.to_vec();
    headers.push(("Connection".to_owned(), "close".to_owned()));
    message(plan, url, &headers).map(Some)
}

/// The path without its query, which may hold a secret.
fn path_of(url: &Url) -> &str {
    url.target().split('?').next().unwrap_or("/")
}

/// How many of the plan's first `total` slots are this engine's.
pub(crate) fn slots_here(plan: &Plan, total: u64) -> u64 {
    let cells = plan.cells();
    let width = u64::from(schedule::CELL_COUNT);
    let rest = total % width;
    let partial = cells.iter().filter(|cell| u64::from(*cell) < rest).count() as u64;
    total / width * u64::from(cells.count()) + partial
}

/// The `index`-th of `of` parts of `total`; the first parts are larger by one where it does not divide.
fn part(total: u64, index: usize, of: usize) -> u32 {
    let (index, of) = (index as u64, of as u64);
    u32::try_from(total / of + u64::from(index < total % of)).unwrap_or(u32::MAX)
}

fn pacing(plan: &Plan) -> Pacing {
    match plan.pacing {
        plan::Pacing::Sleep => Pacing::Sleep,
        plan::Pacing::Spin => Pacing::Spin,
    }
}

fn catch_up(plan: &Plan) -> CatchUp {
    match &plan.load {
        Load::Open { catch_up: plan::CatchUp::Smooth, .. } => CatchUp::Smooth,
        Load::Open { catch_up: plan::CatchUp::Skip, .. } => CatchUp::Skip,
        Load::Open { .. } | Load::Closed(_) => CatchUp::Burst,
    }
}

fn tls_settings(tls: &plan::Tls, url: &Url) -> Result<Option<TlsSettings>, PrepareError> {
    if !url.scheme().is_secure() {
        return Ok(None);
    }
    let version = |version| match version {
        TlsVersion::V1_2 => ::tls::Version::Tls12,
        TlsVersion::V1_3 => ::tls::Version::Tls13,
    };
    let client = ::tls::Client::new(::tls::Options {
        trust: match &tls.trust {
            Trust::System => ::tls::Trust::System,
            Trust::Pem(pem) => ::tls::Trust::Pem(pem.clone()),
            Trust::Insecure => ::tls::Trust::Insecure,
        },
        client: tls.identity.as_ref().map(|identity| ::tls::ClientIdentity {
            cert_pem: identity.cert_pem.clone(),
            key_pem: identity.key_pem.clone(),
        }),
        alpn: tls.alpn.clone(),
        resumption: tls.resumption,
        min_version: version(tls.min_version),
        max_version: version(tls.max_version),
    })?;
    let server_name = url.server_name();
    // Tried once here, so that a name that TLS cannot carry is refused before anything starts.
    client.session(&server_name, &mut Vec::new())?;
    Ok(Some(TlsSettings { client: Arc::new(client), server_name: server_name.into() }))
}

/// A plan's one workload, and its profile where it has one.
fn whole(plan: &Plan, task: Task) -> Result<(WholeWorkload, Option<Arc<Profile>>), PrepareError> {
    match &plan.load {
        Load::Open { profile, process, .. } => {
            let profile = Arc::new(profile.clone());
            let arrivals = Arrivals::new(Arc::clone(&profile), *process, &Cells::none());
            let arrivals = match plan.count {
                Some(count) => arrivals.with_limit(count),
                None => arrivals,
            };
            Ok((WholeWorkload::open(arrivals, task), Some(profile)))
        }
        Load::Closed(users) => {
            let stays = entering(users.count, users.spawn_rate)?;
            let users = WholeUsers {
                stays,
                population: users.count,
                think_ns: users.think_ns,
                each: u64::MAX,
                slots: u64::MAX,
                total: plan.count,
            };
            Ok((WholeWorkload::closed(users, task), None))
        }
    }
}

/// The stays of users who enter at a rate, or all at once, and then are there: user k enters at slot k of the rate.
fn entering(count: u32, spawn_rate: Option<schedule::Rate>) -> Result<Vec<Stay>, PrepareError> {
    let spawn = match spawn_rate {
        Some(rate) => {
            // As long as it takes until the last user has entered, and a second.
            let last_ns = u128::from(count) * 1_000_000_000_000_000 / u128::from(rate.as_micro().max(1));
            let duration_ns = u64::try_from(last_ns).unwrap_or(u64::MAX / 2).saturating_add(1_000_000_000);
            Some(Profile::constant(rate, duration_ns)?)
        }
        None => None,
    };
    let enters_ns = |user: u32| match &spawn {
        None => Some(0),
        Some(profile) => profile.due_ns(u64::from(user)),
    };
    let stay = |user| Some(Stay { enters_ns: enters_ns(user)?, leaves_ns: u64::MAX, user });
    Ok((0..count).filter_map(stay).collect())
}

/// Each shard's workloads: split now, or, for shards that are told later what they own, nobody's yet.
fn split(
    workloads: &[WholeWorkload],
    plan: &Plan,
    shards: usize,
    tenure: Option<&Tenure>,
) -> Result<Vec<Vec<Workload>>, PrepareError> {
    if tenure.is_some() {
        let nobodys: Vec<_> = workloads.iter().flat_map(WholeWorkload::of_nobody).collect();
        return Ok(vec![nobodys; shards]);
    }
    let cells = plan.cells().deal(&vec![1; shards])?;
    let mut per_shard: Vec<Vec<Workload>> = vec![Vec::new(); shards];
    for workload in workloads {
        let parts = workload.split(&cells, |total| plan.share.part_of(total));
        per_shard.iter_mut().zip(parts).for_each(|(shard, part)| shard.push(part));
    }
    Ok(per_shard)
}

/// For how long the calling thread could have run and had no core, in nanoseconds since it began.
fn thread_core_wait_ns() -> Option<u64> {
    let file =
        fs::open(c"/proc/thread-self/schedstat", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut text = [0; 96];
    let count = rustix::io::read(&file, &mut text).ok()?;
    // Time on a core, time waiting for one, number of turns: the kernel's documentation, scheduler/sched-stats.
    std::str::from_utf8(&text[..count]).ok()?.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// CPU time of the calling thread, in nanoseconds.
fn thread_cpu_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clock::Timestamp;
    use plan::Draft;

    use super::*;

    #[test]
    fn slots_of_users_are_unique_over_shards_and_shares() {
        let mut slots = BTreeSet::new();
        for share in 1..=2 {
            let share = plan::Share::new(share, 2).expect("a share");
            let plan = Draft { users: Some(7), share, ..Draft::default() }.into_plan().expect("a plan");
            let (whole, _) = whole(&plan, Task::Own).expect("it can be made");
            let workloads = split(&[whole], &plan, 2, None).expect("it can be split");
            for mut workload in workloads.into_iter().flatten() {
                for _ in 0..3 {
                    let round: Vec<_> = std::iter::from_fn(|| workload.take(Timestamp::ZERO)).collect();
                    for due in round {
                        assert!(slots.insert(due.slot), "slot {} twice", due.slot);
                        workload.ended(due.user, Timestamp::ZERO, 0);
                    }
                }
            }
        }
        assert_eq!(slots, (0..21).collect());
    }
}
