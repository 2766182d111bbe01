//! The flags of the other commands: target, merge, doctor.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use plan::{Cores, Place, PlanError, parse_count};
use target::text::{parse_delay, parse_fraction, parse_header, parse_listen, parse_stall};
use verdict::Threshold;

use command::{Flags, color, environment_color, file, sink};

use super::flags::{DebugFlags, DoctorFlags, MergeFlags, TargetFlags};
use super::{Color, Command, Debug, Refusal, Run, Sink, Surroundings, Which};

/// The built-in target, run alone.
#[derive(Clone, Debug)]
pub struct TargetAlone {
    /// What the target shall be; its threads are decided by `cores`, which only the host can resolve.
    pub config: target::Config,
    /// The cores that serve.
    pub cores: Cores,
    /// Where the truth goes at the end.
    pub truth: Option<Sink>,
    /// The process ends when its parent does.
    pub die_with_parent: bool,
}

/// Summaries to merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merge {
    /// The summaries.
    pub files: Vec<PathBuf>,
    /// Where the merged one goes.
    pub json: Option<Sink>,
    /// What must hold for the whole.
    pub thresholds: Vec<Threshold>,
    /// Whether to colour.
    pub color: Color,
}

pub(super) fn debug(flags: DebugFlags, surroundings: &dyn Surroundings) -> Result<Command, Refusal> {
    let of_run = Flags::vouching_for(flags.i_own);
    let run = Run::from(command::from_file(of_run, &flags.file, surroundings)?);
    let Some(from) = &run.file else { return Err(command::no_load()) };
    let find = |flag: &str, name: &str, names: Vec<&str>| {
        names.iter().position(|known| *known == name).ok_or_else(|| {
            let what = format!("{flag}: there is none of the name {} in the plan", plan::quoted(name));
            Refusal::usage(&what, &names.join(", "))
        })
    };
    let workloads = from.file.workloads.iter().map(|workload| workload.name.as_str()).collect();
    let scenarios = from.file.scenarios.iter().map(|scenario| scenario.name.as_str()).collect();
    let which = match (&flags.workload, &flags.scenario) {
        (Some(name), _) => Which::Workload(find("--workload", name, workloads)?),
        (None, Some(name)) => Which::Scenario(find("--scenario", name, scenarios)?),
        (None, None) => Which::All,
    };
    Ok(Command::Debug(Box::new(Debug { run, which })))
}

/// Says which flag an error of the target's parsers is about.
fn at<T>(flag: &str, result: Result<T, target::ParseError>) -> Result<T, Refusal> {
    result.map_err(|error| {
        let target::ParseError { setting, text, problem, fix } = error;
        Refusal::usage(&format!("{flag}: {setting} {}: {problem}", plan::quoted(&text)), &fix)
    })
}

pub(super) fn target(flags: &TargetFlags, surroundings: &dyn Surroundings) -> Result<Command, Refusal> {
    let cores = Cores::parse(&flags.cores).map_err(|error| error.at(Place::Flag("--cores")))?;
    let body_bytes =
        plan::parse_size(&flags.body_size).map_err(|error| error.at(Place::Flag("--body-size")))?;
    if body_bytes > target::BODY_BYTES_LIMIT {
        return Err(Refusal::usage("--body-size: the body is held in memory once", "at most 1GiB"));
    }
    let headers = flags.header.iter().map(|text| {
        // The same strictness as for requests; only then split as the target wants it.
        plan::Header::parse(text).map_err(|error| error.at(Place::Flag("--header")))?;
        at("--header", parse_header(text))
    });
    let share = |flag: &'static str, text: &str| at(flag, parse_fraction(text));
    let number = |flag: &'static str, text: &str| {
        parse_count(text, "it", "1").map_err(|_| {
            PlanError::new(format!("{} is not a whole number", plan::quoted(text)), "e.g. 1")
                .at(Place::Flag(flag))
        })
    };
    let error_status = u16::try_from(number("--error-status", &flags.error_status)?).unwrap_or(u16::MAX);
    if !(400..=599).contains(&error_status) {
        return Err(Refusal::usage("--error-status: that status is no error", "400 to 599"));
    }
    let faults = target::Faults {
        error_rate: share("--error-rate", &flags.error_rate)?,
        error_status,
        close_rate: share("--close-rate", &flags.close_rate)?,
        reset_rate: share("--reset-rate", &flags.reset_rate)?,
        cut_rate: share("--cut-rate", &flags.cut_rate)?,
        garbage_rate: share("--garbage-rate", &flags.garbage_rate)?,
        hang_rate: share("--hang-rate", &flags.hang_rate)?,
    };
    let config = target::Config {
        listen: at("--listen", parse_listen(&flags.listen))?,
        threads: target::Threads::Floating(NonZeroUsize::MIN),
        tls: target_tls(flags, surroundings)?,
        body_bytes,
        headers: headers.collect::<Result<_, Refusal>>()?,
        delay: at("--delay", parse_delay(&flags.delay))?,
        faults,
        stall: flags.stall.as_deref().map(|text| at("--stall", parse_stall(text))).transpose()?,
        seed: number("--seed", &flags.seed)?,
        list: flags
            .list
            .as_deref()
            .map(|text| match sink(text, surroundings).map_err(|error| error.at(Place::Flag("--list")))? {
                Sink::File(path) => Ok(target::ListConfig { path, limit: target::DEFAULT_LIST_LIMIT }),
                Sink::Stdout => {
                    Err(Refusal::usage("--list: the list goes to a file", "a path, e.g. list.csv"))
                }
            })
            .transpose()?,
    };
    let truth = document("--truth", flags.truth.as_deref(), surroundings)?;
    Ok(Command::Target(Box::new(TargetAlone {
        config,
        cores,
        truth,
        die_with_parent: flags.die_with_parent,
    })))
}

