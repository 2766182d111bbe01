//! The host: what this machine, and the container around us, allow.
//!
//! What it is: [`Facts`], plain data gathered once before a run, for the pre-flight, the doctor and the report.
//! What it is not: a judgement; [`crate::preflight`] and [`crate::doctor`] judge.
//!
//! Invariant: a fact that cannot be read is `None`, never a guess and never an error. Units: bytes, thousandths of
//! a core.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::Path;

use plan::{Connections, Needs};
use rustix::process::{Resource, Rlimit};
use rustix::thread::CpuSet;

mod cgroup;
pub(crate) mod figures;
mod kernel;
pub mod link;

pub use kernel::TimeWaitReuse;

/// What this host says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The kernel's release, as `uname -r` says it.
    pub kernel: Option<String>,
    /// The host's name.
    pub host: Option<String>,
    /// The cores that this process may run on, rising; at least one.
    pub cores: Vec<usize>,
    /// How many physical cores those are; fewer where two share one as hyperthreads.
    pub physical_cores: Option<usize>,
    /// CPU time that the control groups allow, in thousandths of a core; `None` for no quota.
    pub cpu_quota_millicores: Option<u64>,
    /// How the cores' frequency is chosen; the slowest choice where they differ.
    pub governor: Option<String>,
    /// Where the kernel's clock comes from.
    pub clock_source: Option<String>,
    /// Memory that could be had without swapping (`MemAvailable`).
    pub memory_available_bytes: Option<u64>,
    /// Most memory that the control groups allow; `None` for no limit.
    pub memory_limit_bytes: Option<u64>,
    /// What is left of it; what only caches files counts as left.
    pub memory_room_bytes: Option<u64>,
    /// `RLIMIT_MEMLOCK`; `None` for no limit.
    pub locked_memory_limit_bytes: Option<u64>,
    /// `RLIMIT_NOFILE`.
    pub descriptors: DescriptorLimit,
    /// Local ports that connections may take.
    pub local_ports: Option<RangeInclusive<u16>>,
    /// Whether ports in `TIME_WAIT` are taken again.
    pub time_wait_reuse: Option<TimeWaitReuse>,
    /// How many sockets are kept in `TIME_WAIT` at most.
    pub time_wait_limit: Option<u64>,
    /// The congestion control that new connections get.
    pub congestion_control: Option<String>,
    /// The longest queue of connections that a listener may have.
    pub listen_queue_limit: Option<u64>,
    /// The connection tracker, where it is loaded.
    pub conntrack: Option<Conntrack>,
    /// The sysctl `kernel.io_uring_disabled`; `None` before kernel 6.6.
    pub io_uring_disabled: Option<u64>,
}

/// How many file descriptors this process may have.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct DescriptorLimit {
    /// What holds now; [`u64::MAX`] for no limit.
    pub soft: u64,
    /// Up to where the process may raise it by itself.
    pub hard: u64,
}

impl Default for DescriptorLimit {
    fn default() -> Self {
        Self { soft: u64::MAX, hard: u64::MAX }
    }
}

/// The kernel's connection tracker (netfilter).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Conntrack {
    /// Connections that it holds, where that can be read.
    pub count: Option<u64>,
    /// Connections that it can hold; beyond it, packets of new ones are dropped.
    pub limit: u64,
}

impl Conntrack {
    /// Whether it tracks anything. Loaded it always may be; without a rule that needs it, it holds nothing.
    pub fn is_active(self) -> bool {
        self.count != Some(0)
    }
}

impl Facts {
    /// Gathers the facts. Call it after [`raise_descriptor_limit`], so that they say what the run has.
    pub fn gather() -> Self {
        let name = rustix::system::uname();
        let limits = rustix::process::getrlimit(Resource::Nofile);
        let unlimited = |limit: Option<u64>| limit.unwrap_or(u64::MAX);
        let affinity = rustix::thread::sched_getaffinity(None).ok();
        let read = |path: &Path| std::fs::read_to_string(path).ok();
        Self {
            kernel: kernel::word(&name.release().to_string_lossy()),
            host: kernel::word(&name.nodename().to_string_lossy()),
            locked_memory_limit_bytes: rustix::process::getrlimit(Resource::Memlock).current,
            descriptors: DescriptorLimit { soft: unlimited(limits.current), hard: unlimited(limits.maximum) },
            ..Self::read(affinity.map(|set| cores_in(&set)), &read)
        }
    }

