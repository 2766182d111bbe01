use super::*;
use crate::condition::Condition;
use crate::error::Origin;
use crate::exchange::{Check, Extraction, Source, Subject, Test};
use crate::syntax::{Assignment, Choice, Choose, HeaderField, If, Repeat, RequestStep, Step};
use crate::template::Template;

fn template(text: &str) -> Template {
    Template::parse(text, Origin(1)).unwrap()
}

fn get(url: &str) -> Step {
    Step::Request(Box::new(RequestStep { name: "get".into(), url: template(url), ..RequestStep::default() }))
}

fn with(change: impl FnOnce(&mut RequestStep)) -> Step {
    let mut request = RequestStep { name: "get".into(), ..RequestStep::default() };
    change(&mut request);
    Step::Request(Box::new(request))
}

fn set(variable: &str, value: &str) -> Step {
    Step::Set(vec![Assignment { variable: variable.into(), origin: Origin(2), value: template(value) }])
}

fn extract(variable: &str) -> Step {
    let extraction =
        Extraction { variable: variable.into(), origin: Origin(3), source: Source::Status, default: None };
    with(|request| request.extractions.push(extraction))
}

fn when(condition: &str, then: Vec<Step>) -> Step {
    let condition = Condition::parse(condition, Origin(4)).unwrap();
    Step::If(If { condition, then, otherwise: Vec::new() })
}

fn scope() -> Scope {
    Scope {
        constants: vec![("region".into(), "eu".into())],
        secrets: vec!["password".into()],
        setup: vec!["token".into()],
        feeders: vec![
            FeederNames { name: "users".into(), columns: Some(vec!["name".into()]) },
            FeederNames { name: "other".into(), columns: None },
        ],
        targets: vec!["shop".into()],
    }
}

fn errors(steps: Vec<Step>) -> Vec<ScenarioError> {
    let data = vec![("users".to_owned(), Origin(5))];
    validate(&Scenario { name: "s".into(), data, cookies: true, steps }, &scope())
}

#[test]
fn right_scenarios() {
    let counter = Some(("page".to_owned(), Origin(0)));
    let steps = vec![
        get("/{{region}}/{{users.name}}?{{secret.password}}{{setup.token}}{{uuid}}"),
        extract("status"),
        when("{{status}} == 200", vec![set("a", "{{base64(status)}}")]),
        get("/{{a}}"),
        Step::Repeat(Repeat { count: template("3"), counter, steps: vec![get("/{{page}}")] }),
        set("a", "{{a}}x"),
        Step::Stop,
    ];
    assert_eq!(errors(steps.clone()), []);
    let scenario = Scenario { steps, ..Scenario::default() };
    assert_eq!(variables(&scenario), ["status", "a", "page"]);
}

#[test]
fn wrong_scenarios_say_where_what_and_how_to_fix() {
    let header = |name: &str| {
        let field = HeaderField { name: name.into(), origin: Origin(6), value: template("x") };
        with(|request| request.headers.push(field))
    };
    let check = |subject: Subject, tests: Vec<Test>| {
        let check = Check { name: "c".into(), origin: Origin(8), subject, tests, stops: false };
        with(|request| request.checks.push(check))
    };
    let repeat =
        |count: &str| Step::Repeat(Repeat { count: template(count), counter: None, steps: vec![get("/")] });
    let mut deep = get("/");
    for _ in 0..=NESTING_MAX {
        deep = when("{{region}} == eu", vec![deep]);
    }
    let weights = |weight| {
        Step::Choose(Choose { origin: Origin(9), choices: vec![Choice { weight, steps: vec![get("/")] }] })
    };
    for (steps, origin, offset, fragment) in [
        (vec![], 0, 0, "the scenario has no steps"),
        (vec![get("/{{token}}")], 1, 3, "nothing has set token before this → set it with"),
        (vec![get("/{{regoin}}")], 1, 3, "did you mean region?"),
        (vec![get("/{{a}}"), set("a", "1")], 1, 3, "nothing has set a before this"),
        (vec![get("/{{base64(md5(a))}}")], 1, 14, "nothing has set a before this"),
        (vec![set("a", "{{a}}")], 1, 2, "nothing has set a before this"),
        (vec![get("/{{secret.pasword}}")], 1, 3, "no secret pasword → did you mean password?"),
        (vec![get("/{{setup.id}}")], 1, 3, "setup sets no variable id → one of token"),
        (vec![get("/{{user.name}}")], 1, 3, "no data user → did you mean users?"),
        (vec![get("/{{users.nam}}")], 1, 3, "users has no column \"nam\" → did you mean name?"),
        (vec![get("/{{other.x}}")], 1, 3, "the scenario takes no rows of other → data: other"),
        (vec![set("region", "1")], 2, 0, "region is a constant"),
        (vec![set("uuid", "1")], 2, 0, "uuid is a function"),
        (vec![set("setup", "1")], 2, 0, "has a meaning of its own"),
        (vec![set("a b", "1")], 2, 0, "is not a name for a variable"),
        (vec![get("shop.example/x")], 1, 0, "is a path on its target"),
        (vec![get("/a b")], 1, 2, "has a space in it"),
        (vec![header("X y")], 6, 0, "is not the name of a header"),
        (vec![header("Content-Length")], 6, 0, "cannot be set"),
        (vec![check(Subject::Time, vec![Test::Exists(true)])], 8, 0, "exists cannot be asked of time"),
        (vec![check(Subject::Body, vec![])], 8, 0, "the check of body asks nothing"),
        (vec![repeat("many")], 1, 0, "\"many\" is not a number of rounds"),
        (vec![repeat("1000001")], 1, 0, "is not a number of rounds"),
        (vec![weights(0)], 9, 0, "no alternative can be chosen"),
        (vec![with(|request| request.method = "A B".into())], 0, 0, "is not a method"),
        (vec![with(|request| request.target = Some(("shpo".into(), Origin(7))))], 7, 0, "did you mean shop?"),
        (vec![deep], 0, 0, "nested deeper than 8"),
    ] {
        let found = errors(steps);
        let first = found.first().unwrap_or_else(|| panic!("no error for {fragment}"));
        assert!(first.to_string().contains(fragment), "{first}");
        assert_eq!((first.origin, first.offset), (Origin(origin), offset), "{first}");
        assert_eq!(found.len(), 1, "{found:?}");
    }
}

#[test]
fn every_error_is_found() {
    assert_eq!(errors(vec![get("/{{a}}{{b}}"), get("/{{c}}")]).len(), 3);
    let many: Vec<Step> = (0..=VARIABLES_MAX).map(|index| set(&format!("v{index}"), "1")).collect();
    assert_eq!(errors(many).len(), 1);
    assert_eq!(errors(vec![get("/"); STEPS_MAX + 1]).len(), 1);
    let mut scope = scope();
    scope.targets.push("api".into());
    let scenario = Scenario { steps: vec![get("/")], ..Scenario::default() };
    assert!(validate(&scenario, &scope)[0].to_string().contains("several targets"));
    let unknown =
        Scenario { data: vec![("usres".into(), Origin(1))], steps: vec![get("/")], ..Scenario::default() };
    scope.targets.pop();
    assert!(validate(&unknown, &scope)[0].to_string().contains("did you mean users?"));
}
