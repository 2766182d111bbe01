//! What a plan file does once before its load, and once after it: setup and teardown.
//!
//! What it is: their order, and what is said of them. What it is not: part of the run; no figure of the report counts
//! their requests. The targets do, and so the report says that they were sent.
//!
//! Invariants: both are prepared before anything is sent; a setup that fails keeps the load from beginning; where setup
//! has succeeded, teardown is run, whatever became of the load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use plan::document::PlanFile;
use report::sanitized;
use scenario::Scenario;
use tokio::signal::unix::{SignalKind, signal};

use crate::host::figures;
use crate::once::{Alone, Course, Event, Setup, fill, run};
use crate::prepare::{FileRun, PrepareError, Prepared, prepare_alone, token_sources};
use crate::progress::tell;
use crate::shard::scenarios::ScenarioSettings;
use crate::standalone::RunError;
use crate::tokens::{Refresher, TokenError, Tokens};

/// What setup and teardown draw at random is keyed apart from what workloads draw.
const SETUP_INDEX: usize = u32::MAX as usize;
const TEARDOWN_INDEX: usize = SETUP_INDEX - 1;

/// What is done around a load.
#[derive(Debug, Default)]
pub struct Around {
    before: Option<Alone>,
    after: Option<Alone>,
    names: Vec<String>,
    tokens: Tokens,
    refresher: Option<Refresher>,
}

impl Around {
    /// Prepares both; nothing is sent.
    ///
    /// # Errors
    /// See [`PrepareError`].
    pub fn prepare(run: &FileRun<'_>) -> Result<Self, PrepareError> {
        let one = |scenario: &Option<Scenario>, index| {
            let prepare = |scenario: &Scenario| {
                refuse_unique_rows(run.file, scenario)?;
                prepare_alone(run, scenario, index)
            };
            scenario.as_ref().map(prepare).transpose()
        };
        Ok(Self {
            before: one(&run.file.setup, SETUP_INDEX)?,
            after: one(&run.file.teardown, TEARDOWN_INDEX)?,
            names: run.file.setup.as_ref().map(scenario::variables).unwrap_or_default(),
            ..Self::default()
        })
    }

    /// Finds whom to ask for the tokens that setup, teardown and `others` carry; nothing is sent.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn find_tokens<'a>(
        &'a mut self,
        run: &FileRun<'_>,
        others: impl Iterator<Item = &'a mut ScenarioSettings>,
    ) -> Result<(), TokenError> {
        let own = self.before.iter_mut().chain(&mut self.after).map(|alone| &mut alone.scenario);
        let sources = token_sources(run, own.chain(others))?;
        self.tokens = Tokens::of(sources);
        Ok(())
    }

    /// Fetches the tokens, once, and puts them into setup, teardown and `others`.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn fetch_tokens<'a>(
        &'a mut self,
        others: impl Iterator<Item = &'a mut ScenarioSettings>,
    ) -> Result<&'a Tokens, TokenError> {
        self.tokens.fetch()?;
        let own = self.before.iter_mut().chain(&mut self.after).map(|alone| &mut alone.scenario);
        for scenario in own.chain(others) {
            self.tokens.fill(scenario);
        }
        Ok(&self.tokens)
    }

    /// What keeps the tokens fresh, for whoever hands them to the shards.
    pub fn lend_refresher(&mut self) -> Option<Refresher> {
        self.refresher.take()
    }

    /// Takes it back when no shard is left.
    pub fn take_back(&mut self, refresher: Option<Refresher>) {
        self.refresher = refresher;
    }

    /// Ends it; what the reader of the report must know.
    pub fn token_notes(&mut self) -> Vec<String> {
        self.refresher.take().map(|refresher| refresher.end().notes()).unwrap_or_default()
    }

    /// What is run before, for whoever shows it.
    pub fn before(&self) -> Option<&Alone> {
        self.before.as_ref()
    }

    /// What is run after, for whoever shows it.
    pub fn after(&mut self, setup: &Setup) -> Option<Alone> {
        self.after.take().map(|alone| alone.with_setup(setup))
    }

    /// What setup has extracted, for everything that comes behind it.
    pub fn setup_of(&self, course: &Course) -> Setup {
        course.values(&self.names)
    }

    /// Fetches the tokens, runs setup, and fills what it has extracted into the load and teardown. Notes what was sent.
    ///
    /// # Errors
    /// A token is not to be had; a request of setup failed, a check did not hold, or it could not come to its end.
    pub fn set_up(&mut self, prepared: &mut Prepared, notes: &mut Vec<String>) -> Result<(), RunError> {
        let mut tokens = std::mem::take(&mut self.tokens);
        tokens.fetch()?;
        if let Some(alone) = &mut self.before {
            tokens.fill(&mut alone.scenario);
        }
        if !tokens.is_empty() {
            self.refresher = Some(tokens.keep_fresh().map_err(TokenError::System)?);
        }
        let mut setup: Setup = vec![None; self.names.len()];
        if let Some(alone) = &self.before {
            let (course, trouble) = carry_out(alone, &AtomicBool::new(false)).map_err(RunError::Once)?;
            if let Some(trouble) = trouble {
                return Err(RunError::Setup { trouble });
            }
            setup = self.setup_of(&course);
            let sent = figures::counted(course.sent, "request");
            notes.push(format!("setup sent {sent} before the run, in no count but the target's"));
        }
        let scenarios = prepared.shards.iter_mut().flat_map(|(settings, _)| &mut settings.scenarios);
        for scenario in scenarios.chain(self.after.as_mut().map(|alone| &mut alone.scenario)) {
            fill(scenario, &setup);
            if let Some(refresher) = &mut self.refresher {
                refresher.fill(scenario);
            }
        }
        Ok(())
    }

    /// Runs teardown, which a signal ends, and yields what there is to say of it. A second call does nothing.
    pub fn tear_down(&mut self) -> Option<String> {
        let mut alone = self.after.take()?;
        if let Some(refresher) = &mut self.refresher {
            refresher.fill(&mut alone.scenario);
        }
        let told = match carry_out(&alone, &left_by_signal()) {
            Ok((course, None)) => {
                let sent = figures::counted(course.sent, "request");
                return Some(format!("teardown sent {sent} after the run, in no count but the target's"));
            }
            Ok((_, Some(trouble))) => trouble,
            Err(error) => error.to_string(),
        };
        let told = format!("teardown failed, what it was to undo may still be there: {told}");
        tell(&format!("warning: {told}\n"));
        Some(told)
    }
}