fn target_tls(
    flags: &TargetFlags,
    surroundings: &dyn Surroundings,
) -> Result<Option<target::TlsConfig>, Refusal> {
    let read = |flag: &'static str, text: &Option<String>| {
        text.as_deref()
            .map(|text| file(text, surroundings).map_err(|error| error.at(Place::Flag(flag))))
            .transpose()
    };
    let identity = match (read("--cert", &flags.cert)?, read("--key", &flags.key)?) {
        (Some(certificate_pem), Some(key_pem)) => Some(target::Identity { certificate_pem, key_pem }),
        (None, None) => None,
        (Some(_), None) => {
            return Err(Refusal::usage("--cert: a certificate needs its key", "add --key FILE"));
        }
        (None, Some(_)) => {
            return Err(Refusal::usage("--key: a key needs its certificate", "add --cert FILE"));
        }
    };
    let client_authorities_pem = read("--client-ca", &flags.client_ca)?;
    let certificate_out = match document("--certificate-out", flags.certificate_out.as_deref(), surroundings)?
    {
        Some(Sink::Stdout) => {
            return Err(Refusal::usage("--certificate-out: it goes to a file", "a path, e.g. ca.pem"));
        }
        Some(Sink::File(path)) => Some(path),
        None => None,
    };
    if !flags.tls && (identity.is_some() || client_authorities_pem.is_some() || certificate_out.is_some()) {
        return Err(Refusal::usage("--tls: certificates are of no use without TLS", "add --tls"));
    }
    Ok(flags.tls.then_some(target::TlsConfig { identity, client_authorities_pem, certificate_out }))
}

fn document(
    flag: &'static str,
    text: Option<&str>,
    surroundings: &dyn Surroundings,
) -> Result<Option<Sink>, PlanError> {
    text.map(|text| sink(text, surroundings).map_err(|error| error.at(Place::Flag(flag)))).transpose()
}

pub(super) fn merge(flags: MergeFlags, surroundings: &dyn Surroundings) -> Result<Command, Refusal> {
    if let Some(empty) = flags.files.iter().position(String::is_empty) {
        let what = format!("FILE: file name {} is empty: is a variable unset?", empty + 1);
        return Err(Refusal::usage(&what, "the paths of summaries"));
    }
    let thresholds = flags.threshold.iter().map(|text| Threshold::parse(text));
    Ok(Command::Merge(Merge {
        json: document("--json", flags.json.as_deref(), surroundings)?,
        thresholds: thresholds
            .collect::<Result<_, _>>()
            .map_err(|error: PlanError| error.at(Place::Flag("--threshold")))?,
        color: match flags.color.as_deref() {
            Some(text) => color(text).map_err(|error| error.at(Place::Flag("--color")))?,
            None => environment_color(surroundings),
        },
        files: flags.files.into_iter().map(PathBuf::from).collect(),
    }))
}

pub(super) fn doctor(flags: &DoctorFlags) -> Result<Command, Refusal> {
    let connections = flags.connections.as_deref().map(|text| {
        let count = parse_count(text, "connections", "1024")?;
        u32::try_from(count)
            .map_err(|_| PlanError::new("there are too many connections", "at most 4294967295"))
    });
    let connections =
        connections.transpose().map_err(|error: PlanError| error.at(Place::Flag("--connections")))?;
    Ok(Command::Doctor { connections })
}
