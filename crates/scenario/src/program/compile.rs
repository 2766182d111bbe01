//! From the steps of a scenario to the flat list of operations. The scenario was validated: every name is known.

use super::{
    Check, Column, Condition, Extraction, Operation, Program, Request, Source, Target, Test, TokenRequest,
};
use crate::condition::Condition as ConditionSyntax;
use crate::digest::Login;
use crate::exchange::{Source as SourceSyntax, Test as TestSyntax};
use crate::expression::{Expression, ExpressionKind};
use crate::syntax::{Barrier, Scenario, Step};
use crate::template::{Template, TemplatePart};
use crate::validate::Scope;
use crate::value::Value;

pub(super) fn compile(scenario: &Scenario, scope: &Scope, targets: &[Target]) -> Program {
    let mut compiler = Compiler {
        scope,
        targets,
        operations: Vec::new(),
        requests: Vec::new(),
        variables: Vec::new(),
        columns: Vec::new(),
        files: Vec::new(),
        groups: Vec::new(),
        barriers: Vec::new(),
        tokens: Vec::new(),
        logins: Vec::new(),
    };
    compiler.steps(&scenario.steps);
    Program {
        operations: compiler.operations,
        requests: compiler.requests,
        targets: targets.to_vec(),
        cookies: scenario.cookies,
        variables: compiler.variables,
        columns: compiler.columns,
        files: compiler.files,
        groups: compiler.groups,
        barriers: compiler.barriers,
        tokens: compiler.tokens,
        logins: compiler.logins,
    }
}

pub(super) struct Compiler<'a> {
    scope: &'a Scope,
    pub(super) targets: &'a [Target],
    operations: Vec<Operation>,
    requests: Vec<Request>,
    variables: Vec<String>,
    columns: Vec<Column>,
    files: Vec<String>,
    groups: Vec<String>,
    barriers: Vec<Barrier>,
    tokens: Vec<TokenRequest>,
    logins: Vec<Login>,
}

/// The index of an item in a list, to which it is added if it is not there.
fn index_of<T: PartialEq>(list: &mut Vec<T>, item: T) -> u16 {
    let index = list.iter().position(|known| *known == item).unwrap_or_else(|| {
        list.push(item);
        list.len() - 1
    });
    u16::try_from(index).unwrap_or(u16::MAX)
}

/// The index of a name that is in a list.
fn place_of(list: &[String], name: &str) -> u16 {
    let index = list.iter().position(|known| known == name);
    index.and_then(|index| u16::try_from(index).ok()).unwrap_or(u16::MAX)
}

