//! `scenarios:`, `setup:`, `teardown:` — the steps of an iteration, into the syntax of the crate `scenario`.

use scenario::{
    Assignment, Barrier, Choice, Choose, Condition, Group, If, Origin, Repeat, Scenario, ScenarioError, Step,
    Template, While,
};

use super::World;
use super::data::choose;
use super::fields::{Fields, list, mapping, name, one_or_more, parsed, scalar, truth, whole};
use super::laws::think;
use super::origins::Origins;
use super::problem::Problems;
use super::requests::{Defaults, METHODS, request};
use super::tree::{Node, Value};

/// The keys of a scenario.
pub(crate) const SCENARIO_KEYS: [&str; 3] = ["data", "cookies", "steps"];
/// The keys of the steps that are no requests: the first of each says what it is.
pub(crate) const THINK_KEYS: [&str; 1] = ["think"];
pub(crate) const REPEAT_KEYS: [&str; 3] = ["repeat", "as", "steps"];
pub(crate) const WHILE_KEYS: [&str; 4] = ["while", "most", "as", "steps"];
pub(crate) const IF_KEYS: [&str; 3] = ["if", "then", "else"];
pub(crate) const CHOOSE_KEYS: [&str; 1] = ["choose"];
pub(crate) const CHOICE_KEYS: [&str; 2] = ["weight", "steps"];
pub(crate) const GROUP_KEYS: [&str; 2] = ["group", "steps"];
pub(crate) const BARRIER_KEYS: [&str; 1] = ["barrier"];
pub(crate) const BARRIER_OWN_KEYS: [&str; 3] = ["name", "users", "timeout"];
pub(crate) const SET_KEYS: [&str; 1] = ["set"];
pub(crate) const STOP_KEYS: [&str; 1] = ["stop"];

/// What kinds of steps there are, by their first word.
pub(crate) const KINDS: [&str; 9] =
    ["think", "repeat", "while", "if", "choose", "group", "barrier", "set", "stop"];
/// Deepest steps within steps that are looked into; `scenario` has a lower limit of its own and words for it.
const DEEPEST: usize = 16;
/// How long one waits at a barrier when nobody says.
const BARRIER_TIMEOUT_NS: u64 = 30_000_000_000;

