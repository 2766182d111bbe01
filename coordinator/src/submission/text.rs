//! A spec as text, and words as people may see them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wire::{FileRef, Spec};

use crate::files::{from_hex, hex};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SpecRow {
    version: String,
    words: Vec<String>,
    variables: BTreeMap<String, String>,
    /// Digest and size, by path.
    files: BTreeMap<String, (String, u64)>,
}

/// A spec as text, the same for the same spec.
pub(crate) fn text_of(spec: &Spec) -> String {
    let Spec { version, words, variables, files } = spec.clone();
    let files = files.into_iter().map(|(path, file)| (path, (hex(&file.sha256), file.size))).collect();
    let row = SpecRow { version, words, variables, files };
    serde_json::to_string(&row).expect("Invariant: a spec has texts for keys")
}

/// The spec that [`text_of`] wrote.
pub(crate) fn spec_of(text: &str) -> Option<Spec> {
    let SpecRow { version, words, variables, files } = serde_json::from_str(text).ok()?;
    let file = |(path, (sha256, size)): (String, (String, u64))| {
        Some((path, FileRef { sha256: from_hex(&sha256)?, size }))
    };
    let files = files.into_iter().map(file).collect::<Option<_>>()?;
    Some(Spec { version, words, variables, files })
}

/// A word of a command line without what may be a secret: what a header, a body or the query of a URL says.
pub(super) fn without_secrets(word: &str) -> String {
    if let Some(value) = word.strip_prefix("--header=") {
        let name = value.split_once(':').map_or("", |(name, _)| name);
        return format!("--header={name}: …");
    }
    if word.starts_with("--body=") {
        return "--body=…".to_owned();
    }
    match word.split_once('?') {
        Some((path, _)) if path.contains("://") => format!("{path}?…"),
        _ => word.to_owned(),
    }
}
