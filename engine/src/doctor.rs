//! `engine doctor`: what this host allows, what that means for a load generator, and what to change.
//!
//! What it is: a judgement of [`Facts`] and of the ring's trial, as text for people. What it is not: it changes
//! nothing but this process's own limit on descriptors; and it says nothing of a plan, which the pre-flight judges.
//!
//! Invariants: each line has a mark; each line that is not well says the consequence and, where there is one, the exact
//! command; no line is longer than 100 columns but a command; nothing of the environment is shown.

use plan::{Connections, Draft, Needs, Rate};
use uring::Refusal;
use verdict::ExitCode;

use crate::host::figures::{self, bytes, count, counted};
use crate::host::{self, Facts, TimeWaitReuse};
use crate::preflight::{is_paced, is_quick_clock};

mod page;

use page::Finding;

/// The README's first command: the rate of the run that the doctor has in mind.
const EXAMPLE_RATE: u64 = 50_000;

/// Examines this host: the report, and 0 when a run is possible, 3 when not.
pub fn examine(connections: Option<u32>) -> (String, ExitCode) {
    host::raise_descriptor_limit();
    let (facts, ring) = (Facts::gather(), uring::probe());
    (report(&facts, &ring, connections), exit_code(&facts, &ring, connections))
}

/// The report for people, with a run of so many connections in mind; `None` for the default.
pub fn report(facts: &Facts, ring: &uring::Facts, connections: Option<u32>) -> String {
    let findings = findings(facts, ring, connections);
    let title = [
        facts.host.clone().unwrap_or_else(|| "this host".to_owned()),
        format!("Linux {}", facts.kernel.as_deref().unwrap_or(&ring.kernel_release)),
        counted(facts.cores.len() as u64, "core"),
    ];
    let run = match connections {
        Some(connections) => format!("a run with {}", counted(u64::from(connections), "connection")),
        None => "a default run".to_owned(),
    };
    let refused = findings.iter().filter(|finding| finding.is_refusal()).count() as u64;
    let worse = findings.iter().filter(|finding| finding.is_warning()).count() as u64;
    let conclusion = match (refused, worse) {
        (0, 0) => format!("{run} is possible here, and nothing stands in its way."),
        (0, _) => format!("{run} is possible here; {} could be better (!).", counted(worse, "thing")),
        _ => format!("{run} is not possible here: {} must change (x).", counted(refused, "thing")),
    };
    page::render(&title.join(", "), &findings, &conclusion)
}

/// How the program ends: 0 when a run is possible here, else 3.
pub fn exit_code(facts: &Facts, ring: &uring::Facts, connections: Option<u32>) -> ExitCode {
    if findings(facts, ring, connections).iter().any(Finding::is_refusal) {
        ExitCode::Environment
    } else {
        ExitCode::Passed
    }
}

fn findings(facts: &Facts, ring: &uring::Facts, connections: Option<u32>) -> Vec<Finding> {
    let mut findings = ring_findings(ring);
    findings.push(Finding::well("epoll", "serves where the ring is refused, or with --io epoll"));
    findings.push(descriptors(facts, connections));
    findings.push(ports(facts, connections));
    findings.push(reuse(facts));
    findings.push(memory(facts, connections));
    findings.push(locked_memory(ring));
    findings.push(cores(facts));
    findings.extend(quota(facts));
    findings.push(governor(facts));
    findings.push(clock_source(facts));
    findings.push(congestion_control(facts));
    findings.push(conntrack(facts));
    findings.push(listen_queue(facts));
    findings
}

fn ring_findings(ring: &uring::Facts) -> Vec<Finding> {
    let features = match &ring.ring {
        Ok(features) => features,
        Err(refusal) => {
            let finding =
                Finding::warning("io_uring", "refused: epoll serves instead, at more CPU per request");
            return vec![finding.because(&refusal.to_string())];
        }
    };
    let mut findings = vec![
        Finding::well("io_uring", "allowed, with every feature that the engine needs:"),
        Finding::well("  operations", "connect, send, receive, cancel"),
        Finding::well("  receive", "multishot, into a ring of provided buffers"),
        Finding::well("  send", "silent when all goes well, with an account of what did not fit"),
    ];
    findings.push(if features.is_timed_absolutely {
        Finding::well("  wait", "until an absolute instant")
    } else {
        Finding::warning("  wait", "for a span of time only")
            .because("each wait costs one more reading of the clock; Linux 6.12 or later has better")
    });
    findings.push(if features.is_registered {
        Finding::well("  descriptor", "registered: no look-up for each call")
    } else {
        Finding::warning("  descriptor", "not registered")
            .because("each call looks the ring up; Linux 5.18 or later has better")
    });
    findings
}