/// A row that is used once belongs to a slot of the load.
fn refuse_unique_rows(file: &PlanFile, scenario: &Scenario) -> Result<(), PrepareError> {
    let unique = |name: &String| file.data.iter().any(|data| data.name == *name && data.unique);
    match scenario.data.iter().find(|(name, _)| unique(name)) {
        None => Ok(()),
        Some((name, _)) => Err(PrepareError::Scenario {
            name: scenario.name.clone(),
            what: format!(
                "each row of {name} is used once, and all of them are the load's → data without unique"
            ),
        }),
    }
}

/// Runs it; yields what came of it, and what went wrong where first.
fn carry_out(alone: &Alone, leave: &AtomicBool) -> std::io::Result<(Course, Option<String>)> {
    let mut first = None;
    let course = run(alone, leave, &mut |event| {
        let Event::Exchange(exchange) = event else { return };
        let failed = exchange.checks.iter().find(|(_, holds)| !holds).map(|(check, _)| *check);
        let what = match (exchange.answer, failed) {
            (Err(class), _) => class.name().to_owned(),
            (Ok(response), _) if exchange.is_failure => format!("status {}", response.status),
            (Ok(_), Some(check)) => format!("check {check} does not hold"),
            (Ok(_), None) => return,
        };
        first.get_or_insert_with(|| sanitized(&format!("{}: {what}", exchange.name)));
    })?;
    let trouble = course.trouble().map(|trouble| match first {
        Some(first) => format!("{first} ({trouble})"),
        None => trouble,
    });
    Ok((course, trouble))
}

/// Becomes true when a signal comes. The run has taken signals over, so that none ends the process by itself.
fn left_by_signal() -> Arc<AtomicBool> {
    let leave = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&leave);
    let listen = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = runtime else { return };
        runtime.block_on(async {
            let (Ok(mut interrupts), Ok(mut terminations)) =
                (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
            else {
                return;
            };
            tokio::select! {
                _ = interrupts.recv() => {}
                _ = terminations.recv() => {}
            }
            told.store(true, Ordering::Relaxed);
        });
    };
    // It ends with the process; without it, timeouts still end teardown.
    let _ = thread::Builder::new().name("signals".into()).spawn(listen);
    leave
}
