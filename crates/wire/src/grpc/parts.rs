//! What several messages are made of, both ways.
//!
//! What it is: checked reading of keys, digests, texts, maps, cells and names. What it is not: a message.

use std::collections::BTreeMap;

use bytes::Bytes;
use measure::{Named, Names};
use schedule::{CELL_COUNT, Cells, Rate};

use super::{cells, generated as form, limits};
use crate::{Fencing, FileRef, RunKey, Sha256, Spec, WireError};

/// Bytes of a bitmap over all cells.
const BITMAP_BYTES: usize = CELL_COUNT.div_ceil(8) as usize;

/// The message, or the complaint that it is missing.
pub(super) fn present<T>(field: &'static str, given: Option<T>) -> Result<T, WireError> {
    given.ok_or(WireError::new(field, "is missing"))
}

/// A run's key as it travels.
pub(super) fn key_bytes(run: RunKey) -> Bytes {
    Bytes::copy_from_slice(&run.to_be_bytes())
}

/// A run's key.
pub(super) fn key(field: &'static str, bytes: &[u8]) -> Result<RunKey, WireError> {
    let bytes = bytes.try_into().map_err(|_| WireError::new(field, "is not a key of 16 bytes"))?;
    Ok(RunKey::from_be_bytes(bytes))
}

/// A run's key that may be absent.
pub(super) fn key_maybe(field: &'static str, bytes: Option<&Bytes>) -> Result<Option<RunKey>, WireError> {
    bytes.map(|bytes| key(field, bytes)).transpose()
}

/// A digest.
pub(super) fn digest(field: &'static str, bytes: &[u8]) -> Result<Sha256, WireError> {
    bytes.try_into().map_err(|_| WireError::new(field, "is not a digest of 32 bytes"))
}

/// A text of at most so many bytes.
pub(super) fn text(field: &'static str, given: String, most: usize) -> Result<String, WireError> {
    if given.len() > most { Err(WireError::new(field, "is too long")) } else { Ok(given) }
}

/// A list of at most so many items.
pub(super) fn list<T>(field: &'static str, given: Vec<T>, most: usize) -> Result<Vec<T>, WireError> {
    if given.len() > most { Err(WireError::new(field, "has too many entries")) } else { Ok(given) }
}

