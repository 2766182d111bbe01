//! `engine debug`: one iteration of each workload, and each exchange of it shown.
//!
//! What it is: the order of things and the page for people. What it is not: a run; nothing is measured but the times that
//! the page shows, and no report is written.
//!
//! Invariants: nothing goes to an address before the rails have let it pass; no value of a secret and no credential of a
//! header field stands on the page; what a target sent is cut, and stripped of what a terminal would obey.

mod mask;

use std::fmt::Write as _;
use std::sync::atomic::AtomicBool;

use plan::document::PlanFile;
use report::{Style, sanitized};
use scenario::Scenario;
use verdict::ExitCode;

use self::mask::{HIDDEN, Mask, is_credential};
use crate::args::{Debug, Which};
use crate::host::figures;
use crate::once::{Alone, Course, Event, Exchange, Setup, Times, run};
use crate::standalone::{RunError, Ways};

/// Lines of a head or of a body that are shown.
const LINES_MAX: usize = 40;
/// Characters of a line that are shown.
const COLUMNS_MAX: usize = 200;
/// Bytes of a body that are shown.
const BODY_BYTES_MAX: usize = 2 << 10;
/// Bytes of a body that are looked through for what must not be shown, from its beginning on.
const SEARCHED_BYTES: usize = 64 << 10;

/// Runs one iteration of what was asked for and shows it; `show` prints, and says no when nobody reads on.
///
/// # Errors
/// Nothing was sent: a name does not resolve, a rail refuses, a file of the plan cannot be used.
///
/// # Panics
/// When what was asked for is not of a plan file, which the command line sees to.
pub fn debug(asked: &Debug, style: Style, show: &mut dyn FnMut(&str) -> bool) -> Result<ExitCode, RunError> {
    let from = asked.run.file.as_deref().expect("the command reads a plan file");
    let file = &from.file;
    let ways = Ways::find(&asked.run.plan, from)?;
    let mut session = Session { file, style, show, mask: Mask::default(), courses: Vec::new() };
    for (_, secret) in &file.secrets {
        session.mask.add(secret.reveal());
    }
    let mut around = ways.around(&asked.run.plan, from)?;
    let mut parts = Vec::new();
    for (title, scenario, index) in chosen(file, &asked.which) {
        parts.push((title, ways.alone(&asked.run.plan, from, scenario, index)?));
    }
    ways.find_tokens(&asked.run.plan, from, &mut around, parts.iter_mut().map(|(_, alone)| alone))?;
    for token in around.fetch_tokens(parts.iter_mut().map(|(_, alone)| &mut alone.scenario))?.values() {
        session.mask.add(&String::from_utf8_lossy(token.reveal()));
    }
    let mut setup = Setup::new();
    if let Some(alone) = around.before() {
        let course = session.iteration("setup", alone)?;
        setup = around.setup_of(&course);
        if !course.is_good() {
            (session.show)("setup failed: nothing else is run\n");
            return Ok(session.exit_code());
        }
    }
    for (title, alone) in parts {
        session.iteration(&title, &alone.with_setup(&setup))?;
    }
    if let Some(alone) = around.after(&setup) {
        session.iteration("teardown", &alone)?;
    }
    Ok(session.exit_code())
}

/// The scenarios that are run: what to say of each, and which workload's first iteration it is.
fn chosen<'a>(file: &'a PlanFile, which: &Which) -> Vec<(String, &'a Scenario, usize)> {
    let of = |index: usize| {
        let workload = &file.workloads[index];
        let scenario = &file.scenarios[workload.scenario];
        let does =
            if scenario.name == workload.name { String::new() } else { format!(" of {}", scenario.name) };
        (format!("workload {}: one iteration{does}", workload.name), scenario, index)
    };
    match which {
        Which::All => (0..file.workloads.len()).map(of).collect(),
        Which::Workload(index) => vec![of(*index)],
        Which::Scenario(place) => {
            let scenario = &file.scenarios[*place];
            let index = file.workloads.iter().position(|workload| workload.scenario == *place);
            vec![(format!("scenario {}: one iteration", scenario.name), scenario, index.unwrap_or(0))]
        }
    }
}

