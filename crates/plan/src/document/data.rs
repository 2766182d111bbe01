//! `data:`, `variables:` and `secrets:` — where the values come from that templates put in.

use super::World;
use super::fields::{Fields, list, mapping, named, parsed, scalar, truth};
use super::problem::Problems;
use super::secret::Secret;
use super::source::Span;
use super::targets::{file_name, unreadable};
use super::tree::{Node, Value};
use crate::{PlanError, quoted};

/// The keys of a data source.
pub(crate) const DATA_KEYS: [&str; 6] = ["file", "order", "unique", "at-end", "format", "columns"];
/// The keys of a secret.
pub(crate) const SECRET_KEYS: [&str; 2] = ["env", "file"];
/// Longest secret, in bytes.
const LONGEST_SECRET: usize = 64 << 10;

/// In which order rows are used.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum RowOrder {
    /// As they stand in the file.
    #[default]
    Sequential,
    /// Each once, in an order that the seed makes.
    Shuffled,
    /// Any row at any time.
    Random,
}

/// What happens when all rows are used.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum AtEnd {
    /// They begin anew.
    #[default]
    Repeat,
    /// The workload ends.
    Stop,
    /// The run fails.
    Fail,
}

/// How a data file is written.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum DataFormat {
    /// Comma-separated values.
    Csv,
    /// A JSON object in each line.
    JsonLines,
}

/// A data source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataSource {
    /// What scenarios call it.
    pub name: String,
    /// The file, as the plan names it.
    pub file: String,
    /// In which order rows are used.
    pub order: RowOrder,
    /// Whether no row is ever used twice.
    pub unique: bool,
    /// What happens when all rows are used.
    pub at_end: AtEnd,
    /// How the file is written.
    pub format: DataFormat,
    /// The names of the columns, where the file does not name them.
    pub columns: Option<Vec<String>>,
    /// Where it stands in the file.
    pub span: Span,
}

/// Reads the data sources.
pub(crate) fn data(node: &Node, world: &dyn World, problems: &mut Problems) -> Vec<DataSource> {
    let entries = named(node, "data", problems).unwrap_or_default();
    let sources = entries.into_iter().filter_map(|(key, node)| {
        let source = source(node, world, problems)?;
        Some(DataSource { name: key.text.clone(), span: key.span, ..source })
    });
    sources.collect()
}

fn source(node: &Node, world: &dyn World, problems: &mut Problems) -> Option<DataSource> {
    let fields = match node.value {
        // Short form: the file alone.
        Value::Scalar(_) => None,
        Value::List(_) | Value::Mapping(_) => Some(Fields::of(node, "a data source", &DATA_KEYS, problems)?),
    };
    let file_node = match &fields {
        Some(fields) => fields.need("file", "file: users.csv", problems)?,
        None => node,
    };
    let file = parsed(file_node, problems, |path| {
        file_name(path)?;
        world.look(path).map_err(|reason| unreadable(path, &reason))?;
        Ok(path.to_owned())
    });
    let by_name = file.as_deref().and_then(format_of);
    let Some(fields) = fields else {
        return finish(file?, file_node, by_name, problems);
    };
    let order = fields.parse("order", problems, |text| {
        choose(
            text,
            "an order",
            &[
                ("sequential", RowOrder::Sequential),
                ("shuffled", RowOrder::Shuffled),
                ("random", RowOrder::Random),
            ],
        )
    });
    let unique = fields.parse("unique", problems, truth).unwrap_or(false);
    let at_end = fields.parse("at-end", problems, |text| {
        choose(text, "an end", &[("repeat", AtEnd::Repeat), ("stop", AtEnd::Stop), ("fail", AtEnd::Fail)])
    });
    if unique && at_end == Some(AtEnd::Repeat) {
        problems.add(
            fields.at("at-end"),
            "unique rows cannot be repeated",
            "at-end: stop or fail; or leave unique out",
        );
    }
    if unique && order == Some(RowOrder::Random) {
        problems.add(
            fields.at("order"),
            "random rows are not unique",
            "order: shuffled uses each row once, in random order",
        );
    }
    if order == Some(RowOrder::Random) && at_end.is_some_and(|end| end != AtEnd::Repeat) {
        problems.add(fields.at("at-end"), "random rows never end", "leave it out; or order: shuffled");
    }
    let format = fields.parse("format", problems, |text| {
        choose(text, "a format", &[("csv", DataFormat::Csv), ("jsonl", DataFormat::JsonLines)])
    });
    let columns = fields.get("columns").and_then(|node| columns(node, problems));
    let source = finish(file?, file_node, format.or(by_name), problems)?;
    let default_end = if unique { AtEnd::Stop } else { AtEnd::Repeat };
    Some(DataSource {
        order: order.unwrap_or_default(),
        unique,
        at_end: at_end.unwrap_or(default_end),
        columns,
        ..source
    })
}

fn finish(
    file: String,
    node: &Node,
    format: Option<DataFormat>,
    problems: &mut Problems,
) -> Option<DataSource> {
    let Some(format) = format else {
        problems.add(
            node.span,
            "the file's name does not say how it is written",
            "format: csv, or format: jsonl",
        );
        return None;
    };
    Some(DataSource {
        name: String::new(),
        file,
        order: RowOrder::default(),
        unique: false,
        at_end: AtEnd::default(),
        format,
        columns: None,
        span: node.span,
    })
}

