//! Facts as text: how cells and names stand in JSON.
//!
//! What it is: one direction and its inverse, for the database alone. What it is not: the wire, nor a document for people.
//!
//! Invariant: what is read back equals what was written.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use measure::{Named, Names};
use schedule::{CELL_COUNT, Cells};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::record::{CellsText, NamesText};

/// Bytes of a bitmap with one bit for each cell.
const BITMAP_BYTES: usize = (CELL_COUNT as usize).div_ceil(8);

/// Of the two forms, the shorter: `b` and a bitmap, or `g` and the gaps between the cells, seven bits to a byte.
impl Serialize for CellsText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let gaps = gaps_of(&self.0);
        let text = if gaps.len() < BITMAP_BYTES {
            format!("g{}", STANDARD.encode(gaps))
        } else {
            let mut bitmap = vec![0u8; BITMAP_BYTES];
            self.0.iter().for_each(|cell| bitmap[usize::from(cell) / 8] |= 1 << (cell % 8));
            format!("b{}", STANDARD.encode(bitmap))
        };
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for CellsText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || D::Error::custom("these are no cells");
        let (form, coded) = text.split_at_checked(1).ok_or_else(wrong)?;
        let bytes = STANDARD.decode(coded).map_err(|_| wrong())?;
        let cells = match form {
            "g" => from_gaps(&bytes),
            "b" if bytes.len() == BITMAP_BYTES => Some(from_bitmap(&bytes)),
            _ => None,
        };
        cells.map(CellsText).ok_or_else(wrong)
    }
}

fn gaps_of(cells: &Cells) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut next = 0;
    for cell in cells.iter() {
        let mut gap = cell - next;
        while gap >= 0x80 {
            bytes.push(gap.to_le_bytes()[0] | 0x80);
            gap >>= 7;
        }
        bytes.push(gap.to_le_bytes()[0]);
        next = cell + 1;
    }
    bytes
}

fn from_gaps(bytes: &[u8]) -> Option<Cells> {
    let (mut cells, mut next, mut gap, mut shift) = (Vec::new(), 0u32, 0u32, 0);
    for byte in bytes {
        gap |= u32::from(byte & 0x7f).checked_shl(shift)?;
        shift += 7;
        if byte & 0x80 != 0 {
            continue;
        }
        let cell = next.checked_add(gap).filter(|cell| *cell < CELL_COUNT)?;
        cells.push(u16::try_from(cell).ok()?);
        (next, gap, shift) = (cell + 1, 0, 0);
    }
    (shift == 0).then(|| cells.into_iter().collect())
}

fn from_bitmap(bytes: &[u8]) -> Cells {
    let all = 0..u16::try_from(CELL_COUNT).expect("Invariant: a cell fits in 16 bits");
    all.filter(|cell| bytes[usize::from(*cell) / 8] & (1 << (cell % 8)) != 0).collect()
}

#[derive(Serialize, Deserialize)]
struct NamedRow {
    name: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stretch_ns: Option<(u64, u64)>,
}

#[derive(Serialize, Deserialize)]
struct NamesRow {
    requests: Vec<NamedRow>,
    workloads: Vec<NamedRow>,
    groups: Vec<NamedRow>,
    checks: Vec<NamedRow>,
    beyond: usize,
    statuses: Vec<String>,
}

impl Serialize for NamesText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let rows = |all: &[Named]| -> Vec<NamedRow> {
            let row = |one: &Named| NamedRow {
                name: one.name.clone(),
                tags: one.tags.clone(),
                stretch_ns: one.stretch_ns,
            };
            all.iter().map(row).collect()
        };
        let names = &self.0;
        let row = NamesRow {
            requests: rows(&names.requests),
            workloads: rows(&names.workloads),
            groups: rows(&names.groups),
            checks: rows(&names.checks),
            beyond: names.beyond,
            statuses: names.statuses.clone(),
        };
        row.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for NamesText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let row = NamesRow::deserialize(deserializer)?;
        let named = |rows: Vec<NamedRow>| -> Vec<Named> {
            let one = |row: NamedRow| Named { name: row.name, tags: row.tags, stretch_ns: row.stretch_ns };
            rows.into_iter().map(one).collect()
        };
        Ok(Self(Names {
            requests: named(row.requests),
            workloads: named(row.workloads),
            groups: named(row.groups),
            checks: named(row.checks),
            beyond: row.beyond,
            statuses: row.statuses,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back<T: Serialize + for<'de> Deserialize<'de>>(value: &T) -> T {
        let text = serde_json::to_string(value).expect("facts have string keys");
        serde_json::from_str(&text).expect("what was written is read")
    }

    #[test]
    fn cells_survive_in_the_shorter_form() {
        let parts = Cells::all().deal(&[1; 1_000]).expect("weights above zero");
        let sets = [
            Cells::none(),
            Cells::all(),
            parts[0].clone(),
            parts[999].clone(),
            [55_439].into_iter().collect(),
        ];
        for cells in sets {
            assert_eq!(there_and_back(&CellsText(cells.clone())).0, cells, "{cells:?}");
        }
        let half = Cells::share(1, 2).expect("a share");
        let text = serde_json::to_string(&CellsText(half)).expect("cells are a string");
        assert!(text.starts_with("\"b") && text.len() < 9_300, "{}", text.len());
    }

    #[test]
    fn what_is_no_cells_is_refused() {
        for text in ["", "b", "bAAAA", "g//8=", "gf////w8=", "x", "g!", "\u{e9}"] {
            let quoted = serde_json::to_string(text).expect("a string");
            assert!(serde_json::from_str::<CellsText>(&quoted).is_err(), "{text:?}");
        }
    }

    #[test]
    fn names_survive() {
        let mut names = Names::requests(["GET /".to_owned()]);
        names.workloads.push(Named { stretch_ns: Some((1, 2)), ..Named::from("browse".to_owned()) });
        names.statuses.push("nil".to_owned());
        assert_eq!(there_and_back(&NamesText(names.clone())).0, names);
    }
}