/// Labels, each a short word.
pub(super) fn labels(
    field: &'static str,
    given: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, WireError> {
    let long = given.iter().any(|(name, value)| name.len().max(value.len()) > limits::WORD_BYTES_MAX);
    if long || given.len() > limits::LABELS_MAX {
        return Err(WireError::new(field, "has too many entries, or too long ones"));
    }
    Ok(given)
}

/// A rate as it travels.
pub(super) fn rate_form(rate: Rate) -> form::Rate {
    form::Rate { micro: rate.as_micro() }
}

/// A rate.
pub(super) fn rate(field: &'static str, given: Option<form::Rate>) -> Result<Rate, WireError> {
    Ok(Rate::from_micro(present(field, given)?.micro))
}

/// What fences, as it travels.
pub(super) fn fencing_form(fencing: Fencing) -> form::Fencing {
    form::Fencing { term: fencing.term, epoch: fencing.epoch }
}

/// What fences.
pub(super) fn fencing(given: Option<form::Fencing>) -> Result<Fencing, WireError> {
    let form::Fencing { term, epoch } = present("fencing", given)?;
    Ok(Fencing { term, epoch })
}

/// Cells in the shorter of the two forms.
pub(super) fn cells_form(given: &Cells) -> form::Cells {
    let mut left_out = Vec::with_capacity(given.count() as usize);
    let mut gaps_bytes = 0;
    let mut next = 0;
    for cell in given.iter().map(u32::from) {
        let gap = cell - next;
        gaps_bytes += prost::encoding::encoded_len_varint(u64::from(gap));
        left_out.push(gap);
        next = cell + 1;
    }
    if gaps_bytes <= BITMAP_BYTES {
        return form::Cells { form: Some(cells::Form::Gaps(form::Gaps { left_out })) };
    }
    let mut bitmap = vec![0_u8; BITMAP_BYTES];
    for cell in given.iter().map(usize::from) {
        bitmap[cell / 8] |= 1 << (cell % 8);
    }
    form::Cells { form: Some(cells::Form::Bitmap(bitmap.into())) }
}

/// Cells of either form.
pub(super) fn cells(given: Option<form::Cells>) -> Result<Cells, WireError> {
    let wrong = WireError::new("cells", "names a cell that there is not");
    match present("cells", given)?.form {
        // As an empty list of gaps travels where it is the default.
        None => Ok(Cells::none()),
        Some(cells::Form::Bitmap(bitmap)) => {
            if bitmap.len() != BITMAP_BYTES {
                return Err(WireError::new("cells", "is a bitmap of the wrong length"));
            }
            let is_in = |cell: &u32| bitmap[*cell as usize / 8] >> (cell % 8) & 1 == 1;
            (0..CELL_COUNT).filter(is_in).map(|cell| u16::try_from(cell).map_err(|_| wrong.clone())).collect()
        }
        Some(cells::Form::Gaps(gaps)) => {
            let gaps = list("cells", gaps.left_out, CELL_COUNT as usize)?;
            let mut next: u32 = 0;
            let mut numbers = Vec::with_capacity(gaps.len());
            for gap in gaps {
                let cell = next.checked_add(gap).filter(|cell| *cell < CELL_COUNT).ok_or(wrong.clone())?;
                numbers.push(u16::try_from(cell).map_err(|_| wrong.clone())?);
                next = cell + 1;
            }
            Ok(numbers.into_iter().collect())
        }
    }
}

impl From<Names> for form::Names {
    fn from(names: Names) -> Self {
        let all = |list: Vec<Named>| list.into_iter().map(form::Named::from).collect();
        Self {
            requests: all(names.requests),
            workloads: all(names.workloads),
            groups: all(names.groups),
            checks: all(names.checks),
            beyond: names.beyond as u64,
            statuses: names.statuses,
        }
    }
}

impl From<Named> for form::Named {
    fn from(named: Named) -> Self {
        let stretch = named.stretch_ns.map(|(from_ns, until_ns)| form::Stretch { from_ns, until_ns });
        Self { name: named.name, tags: named.tags, stretch }
    }
}

/// The names of a plan.
pub(super) fn names(given: Option<form::Names>) -> Result<Names, WireError> {
    let given = present("names", given)?;
    let statuses = list("statuses", given.statuses, limits::NAMES_MAX)?;
    let short = |status: String| text("statuses", status, limits::TEXT_BYTES_MAX);
    Ok(Names {
        requests: named("requests", given.requests)?,
        workloads: named("workloads", given.workloads)?,
        groups: named("groups", given.groups)?,
        checks: named("checks", given.checks)?,
        beyond: usize::try_from(given.beyond).map_err(|_| WireError::new("beyond", "is too large"))?,
        statuses: statuses.into_iter().map(short).collect::<Result<_, _>>()?,
    })
}

fn named(field: &'static str, given: Vec<form::Named>) -> Result<Vec<Named>, WireError> {
    let one = |named: form::Named| {
        Ok(Named {
            name: text(field, named.name, limits::TEXT_BYTES_MAX)?,
            // A plan's tags are its author's: as long as a text may be.
            tags: labels(field, named.tags)?,
            stretch_ns: named.stretch.map(|stretch| (stretch.from_ns, stretch.until_ns)),
        })
    };
    list(field, given, limits::NAMES_MAX)?.into_iter().map(one).collect()
}

impl From<Spec> for form::Spec {
    fn from(spec: Spec) -> Self {
        let file =
            |file: FileRef| form::FileRef { sha256: Bytes::copy_from_slice(&file.sha256), size: file.size };
        Self {
            version: spec.version,
            words: spec.words,
            variables: spec.variables,
            files: spec.files.into_iter().map(|(path, known)| (path, file(known))).collect(),
        }
    }
}

/// A plan as it travels.
pub(super) fn spec(given: Option<form::Spec>) -> Result<Spec, WireError> {
    let given = present("spec", given)?;
    if given.files.len().max(given.variables.len()) > limits::WORDS_MAX {
        return Err(WireError::new("spec", "has too many entries"));
    }
    let file = |(path, file): (String, form::FileRef)| {
        let sha256 = digest("sha256", &file.sha256)?;
        Ok((path, FileRef { sha256, size: file.size }))
    };
    Ok(Spec {
        version: text("version", given.version, limits::WORD_BYTES_MAX)?,
        words: list("words", given.words, limits::WORDS_MAX)?,
        variables: given.variables,
        files: given.files.into_iter().map(file).collect::<Result<_, WireError>>()?,
    })
}