fn format_of(path: &str) -> Option<DataFormat> {
    let (_, extension) = path.rsplit_once('.')?;
    match extension.to_ascii_lowercase().as_str() {
        "csv" => Some(DataFormat::Csv),
        "jsonl" | "ndjson" => Some(DataFormat::JsonLines),
        _ => None,
    }
}

fn columns(node: &Node, problems: &mut Problems) -> Option<Vec<String>> {
    let nodes = list(node, "columns", problems)?;
    let mut names: Vec<String> = Vec::new();
    for node in nodes {
        let name = parsed(node, problems, |text| super::fields::name(text).map(|()| text.to_owned()));
        if name.as_ref().is_some_and(|name| names.contains(name)) {
            problems.add(node.span, "this column has its name a second time", "each name once");
        }
        names.extend(name);
    }
    if names.is_empty() && nodes.is_empty() {
        problems.add(node.span, "there are no columns", "leave it out, or name them");
    }
    Some(names)
}

/// Reads one of `words`, with the nearest one as the fix.
pub(crate) fn choose<T: Copy>(text: &str, noun: &str, words: &[(&str, T)]) -> Result<T, PlanError> {
    if let Some((_, choice)) = words.iter().find(|(word, _)| *word == text) {
        return Ok(*choice);
    }
    let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let fix = super::suggest::nearest(text, names.iter().copied())
        .map_or_else(|| format!("one of {}", names.join(", ")), |near| format!("did you mean {near}?"));
    Err(PlanError::new(format!("{} is not {noun}", quoted(text)), fix))
}

/// Reads the constants.
pub(crate) fn variables(node: &Node, problems: &mut Problems) -> Vec<(String, String)> {
    let entries = named(node, "variables", problems).unwrap_or_default();
    let pairs = entries.into_iter().filter_map(|(key, node)| {
        let text = scalar(node, problems)?.text.clone();
        Some((key.text.clone(), text))
    });
    pairs.collect()
}

/// Reads the tags.
pub(crate) fn tags(node: &Node, problems: &mut Problems) -> Vec<crate::Tag> {
    let entries = mapping(node, "tags", problems).unwrap_or_default();
    let pairs = entries.iter().filter_map(|(key, node)| {
        let scalar = scalar(node, problems)?;
        match crate::Tag::parse(&format!("{}={}", key.text, scalar.text)) {
            Ok(tag) => Some(tag),
            Err(error) => {
                problems.push(key.span, error);
                None
            }
        }
    });
    let mut tags: Vec<crate::Tag> = pairs.collect();
    tags.sort();
    tags
}

/// Reads the secrets.
pub(crate) fn secrets(node: &Node, world: &dyn World, problems: &mut Problems) -> Vec<(String, Secret)> {
    let entries = named(node, "secrets", problems).unwrap_or_default();
    let mut secrets = Vec::new();
    for (key, node) in entries {
        if let Value::Scalar(_) = node.value {
            problems.add_hidden(
                node.span,
                "a secret does not stand in the plan itself",
                "{env: NAME} for a variable, {file: PATH} for a file",
            );
            continue;
        }
        let Some(fields) = Fields::of(node, "a secret", &SECRET_KEYS, problems) else { continue };
        let Some((source, at)) = fields.one_of(&SECRET_KEYS, "one source", problems) else {
            fields.missing(
                node.span,
                "nothing says where this secret comes from",
                "{env: NAME} or {file: PATH}",
                problems,
            );
            continue;
        };
        let value = parsed(at, problems, |text| {
            if source == "env" { from_variable(text, world) } else { from_file(text, world) }
        });
        secrets.extend(value.map(|value| (key.text.clone(), Secret::new(value))));
    }
    secrets
}

fn from_variable(name: &str, world: &dyn World) -> Result<String, PlanError> {
    match world.variable(name) {
        Ok(Some(value)) if !value.is_empty() => Ok(value),
        Ok(_) => Err(PlanError::new(
            format!("the variable {} is not set or empty", shown(name)),
            "export it where the engine runs",
        )),
        Err(reason) => Err(PlanError::new(format!("the variable {} {reason}", shown(name)), "another value")),
    }
}

/// The name of a variable, which is no secret, however it sounds; anything that is no such name is not repeated.
fn shown(name: &str) -> &str {
    let good =
        |character: char| character.is_ascii_uppercase() || character.is_ascii_digit() || character == '_';
    if !name.is_empty() && name.len() <= 64 && name.chars().all(good) { name } else { "that is named here" }
}

fn from_file(path: &str, world: &dyn World) -> Result<String, PlanError> {
    file_name(path)?;
    let bytes = world.read(path).map_err(|reason| {
        PlanError::new(
            format!("the secret's file cannot be read: {reason}"),
            "the path of a file, relative to the plan's folder",
        )
    })?;
    let wrong = |what: &str, fix: &str| Err(PlanError::new(what, fix));
    if bytes.len() > LONGEST_SECRET {
        return wrong("the secret's file has more than 64 KiB", "a file that holds the secret alone");
    }
    match String::from_utf8(bytes) {
        Err(_) => wrong("the secret's file is not text", "UTF-8"),
        // Editors end files with a line break, which no secret means.
        Ok(text) => match text.trim_end_matches(['\r', '\n']) {
            "" => wrong("the secret's file is empty", "a file that holds the secret alone"),
            value => Ok(value.to_owned()),
        },
    }
}
