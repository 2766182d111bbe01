//! The plan file as a whole.

use std::collections::BTreeSet;

use scenario::{FeederNames, Scenario, Scope};

use super::World;
use super::data::{DataSource, data, secrets, tags, variables};
use super::fields::{Fields, parsed, whole};
use super::limits::{PlanLimits, limits};
use super::options::{Options, options};
use super::origins::Origins;
use super::problem::{FileError, Problems};
use super::profile::Lasting;
use super::requests::{Defaults, defaults};
use super::scenarios::{Reader, scenarios};
use super::secret::Secret;
use super::source::{Source, Span};
use super::substitute::substitute;
use super::targets::{Target, targets};
use super::thresholds::{PlanThreshold, thresholds};
use super::tree::{Node, Value, read};
use super::workloads::{Workload, workloads};
use crate::{DEFAULT_DURATION_NS, PlanError, Rails, RunId, Tag, quoted};

/// The keys of a plan.
pub(crate) const PLAN_KEYS: [&str; 16] = [
    "schema",
    "name",
    "seed",
    "tags",
    "variables",
    "secrets",
    "targets",
    "data",
    "defaults",
    "limits",
    "options",
    "workloads",
    "scenarios",
    "setup",
    "teardown",
    "thresholds",
];

/// A validated plan file.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanFile {
    /// The name of the run.
    pub name: Option<RunId>,
    /// The seed of everything random.
    pub seed: Option<u64>,
    /// What stands in the report beside the results, rising by name.
    pub tags: Vec<Tag>,
    /// Constants for templates.
    pub variables: Vec<(String, String)>,
    /// Secrets for templates.
    pub secrets: Vec<(String, Secret)>,
    /// Whom the plan loads; at least one.
    pub targets: Vec<Target>,
    /// Where rows come from.
    pub data: Vec<DataSource>,
    /// What iterations may take.
    pub limits: PlanLimits,
    /// What holds for the run as a whole.
    pub options: Options,
    /// What load there is; at least one.
    pub workloads: Vec<Workload>,
    /// What iterations do, defaults filled in: those of the plan by name, then those of single workloads.
    pub scenarios: Vec<Scenario>,
    /// What is done once before everything.
    pub setup: Option<Scenario>,
    /// What is done once after everything.
    pub teardown: Option<Scenario>,
    /// What must hold.
    pub thresholds: Vec<PlanThreshold>,
}

impl PlanFile {
    /// Reads a plan file; `name` is what messages call it.
    pub fn parse(name: &str, bytes: &[u8], world: &dyn World) -> Result<Self, FileError> {
        Self::parse_lasting(name, bytes, world, None)
    }

    /// Reads a plan file, each workload of which lasts as long as is said here, if it is: what says `for` gets another one,
    /// and what says how long its parts take is stretched, or drawn together.
    pub fn parse_lasting(
        name: &str,
        bytes: &[u8],
        world: &dyn World,
        lasting_ns: Option<u64>,
    ) -> Result<Self, FileError> {
        let mut problems = Problems::default();
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
            Err(error) => {
                let good = bytes.get(..error.valid_up_to()).and_then(|good| std::str::from_utf8(good).ok());
                let source = Source { name, text: good.unwrap_or_default() };
                let at = source.text.len();
                problems.add(Span { start: at, end: at }, "here the file is not UTF-8", "save it as UTF-8");
                return Err(problems.into_error(&source));
            }
        };
        let source = Source { name, text };
        let plan = read(text, &mut problems).and_then(|mut root| {
            let confidential = variables_of_secrets(&root);
            substitute(&mut root, &confidential, world, &mut problems);
            Self::build(&root, world, lasting_ns, &mut problems)
        });
        match plan {
            Some(plan) if problems.is_empty() => Ok(plan),
            _ => Err(problems.into_error(&source)),
        }
    }

    fn build(
        root: &Node,
        world: &dyn World,
        lasting_ns: Option<u64>,
        problems: &mut Problems,
    ) -> Option<Self> {
        check_schema(root, problems)?;
        let fields = Fields::of(root, "a plan", &PLAN_KEYS, problems)?;
        let mut plan = Self {
            name: fields.parse("name", problems, RunId::parse),
            seed: fields.parse("seed", problems, whole(0)),
            tags: fields.get("tags").map(|node| tags(node, problems)).unwrap_or_default(),
            variables: fields.get("variables").map(|node| variables(node, problems)).unwrap_or_default(),
            secrets: fields.get("secrets").map(|node| secrets(node, world, problems)).unwrap_or_default(),
            targets: fields
                .need("targets", "targets: {shop: http://127.0.0.1:8080}", problems)
                .map(|node| targets(node, world, problems))
                .unwrap_or_default(),
            data: fields.get("data").map(|node| data(node, world, problems)).unwrap_or_default(),
            limits: fields.get("limits").and_then(|node| limits(node, problems)).unwrap_or_default(),
            options: fields.get("options").and_then(|node| options(node, problems)).unwrap_or_default(),
            workloads: Vec::new(),
            scenarios: Vec::new(),
            setup: None,
            teardown: None,
            thresholds: fields
                .get("thresholds")
                .map(|node| thresholds(node, world, problems))
                .unwrap_or_default(),
        };
        let mut origins = Origins::default();
        let before = problems.count();
        plan.read_scenarios(&fields, &mut origins, world, lasting_ns, problems);
        // What could not be read would be missed a second time.
        if problems.count() == before {
            plan.validate(&fields, &origins, problems);
        }
        Some(plan)
    }

    /// Reads what iterations do, and the workloads, which may hold scenarios of their own.
    fn read_scenarios(
        &mut self,
        fields: &Fields<'_>,
        origins: &mut Origins,
        world: &dyn World,
        lasting_ns: Option<u64>,
        problems: &mut Problems,
    ) {
        let nothing = Defaults::default();
        let defaults = fields
            .get("defaults")
            .and_then(|node| defaults(node, &mut Reader::new(origins, &nothing, world, problems)))
            .unwrap_or_default();
        let mut reader = Reader::new(origins, &defaults, world, problems);
        self.scenarios = fields.get("scenarios").map(|node| scenarios(node, &mut reader)).unwrap_or_default();
        self.setup = fields.get("setup").and_then(|node| reader.scenario("setup", node));
        self.teardown = fields.get("teardown").and_then(|node| reader.scenario("teardown", node));
        let Some(node) = fields.need("workloads", "workloads: {main: {tps: 100, for: 30s, …}}", problems)
        else {
            return;
        };
        let mut all = std::mem::take(&mut self.scenarios);
        let mut scenario = |name: &str, fields: &Fields<'_>, problems: &mut Problems| {
            let mut reader = Reader::new(origins, &defaults, world, problems);
            of_workload(name, fields, &mut all, &mut reader)
        };
        let lasting = Lasting {
            default_ns: self.options.duration_ns.unwrap_or(DEFAULT_DURATION_NS),
            instead_ns: lasting_ns,
        };
        self.workloads = workloads(node, lasting, self.seed, &mut scenario, problems);
        self.scenarios = all;
    }

    /// Holds the parts against each other.
    fn validate(&self, fields: &Fields<'_>, origins: &Origins, problems: &mut Problems) {
        let mut scope = Scope {
            constants: self.variables.clone(),
            // Those that could not be had included, so that they are not told twice.
            secrets: fields.names_of("secrets"),
            setup: Vec::new(),
            feeders: self.feeders(fields),
            targets: fields.names_of("targets"),
        };
        for scenario in self.setup.iter().chain(&self.scenarios).chain(&self.teardown) {
            for error in scenario::validate(scenario, &scope) {
                origins.tell(error, problems);
            }
            if self.setup.as_ref().is_some_and(|setup| std::ptr::eq(setup, scenario)) {
                scope.setup = scenario::variables(scenario);
            }
        }
        if let Some(guard) = self.options.rate_guard.filter(|_| problems.is_empty()) {
            let rails = Rails { rate_guard: Some(guard), ..Rails::default() };
            if let Err(error) = rails.check_rate(self.highest_rate()) {
                problems.push(fields.at("options"), PlanError { place: None, ..error });
            }
        }
    }

    fn feeders(&self, fields: &Fields<'_>) -> Vec<FeederNames> {
        let columns =
            |name: &str| self.data.iter().find(|one| one.name == name).and_then(|one| one.columns.clone());
        let names = fields.names_of("data").into_iter();
        names.map(|name| FeederNames { columns: columns(&name), name }).collect()
    }
}