/// What reading steps needs at hand.
pub(crate) struct Reader<'a> {
    pub(crate) origins: &'a mut Origins,
    pub(crate) defaults: &'a Defaults,
    pub(crate) world: &'a dyn World,
    pub(crate) problems: &'a mut Problems,
    depth: usize,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(
        origins: &'a mut Origins,
        defaults: &'a Defaults,
        world: &'a dyn World,
        problems: &'a mut Problems,
    ) -> Self {
        Self { origins, defaults, world, problems, depth: 0 }
    }

    /// A text through one of `scenario`'s parsers.
    pub(crate) fn text<T>(
        &mut self,
        node: &Node,
        parser: impl FnOnce(&str, Origin) -> Result<T, ScenarioError>,
    ) -> Option<T> {
        let scalar = scalar(node, self.problems)?;
        let origin = self.origins.of(node, scalar);
        parser(&scalar.text, origin).map_err(|error| self.origins.tell(error, self.problems)).ok()
    }

    /// A template.
    pub(crate) fn template(&mut self, node: &Node) -> Option<Template> {
        self.text(node, Template::parse)
    }

    /// A plain text and where it stands.
    pub(crate) fn named(&mut self, node: &Node) -> Option<(String, Origin)> {
        self.text(node, |text, origin| Ok((text.to_owned(), origin)))
    }

    /// A scenario: `{data, cookies, steps}`, or its steps alone.
    pub(crate) fn scenario(&mut self, name: &str, node: &Node) -> Option<Scenario> {
        if let Value::List(_) = node.value {
            let steps = self.steps(node);
            return Some(Scenario { name: name.to_owned(), data: Vec::new(), cookies: true, steps });
        }
        let fields = Fields::of(node, "a scenario", &SCENARIO_KEYS, self.problems)?;
        let feeders: Vec<&Node> = fields.get("data").into_iter().flat_map(one_or_more).collect();
        let data = feeders.into_iter().filter_map(|node| self.named(node)).collect();
        let cookies = fields.parse("cookies", self.problems, truth).unwrap_or(true);
        let steps = fields.need("steps", "steps: [{get: /}]", self.problems)?;
        Some(Scenario { name: name.to_owned(), data, cookies, steps: self.steps(steps) })
    }

    /// A scenario of one request: its path, or the request as a step.
    pub(crate) fn single(&mut self, name: &str, node: &Node) -> Option<Scenario> {
        let step = request(self, node)?;
        Some(Scenario { name: name.to_owned(), data: Vec::new(), cookies: false, steps: vec![step] })
    }

    fn steps(&mut self, node: &Node) -> Vec<Step> {
        let Some(nodes) = list(node, "steps", self.problems) else { return Vec::new() };
        if nodes.is_empty() {
            self.problems.add(node.span, "there are no steps", "e.g. steps: [{get: /}]");
        }
        if self.depth == DEEPEST {
            self.problems.add(node.span, "the steps are nested too deeply", "at most 8 levels");
            return Vec::new();
        }
        self.depth += 1;
        let mut steps = Vec::new();
        for node in nodes {
            let Some(step) = self.step(node) else { continue };
            let think = self.defaults.think.filter(|_| matches!(step, Step::Request(_)));
            steps.push(step);
            steps.extend(think.map(Step::Think));
        }
        self.depth -= 1;
        steps
    }

    fn step(&mut self, node: &Node) -> Option<Step> {
        let entries = mapping(node, "a step", self.problems)?;
        let is = |word: &str| entries.iter().any(|(key, _)| key.text == word);
        if METHODS.iter().any(|(word, _)| is(word)) || is("request") {
            return request(self, node);
        }
        let Some(kind) = KINDS.into_iter().find(|kind| is(kind)) else {
            let span = entries.first().map_or(node.span, |(key, _)| key.span);
            let first = entries.first().map_or("", |(key, _)| key.text.as_str());
            let words = METHODS.iter().map(|(word, _)| *word).chain(KINDS);
            self.problems.unknown(span, "this step does not say what it does", first, words);
            return None;
        };
        match kind {
            "think" => {
                let fields = Fields::of(node, "a think step", &THINK_KEYS, self.problems)?;
                think(fields.get("think")?, self.problems).map(Step::Think)
            }
            "repeat" => self.repeat(node),
            "while" => self.loop_while(node),
            "if" => self.branch(node),
            "choose" => self.choose(node),
            "group" => self.group(node),
            "barrier" => self.barrier(node),
            "set" => self.set(node),
            _ => {
                let fields = Fields::of(node, "a stop step", &STOP_KEYS, self.problems)?;
                let word = |text: &str| choose(text, "what can be stopped", &[("iteration", ())]);
                fields.parse("stop", self.problems, word).map(|()| Step::Stop)
            }
        }
    }

    fn counter(&mut self, fields: &Fields<'_>) -> Option<(String, Origin)> {
        fields.get("as").and_then(|node| self.named(node))
    }

    fn inner(&mut self, fields: &Fields<'_>, key: &str) -> Option<Vec<Step>> {
        let node = fields.need(key, "e.g. steps: [{get: /}]", self.problems)?;
        Some(self.steps(node))
    }

    fn repeat(&mut self, node: &Node) -> Option<Step> {
        let fields = Fields::of(node, "a repeat step", &REPEAT_KEYS, self.problems)?;
        let count = self.template(fields.get("repeat")?);
        let counter = self.counter(&fields);
        let steps = self.inner(&fields, "steps");
        Some(Step::Repeat(Repeat { count: count?, counter, steps: steps? }))
    }

    fn loop_while(&mut self, node: &Node) -> Option<Step> {
        let fields = Fields::of(node, "a while step", &WHILE_KEYS, self.problems)?;
        let condition = self.text(fields.get("while")?, Condition::parse);
        let most = fields.need("most", "most: 10, so that it ends", self.problems);
        let most = most.and_then(|node| parsed(node, self.problems, small(1)));
        let counter = self.counter(&fields);
        let steps = self.inner(&fields, "steps");
        Some(Step::While(While { condition: condition?, most: most?, counter, steps: steps? }))
    }

    fn branch(&mut self, node: &Node) -> Option<Step> {
        let fields = Fields::of(node, "an if step", &IF_KEYS, self.problems)?;
        let condition = self.text(fields.get("if")?, Condition::parse);
        let then = self.inner(&fields, "then");
        let otherwise = fields.get("else").map(|node| self.steps(node)).unwrap_or_default();
        Some(Step::If(If { condition: condition?, then: then?, otherwise }))
    }

    fn choose(&mut self, node: &Node) -> Option<Step> {
        let fields = Fields::of(node, "a choose step", &CHOOSE_KEYS, self.problems)?;
        let origin = self.origins.of_span(fields.at("choose"));
        let nodes = list(fields.get("choose")?, "choose", self.problems)?;
        let mut choices = Vec::new();
        for node in nodes {
            let Some(fields) = Fields::of(node, "a choice", &CHOICE_KEYS, self.problems) else { continue };
            let weight = fields.parse("weight", self.problems, small(1)).unwrap_or(1);
            let Some(steps) = self.inner(&fields, "steps") else { continue };
            choices.push(Choice { weight, steps });
        }
        if nodes.is_empty() {
            self.problems.add(
                fields.at("choose"),
                "there is nothing to choose from",
                "[{weight: 3, steps: […]}, …]",
            );
        }
        Some(Step::Choose(Choose { origin, choices }))
    }

    fn group(&mut self, node: &Node) -> Option<Step> {
        let fields = Fields::of(node, "a group", &GROUP_KEYS, self.problems)?;
        let named = self.named(fields.get("group")?);
        let steps = self.inner(&fields, "steps");
        let (name, origin) = named?;
        Some(Step::Group(Group { name, origin, steps: steps? }))
    }

    fn barrier(&mut self, node: &Node) -> Option<Step> {
        let outer = Fields::of(node, "a barrier step", &BARRIER_KEYS, self.problems)?;
        let fields = Fields::of(outer.get("barrier")?, "a barrier", &BARRIER_OWN_KEYS, self.problems)?;
        let example = "e.g. barrier: {name: all, users: 10}";
        let named = fields.need("name", example, self.problems).and_then(|node| self.named(node));
        let users = fields.need("users", example, self.problems);
        let users = users.and_then(|node| parsed(node, self.problems, small(1)));
        let timeout_ns = fields.parse("timeout", self.problems, super::profile::lasting);
        let (name, origin) = named?;
        let timeout_ns = timeout_ns.unwrap_or(BARRIER_TIMEOUT_NS);
        Some(Step::Barrier(Barrier { name, origin, users: users?, timeout_ns }))
    }

    fn set(&mut self, node: &Node) -> Option<Step> {
        let fields = Fields::of(node, "a set step", &SET_KEYS, self.problems)?;
        let entries = mapping(fields.get("set")?, "set", self.problems)?;
        let mut assignments = Vec::new();
        for (key, node) in entries {
            let origin = self.origins.of_key(key);
            let Some(value) = self.template(node) else { continue };
            assignments.push(Assignment { variable: key.text.clone(), origin, value });
        }
        Some(Step::Set(assignments))
    }
}

/// A whole number that fits 32 bits.
pub(crate) fn small(least: u64) -> impl FnOnce(&str) -> Result<u32, crate::PlanError> {
    move |text| {
        let count = whole(least)(text)?;
        u32::try_from(count)
            .map_err(|_| crate::PlanError::new(format!("{count} is too much"), "a smaller number"))
    }
}

/// Reads all scenarios of the plan, in the order of the file.
pub(crate) fn scenarios(node: &Node, reader: &mut Reader<'_>) -> Vec<Scenario> {
    let entries = mapping(node, "scenarios", reader.problems).unwrap_or_default();
    let mut scenarios = Vec::new();
    for (key, node) in entries {
        if let Err(error) = name(&key.text) {
            reader.problems.push(key.span, error);
        }
        // One that is wrong keeps its place, so that workloads find it.
        let scenario = reader.scenario(&key.text, node);
        scenarios
            .push(scenario.unwrap_or_else(|| Scenario { name: key.text.clone(), ..Scenario::default() }));
    }
    scenarios
}
