//! The walk over a scenario's steps.

use super::names::Names;
use super::{NESTING_MAX, REDIRECTS_MAX, ROUNDS_MAX, STEPS_MAX, Scope};
use crate::condition::Condition;
use crate::error::{Origin, ScenarioError, Shown};
use crate::exchange::{Check, Extraction, RegexSubject, Source, Subject};
use crate::expression::ExpressionKind;
use crate::name::{fix_for, is_token};
use crate::syntax::{Auth, BodySource, JsonNode, PartValue, RequestStep, Scenario, Size, Step};
use crate::template::Template;
use crate::value::MADE_BYTES_MAX;

/// Header fields that say where a message ends or whom it is for: they follow from the rest.
const FRAMING: &[&str] =
    &["content-length", "transfer-encoding", "host", "connection", "upgrade", "expect", "te", "trailer"];

pub(super) struct Walk<'a> {
    scenario: &'a Scenario,
    scope: &'a Scope,
    pub(super) names: Names<'a>,
    pub(super) errors: Vec<ScenarioError>,
    steps: usize,
}

impl<'a> Walk<'a> {
    pub(super) const fn new(scenario: &'a Scenario, scope: &'a Scope) -> Self {
        Self { scenario, scope, names: Names::new(scenario, scope), errors: Vec::new(), steps: 0 }
    }

    pub(super) fn scenario(&mut self) {
        let scenario = self.scenario;
        for (feeder, origin) in &scenario.data {
            if !self.scope.feeders.iter().any(|known| known.name == *feeder) {
                let names: Vec<&str> = self.scope.feeders.iter().map(|known| known.name.as_str()).collect();
                let fix = fix_for(feeder, &names, "name it under `data` of the plan");
                self.wrong(*origin, feeder.len(), format!("the plan has no data {}", Shown(feeder)), fix);
            }
        }
        if scenario.steps.is_empty() {
            self.wrong(Origin::default(), 0, "the scenario has no steps", "e.g. steps: [{get: /}]");
        }
        self.steps(&scenario.steps, 0);
    }

    fn steps(&mut self, steps: &'a [Step], depth: usize) {
        if depth > NESTING_MAX && !steps.is_empty() {
            let what = format!("steps are nested deeper than {NESTING_MAX}");
            self.wrong(first_origin(steps), 0, what, "join loops or conditions");
            return;
        }
        for step in steps {
            self.steps += 1;
            if self.steps == STEPS_MAX + 1 {
                let what = format!("the scenario has more than {STEPS_MAX} steps");
                self.wrong(
                    first_origin(std::slice::from_ref(step)),
                    0,
                    what,
                    "use `repeat`, or several scenarios",
                );
            }
            self.step(step, depth);
        }
    }

    fn step(&mut self, step: &'a Step, depth: usize) {
        match step {
            Step::Request(request) => self.request(request),
            Step::Think(_) | Step::Stop => {}
            Step::Repeat(repeat) => {
                self.template(&repeat.count);
                self.rounds(&repeat.count);
                self.counter(repeat.counter.as_ref());
                self.steps(&repeat.steps, depth + 1);
            }
            Step::While(repeat) => {
                self.condition(&repeat.condition);
                if repeat.most == 0 || repeat.most > ROUNDS_MAX {
                    let origin = condition_origin(&repeat.condition);
                    self.wrong(origin, 0, "a loop goes round 1 to 1000000 times", "most: 100");
                }
                self.counter(repeat.counter.as_ref());
                self.steps(&repeat.steps, depth + 1);
            }
            Step::If(branch) => {
                self.condition(&branch.condition);
                self.steps(&branch.then, depth + 1);
                self.steps(&branch.otherwise, depth + 1);
            }
            Step::Choose(choose) => {
                let total: u64 = choose.choices.iter().map(|choice| u64::from(choice.weight)).sum();
                if total == 0 {
                    self.wrong(choose.origin, 0, "no alternative can be chosen", "a weight of 1 or more");
                }
                for choice in &choose.choices {
                    self.steps(&choice.steps, depth + 1);
                }
            }
            Step::Group(group) => {
                if group.name.is_empty() {
                    self.wrong(group.origin, 0, "the group has no name", "e.g. group: checkout");
                }
                self.steps(&group.steps, depth + 1);
            }
            Step::Barrier(barrier) => {
                if barrier.name.is_empty() || barrier.users == 0 {
                    let what = "a barrier has a name and waits for at least one user";
                    self.wrong(barrier.origin, 0, what, "e.g. {name: all, users: 10, timeout: 30s}");
                }
            }
            Step::Set(assignments) => {
                for assignment in assignments {
                    self.template(&assignment.value);
                    self.set(&assignment.variable, assignment.origin);
                }
            }
        }
    }

