//! `thresholds:` — what must hold, in the words of the flag, for the whole run, for names or for tags.

use super::World;
use super::data::tags;
use super::fields::{Fields, list, parsed, scalar, truth};
use super::problem::Problems;
use super::profile::lasting;
use super::source::Span;
use super::tree::{Node, Value};
use crate::{Tag, parse_duration};

/// The keys of a threshold.
pub(crate) const THRESHOLD_KEYS: [&str; 6] = ["that", "name", "tag", "over", "abort", "grace"];

/// Something that must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanThreshold {
    /// What, as the user wrote it; `verdict` reads it.
    pub that: String,
    /// The name of requests, a group or a workload that it is about; `None` for the whole run.
    pub name: Option<String>,
    /// The tags of what it is about.
    pub tags: Vec<Tag>,
    /// The length of the sliding window; `None` for the whole run.
    pub over_ns: Option<u64>,
    /// Whether the run ends when it no longer holds.
    pub abort: bool,
    /// Time at the start in which it need not hold.
    pub grace_ns: u64,
    /// Where it stands in the file.
    pub span: Span,
}

/// Reads the thresholds.
pub(crate) fn thresholds(node: &Node, world: &dyn World, problems: &mut Problems) -> Vec<PlanThreshold> {
    let nodes = list(node, "thresholds", problems).unwrap_or_default();
    nodes.iter().filter_map(|node| threshold(node, world, problems)).collect()
}

fn threshold(node: &Node, world: &dyn World, problems: &mut Problems) -> Option<PlanThreshold> {
    let whole = |that: String| PlanThreshold {
        that,
        name: None,
        tags: Vec::new(),
        over_ns: None,
        abort: false,
        grace_ns: 0,
        span: node.span,
    };
    let text = |text: &str| world.check_threshold(text).map(|()| text.to_owned());
    if let Value::Scalar(_) = node.value {
        return parsed(node, problems, text).map(whole);
    }
    let fields = Fields::of(node, "a threshold", &THRESHOLD_KEYS, problems)?;
    let that =
        fields.need("that", "that: \"p99<50ms\"", problems).and_then(|node| parsed(node, problems, text));
    let name = fields.get("name").and_then(|node| scalar(node, problems)).map(|scalar| scalar.text.clone());
    let tags = fields.get("tag").map(|node| tags(node, problems)).unwrap_or_default();
    if name.is_some() && !tags.is_empty() {
        problems.add(fields.at("tag"), "a threshold is about a name or about tags", "leave one out");
    }
    let over_ns = fields.parse("over", problems, lasting);
    if over_ns.is_some_and(|ns| ns < 1_000_000_000) {
        problems.add(
            fields.at("over"),
            "the window is shorter than a second",
            "at least 1s: seconds are what is measured",
        );
    }
    let abort = fields.parse("abort", problems, truth).unwrap_or(false);
    let grace_ns = fields.parse("grace", problems, parse_duration).unwrap_or(0);
    Some(PlanThreshold { name, tags, over_ns, abort, grace_ns, ..whole(that?) })
}