impl Compiler<'_> {
    fn steps(&mut self, steps: &[Step]) {
        for step in steps {
            self.step(step);
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Request(request) => {
                let request = self.request(request);
                self.requests.push(request);
                let index = u16::try_from(self.requests.len() - 1).unwrap_or(u16::MAX);
                self.operations.push(Operation::Request(index));
            }
            Step::Think(law) => self.operations.push(Operation::Think(*law)),
            Step::Repeat(repeat) => {
                let count = self.template(&repeat.count);
                self.looped(
                    count,
                    None,
                    repeat.counter.as_ref().map(|(name, _)| name.as_str()),
                    &repeat.steps,
                );
            }
            Step::While(repeat) => {
                let condition = self.condition(&repeat.condition);
                let most = Value::Literal(repeat.most.to_string().into_bytes().into());
                let counter = repeat.counter.as_ref().map(|(name, _)| name.as_str());
                self.looped(most, Some(condition), counter, &repeat.steps);
            }
            Step::If(branch) => {
                let condition = self.condition(&branch.condition);
                let test = self.operations.len();
                self.operations.push(Operation::Stop);
                self.steps(&branch.then);
                let end = self.operations.len();
                if branch.otherwise.is_empty() {
                    self.operations[test] = Operation::JumpUnless(condition, end);
                    return;
                }
                self.operations.push(Operation::Stop);
                self.operations[test] = Operation::JumpUnless(condition, end + 1);
                self.steps(&branch.otherwise);
                self.operations[end] = Operation::Jump(self.operations.len());
            }
            Step::Choose(choose) => self.choose(choose),
            Step::Group(group) => {
                let index = index_of(&mut self.groups, group.name.clone());
                self.operations.push(Operation::GroupBegin(index));
                self.steps(&group.steps);
                self.operations.push(Operation::GroupEnd(index));
            }
            Step::Barrier(barrier) => {
                let index = index_of(&mut self.barriers, barrier.clone());
                self.operations.push(Operation::Barrier(index));
            }
            Step::Set(assignments) => {
                for assignment in assignments {
                    let value = self.template(&assignment.value);
                    let variable = index_of(&mut self.variables, assignment.variable.clone());
                    self.operations.push(Operation::Set(variable, value));
                }
            }
            Step::Stop => self.operations.push(Operation::Stop),
        }
    }

    fn looped(&mut self, count: Value, condition: Option<Condition>, counter: Option<&str>, steps: &[Step]) {
        let counter = counter.map(|name| index_of(&mut self.variables, name.to_owned()));
        self.operations.push(Operation::Enter(count));
        let round = self.operations.len();
        self.operations.push(Operation::Stop);
        self.steps(steps);
        self.operations.push(Operation::Jump(round));
        let to = self.operations.len();
        self.operations[round] = Operation::Round { condition, counter, to };
    }

    fn choose(&mut self, choose: &crate::syntax::Choose) {
        let at = self.operations.len();
        self.operations.push(Operation::Stop);
        let (mut bounds, mut ends, mut sum) = (Vec::new(), Vec::new(), 0);
        for choice in choose.choices.iter().filter(|choice| choice.weight > 0) {
            sum += u64::from(choice.weight);
            bounds.push((sum, self.operations.len()));
            self.steps(&choice.steps);
            ends.push(self.operations.len());
            self.operations.push(Operation::Stop);
        }
        let end = self.operations.len();
        for place in ends {
            self.operations[place] = Operation::Jump(end);
        }
        self.operations[at] = Operation::Choose(bounds);
    }

    fn condition(&mut self, condition: &ConditionSyntax) -> Condition {
        match condition {
            ConditionSyntax::Compare { left, operator, right } => {
                Condition::Compare(self.template(left), *operator, self.template(right))
            }
            ConditionSyntax::Matches { left, pattern } => {
                Condition::Matches(self.template(left), pattern.clone())
            }
            ConditionSyntax::And(left, right) => {
                Condition::And(Box::new(self.condition(left)), Box::new(self.condition(right)))
            }
            ConditionSyntax::Or(left, right) => {
                Condition::Or(Box::new(self.condition(left)), Box::new(self.condition(right)))
            }
            ConditionSyntax::Not(inner) => Condition::Not(Box::new(self.condition(inner))),
        }
    }

    pub(super) fn extraction(&mut self, extraction: &crate::exchange::Extraction) -> Extraction {
        let source = match &extraction.source {
            SourceSyntax::Json(path) => Source::Json(path.clone()),
            SourceSyntax::Regex { pattern, group, subject } => {
                Source::Regex { pattern: pattern.clone(), group: *group, subject: subject.clone() }
            }
            SourceSyntax::Header(name) => Source::Header(name.clone()),
            SourceSyntax::Cookie(name) => Source::Cookie(name.clone()),
            SourceSyntax::Status => Source::Status,
        };
        let default = extraction.default.as_ref().map(|default| self.template(default));
        Extraction { variable: index_of(&mut self.variables, extraction.variable.clone()), source, default }
    }

    pub(super) fn check(&mut self, check: &crate::exchange::Check) -> Check {
        let tests = check.tests.iter().map(|test| match test {
            TestSyntax::Is(template) => Test::Is(self.template(template)),
            TestSyntax::Not(template) => Test::Not(self.template(template)),
            TestSyntax::Contains(template) => Test::Contains(self.template(template)),
            TestSyntax::Matches(pattern) => Test::Matches(pattern.clone()),
            TestSyntax::Above(bound) => Test::Above(*bound),
            TestSyntax::Below(bound) => Test::Below(*bound),
            TestSyntax::Count(count) => Test::Count(*count),
            TestSyntax::Exists(exists) => Test::Exists(*exists),
            TestSyntax::Sha256(digest) => Test::Sha256(*digest),
        });
        let tests = tests.collect();
        Check { name: check.name.clone(), subject: check.subject.clone(), tests, stops: check.stops }
    }

    pub(super) fn file(&mut self, path: &str) -> Value {
        Value::File(index_of(&mut self.files, path.to_owned()))
    }

    pub(super) fn token(&mut self, request: TokenRequest) -> Value {
        Value::Token(index_of(&mut self.tokens, request))
    }

    pub(super) fn login(&mut self, login: Login) -> u16 {
        index_of(&mut self.logins, login)
    }

    /// The values of a template's parts; constants have become literals, and literals that follow each other one.
    pub(super) fn parts(&mut self, template: &Template) -> Vec<Value> {
        let mut values: Vec<Value> = Vec::new();
        for part in &template.parts {
            let value = match part {
                TemplatePart::Text(text) => Value::Literal(text.as_bytes().into()),
                TemplatePart::Expression(expression) => self.expression(expression),
            };
            match (values.last_mut(), &value) {
                (Some(Value::Literal(last)), Value::Literal(more)) => {
                    *last = [&**last, &**more].concat().into();
                }
                _ => values.push(value),
            }
        }
        values
    }

    pub(super) fn template(&mut self, template: &Template) -> Value {
        let mut values = self.parts(template);
        match values.len() {
            0 => Value::Literal(Box::default()),
            1 => values.remove(0),
            _ => Value::Concat(values.into()),
        }
    }

    fn expression(&mut self, expression: &Expression) -> Value {
        match &expression.kind {
            ExpressionKind::Literal(text) => Value::Literal(text.as_bytes().into()),
            ExpressionKind::Variable(name) => {
                match self.scope.constants.iter().find(|(constant, _)| constant == name) {
                    Some((_, value)) => Value::Literal(value.as_bytes().into()),
                    None => Value::Variable(index_of(&mut self.variables, name.clone())),
                }
            }
            ExpressionKind::Column { feeder, column } => {
                let column = Column { feeder: feeder.clone(), name: column.clone() };
                Value::Column(index_of(&mut self.columns, column))
            }
            ExpressionKind::Secret(name) => Value::Secret(place_of(&self.scope.secrets, name)),
            ExpressionKind::Setup(name) => Value::Setup(place_of(&self.scope.setup, name)),
            ExpressionKind::Call(function, arguments) => {
                Value::Call(*function, arguments.iter().map(|argument| self.expression(argument)).collect())
            }
        }
    }

    /// The index of a step's target.
    pub(super) fn target_index(&self, name: Option<&str>) -> u16 {
        name.map_or(0, |name| place_of(&self.scope.targets, name))
    }
}