    fn request(&mut self, request: &'a RequestStep) {
        self.target(request);
        if !is_token(&request.method) || request.method == "CONNECT" {
            let what = format!("{} is not a method", Shown(&request.method));
            self.wrong(request.origin, 0, what, "e.g. GET, POST");
        }
        let begins = request.url.parts.first().and_then(|part| match part {
            crate::template::TemplatePart::Text(text) => text.chars().next(),
            crate::template::TemplatePart::Expression(_) => None,
        });
        if begins.is_some_and(|first| first != '/' && first != '?') {
            let what = "the URL of a step is a path on its target";
            self.wrong(request.url.origin, 1, what, "begin it with /; hosts stand under `targets`");
        }
        if let Some(text) =
            request.url.as_literal().and_then(|text| text.find(char::is_whitespace).map(|at| (at, text)))
        {
            let mut error = ScenarioError::new(
                text.0,
                1,
                "the URL has a space in it",
                "%20, or `query` which encodes it",
            );
            error = error.of(request.url.origin);
            self.errors.push(error);
        }
        self.template(&request.url);
        for (_, value) in &request.query {
            self.template(value);
        }
        for header in &request.headers {
            self.header_name(&header.name, header.origin, true);
            self.template(&header.value);
        }
        self.body(&request.body);
        self.auth(request.auth.as_ref());
        if request.redirects > REDIRECTS_MAX {
            let what = format!("a step follows at most {REDIRECTS_MAX} redirects");
            self.wrong(request.origin, 0, what, "e.g. redirects: 5");
        }
        if request.checks.len() > crate::program::CHECKS_MAX {
            let what = format!("the step has more than {} checks", crate::program::CHECKS_MAX);
            self.wrong(request.origin, 0, what, "several tests in one check");
        }
        // Checks see the response before its values are taken out, but their texts are filled in with those of before too.
        for check in &request.checks {
            self.check(check);
        }
        for extraction in &request.extractions {
            self.extraction(extraction);
        }
    }

    fn target(&mut self, request: &'a RequestStep) {
        match &request.target {
            Some((name, origin)) if !self.scope.targets.contains(name) => {
                let names: Vec<&str> = self.scope.targets.iter().map(String::as_str).collect();
                let fix = fix_for(name, &names, "name it under `targets` of the plan");
                self.wrong(*origin, name.len(), format!("the plan has no target {}", Shown(name)), fix);
            }
            None if self.scope.targets.is_empty() => {
                let fix = "targets: {shop: http://127.0.0.1:8080}";
                self.wrong(request.origin, 0, "the plan has no targets", fix);
            }
            None if self.scope.targets.len() > 1 => {
                let what = "the plan has several targets, and the step names none";
                let fix = format!("target: {}, here or under `defaults`", self.scope.targets[0]);
                self.wrong(request.origin, 0, what, fix);
            }
            _ => {}
        }
    }

    fn body(&mut self, body: &'a BodySource) {
        match body {
            BodySource::None | BodySource::File(..) => {}
            BodySource::Text(template) => self.template(template),
            BodySource::Bytes(size) => self.size(size),
            BodySource::Json(node) => self.json(node),
            BodySource::Form(fields) => fields.iter().for_each(|(_, value)| self.template(value)),
            BodySource::Multipart(parts) => {
                for part in parts {
                    let texts = [Some(&part.name), part.filename.as_ref(), part.content_type.as_ref()];
                    if texts.into_iter().flatten().any(|text| text.contains(char::is_control)) {
                        let what = "the name of a part has a line break or another control character";
                        self.wrong(part.origin, part.name.len(), what, "one line of text");
                    }
                    if let PartValue::Text(template) = &part.value {
                        self.template(template);
                    }
                }
            }
        }
    }

    fn size(&mut self, size: &Size) {
        let (most, origin) = match size {
            Size::Given(template) => {
                self.template(template);
                let Some(text) = template.as_literal() else { return };
                // What is no number is as wrong as what is too large.
                (text.trim().parse().unwrap_or(u64::MAX), template.origin)
            }
            Size::Uniform { high, .. } => (*high, Origin::default()),
            Size::Exponential { mean } | Size::Normal { mean, .. } => {
                (mean.saturating_mul(10), Origin::default())
            }
        };
        if most > MADE_BYTES_MAX {
            let what = "the body may have more than 1 GiB, or its size is no number";
            self.wrong(
                origin,
                0,
                what,
                "a size whose law stays below; a normal or exponential one goes up to 10 x its mean",
            );
        }
    }

    fn json(&mut self, node: &'a JsonNode) {
        match node {
            JsonNode::Plain(_) => {}
            JsonNode::Text(template) => self.template(template),
            JsonNode::List(nodes) => nodes.iter().for_each(|node| self.json(node)),
            JsonNode::Map(members) => {
                for (name, node) in members {
                    self.template(name);
                    self.json(node);
                }
            }
        }
    }

    fn auth(&mut self, auth: Option<&'a Auth>) {
        let Some(auth) = auth else { return };
        if let Auth::Basic { user, .. } = auth
            && user.as_literal().is_some_and(|user| user.contains(':'))
        {
            self.wrong(user.origin, 0, "the user has a colon in it", "the part before the colon");
        }
        for template in auth.templates() {
            self.template(template);
            if matches!(auth, Auth::OAuth2 { .. }) {
                self.known_before(template);
            }
        }
    }