    /// The part of the facts that stands in files; `read` yields a file's text, `None` where it cannot be read.
    fn read(affinity: Option<Vec<usize>>, read: &dyn Fn(&Path) -> Option<String>) -> Self {
        let file = |path: &str| read(Path::new(path));
        let of = |path: &str| file(path).as_deref().and_then(kernel::number);
        let name = |path: &str| file(path).as_deref().and_then(kernel::word);
        // On more cores than the call has room for, the kernel's text still tells.
        let cores = affinity
            .or_else(|| kernel::allowed_cores(&file("/proc/self/status")?))
            .unwrap_or_else(|| (0..std::thread::available_parallelism().map_or(1, usize::from)).collect());
        let allowance = cgroup::allowance(read);
        let memory = file("/proc/meminfo");
        let conntrack = of("/proc/sys/net/netfilter/nf_conntrack_max");
        Self {
            physical_cores: physical_cores(&cores, read),
            governor: governor(&cores, read),
            cpu_quota_millicores: allowance.cpu_millicores,
            memory_limit_bytes: allowance.memory_limit_bytes,
            memory_room_bytes: allowance.memory_room_bytes,
            memory_available_bytes: memory.and_then(|text| kernel::meminfo(&text, "MemAvailable")),
            clock_source: name("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
            local_ports: file("/proc/sys/net/ipv4/ip_local_port_range")
                .as_deref()
                .and_then(kernel::port_range),
            time_wait_reuse: file("/proc/sys/net/ipv4/tcp_tw_reuse")
                .as_deref()
                .and_then(kernel::time_wait_reuse),
            time_wait_limit: of("/proc/sys/net/ipv4/tcp_max_tw_buckets"),
            congestion_control: name("/proc/sys/net/ipv4/tcp_congestion_control"),
            listen_queue_limit: of("/proc/sys/net/core/somaxconn"),
            conntrack: conntrack
                .map(|limit| Conntrack { count: of("/proc/sys/net/netfilter/nf_conntrack_count"), limit }),
            io_uring_disabled: of("/proc/sys/kernel/io_uring_disabled"),
            cores,
            ..Self::default()
        }
    }

    /// Memory that a run may take, in bytes: what the host has available and the control groups have left, whichever
    /// is less; `None` where neither can be read.
    pub fn memory_to_be_had_bytes(&self) -> Option<u64> {
        match (self.memory_available_bytes, self.memory_room_bytes) {
            (Some(host), Some(group)) => Some(host.min(group)),
            (host, group) => host.or(group),
        }
    }

    /// How many local ports there are towards one address and port.
    pub fn local_port_count(&self) -> Option<u64> {
        let range = self.local_ports.as_ref()?;
        Some(u64::from(*range.end() - *range.start()) + 1)
    }
}

fn cores_in(set: &CpuSet) -> Vec<usize> {
    (0..CpuSet::MAX_CPU).filter(|&core| set.is_set(core)).collect()
}

fn physical_cores(cores: &[usize], read: &dyn Fn(&Path) -> Option<String>) -> Option<usize> {
    let siblings = |core: &usize| {
        let path = format!("/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list");
        kernel::core_list(&read(Path::new(&path))?)
    };
    Some(cores.iter().map(siblings).collect::<Option<BTreeSet<_>>>()?.len())
}

fn governor(cores: &[usize], read: &dyn Fn(&Path) -> Option<String>) -> Option<String> {
    let of = |core: &usize| {
        let path = format!("/sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor");
        read(Path::new(&path)).as_deref().and_then(kernel::word)
    };
    let slowest_last = |name: &String| {
        ["performance", "schedutil", "ondemand", "conservative", "powersave"]
            .iter()
            .position(|known| known == name)
    };
    cores.iter().filter_map(of).max_by_key(slowest_last)
}

/// The most descriptors for which the kernel's table is made large enough at the start: 1 MiB of it.
const DESCRIPTORS_PREPARED_MAX: u64 = 131_072;

/// Raises the soft limit on descriptors to the hard one, and takes the table that they need, as every run does first.
/// Returns the limit before and after, as [`DescriptorLimit::soft`] counts.
pub fn raise_descriptor_limit() -> (u64, u64) {
    let before = rustix::process::getrlimit(Resource::Nofile);
    if before.current != before.maximum {
        // What it came to is read back: a sandbox may refuse, and a refusal is then told as the limit that it is.
        let _ = rustix::process::setrlimit(
            Resource::Nofile,
            Rlimit { current: before.maximum, maximum: before.maximum },
        );
    }
    let after = rustix::process::getrlimit(Resource::Nofile);
    widen_descriptor_table(after.current.unwrap_or(u64::MAX));
    (before.current.unwrap_or(u64::MAX), after.current.unwrap_or(u64::MAX))
}

/// Makes the kernel's table of this process's descriptors large enough for `limit` of them.
///
/// The table grows by powers of two, when a descriptor is opened for which it has no place; in a process with several
/// threads each growth waits until no core uses the old table, some 10 ms in which the thread stands (the kernel's
/// `expand_fdtable`). A shard must not meet that in the middle of its connections. A descriptor at the table's end makes
/// it large at once.
fn widen_descriptor_table(limit: u64) {
    let last = limit.min(DESCRIPTORS_PREPARED_MAX).saturating_sub(1);
    let (Ok(last), Ok(end)) =
        (i32::try_from(last), rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC))
    else {
        return;
    };
    // Where it is refused, the table grows later: slower, not wrong.
    drop(rustix::io::fcntl_dupfd_cloexec(&end.0, last));
}

/// How many connections a run opens at most where nobody said: what the limit on descriptors leaves, at most
/// [`Connections::DEFAULT_CAP`], at least 1.
pub fn default_connection_cap(facts: &Facts, shards: u32) -> u32 {
    capped(facts.descriptors.soft.saturating_sub(Needs::descriptors_beside_connections(shards)))
}

/// [`default_connection_cap`] for the built-in target, whose ends of the connections are descriptors of this
/// process as well.
pub fn default_builtin_connection_cap(facts: &Facts, shards: u32) -> u32 {
    let beside =
        Needs::descriptors_beside_connections(shards).saturating_add(builtin_target_descriptors(facts));
    capped(facts.descriptors.soft.saturating_sub(beside) / 2)
}

fn capped(left: u64) -> u32 {
    u32::try_from(left).unwrap_or(u32::MAX).clamp(1, Connections::DEFAULT_CAP)
}

/// Descriptors of the built-in target beside its connections: at most a thread for each core, each with a listener,
/// an epoll instance, a timer and a wake-up.
pub(crate) fn builtin_target_descriptors(facts: &Facts) -> u64 {
    4 * facts.cores.len() as u64
}

#[cfg(test)]
mod tests;
