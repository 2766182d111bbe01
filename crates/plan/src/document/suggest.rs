//! "Did you mean": the known word that a misspelt one is nearest to, and where a word belongs that stands in the wrong place.

use super::options::OPTIONS_KEYS;
use super::requests::{DEFAULTS_KEYS, METHODS, request_keys};
use super::scenarios::KINDS;
use super::targets::TARGET_KEYS;
use super::workloads::workload_keys;

/// Words of other tools, and ours for them.
const ELSEWHERE: &[(&str, &str)] = &[
    ("vus", "users"),
    ("concurrency", "users"),
    ("rate", "tps"),
    ("rps", "tps"),
    ("qps", "tps"),
    ("arrivalrate", "tps"),
    ("constantuserspersec", "tps"),
    ("duration", "for"),
    ("starttime", "start"),
    ("exec", "scenario"),
    ("executor", "tps"),
    ("executors", "workloads"),
    ("rampusers", "ramp"),
    ("atonceusers", "once"),
    ("loop", "repeat"),
    ("pause", "think"),
    ("sleep", "think"),
    ("wait", "think"),
    ("capture", "extract"),
    ("assert", "check"),
    ("assertions", "check"),
    ("checks", "check"),
    ("expect", "check"),
    ("params", "query"),
    ("base_url", "targets"),
    ("baseurl", "targets"),
    ("httpbaseurl", "targets"),
    ("hosts", "targets"),
    ("target", "targets"),
    ("scenario", "scenarios"),
    ("env", "variables"),
    ("vars", "variables"),
    ("payload", "data"),
    ("feeders", "data"),
    ("process", "arrivals"),
    ("url", "get"),
];

/// The one of `known` that `name` was probably meant to be.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let known: Vec<&str> = known.into_iter().collect();
    let plain = plain(name);
    if let Some(same) = known.iter().find(|word| self::plain(word) == plain) {
        return Some(same);
    }
    let ours = ELSEWHERE.iter().filter(|(theirs, _)| *theirs == plain).map(|(_, ours)| *ours);
    if let Some(ours) = ours.into_iter().find_map(|ours| known.iter().find(|word| **word == ours)) {
        return Some(ours);
    }
    scenario::closest(name, known.iter().copied())
}

/// Where a key belongs that is known elsewhere in a plan.
pub(crate) fn place_of(what: &str, key: &str) -> Option<String> {
    let (requests, workloads) = (request_keys(), workload_keys());
    let words = |known: &[&str]| known.contains(&key);
    match what {
        "a plan" if words(&OPTIONS_KEYS) => Some(format!("under options: {{{key}: …}}")),
        "a plan" if words(&DEFAULTS_KEYS) => Some(format!("under defaults: {{{key}: …}}")),
        "a plan" if words(&workloads) => Some(format!("in a workload: workloads: {{main: {{{key}: …}}}}")),
        "a workload" if METHODS.iter().any(|(word, _)| *word == key) => {
            Some(format!("under request: {{{key}: …}}"))
        }
        "a workload" if words(&requests) => {
            Some(format!("in the request: request: {{get: /, {key}: …}}; or in a step of the scenario"))
        }
        "a scenario" if METHODS.iter().any(|(word, _)| *word == key) || words(&KINDS) => {
            Some(format!("in a step: steps: [{{{key}: …}}]"))
        }
        "a scenario" if words(&requests) => Some(format!("in a step: steps: [{{get: /, {key}: …}}]")),
        "a scenario" if words(&workloads) => Some("in the workload that runs the scenario".into()),
        "a request step" if words(&OPTIONS_KEYS) => Some(format!("for the whole run, options: {{{key}: …}}")),
        "a request step" if words(&TARGET_KEYS) => Some(format!("in its target: {{url: …, {key}: …}}")),
        _ => None,
    }
}

/// The word without case and separators.
fn plain(word: &str) -> String {
    let kept = word.chars().take(64).filter(|character| !matches!(character, '-' | '_' | ' '));
    kept.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let known = ["timeout", "target", "tps", "users", "for", "warm-connections"];
        for (name, near) in [
            ("timout", Some("timeout")),
            ("TimeOut", Some("timeout")),
            ("warm_connections", Some("warm-connections")),
            ("warmConnections", Some("warm-connections")),
            ("tsp", Some("tps")),
            ("vus", Some("users")),
            ("duration", Some("for")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, known), near, "{name}");
        }
    }
}