fn descriptors(facts: &Facts, connections: Option<u32>) -> Finding {
    const NAME: &str = "descriptors";
    let limit = facts.descriptors.soft;
    let shards = facts.cores.len();
    let beside = Needs::descriptors_beside_connections(u32::try_from(shards).unwrap_or(u32::MAX));
    let left = limit.saturating_sub(beside);
    let shown = if limit == u64::MAX { "no limit".to_owned() } else { count(limit) };
    let value = format!("{shown} at most (the engine raises its own soft limit)");
    let (least, why) = if let Some(connections) = connections {
        let least = beside.saturating_add(u64::from(connections));
        let connections = counted(u64::from(connections), "connection");
        (least, format!("{connections} on {} need {}", counted(shards as u64, "shard"), count(least)))
    } else {
        let least = least_for_builtin(facts);
        (least, format!("one connection to the built-in target needs {}", count(least)))
    };
    let enough = least.saturating_add(1_024).checked_next_power_of_two().unwrap_or(u64::MAX).max(4_096);
    let fix = format!("ulimit -n {enough}   # as root; LimitNOFILE= in systemd, --ulimit nofile= in Docker");
    if limit < least {
        return Finding::refusal(NAME, &value).because(&why).fixed_by(&fix);
    }
    if left < u64::from(Connections::DEFAULT_CAP) && connections.is_none() {
        let why = format!("a run opens {} at most, instead of {}", counted(left, "connection"), count(1_024));
        return Finding::warning(NAME, &value).because(&why).fixed_by(&fix);
    }
    Finding::well(NAME, &value)
}

/// Descriptors of the smallest run against the built-in target, which then has half of the cores, and both ends of
/// the one connection in this process.
fn least_for_builtin(facts: &Facts) -> u64 {
    let shards = u32::try_from(facts.cores.len().div_ceil(2)).unwrap_or(u32::MAX);
    Needs::descriptors_beside_connections(shards) + host::builtin_target_descriptors(facts) + 2
}

const WIDER_PORTS: &str = "sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\"";

fn ports(facts: &Facts, connections: Option<u32>) -> Finding {
    const NAME: &str = "local ports";
    let (Some(range), Some(ports)) = (&facts.local_ports, facts.local_port_count()) else {
        return Finding::hidden(NAME);
    };
    let value = format!(
        "{} ({}-{}): as many connections to one address and port",
        count(ports),
        range.start(),
        range.end()
    );
    if ports < u64::from(connections.unwrap_or(1)) {
        let why = "connections beyond that cannot be opened";
        return Finding::refusal(NAME, &value).because(why).fixed_by(WIDER_PORTS);
    }
    if ports < u64::from(Connections::DEFAULT_CAP) {
        let why = "connections beyond that are dropped as local_resource";
        return Finding::warning(NAME, &value).because(why).fixed_by(WIDER_PORTS);
    }
    Finding::well(NAME, &value)
}

fn reuse(facts: &Facts) -> Finding {
    const NAME: &str = "port reuse";
    let per_second = facts.local_port_count().map_or(0, |ports| ports / 60);
    let otherwise = format!("with --close-after, {} closes a second use the ports up", count(per_second));
    match facts.time_wait_reuse {
        None => Finding::hidden(NAME),
        Some(TimeWaitReuse::Always) => Finding::well(NAME, "a second after a connection was closed"),
        Some(TimeWaitReuse::Loopback) => {
            Finding::well(NAME, &format!("on loopback; elsewhere after 60 s: {otherwise}"))
        }
        Some(TimeWaitReuse::Never) => Finding::warning(NAME, "60 s after a connection was closed")
            .because(&otherwise)
            .fixed_by("sysctl -w net.ipv4.tcp_tw_reuse=1"),
    }
}

fn memory(facts: &Facts, connections: Option<u32>) -> Finding {
    const NAME: &str = "memory";
    let Some(available) = facts.memory_to_be_had_bytes() else { return Finding::hidden(NAME) };
    let limit = match facts.memory_limit_bytes {
        Some(limit) => format!(" (the control group's limit is {})", bytes(limit)),
        None => String::new(),
    };
    let value = format!("{} may be had{limit}", bytes(available));
    let shards = u32::try_from(facts.cores.len()).unwrap_or(u32::MAX);
    let cap = connections.unwrap_or(Connections::DEFAULT_CAP);
    let draft = Draft { rate: Some(Rate::per_second(EXAMPLE_RATE)), ..Draft::default() };
    let Ok(plan) = draft.into_plan() else { return Finding::well(NAME, &value) };
    let needed = plan.needs(shards, cap).memory_bytes;
    if needed <= available {
        return Finding::well(NAME, &value);
    }
    let why = format!(
        "{} at {}/s need about {}: have more, or fewer connections",
        counted(u64::from(cap), "connection"),
        count(EXAMPLE_RATE),
        bytes(needed)
    );
    Finding::refusal(NAME, &value).because(&why)
}

