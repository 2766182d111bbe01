//! What the control groups around this process allow it: CPU time and memory, of both versions.
//!
//! What it is: where a process's groups lie, from its two texts under `/proc/self`, and what their files say.
//! What it is not: it opens no file; whoever hands it a reader does.
//!
//! Invariant: a limit counts wherever it stands on the way from the process's group to the root; the tightest is
//! the one that is told.

use std::path::{Component, Path, PathBuf};

use super::kernel;

/// What the control groups allow. `None`: no limit, or a container hides it.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Allowance {
    /// CPU time, in thousandths of a core.
    pub(super) cpu_millicores: Option<u64>,
    /// Most memory, in bytes.
    pub(super) memory_limit_bytes: Option<u64>,
    /// What is left of it for programs, in bytes; what only caches files counts as left.
    pub(super) memory_room_bytes: Option<u64>,
}

/// Version 1 says "no limit" with a number near 2^63.
const NO_LIMIT_FROM: u64 = 1 << 62;

/// Reads the allowance; `read` yields a file's text, `None` where it cannot be read.
pub(super) fn allowance(read: &dyn Fn(&Path) -> Option<String>) -> Allowance {
    let text = |path: &str| read(Path::new(path)).unwrap_or_default();
    let (groups, mounts) = (text("/proc/self/cgroup"), text("/proc/self/mountinfo"));
    let mut allowance = Allowance::default();
    for directory in directories(&groups, &mounts, Version::Two) {
        let file = |name: &str| read(&directory.join(name));
        allowance.tighten_cpu(file("cpu.max").as_deref().and_then(quota_2));
        allowance.tighten_memory(
            file("memory.max").as_deref().and_then(kernel::number),
            file("memory.current").as_deref().and_then(kernel::number),
            file("memory.stat").as_deref().map(|text| cached(text, "")),
        );
    }
    for directory in directories(&groups, &mounts, Version::One("cpu")) {
        let file = |name: &str| read(&directory.join(name));
        let quota = file("cpu.cfs_quota_us").zip(file("cpu.cfs_period_us"));
        allowance.tighten_cpu(quota.and_then(|(quota, period)| quota_1(&quota, &period)));
    }
    for directory in directories(&groups, &mounts, Version::One("memory")) {
        let file = |name: &str| read(&directory.join(name));
        let limit = file("memory.limit_in_bytes").as_deref().and_then(kernel::number);
        allowance.tighten_memory(
            limit.filter(|limit| *limit < NO_LIMIT_FROM),
            file("memory.usage_in_bytes").as_deref().and_then(kernel::number),
            file("memory.stat").as_deref().map(|text| cached(text, "total_")),
        );
    }
    allowance
}

impl Allowance {
    fn tighten_cpu(&mut self, millicores: Option<u64>) {
        self.cpu_millicores = tighter(self.cpu_millicores, millicores);
    }

    fn tighten_memory(&mut self, limit: Option<u64>, used: Option<u64>, cached: Option<u64>) {
        let Some(limit) = limit else { return };
        let used = used.unwrap_or(0).saturating_sub(cached.unwrap_or(0));
        self.memory_limit_bytes = tighter(self.memory_limit_bytes, Some(limit));
        self.memory_room_bytes = tighter(self.memory_room_bytes, Some(limit.saturating_sub(used)));
    }
}

