//! "Did you mean": the known word that a misspelt one is nearest to.

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
