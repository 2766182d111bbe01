//! Laws of probability: how long a user rests, how large a made-up body is.

use scenario::{MADE_BYTES_MAX, Size, Template, Think};

use super::fields::{Fields, list, parsed};
use super::problem::Problems;
use super::scenarios::Reader;
use super::tree::{Node, Value};
use crate::{PlanError, parse_duration, parse_size};

pub(crate) const NORMAL_KEYS: [&str; 2] = ["mean", "deviation"];
pub(crate) const LAW_KEYS: [&str; 3] = ["uniform", "exponential", "normal"];

/// A law with its parameters.
enum Law {
    Uniform(u64, u64),
    Exponential(u64),
    Normal(u64, u64),
}

/// The texts of one kind of laws.
struct Words {
    what: &'static str,
    example: &'static str,
    uniform: &'static str,
    normal: &'static str,
    /// A parameter.
    read: fn(&str) -> Result<u64, PlanError>,
    /// One that must be above zero.
    read_mean: fn(&str) -> Result<u64, PlanError>,
}

const THINK: Words = Words {
    what: "think",
    example: "1s, {uniform: [1s, 3s]}, {exponential: 1s} or {normal: {mean: 1s, deviation: 200ms}}",
    uniform: "[1s, 3s]",
    normal: "normal: {mean: 1s, deviation: 200ms}",
    read: parse_duration,
    read_mean: super::profile::lasting,
};

const BYTES: Words = Words {
    what: "bytes",
    example: "64KiB, {uniform: [1KiB, 1MiB]}, {exponential: 64KiB} or {normal: {mean: 1MiB, deviation: 200KiB}}",
    uniform: "[1KiB, 1MiB]",
    normal: "normal: {mean: 1MiB, deviation: 200KiB}",
    read: parse_size,
    read_mean: positive_size,
};

fn positive_size(text: &str) -> Result<u64, PlanError> {
    let nothing = || PlanError::new("a mean of nothing is no law", "e.g. 64KiB");
    parse_size(text).and_then(|bytes| if bytes > 0 { Ok(bytes) } else { Err(nothing()) })
}

/// How long a user rests: a time, or a law.
pub(crate) fn think(node: &Node, problems: &mut Problems) -> Option<Think> {
    if let Value::Scalar(_) = node.value {
        return parsed(node, problems, parse_duration).map(|ns| Think::Constant { ns });
    }
    Some(match law(node, &THINK, problems)? {
        Law::Uniform(low_ns, high_ns) => Think::Uniform { low_ns, high_ns },
        Law::Exponential(mean_ns) => Think::Exponential { mean_ns },
        Law::Normal(mean_ns, deviation_ns) => Think::Normal { mean_ns, deviation_ns },
    })
}

/// How large a made-up body is: a size, a template that comes to a number of bytes, or a law.
pub(crate) fn size(node: &Node, reader: &mut Reader<'_>) -> Option<Size> {
    if let Value::Scalar(scalar) = &node.value {
        if scalar.text.contains("{{") {
            return reader.template(node).map(Size::Given);
        }
        let bytes = parsed(node, reader.problems, |text| parse_size(text).and_then(bounded))?;
        return Some(Size::Given(Template::literal(&bytes.to_string())));
    }
    let law = law(node, &BYTES, reader.problems)?;
    let most = match law {
        Law::Uniform(_, high) => high,
        Law::Exponential(mean) | Law::Normal(mean, _) => mean.saturating_mul(10),
    };
    if let Err(error) = bounded(most) {
        reader.problems.push(node.span, error);
        return None;
    }
    Some(match law {
        Law::Uniform(low, high) => Size::Uniform { low, high },
        Law::Exponential(mean) => Size::Exponential { mean },
        Law::Normal(mean, deviation) => Size::Normal { mean, deviation },
    })
}

fn bounded(bytes: u64) -> Result<u64, PlanError> {
    if bytes <= MADE_BYTES_MAX {
        return Ok(bytes);
    }
    let fix = "less; a normal and an exponential law go up to ten times their mean";
    Err(PlanError::new("the body may have more than 1 GiB", fix))
}

fn law(node: &Node, words: &Words, problems: &mut Problems) -> Option<Law> {
    let fields = Fields::of(node, words.what, &LAW_KEYS, problems)?;
    let Some((law, node)) = fields.one_of(&LAW_KEYS, "one law", problems) else {
        fields.missing(node.span, format!("{} says nothing", words.what), words.example, problems);
        return None;
    };
    match law {
        "uniform" => {
            let nodes = list(node, "uniform", problems)?;
            let [low, high] = nodes else {
                problems.add(node.span, "a uniform law has two ends", words.uniform);
                return None;
            };
            let (low, high) = (parsed(low, problems, words.read), parsed(high, problems, words.read));
            let (low, high) = (low?, high?);
            if low > high {
                problems.add(node.span, "the first end is above the second", "the lower one first");
                return None;
            }
            Some(Law::Uniform(low, high))
        }
        "exponential" => parsed(node, problems, words.read_mean).map(Law::Exponential),
        _ => {
            let fields = Fields::of(node, "a normal law", &NORMAL_KEYS, problems)?;
            let mean = fields.need("mean", words.normal, problems);
            let mean = mean.and_then(|node| parsed(node, problems, words.read_mean));
            let deviation = fields.need("deviation", words.normal, problems);
            let deviation = deviation.and_then(|node| parsed(node, problems, words.read));
            Some(Law::Normal(mean?, deviation?))
        }
    }
}