fn tighter(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Version<'a> {
    /// Version 1, with the controller that is looked for.
    One(&'a str),
    /// Version 2.
    Two,
}

/// The directories of the process's groups, its own first, up to where the hierarchy is mounted.
fn directories(groups: &str, mounts: &str, version: Version<'_>) -> Vec<PathBuf> {
    let Some(group) = groups.lines().find_map(|line| group_of(line, version)) else { return Vec::new() };
    let Some((root, mount)) = mounts.lines().find_map(|line| mount_of(line, version)) else {
        return Vec::new();
    };
    // Inside a container the group may be written as the host sees it while only a part of the tree is mounted.
    let below = group.strip_prefix(&root).unwrap_or(Path::new(""));
    let names = below.components().filter(|part| matches!(part, Component::Normal(_))).count();
    let own = mount.join(below);
    own.ancestors().take(names + 1).map(Path::to_owned).collect()
}

/// Reads a line of `/proc/self/cgroup`: `4:cpu,cpuacct:/group`, or `0::/group` for version 2.
fn group_of<'a>(line: &'a str, version: Version<'_>) -> Option<&'a Path> {
    let mut fields = line.splitn(3, ':');
    let (number, controllers, group) = (fields.next()?, fields.next()?, fields.next()?);
    let found = match version {
        Version::One(controller) => controllers.split(',').any(|name| name == controller),
        Version::Two => number == "0" && controllers.is_empty(),
    };
    // A group outside the process's namespace is written with `..`: nothing of it can be seen.
    (found && !group.contains("..")).then(|| Path::new(group))
}

/// Reads a line of `/proc/self/mountinfo` (proc(5)): the mounted part of the hierarchy, and where it is mounted.
fn mount_of(line: &str, version: Version<'_>) -> Option<(PathBuf, PathBuf)> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ').skip(3);
    let (root, mount) = (left.next()?, left.next()?);
    let mut right = right.split(' ');
    let (kind, _source, options) = (right.next()?, right.next()?, right.next()?);
    let found = match version {
        Version::One(controller) => kind == "cgroup" && options.split(',').any(|name| name == controller),
        Version::Two => kind == "cgroup2",
    };
    found.then(|| (PathBuf::from(root), PathBuf::from(mount)))
}

/// Reads `cpu.max`: `200000 100000`, or `max 100000`; in thousandths of a core.
fn quota_2(text: &str) -> Option<u64> {
    let (quota, period) = text.trim().split_once(' ')?;
    quota_1(quota, period)
}

/// Reads a quota and its period, both in microseconds; -1 and `max` mean none. In thousandths of a core.
fn quota_1(quota: &str, period: &str) -> Option<u64> {
    let (quota, period) = (kernel::number(quota)?, kernel::number(period)?);
    quota.checked_mul(1_000)?.checked_div(period)
}

