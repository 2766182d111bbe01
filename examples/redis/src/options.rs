//! What the program's own flags say, read into a load.

use crate::Load;
use crate::command::{Command, bulk};

/// The texts of the flags; `None` where one was not given.
#[derive(Default)]
#[expect(missing_debug_implementations, reason = "it holds a password")]
pub struct Options<'a> {
    /// Commands and their weights: `SET=1,GET=8`.
    pub mix: Option<&'a str>,
    /// How many keys there are.
    pub keys: Option<&'a str>,
    /// Bytes of a stored value.
    pub value_size: Option<&'a str>,
    /// Who logs in.
    pub username: Option<&'a str>,
    /// With what; nobody logs in without it.
    pub password: Option<String>,
}

/// Redis stores no larger values (its `proto-max-bulk-len`).
const LARGEST: u64 = 512 << 20;

impl Options<'_> {
    pub(crate) fn load(&self) -> Result<Load, String> {
        let value_size = number("--value-size", self.value_size, 64, 0, LARGEST)?;
        let size = usize::try_from(value_size).map_err(|error| error.to_string())?;
        Ok(Load {
            mix: mix(self.mix.unwrap_or("SET=1,GET=8,INCR=1"))?,
            keys: number("--keys", self.keys, 10_000, 1, u64::MAX)?,
            value: vec![b'x'; size],
            log_in: self.log_in()?,
        })
    }

    fn log_in(&self) -> Result<Option<Vec<u8>>, String> {
        let Some(password) = &self.password else {
            return match self.username {
                Some(_) => {
                    Err("--username: there is no password → REDIS_PASSWORD=… in the environment".into())
                }
                None => Ok(None),
            };
        };
        let words = ["AUTH"].into_iter().chain(self.username).chain([password.as_str()]);
        let mut command = format!("*{}\r\n", words.clone().count()).into_bytes();
        words.for_each(|word| bulk(word.as_bytes(), &mut command));
        Ok(Some(command))
    }
}

fn number(flag: &str, text: Option<&str>, default: u64, least: u64, most: u64) -> Result<u64, String> {
    let Some(text) = text else { return Ok(default) };
    text.parse().ok().filter(|number| (least..=most).contains(number)).ok_or_else(|| {
        let most = if most == u64::MAX { String::new() } else { format!(" to {most}") };
        format!("{flag}: {text:?} is not such a number → a whole number from {least}{most}")
    })
}

fn mix(text: &str) -> Result<Vec<(Command, u64)>, String> {
    let mut mix: Vec<(Command, u64)> = Vec::new();
    for part in text.split(',') {
        let (name, weight) = part.split_once('=').unwrap_or((part, "1"));
        let command =
            Command::ALL.into_iter().find(|command| command.name().eq_ignore_ascii_case(name.trim()));
        let command =
            command.ok_or_else(|| format!("--mix: {name:?} is no command here → SET, GET or INCR"))?;
        let weight = number("--mix", Some(weight.trim()), 1, 1, 1_000_000)?;
        if mix.iter().any(|(known, _)| *known == command) {
            return Err(format!("--mix: {} stands twice → each command once", command.name()));
        }
        mix.push((command, weight));
    }
    Ok(mix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_flags_say_how_to_fix_them() {
        let of = |mix, keys, value_size, username| {
            Options { mix, keys, value_size, username, password: None }.load().expect_err("it is wrong")
        };
        for (told, fragment) in [
            (of(Some("DEL=1"), None, None, None), "--mix: \"DEL\" is no command here → SET, GET or INCR"),
            (
                of(Some("GET=0"), None, None, None),
                "--mix: \"0\" is not such a number → a whole number from 1",
            ),
            (of(Some("GET,get"), None, None, None), "GET stands twice"),
            (of(Some(""), None, None, None), "is no command here"),
            (of(None, Some("0"), None, None), "--keys: \"0\" is not such a number"),
            (of(None, None, Some("1k"), None), "--value-size: \"1k\""),
            (of(None, None, None, Some("me")), "--username: there is no password"),
        ] {
            assert!(told.contains(fragment), "{told}");
        }
    }

    #[test]
    fn a_user_logs_in_by_name() {
        let options = Options { username: Some("me"), password: Some("pw".into()), ..Options::default() };
        let load = options.load().expect("sound");
        assert_eq!(load.log_in.as_deref(), Some(&b"*3\r\n$4\r\nAUTH\r\n$2\r\nme\r\n$2\r\npw\r\n"[..]));
        assert_eq!((load.keys, load.value.len(), load.mix.len()), (10_000, 64, 3));
    }
}