fn locked_memory(ring: &uring::Facts) -> Finding {
    const NAME: &str = "locked memory";
    let value = match ring.locked_memory_limit_bytes {
        None => "no limit".to_owned(),
        Some(limit) => format!("{} at most", bytes(limit)),
    };
    match &ring.ring {
        Err(Refusal::Memory { .. }) => Finding::warning(NAME, &value)
            .because("too little for the ring's queues: epoll serves instead")
            .fixed_by(
                "ulimit -l unlimited   # as root; LimitMEMLOCK= in systemd, --ulimit memlock= in Docker",
            ),
        Ok(_) => Finding::well(NAME, &format!("{value}: enough for the ring")),
        Err(_) => Finding::well(NAME, &value),
    }
}

fn cores(facts: &Facts) -> Finding {
    const NAME: &str = "cores";
    let (cores, list) = (facts.cores.len(), figures::cores(&facts.cores));
    let value = format!("{} ({list}): as many shards", count(cores as u64));
    match facts.physical_cores {
        Some(physical) if physical < cores => {
            let physical = counted(physical as u64, "physical core");
            Finding::well(NAME, &format!("{value}, on {physical} (hyperthreads)"))
        }
        _ if cores == 1 => Finding::warning(NAME, &value)
            .because("the built-in target would share it with the generator, and each would delay the other"),
        _ => Finding::well(NAME, &value),
    }
}

fn quota(facts: &Facts) -> Option<Finding> {
    let quota = facts.cpu_quota_millicores?;
    let value = format!("{} of {}", figures::thousandths(quota), counted(facts.cores.len() as u64, "core"));
    Some(if quota < facts.cores.len() as u64 * 1_000 {
        Finding::warning("CPU quota", &value)
            .because(
                "beyond it the kernel stops the engine for the rest of the period, which shows as schedule lag: run \
                 fewer shards (--cores), or lift it",
            )
            .fixed_by("cpu.max in the control group; docker run --cpus=N; limits.cpu in Kubernetes")
    } else {
        Finding::well("CPU quota", &value)
    })
}

fn governor(facts: &Facts) -> Finding {
    const NAME: &str = "governor";
    match facts.governor.as_deref() {
        None => Finding::well(NAME, "none to be seen (usual in virtual machines)"),
        Some("powersave" | "conservative" | "ondemand") => {
            let name = facts.governor.as_deref().unwrap_or_default();
            Finding::warning(NAME, name)
                .because("cores run slowly between requests: latencies and CPU per request include it")
                .fixed_by("echo performance | tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor")
        }
        Some(name) => Finding::well(NAME, name),
    }
}

fn clock_source(facts: &Facts) -> Finding {
    const NAME: &str = "clock source";
    match facts.clock_source.as_deref() {
        None => Finding::hidden(NAME),
        Some(name) if is_quick_clock(name) => {
            Finding::well(NAME, &format!("{name}: read without a system call"))
        }
        Some(name) => Finding::warning(NAME, name)
            .because("each reading of the time is a system call, and often a slow one")
            .fixed_by("echo tsc > /sys/devices/system/clocksource/clocksource0/current_clocksource"),
    }
}

fn congestion_control(facts: &Facts) -> Finding {
    const NAME: &str = "congestion control";
    match facts.congestion_control.as_deref() {
        None => Finding::hidden(NAME),
        Some(name) if is_paced(name) => Finding::warning(NAME, name)
            .because("it spaces packets out: latencies of large requests include it, and each packet costs a timer")
            .fixed_by("sysctl -w net.ipv4.tcp_congestion_control=cubic"),
        Some(name) => Finding::well(NAME, name),
    }
}

fn conntrack(facts: &Facts) -> Finding {
    const NAME: &str = "conntrack";
    let Some(conntrack) = facts.conntrack else { return Finding::well(NAME, "not loaded") };
    if !conntrack.is_active() {
        return Finding::well(NAME, "loaded, and tracks nothing");
    }
    let held = conntrack.count.map_or_else(|| "an unknown number".to_owned(), count);
    Finding::warning(NAME, &format!("on: {held} of {} connections", count(conntrack.limit)))
        .because("each packet costs more CPU, and beyond the limit packets are dropped")
        .fixed_by(
            "iptables -t raw -I OUTPUT -d TARGET -j CT --notrack\n\
             iptables -t raw -I PREROUTING -s TARGET -j CT --notrack",
        )
}

fn listen_queue(facts: &Facts) -> Finding {
    const NAME: &str = "listen queue";
    match facts.listen_queue_limit {
        None => Finding::hidden(NAME),
        Some(limit) if limit < u64::from(Connections::DEFAULT_CAP) => {
            Finding::warning(NAME, &format!("{} at most (net.core.somaxconn)", count(limit)))
                .because("a target on this host refuses or delays connections that come all at once")
                .fixed_by("sysctl -w net.core.somaxconn=4096")
        }
        Some(limit) => Finding::well(NAME, &format!("{} at most (net.core.somaxconn)", count(limit))),
    }
}

#[cfg(test)]
mod tests;