/// What `memory.stat` says is only cached, in bytes: the kernel gives it up before it kills.
fn cached(text: &str, prefix: &str) -> u64 {
    let of = |name: &str| {
        let line =
            text.lines().find_map(|line| line.strip_prefix(prefix)?.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(kernel::number).unwrap_or(0)
    };
    of("active_file").saturating_add(of("inactive_file"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_from(files: &[(&'static str, &'static str)], path: &Path) -> Option<String> {
        files.iter().find(|(name, _)| Path::new(name) == path).map(|(_, text)| (*text).to_owned())
    }

    fn allowance_of(files: &[(&'static str, &'static str)]) -> Allowance {
        allowance(&|path| read_from(files, path))
    }

    const MOUNT_2: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";

    #[test]
    fn version_2_in_a_container() {
        let found = allowance_of(&[
            ("/proc/self/cgroup", "0::/\n"),
            ("/proc/self/mountinfo", MOUNT_2),
            ("/sys/fs/cgroup/cpu.max", "150000 100000\n"),
            ("/sys/fs/cgroup/memory.max", "268435456\n"),
            ("/sys/fs/cgroup/memory.current", "200000000\n"),
            ("/sys/fs/cgroup/memory.stat", "anon 1\ninactive_file 90000000\nactive_file 10000000\n"),
        ]);
        let room = Some(268_435_456 - 100_000_000);
        assert_eq!(
            found,
            Allowance {
                cpu_millicores: Some(1_500),
                memory_limit_bytes: Some(268_435_456),
                memory_room_bytes: room
            }
        );
    }

    #[test]
    fn version_2_the_tightest_group_on_the_way_up_counts() {
        let found = allowance_of(&[
            ("/proc/self/cgroup", "0::/user.slice/run.scope\n"),
            ("/proc/self/mountinfo", MOUNT_2),
            ("/sys/fs/cgroup/user.slice/run.scope/cpu.max", "max 100000\n"),
            ("/sys/fs/cgroup/user.slice/run.scope/memory.max", "8000\n"),
            ("/sys/fs/cgroup/user.slice/run.scope/memory.current", "1000\n"),
            ("/sys/fs/cgroup/user.slice/cpu.max", "50000 100000\n"),
            ("/sys/fs/cgroup/user.slice/memory.max", "9000\n"),
            ("/sys/fs/cgroup/user.slice/memory.current", "8500\n"),
        ]);
        assert_eq!(
            found,
            Allowance {
                cpu_millicores: Some(500),
                memory_limit_bytes: Some(8_000),
                memory_room_bytes: Some(500)
            }
        );
    }

    const MOUNTS_1: &str = "\
        31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
        32 31 0:29 /docker/abc /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n\
        35 31 0:32 /docker/abc /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
        41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

    #[test]
    fn version_1_where_only_the_containers_part_is_mounted() {
        let found = allowance_of(&[
            (
                "/proc/self/cgroup",
                "4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n3:cpuset:/docker/abc\n0::/\n",
            ),
            ("/proc/self/mountinfo", MOUNTS_1),
            ("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "250000\n"),
            ("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
            ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "1073741824\n"),
            ("/sys/fs/cgroup/memory/memory.usage_in_bytes", "73741824\n"),
            // A group of the same name further inside is another one.
            ("/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "1\n"),
            ("/sys/fs/cgroup/memory/memory.stat", "inactive_file 7\ntotal_inactive_file 1000\n"),
        ]);
        assert_eq!(
            found,
            Allowance {
                cpu_millicores: Some(2_500),
                memory_limit_bytes: Some(1_073_741_824),
                memory_room_bytes: Some(1_000_001_000),
            }
        );
    }

    #[test]
    fn no_limit_is_none() {
        let found = allowance_of(&[
            ("/proc/self/cgroup", "4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n"),
            ("/proc/self/mountinfo", MOUNTS_1),
            ("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
            ("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
            ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("/sys/fs/cgroup/memory/memory.usage_in_bytes", "73741824\n"),
        ]);
        assert_eq!(found, Allowance::default());
        let version_2 = allowance_of(&[
            ("/proc/self/cgroup", "0::/\n"),
            ("/proc/self/mountinfo", MOUNT_2),
            ("/sys/fs/cgroup/cpu.max", "max 100000\n"),
            ("/sys/fs/cgroup/memory.max", "max\n"),
        ]);
        assert_eq!(version_2, Allowance::default());
    }

    #[test]
    fn what_is_hidden_or_broken_is_none() {
        assert_eq!(allowance_of(&[]), Allowance::default());
        let rows: [&[(&str, &str)]; 4] = [
            &[("/proc/self/cgroup", "0::/\n")],
            &[("/proc/self/mountinfo", MOUNT_2), ("/sys/fs/cgroup/memory.max", "1\n")],
            &[
                ("/proc/self/cgroup", "0::/../../other\n"),
                ("/proc/self/mountinfo", MOUNT_2),
                ("/sys/fs/cgroup/memory.max", "1\n"),
                ("/sys/fs/cgroup/../../other/memory.max", "1\n"),
            ],
            &[
                ("/proc/self/cgroup", "nonsense\n0::/\n"),
                ("/proc/self/mountinfo", "nonsense - x\n"),
                ("/sys/fs/cgroup/memory.max", "1\n"),
            ],
        ];
        for files in rows {
            assert_eq!(allowance_of(files), Allowance::default(), "{files:?}");
        }
        assert_eq!(quota_2("100000 0"), None, "no division by zero");
        assert_eq!(quota_2("100000"), None);
    }
}
