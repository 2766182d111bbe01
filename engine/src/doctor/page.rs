//! The doctor's page: findings as aligned lines for people.
//!
//! What it is: marks, columns and the folding of long lines. What it is not: a judgement.

/// Columns that a line has, unless a command or a word is longer.
const WIDTH: usize = 100;
/// Columns of the mark and of the name.
const INDENT: usize = 4 + 20;

/// How something stands.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Mark {
    /// As it should be.
    Well,
    /// A run is possible, and worse for it.
    Warning,
    /// No run is possible.
    Refusal,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    mark: Mark,
    name: &'static str,
    value: String,
    consequence: Option<String>,
    fix: Option<String>,
}

impl Finding {
    pub(super) fn well(name: &'static str, value: &str) -> Self {
        Self { mark: Mark::Well, name, value: value.to_owned(), consequence: None, fix: None }
    }

    pub(super) fn warning(name: &'static str, value: &str) -> Self {
        Self { mark: Mark::Warning, ..Self::well(name, value) }
    }

    pub(super) fn refusal(name: &'static str, value: &str) -> Self {
        Self { mark: Mark::Refusal, ..Self::well(name, value) }
    }

    /// Something that a container hides: nothing is known against it.
    pub(super) fn hidden(name: &'static str) -> Self {
        Self::well(name, "cannot be seen from here")
    }

    /// What follows from it.
    pub(super) fn because(self, consequence: &str) -> Self {
        Self { consequence: Some(consequence.to_owned()), ..self }
    }

    /// What changes it, one command on each line.
    pub(super) fn fixed_by(self, fix: &str) -> Self {
        Self { fix: Some(fix.to_owned()), ..self }
    }

    pub(super) fn is_refusal(&self) -> bool {
        self.mark == Mark::Refusal
    }

    pub(super) fn is_warning(&self) -> bool {
        self.mark == Mark::Warning
    }
}

/// The whole page.
pub(super) fn render(title: &str, findings: &[Finding], conclusion: &str) -> String {
    let mut page = format!("{}\n\n", printable(title));
    for finding in findings {
        let mark = match finding.mark {
            Mark::Well => "ok",
            Mark::Warning => "!",
            Mark::Refusal => "x",
        };
        let head = format!("{mark:<4}{:<20}", finding.name);
        folded(&mut page, &head, &finding.value);
        if let Some(consequence) = &finding.consequence {
            folded(&mut page, &" ".repeat(INDENT), consequence);
        }
        // Never folded: a command is there to be copied.
        for command in finding.fix.iter().flat_map(|fix| fix.lines()) {
            page.extend(["    → ", &printable(command), "\n"]);
        }
    }
    let mut sentence = conclusion.to_owned();
    if let Some(first) = sentence.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    page.push('\n');
    folded(&mut page, "", &sentence);
    page
}

/// Appends `text` after `head`, folded between words so that no line is longer than [`WIDTH`].
fn folded(page: &mut String, head: &str, text: &str) {
    let mut line = head.to_owned();
    let mut columns = head.chars().count();
    let indent = columns;
    let text = printable(text);
    for (position, word) in text.split(' ').enumerate() {
        let length = word.chars().count();
        if position > 0 && columns + 1 + length > WIDTH {
            page.push_str(line.trim_end());
            page.push('\n');
            line = " ".repeat(indent);
            columns = indent;
        } else if position > 0 {
            line.push(' ');
            columns += 1;
        }
        line.push_str(word);
        columns += length;
    }
    page.push_str(line.trim_end());
    page.push('\n');
}

/// A host's own texts may hold anything: control characters become `?`.
fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '?' } else { character }).collect()
}
