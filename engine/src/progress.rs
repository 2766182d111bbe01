//! The progress of a run on standard error: redrawn lines on a terminal, else one plain line from time to time.
//!
//! What it is: the cursor movements around `report`'s texts. What it is not: the texts.
//!
//! Invariant: progress never holds a run up; what standard error does not take is lost.

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};

use report::{Live, Style, live_lines, progress_line};

use crate::args::{Color, Outputs};

/// Seconds that the sparkline shows.
const HISTORY: usize = 24;

/// Rows of a terminal that names do not get: those of the run and of the keys, the head of the names, the cursor's.
const OTHER_ROWS: usize = 7;

/// How text may look on a stream, by flag and environment.
pub fn style(choice: Color, is_terminal: bool) -> Style {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let dumb = variable("TERM") == "dumb";
    // https://no-color.org: any value but the empty one.
    let forced = !matches!(variable("CLICOLOR_FORCE").as_str(), "" | "0");
    let by_itself = variable("NO_COLOR").is_empty() && (forced || (is_terminal && !dumb));
    let colour = choice == Color::Always || (choice == Color::Auto && by_itself);
    let locale =
        ["LC_ALL", "LC_CTYPE", "LANG"].iter().map(|name| variable(name)).find(|value| !value.is_empty());
    let utf8 = locale.is_none_or(|value| {
        let value = value.to_ascii_lowercase();
        value.contains("utf-8") || value.contains("utf8")
    });
    Style { colour, utf8 }
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Mode {
    Silent,
    Redraw,
    Lines { every_s: u64 },
}

/// What was shown and what comes next.
#[derive(Debug)]
pub struct Progress {
    mode: Mode,
    style: Style,
    drawn: usize,
    history: VecDeque<u64>,
}

impl Progress {
    /// For this process's standard error.
    pub fn new(outputs: &Outputs) -> Self {
        let terminal = io::stderr().is_terminal() && std::env::var("TERM").as_deref() != Ok("dumb");
        let mode = if outputs.quiet {
            Mode::Silent
        } else if terminal {
            Mode::Redraw
        } else {
            Mode::Lines { every_s: (outputs.progress_every_ns / 1_000_000_000).max(1) }
        };
        Self {
            mode,
            style: style(outputs.color, terminal),
            drawn: 0,
            history: VecDeque::with_capacity(HISTORY),
        }
    }

    /// Whether lines are redrawn, as on a terminal.
    pub fn is_redrawn(&self) -> bool {
        self.mode == Mode::Redraw
    }

    /// How many names there is room for: what the terminal holds beside the other lines and the one of the cursor.
    pub fn name_rows(&self) -> usize {
        if self.is_redrawn() { size().1.saturating_sub(OTHER_ROWS) } else { 0 }
    }

    /// Shows a second of the run.
    pub fn show(&mut self, live: &Live<'_>, sent: u64) {
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(sent);
        let live = Live { history: self.history.make_contiguous(), ..live.clone() };
        let text = match self.mode {
            Mode::Silent => return,
            Mode::Lines { every_s } => {
                if !live.elapsed_s.is_multiple_of(every_s) {
                    return;
                }
                format!("{}\n", progress_line(&live, self.style))
            }
            Mode::Redraw => {
                let lines = live_lines(&live, self.style, size().0);
                let mut text = self.rewind();
                for line in &lines {
                    text.push_str(line);
                    text.push('\n');
                }
                self.drawn = lines.len();
                text
            }
        };
        tell(&text);
    }

    /// Takes the redrawn lines off the screen.
    pub fn clear(&mut self) {
        let text = self.rewind();
        self.drawn = 0;
        tell(&text);
    }

    /// A sentence for whoever watches.
    pub fn note(&mut self, text: &str) {
        if self.mode != Mode::Silent {
            self.clear();
            tell(&format!("{text}\n"));
        }
    }

    fn rewind(&self) -> String {
        if self.drawn == 0 { String::new() } else { format!("\x1b[{}A\x1b[J", self.drawn) }
    }
}

/// Prints on standard error; a closed one is nobody to tell.
pub fn tell(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

/// Columns and rows of the terminal.
fn size() -> (usize, usize) {
    rustix::termios::tcgetwinsize(io::stderr()).map_or((100, 24), |size| {
        (usize::from(size.ws_col).clamp(40, 200), usize::from(size.ws_row).min(100))
    })
}