struct Session<'a> {
    file: &'a PlanFile,
    style: Style,
    show: &'a mut dyn FnMut(&str) -> bool,
    mask: Mask,
    courses: Vec<Course>,
}

impl Session<'_> {
    /// Runs one iteration and shows it.
    fn iteration(&mut self, title: &str, alone: &Alone) -> Result<Course, RunError> {
        (self.show)(&format!("{title}\n\n"));
        let leave = AtomicBool::new(false);
        let (mask, show, style, file) = (&mut self.mask, &mut self.show, self.style, self.file);
        let course = run(alone, &leave, &mut |event| {
            if let Event::Exchange(exchange) = event {
                mask.add_cookies(exchange.head);
            }
            let goes_on = show(&Page { mask, style, file }.event(event));
            leave.store(!goes_on, std::sync::atomic::Ordering::Relaxed);
        });
        let course = course.map_err(RunError::Once)?;
        let requests = figures::counted(course.sent, "request");
        let end = match course.trouble() {
            None => format!("{} done: {requests}\n\n", mark(self.style, true)),
            Some(trouble) => format!("{} {trouble} ({requests} sent)\n\n", mark(self.style, false)),
        };
        (self.show)(&end);
        self.courses.push(course.clone());
        Ok(course)
    }

    fn exit_code(&self) -> ExitCode {
        let exchanges: u64 = self.courses.iter().map(|course| course.exchanges).sum();
        let answered: u64 = self.courses.iter().map(|course| course.answered).sum();
        if exchanges > 0 && answered == 0 {
            ExitCode::EveryRequestFailed
        } else if self.courses.iter().all(Course::is_good) {
            ExitCode::Passed
        } else {
            ExitCode::ThresholdFailed
        }
    }
}

fn mark(style: Style, holds: bool) -> &'static str {
    match (holds, style.utf8) {
        (true, true) => "✓",
        (false, true) => "✗",
        (true, false) => "ok",
        (false, false) => "NO",
    }
}

/// What is shown, and how.
struct Page<'a> {
    mask: &'a Mask,
    style: Style,
    file: &'a PlanFile,
}

