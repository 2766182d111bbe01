//! `workloads:` — what load there is, side by side and one after the other.

use super::fields::{Fields, named, parsed};
use super::problem::Problems;
use super::profile::{LOAD_KEYS, Lasting, WorkloadLoad, load};
use super::source::Span;
use super::tree::{Node, Value};
use crate::{LONGEST_DURATION_NS, parse_duration};

/// The keys of a workload beside those of its load.
const OWN_KEYS: [&str; 8] =
    ["arrivals", "for", "start", "after", "spawn-rate", "iterations", "scenario", "request"];

/// Most workloads of a plan.
const MOST_WORKLOADS: usize = 100;
/// Most straight lines that all profiles together are drawn with.
const MOST_PHASES: usize = 100_000;

/// All keys of a workload.
pub(crate) fn workload_keys() -> Vec<&'static str> {
    LOAD_KEYS.iter().chain(&OWN_KEYS).copied().collect()
}

/// A workload of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// What thresholds and reports call it.
    pub name: String,
    /// How much load it is.
    pub load: WorkloadLoad,
    /// When it begins, after the start of the run.
    pub start_ns: u64,
    /// Which scenario its iterations run: an index into those of the plan.
    pub scenario: usize,
    /// Where it stands in the file.
    pub span: Span,
}

impl Workload {
    /// When it is planned to be over, after the start of the run.
    pub fn end_ns(&self) -> u64 {
        self.start_ns.saturating_add(self.load.duration_ns())
    }
}

/// A workload whose start is not known yet.
struct Pending<'a> {
    workload: Option<Workload>,
    name: &'a str,
    after: Option<(&'a str, Span)>,
}

/// Reads the workloads, in the order of the file. `scenario` finds or reads the scenario of each.
pub(crate) fn workloads<'a>(
    node: &'a Node,
    lasting: Lasting,
    seed: Option<u64>,
    scenario: &mut dyn FnMut(&str, &Fields<'_>, &mut Problems) -> Option<usize>,
    problems: &mut Problems,
) -> Vec<Workload> {
    let mut pending = Vec::new();
    let mut phases = 0;
    let entries = named(node, "workloads", problems).unwrap_or_default();
    if entries.len() > MOST_WORKLOADS {
        problems.add(node.span, format!("there are {} workloads", entries.len()), "at most 100");
        return Vec::new();
    }
    for (key, node) in entries {
        let Some(fields) = Fields::of(node, "a workload", &workload_keys(), problems) else {
            pending.push(Pending { workload: None, name: &key.text, after: None });
            continue;
        };
        if let Some(Value::List(_)) = fields.get("steps").map(|node| &node.value) {
            let fix = "scenario: with a list of steps; steps: of a workload is {from, to, by, each}";
            problems.add(fields.at("steps"), "requests stand under scenario:", fix);
            pending.push(Pending { workload: None, name: &key.text, after: None });
            continue;
        }
        let load = load(&fields, lasting, seed, problems);
        if let Some(WorkloadLoad::Open { profile, .. }) = &load {
            phases += profile.phases().len();
        }
        if phases > MOST_PHASES {
            problems.add(
                key.span,
                "the profiles have more than 100000 lines together",
                "fewer stages, or longer periods",
            );
            return Vec::new();
        }
        let start_ns = fields.parse("start", problems, parse_duration);
        let after = fields.get("after").and_then(|node| match &node.value {
            Value::Scalar(scalar) => Some((scalar.text.as_str(), node.span)),
            Value::List(_) | Value::Mapping(_) => {
                let _ = parsed(node, problems, |_| Ok(()));
                None
            }
        });
        let scenario = scenario(&key.text, &fields, problems);
        let workload = load.zip(scenario).map(|(load, scenario)| Workload {
            name: key.text.clone(),
            load,
            start_ns: start_ns.unwrap_or(0),
            scenario,
            span: key.span,
        });
        pending.push(Pending { workload, name: &key.text, after });
    }
    place(pending, problems)
}

/// Finds when each workload begins: `start` is counted from the end of the one that `after` names.
fn place(mut pending: Vec<Pending<'_>>, problems: &mut Problems) -> Vec<Workload> {
    for index in 0..pending.len() {
        let Some((after, span)) = pending[index].after else { continue };
        if !pending.iter().any(|other| other.name == after) {
            let what = format!("there is no workload {}", crate::named(after));
            problems.unknown(span, what, after, pending.iter().map(|other| other.name));
            pending[index].after = None;
        }
    }
    // A chain of workloads has at most as many links as there are workloads, else it leads in a circle.
    let starts: Vec<Option<u64>> = (0..pending.len()).map(|index| start_of(&pending, index)).collect();
    for (one, start_ns) in pending.iter_mut().zip(starts) {
        match (start_ns, one.after, &mut one.workload) {
            (None, Some((_, span)), _) => {
                problems.add(
                    span,
                    "these workloads wait for each other",
                    "one of them needs a start of its own",
                );
            }
            (Some(start_ns), _, Some(workload)) => {
                workload.start_ns = start_ns;
                if workload.end_ns() > LONGEST_DURATION_NS {
                    problems.add(workload.span, "this workload ends too late", "within 366d");
                }
            }
            _ => {}
        }
    }
    pending.into_iter().filter_map(|one| one.workload).collect()
}

/// When a workload begins; `None` where it waits for itself.
fn start_of(pending: &[Pending<'_>], index: usize) -> Option<u64> {
    let own = |index: usize| pending[index].workload.as_ref();
    let mut start_ns = own(index).map_or(0, |workload| workload.start_ns);
    let mut at = index;
    for _ in 0..pending.len() {
        let Some((after, _)) = pending[at].after else { return Some(start_ns) };
        at = pending.iter().position(|other| other.name == after)?;
        start_ns = start_ns.saturating_add(own(at).map_or(0, Workload::end_ns));
    }
    None
}