    /// What a token is asked for with is filled in before anything is run.
    fn known_before(&mut self, template: &Template) {
        for expression in template.expressions() {
            expression.walk(&mut |expression| {
                let is_constant = |name: &String| self.scope.constants.iter().any(|(known, _)| known == name);
                let is_late = match &expression.kind {
                    ExpressionKind::Variable(name) => !is_constant(name),
                    ExpressionKind::Column { .. } | ExpressionKind::Setup(_) => true,
                    ExpressionKind::Literal(_) | ExpressionKind::Secret(_) | ExpressionKind::Call(..) => {
                        false
                    }
                };
                if is_late {
                    let what = "a token is fetched before any iteration, and this is not known then";
                    let error = ScenarioError::new(
                        expression.offset,
                        expression.length,
                        what,
                        "a constant of the plan or a secret",
                    );
                    self.errors.push(error.of(template.origin));
                }
            });
        }
    }

    fn extraction(&mut self, extraction: &'a Extraction) {
        let origin = extraction.origin;
        match &extraction.source {
            Source::Regex { pattern, group, subject } => {
                if *group >= pattern.group_count() {
                    let what = format!("the pattern has no group {group}");
                    let fix = format!("0 (all of it) to {}", pattern.group_count() - 1);
                    self.wrong(origin, 0, what, fix);
                }
                if let RegexSubject::Header(name) = subject {
                    self.header_name(name, origin, false);
                }
            }
            Source::Header(name) => self.header_name(name, origin, false),
            Source::Cookie(name) if !is_token(name) => {
                self.wrong(origin, 0, format!("{} is not the name of a cookie", Shown(name)), "e.g. session");
            }
            Source::Json(_) | Source::Cookie(_) | Source::Status => {}
        }
        if let Some(template) = &extraction.default {
            self.template(template);
        }
        self.set(&extraction.variable, origin);
    }

    fn check(&mut self, check: &'a Check) {
        if let Subject::Header(name) = &check.subject {
            self.header_name(name, check.origin, false);
        }
        for test in &check.tests {
            if !check.subject.takes(test) {
                let what = format!("{} cannot be asked of {}", test.name(), check.subject.name());
                self.wrong(check.origin, 0, what, "see the table of checks in docs/plan-file.md");
            }
            if let Some(template) = test.template() {
                self.template(template);
            }
        }
        if check.tests.is_empty() && !matches!(check.subject, Subject::Status(_)) {
            let what = format!("the check of {} asks nothing", check.subject.name());
            self.wrong(check.origin, 0, what, "e.g. {contains: hello} or {exists: true}");
        }
    }

    fn header_name(&mut self, name: &str, origin: Origin, is_sent: bool) {
        if !is_token(name) {
            let what = format!("{} is not the name of a header", Shown(name));
            self.wrong(origin, name.len(), what, "letters, digits and -, e.g. X-Request-Id");
        } else if is_sent && FRAMING.iter().any(|framing| name.eq_ignore_ascii_case(framing)) {
            let what = format!("header {name} cannot be set");
            self.wrong(origin, name.len(), what, "leave it out; it follows from the target and the body");
        }
    }

    fn rounds(&mut self, count: &Template) {
        let Some(text) = count.as_literal() else { return };
        if text.trim().parse::<u32>().is_ok_and(|rounds| rounds <= ROUNDS_MAX) {
            return;
        }
        let what = format!("{} is not a number of rounds", Shown(text));
        self.wrong(count.origin, text.len(), what, format!("0 to {ROUNDS_MAX}"));
    }

    fn counter(&mut self, counter: Option<&(String, Origin)>) {
        if let Some((name, origin)) = counter {
            self.set(name, *origin);
        }
    }

    fn condition(&mut self, condition: &'a Condition) {
        for template in condition.templates() {
            self.template(template);
        }
    }

    fn template(&mut self, template: &Template) {
        for expression in template.expressions() {
            expression.walk(&mut |expression| {
                self.errors.extend(self.names.check(expression, template.origin).err());
            });
        }
    }

    fn set(&mut self, name: &str, origin: Origin) {
        self.errors.extend(self.names.set(name, origin).err());
    }

    fn wrong(&mut self, origin: Origin, length: usize, what: impl Into<String>, fix: impl Into<String>) {
        self.errors.push(ScenarioError::new(0, length, what, fix).of(origin));
    }
}

fn condition_origin(condition: &Condition) -> Origin {
    condition.templates().first().map_or_else(Origin::default, |template| template.origin)
}

/// Where the first of these steps was written, as far as that is known.
fn first_origin(steps: &[Step]) -> Origin {
    let origin = |step: &Step| match step {
        Step::Request(request) => Some(request.origin),
        Step::Repeat(repeat) => Some(repeat.count.origin),
        Step::While(repeat) => Some(condition_origin(&repeat.condition)),
        Step::If(branch) => Some(condition_origin(&branch.condition)),
        Step::Choose(choose) => Some(choose.origin),
        Step::Group(group) => Some(group.origin),
        Step::Barrier(barrier) => Some(barrier.origin),
        Step::Set(assignments) => assignments.first().map(|assignment| assignment.origin),
        Step::Think(_) | Step::Stop => None,
    };
    steps.iter().find_map(origin).unwrap_or_default()
}