impl Page<'_> {
    fn event(&self, event: &Event<'_>) -> String {
        match event {
            Event::Exchange(exchange) => self.exchange(exchange),
            Event::Think(ns) => format!("  (thinks {})\n\n", milliseconds(*ns)),
            Event::Barrier(name) => format!("  (passes the barrier {name}, alone)\n\n"),
            Event::Group(name) => format!("  (group {})\n\n", self.tame(name)),
        }
    }

    fn exchange(&self, exchange: &Exchange<'_>) -> String {
        let target = self.file.targets.get(exchange.target).map_or("", |target| target.name.as_str());
        let mut page = format!("  {} (to {target})\n", self.tame(exchange.name));
        let (head, body) = split(exchange.request);
        self.head(">", head, &mut page);
        self.body(">", Some(body), body.len() as u64, &mut page);
        if let Ok(response) = exchange.answer {
            self.head("<", exchange.head, &mut page);
            self.body("<", exchange.body, response.body_bytes, &mut page);
        }
        let told = match exchange.answer {
            Ok(response) => {
                let more = match exchange {
                    Exchange { is_redirect: true, .. } => ", a redirect",
                    Exchange { is_challenge: true, .. } => ", a challenge",
                    _ => "",
                };
                let counts = if exchange.is_failure { ", which counts as a failure" } else { "" };
                let size = figures::counted(response.body_bytes, "byte");
                format!("status {}{more}{counts}, body of {size}", response.status)
            }
            Err(class) if !exchange.times.is_sent => format!("not sent: {}", class.name()),
            Err(class) => format!("no response: {}", class.name()),
        };
        let _ = writeln!(page, "  {} {told}", mark(self.style, !exchange.is_failure));
        let _ = writeln!(page, "    {}", times(&exchange.times));
        for (name, holds) in &exchange.checks {
            let _ = writeln!(page, "  {} {}", mark(self.style, *holds), self.tame(name));
        }
        for (name, value) in &exchange.extracted {
            let value = value.map_or_else(
                || "(nothing)".to_owned(),
                |value| self.fitted(&String::from_utf8_lossy(&self.mask.hide(value))),
            );
            let _ = writeln!(page, "    {name} = {value}");
        }
        page.push('\n');
        page
    }

    /// A head, credentials left out.
    fn head(&self, edge: &str, head: &[u8], page: &mut String) {
        let hidden = self.mask.hide(head);
        let text = String::from_utf8_lossy(&hidden);
        let mut lines = text.lines().filter(|line| !line.is_empty());
        let mut was_credential = false;
        for line in lines.by_ref().take(LINES_MAX) {
            let goes_on = line.starts_with([' ', '\t']);
            was_credential = if goes_on { was_credential } else { is_credential(line) };
            let shown = match line.split_once(':') {
                _ if was_credential && goes_on => HIDDEN.to_owned(),
                Some((name, _)) if was_credential => format!("{name}: {HIDDEN}"),
                _ => line.to_owned(),
            };
            let _ = writeln!(page, "    {edge} {}", self.fitted(&shown));
        }
        let left = lines.count();
        if left > 0 {
            let _ = writeln!(page, "    {edge} ({} more)", figures::counted(left as u64, "line"));
        }
    }

    /// The beginning of a body, if it is a text.
    fn body(&self, edge: &str, body: Option<&[u8]>, size: u64, page: &mut String) {
        let Some(body) = body else {
            let size = figures::counted(size, "byte");
            let _ = writeln!(page, "    {edge} ({size}, more than limits.body keeps)");
            return;
        };
        if body.is_empty() {
            return;
        }
        let searched = &body[..body.len().min(SEARCHED_BYTES)];
        let is_text = match std::str::from_utf8(searched) {
            Ok(text) => !text.contains('\0'),
            // A character that is cut is still one of a text.
            Err(error) => error.error_len().is_none() && !searched.contains(&0),
        };
        if !is_text {
            let size = figures::counted(body.len() as u64, "byte");
            let _ = writeln!(page, "    {edge} ({size}, no text)");
            return;
        }
        let hidden = self.mask.hide(searched);
        let shown = String::from_utf8_lossy(&hidden[..hidden.len().min(BODY_BYTES_MAX)]);
        let mut lines = shown.lines();
        let mut is_cut = hidden.len() > BODY_BYTES_MAX || body.len() > SEARCHED_BYTES;
        for line in lines.by_ref().take(LINES_MAX) {
            let _ = writeln!(page, "    {edge} {}", self.fitted(line));
        }
        is_cut |= lines.next().is_some();
        if is_cut {
            let size = figures::counted(body.len() as u64, "byte");
            let _ = writeln!(page, "    {edge} (the beginning of {size})");
        }
    }

    /// Foreign text on one line, cut where it is long.
    fn fitted(&self, text: &str) -> String {
        let tamed = self.tame(text);
        let mut cut: String = tamed.chars().take(COLUMNS_MAX).collect();
        if cut.len() < tamed.len() {
            cut.push_str(if self.style.utf8 { "…" } else { "..." });
        }
        cut
    }

    /// Foreign text on one line. What was hidden between characters that are not shown is taken out as well.
    fn tame(&self, text: &str) -> String {
        let hidden = self.mask.hide(sanitized(text).as_bytes());
        let text = String::from_utf8_lossy(&hidden).into_owned();
        if self.style.utf8 {
            return text;
        }
        text.chars().map(|character| if character.is_ascii() { character } else { '?' }).collect()
    }
}

/// The head and the body of a request.
fn split(request: &[u8]) -> (&[u8], &[u8]) {
    let end = request.windows(4).position(|bytes| bytes == b"\r\n\r\n").map_or(request.len(), |end| end + 4);
    request.split_at(end)
}

fn times(times: &Times) -> String {
    let parts = [
        ("connect", times.connect_ns),
        ("TLS", times.tls_ns),
        ("first byte", times.first_byte_ns),
        ("response", times.response_ns),
        ("in all", Some(times.total_ns)),
    ];
    let told = parts.iter().filter_map(|(name, ns)| Some(format!("{name} {}", milliseconds((*ns)?))));
    told.collect::<Vec<_>>().join(", ")
}

fn milliseconds(ns: u64) -> String {
    let micro = ns / 1_000;
    format!("{}.{:03} ms", micro / 1_000, micro % 1_000)
}