/// The scenario that a workload runs: one of the plan's by its name, or one of its own.
fn of_workload(
    name: &str,
    fields: &Fields<'_>,
    all: &mut Vec<Scenario>,
    reader: &mut Reader<'_>,
) -> Option<usize> {
    let Some((kind, node)) = fields.one_of(&["scenario", "request"], "one of them", reader.problems) else {
        let fix = "scenario: NAME, or request: /path";
        fields.missing(fields.span, "nothing says what this workload does", fix, reader.problems);
        return None;
    };
    let own = match (kind, &node.value) {
        ("scenario", Value::Scalar(scalar)) => {
            let found = all.iter().position(|scenario| scenario.name == scalar.text);
            if found.is_none() {
                let what = format!("there is no scenario {}", crate::named(&scalar.text));
                let known: Vec<&str> = all.iter().map(|scenario| scenario.name.as_str()).collect();
                reader.problems.unknown(node.span, what, &scalar.text, known);
            }
            return found;
        }
        ("scenario", _) => reader.scenario(name, node),
        _ => reader.single(name, node),
    };
    all.push(own?);
    Some(all.len() - 1)
}

/// The first key of a plan says what it is.
fn check_schema(root: &Node, problems: &mut Problems) -> Option<()> {
    const FIX: &str = "schema: openloop.plan/1";
    let Value::Mapping(entries) = &root.value else { return Some(()) };
    let Some((_, node)) = entries.iter().find(|(key, _)| key.text == "schema") else {
        let span = entries.first().map_or(root.span, |(key, _)| key.span);
        problems.add(span, "the file does not say what it is", format!("{FIX} as its first line"));
        return None;
    };
    parsed(node, problems, |text| match text {
        super::PLAN_SCHEMA => Ok(()),
        _ => Err(PlanError::new(format!("{} is not a schema that this engine reads", quoted(text)), FIX)),
    })
}

/// The variables that `secrets:` names.
fn variables_of_secrets(root: &Node) -> BTreeSet<String> {
    fn entries<'a>(node: &'a Node, name: Option<&'a str>) -> impl Iterator<Item = &'a Node> {
        let entries = match &node.value {
            Value::Mapping(entries) => entries.as_slice(),
            Value::List(_) | Value::Scalar(_) => &[],
        };
        let wanted = move |text: &str| name.is_none_or(|name| name == text);
        entries.iter().filter(move |(key, _)| wanted(&key.text)).map(|(_, node)| node)
    }
    let sources = entries(root, Some("secrets")).flat_map(|secrets| entries(secrets, None));
    let variables = sources.flat_map(|source| entries(source, Some("env")));
    let names = variables.filter_map(|node| match &node.value {
        Value::Scalar(scalar) => Some(scalar.text.clone()),
        Value::List(_) | Value::Mapping(_) => None,
    });
    names.collect()
}
