//! What people and programs ask for, as it stands in the bodies and queries of their requests.
//!
//! What it is: plain data with JSON Schemas, from which the description of the API is made.
//! What it is not: checked beyond its form; the fleet parses the plan before it grants anything.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RunId;

/// A run to start.
///
/// `words` are those of `engine run`. A plan file is uploaded first and named in `words`, or stands in `texts`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StartRequest {
    /// The words of `engine run`, such as `["--url", "http://target:8080/", "--tps", "1000", "--duration", "30s"]`.
    pub words: Vec<String>,
    /// Small files that `words` name, by the path that stands there: a plan file, mostly.
    pub texts: BTreeMap<String, String>,
    /// Uploaded files that `words` or the plan name: path to SHA-256 in hexadecimal digits.
    pub files: BTreeMap<String, String>,
    /// Environment variables that the plan reads. They are handed to the nodes and shown to nobody.
    pub variables: BTreeMap<String, String>,
    /// A name for people.
    pub name: String,
    /// Runs of different projects do not see each other; `default` if left out.
    pub project: String,
    /// The user's own labels.
    pub tags: BTreeMap<String, String>,
    /// Which nodes, and how much of the load each.
    pub nodes: NodeChoice,
    /// What happens when a node is lost.
    pub on_node_loss: OnNodeLoss,
    /// Start at this instant of the wall clock: RFC 3339, such as `2027-01-31T23:59:00Z`; as soon as possible if left out.
    pub start_at: Option<String>,
    /// Wait this many seconds after everything is ready.
    pub start_after_s: Option<f64>,
}

/// Which nodes carry a run, and how much of it each.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NodeChoice {
    /// At least this many must be there before the run starts; 1 if left out.
    pub expect: Option<u32>,
    /// At most this many are taken; all that are free if left out.
    pub at_most: Option<u32>,
    /// How long to wait for them, in seconds, before the run is given up; without end if left out.
    pub wait_s: Option<f64>,
    /// Labels that a node must have.
    pub labels: BTreeMap<String, String>,
    /// Percent of the load by zone, 100 in all; every zone's nodes share its part.
    pub zones: BTreeMap<String, f64>,
    /// How the load is shared among nodes, or among those of one zone.
    pub weights: Weights,
    /// Weights of nodes by name, with `"weights": "given"`.
    pub given: BTreeMap<String, u64>,
}

/// How the load is shared among nodes.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Weights {
    /// By the capacity that each states, equally where one states none.
    #[default]
    Capacity,
    /// The same for each.
    Equal,
    /// As `given`.
    Given,
}

/// What happens when a node is lost.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnNodeLoss {
    /// The others take its load over.
    #[default]
    Redistribute,
    /// The others go on; its load is unassigned.
    Continue,
    /// The run is aborted.
    Abort,
}

/// A new rate for a run under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateRequest {
    /// The whole fleet's arrivals per second, such as `20000` or `0.5`, exact to a millionth.
    pub tps: f64,
    /// The workload of a plan file; may be left out where only one has a rate.
    #[serde(default)]
    pub workload: Option<String>,
}

/// How a node is drained.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DrainRequest {
    /// Whether its process ends once it is idle.
    pub exit: bool,
}

/// Which page of the history.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RunsQuery {
    /// Only runs of this project.
    pub project: Option<String>,
    /// Only runs before this one: the last of the page before.
    pub before: Option<RunId>,
    /// How many at most; 50 if left out, 500 at most.
    pub limit: Option<u32>,
    /// Only runs whose name, target or tags contain this text.
    pub search: Option<String>,
}

/// Which lines of the logs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogsQuery {
    /// Only of this node.
    pub node: Option<String>,
    /// Only about this run.
    pub run: Option<RunId>,
    /// Only lines with a position above this one.
    pub after: u64,
    /// How many at most; 500 if left out, 5,000 at most.
    pub limit: Option<u32>,
}
