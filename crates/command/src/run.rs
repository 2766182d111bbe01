//! From the flags and variables of a run to its plan and outputs.

use std::cell::RefCell;

use plan::document::Overrides;
use plan::{
    Bandwidth, Body, CatchUp, ConnectTo, Cores, Dns, Draft, Header, Host, IoChoice, MaxLag, Method, Pacing,
    Pattern, Place, PlanError, ProcessKind, Rails, RunId, Scheme, Share, Sizing, Tag, TlsVersion, UnixSocket,
    Url, parse_count, parse_duration, parse_rate, parse_size, parse_sources, parse_stages, parse_statuses,
    quoted,
};
use verdict::Threshold;

use crate::sources::{Source, Sources, source};
use crate::{Flags, Outputs, Refusal, Run, Sink, Surroundings, color, environment_color, file, sink};

/// Time between progress lines when nobody says: 10 s.
const PROGRESS_EVERY_NS: u64 = 10_000_000_000;

/// The schemes of HTTP.
pub const HTTP: &[Scheme] = &[Scheme::Http, Scheme::Https];

/// The engine's commands, which may be meant where a URL stands.
pub const COMMANDS: &[&str] = &["run", "target", "merge", "check", "debug", "schema", "doctor", "node"];

/// Reads a run from its flags; `None` when nothing says how much load there shall be.
pub fn unless_nothing(mut flags: Flags, surroundings: &dyn Surroundings) -> Result<Option<Run>, Refusal> {
    let Asked { overrides, outputs, thresholds } = read(&mut flags, surroundings, HTTP)?;
    if overrides.workload.is_some() {
        let what = "it picks a workload of a plan file, and there is none";
        return Err(PlanError::new(what, "engine run plan.yaml --workload NAME")
            .at(overrides.place_given("--workload").unwrap_or(Place::Flag("--workload")))
            .into());
    }
    let draft = overrides.draft;
    if draft.rate.is_none() && draft.stages.is_none() && draft.users.is_none() && draft.bandwidth.is_none() {
        return if draft.url.is_some() { Err(no_load()) } else { Ok(None) };
    }
    let sizing = Sizing::of(&draft);
    let plan = draft.into_plan()?;
    Ok(Some(Run { plan, sizing, file: None, thresholds, outputs }))
}

/// What flags and variables say.
#[derive(Debug)]
pub struct Asked {
    /// About the plan.
    pub overrides: Overrides,
    /// Where results go.
    pub outputs: Outputs,
    /// What must hold.
    pub thresholds: Vec<Threshold>,
}

/// Reads flags and variables; the URL has one of these schemes.
pub fn read(
    flags: &mut Flags,
    surroundings: &dyn Surroundings,
    schemes: &[Scheme],
) -> Result<Asked, Refusal> {
    let sources = Sources { surroundings, given: RefCell::default() };
    let mut draft = Draft::default();
    target(flags, &sources, schemes, &mut draft)?;
    load(flags, &sources, &mut draft)?;
    connections(flags, &sources, &mut draft)?;
    tls(flags, &sources, &mut draft)?;
    host(flags, &sources, &mut draft)?;
    let outputs = outputs(flags, &sources)?;
    let thresholds =
        sources.many(&flags.threshold, source!("--threshold", "ENGINE_THRESHOLD"), Threshold::parse)?;
    draft.thresholds = thresholds.iter().map(|threshold| threshold.text.clone()).collect();
    let workload = sources.text(flags.workload.take(), source!("--workload", "ENGINE_WORKLOAD"))?;
    let overrides =
        Overrides { workload: workload.map(|(name, _)| name), draft, given: sources.given.into_inner() };
    Ok(Asked { overrides, outputs, thresholds })
}

/// What is said when nothing says how much load there shall be.
pub fn no_load() -> Refusal {
    Draft::default().into_plan().expect_err("an empty draft has no load").into()
}

/// What is said to `engine run` with nothing to run.
pub fn nothing_to_run() -> Refusal {
    let fix = "engine run plan.yaml (a plan file: .yaml, .yml or .json), or the flags of one: --tps 1000, --users 10";
    Refusal::usage("run: nothing says what to run: there is no plan file, and no rate", fix)
}

/// Whom to load, with what request.
fn target(
    flags: &mut Flags,
    sources: &Sources<'_>,
    schemes: &[Scheme],
    draft: &mut Draft,
) -> Result<(), PlanError> {
    check_quoting(flags)?;
    draft.url = url(flags, sources, schemes)?;
    draft.method = sources.one(flags.method.take(), source!("--method", "ENGINE_METHOD"), Method::parse)?;
    draft.headers = sources.many(&flags.header, source!("--header", "ENGINE_HEADER"), Header::parse)?;
    draft.body = body(flags, sources)?;
    draft.timeout_ns =
        sources.one(flags.timeout.take(), source!("--timeout", "ENGINE_TIMEOUT"), parse_duration)?;
    draft.fail_status = sources.one(
        flags.fail_status.take(),
        source!("--fail-status", "ENGINE_FAIL_STATUS"),
        parse_statuses,
    )?;
    draft.max_head =
        sources.one(flags.max_head.take(), source!("--max-head", "ENGINE_MAX_HEAD"), parse_size)?;
    draft.max_body =
        sources.one(flags.max_body.take(), source!("--max-body", "ENGINE_MAX_BODY"), parse_size)?;
    draft.connect_to =
        sources.many(&flags.connect_to, source!("--connect-to", "ENGINE_CONNECT_TO"), ConnectTo::parse)?;
    Ok(())
}

/// Notices `-H Authorization: secret` without quotes, before the secret is taken for a URL and shown.
fn check_quoting(flags: &Flags) -> Result<(), PlanError> {
    let is_url = flags.positional_url.as_ref().is_none_or(|url| url.contains("://"));
    if !is_url && flags.header.iter().any(|header| header.trim_end().ends_with(':')) {
        return Err(PlanError::new(
            "the header's value stands outside it (not shown)",
            "quotes: -H 'Name: value'",
        )
        .at(Place::Flag("--header")));
    }
    Ok(())
}

fn url(flags: &mut Flags, sources: &Sources<'_>, schemes: &[Scheme]) -> Result<Option<Url>, PlanError> {
    let is_http = schemes == HTTP;
    let parse = |text: &str| if is_http { Url::parse(text) } else { Url::parse_as(text, schemes) };
    match (flags.positional_url.take(), flags.url.take()) {
        (Some(_), Some(_)) => {
            Err(PlanError::new("the URL is given twice", "once: as an argument or with --url")
                .at(Place::Flag("--url")))
        }
        (Some(text), None) => {
            let word = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase());
            if is_http && COMMANDS.contains(&text.as_str()) {
                let what = format!("command {text} comes after flags of a run");
                return Err(PlanError::new(what, format!("engine {text}, then its own flags"))
                    .at(Place::Argument("URL")));
            }
            if word && text != "localhost" && is_http {
                let what = format!("{} is neither a URL nor a command", quoted(&text));
                let fix = format!("a URL such as http://127.0.0.1:8080/, or one of {}", COMMANDS.join(", "));
                return Err(PlanError::new(what, fix).at(Place::Argument("URL")));
            }
            parse(&text).map(Some).map_err(|error| error.at(Place::Argument("URL")))
        }
        (None, given) => sources.one(given, source!("--url", "ENGINE_URL"), parse),
    }
}

fn body(flags: &mut Flags, sources: &Sources<'_>) -> Result<Option<Body>, PlanError> {
    const TEXT: Source = source!("--body", "ENGINE_BODY");
    const FILE: Source = source!("--body-file", "ENGINE_BODY_FILE");
    const SIZE: Source = source!("--body-size", "ENGINE_BODY_SIZE");
    let given =
        [(TEXT, flags.body.is_some()), (FILE, flags.body_file.is_some()), (SIZE, flags.body_size.is_some())];
    let mut given = given.into_iter().filter(|(_, is_given)| *is_given).map(|(source, _)| source.flag);
    let (first, second) = (given.next(), given.next());
    if let (Some(first), Some(second)) = (first, second) {
        let what = format!("{first} and {second} both say the body");
        return Err(PlanError::new(what, "one of them").at(Place::Flag(first)));
    }
    // A flag wins over a variable, whichever of them it is.
    let or_silent = |source: Source| match first {
        Some(flag) if flag != source.flag => Source { variables: &[], ..source },
        _ => source,
    };
    if let Some((text, _)) = sources.text(flags.body.take(), or_silent(TEXT))? {
        return Ok(Some(Body::Given(text.into_bytes())));
    }
    let file = |path: &str| file(path, sources.surroundings).map(Body::Given);
    match sources.one(flags.body_file.take(), or_silent(FILE), file)? {
        Some(body) => Ok(Some(body)),
        None => sources.one(flags.body_size.take(), or_silent(SIZE), Body::parse_size),
    }
}

/// When requests are sent. What the command line says about the load silences the environment.
fn load(flags: &mut Flags, sources: &Sources<'_>, draft: &mut Draft) -> Result<(), PlanError> {
    const TPS: Source = source!("--tps", "ENGINE_TPS", "ENGINE_RATE", "TARGET_TPS");
    const GBIT: Source = source!("--gbit", "ENGINE_GBIT");
    const STAGES: Source = source!("--stages", "ENGINE_STAGES");
    const USERS: Source = source!("--users", "ENGINE_USERS");
    const PATTERN: Source = source!("--pattern", "ENGINE_PATTERN", "LOAD_PATTERN");
    const DURATION: Source = source!("--duration", "ENGINE_DURATION", "DURATION");
    let only_flag =
        |source: Source, silenced: bool| if silenced { Source { variables: &[], ..source } } else { source };
    let (tps, stages, users) = (flags.tps.is_some(), flags.stages.is_some(), flags.users.is_some());
    let gbit = flags.gbit.is_some();
    draft.rate = sources.one(flags.tps.take(), only_flag(TPS, stages || users || gbit), parse_rate)?;
    draft.bandwidth =
        sources.one(flags.gbit.take(), only_flag(GBIT, tps || stages || users), Bandwidth::parse_gbit)?;
    draft.stages = sources.one(flags.stages.take(), only_flag(STAGES, tps || users || gbit), parse_stages)?;
    draft.users = sources.one(flags.users.take(), only_flag(USERS, tps || stages || gbit), |text| {
        let count = parse_count(text, "users", "64")?;
        u32::try_from(count)
            .map_err(|_| PlanError::new(format!("{} users are too many", quoted(text)), "fewer"))
    })?;
    draft.pattern = sources.one(flags.pattern.take(), only_flag(PATTERN, stages || users), Pattern::parse)?;
    // The words of Kubernetes templates stand for "nothing special" beside stages and users from the environment.
    if draft.pattern == Some(Pattern::Static) && (draft.stages.is_some() || draft.users.is_some()) {
        draft.pattern = None;
    }
    draft.duration_ns = sources.one(flags.duration.take(), only_flag(DURATION, stages), parse_duration)?;
    draft.process =
        sources.one(flags.process.take(), source!("--process", "ENGINE_PROCESS"), ProcessKind::parse)?;
    draft.seed = sources.one(flags.seed.take(), source!("--seed", "ENGINE_SEED"), seed)?;
    draft.catch_up =
        sources.one(flags.catch_up.take(), source!("--catch-up", "ENGINE_CATCH_UP"), CatchUp::parse)?;
    draft.spawn_rate =
        sources.one(flags.spawn_rate.take(), source!("--spawn-rate", "ENGINE_SPAWN_RATE"), parse_rate)?;
    draft.think_ns = sources.one(flags.think.take(), source!("--think", "ENGINE_THINK"), parse_duration)?;
    draft.share = sources
        .one(flags.share.take(), source!("--share", "ENGINE_SHARE"), Share::parse)?
        .unwrap_or_default();
    draft.warmup_ns =
        sources.one(flags.warmup.take(), source!("--warmup", "ENGINE_WARMUP"), parse_duration)?;
    draft.grace_ns = sources.one(flags.grace.take(), source!("--grace", "ENGINE_GRACE"), parse_duration)?;
    draft.count = sources.one(flags.count.take(), source!("--count", "ENGINE_COUNT"), |text| {
        parse_count(text, "requests", "1000, 10k")
    })?;
    Ok(())
}

fn seed(text: &str) -> Result<u64, PlanError> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain).ok_or_else(|| {
        PlanError::new(
            format!("{} is not a seed", quoted(text)),
            "a whole number from 0 to 18446744073709551615",
        )
    })
}

fn connections(flags: &mut Flags, sources: &Sources<'_>, draft: &mut Draft) -> Result<(), PlanError> {
    let number = |text: &str| parse_count(text, "connections", "64");
    draft.connections =
        sources.one(flags.connections.take(), source!("--connections", "ENGINE_CONNECTIONS"), number)?;
    draft.warm_connections = sources.one(
        flags.warm_connections.take(),
        source!("--warm-connections", "ENGINE_WARM_CONNECTIONS"),
        number,
    )?;
    draft.close_after =
        sources.one(flags.close_after.take(), source!("--close-after", "ENGINE_CLOSE_AFTER"), |text| {
            parse_count(text, "requests", "100")
        })?;
    draft.dns = sources.one(flags.dns.take(), source!("--dns", "ENGINE_DNS"), Dns::parse)?;
    draft.sources = sources.one(
        flags.source.take(),
        source!("--source", "ENGINE_SOURCE", "ENGINE_SOURCE_IP", "ENGINE_LOCAL_IPS"),
        parse_sources,
    )?;
    draft.unix_socket = sources.one(
        flags.unix_socket.take(),
        source!("--unix-socket", "ENGINE_UNIX_SOCKET"),
        UnixSocket::parse,
    )?;
    draft.queue = sources.one(flags.queue.take(), source!("--queue", "ENGINE_QUEUE"), |text| {
        parse_count(text, "arrivals", "1000, 0 to drop at once")
    })?;
    Ok(())
}

fn tls(flags: &mut Flags, sources: &Sources<'_>, draft: &mut Draft) -> Result<(), PlanError> {
    let pem = |text: &str| {
        let bytes = file(text, sources.surroundings)?;
        if bytes.windows(11).any(|window| window == b"-----BEGIN ") {
            return Ok(bytes);
        }
        Err(PlanError::new(
            format!("{} holds no PEM text", quoted(text)),
            "a file with -----BEGIN …----- lines (openssl x509 -inform DER -in FILE converts)",
        ))
    };
    draft.insecure = sources.switch(flags.insecure, source!("--insecure", "ENGINE_INSECURE"))?;
    draft.ca_pem = sources.one(flags.cacert.take(), source!("--cacert", "ENGINE_CACERT"), pem)?;
    draft.cert_pem = sources.one(flags.cert.take(), source!("--cert", "ENGINE_CERT"), pem)?;
    draft.key_pem = sources.one(flags.key.take(), source!("--key", "ENGINE_KEY"), pem)?;
    draft.no_resumption =
        sources.switch(flags.no_resumption, source!("--no-resumption", "ENGINE_NO_RESUMPTION"))?;
    draft.tls_min =
        sources.one(flags.tls_min.take(), source!("--tls-min", "ENGINE_TLS_MIN"), TlsVersion::parse)?;
    draft.tls_max =
        sources.one(flags.tls_max.take(), source!("--tls-max", "ENGINE_TLS_MAX"), TlsVersion::parse)?;
    Ok(())
}

/// How this host is used, whom it may load, and what the run is called.
fn host(flags: &mut Flags, sources: &Sources<'_>, draft: &mut Draft) -> Result<(), PlanError> {
    draft.cores = sources
        .one(flags.cores.take(), source!("--cores", "ENGINE_CORES"), Cores::parse)?
        .unwrap_or_default();
    draft.io =
        sources.one(flags.io.take(), source!("--io", "ENGINE_IO"), IoChoice::parse)?.unwrap_or_default();
    draft.pacing = sources
        .one(flags.pacing.take(), source!("--pacing", "ENGINE_PACING"), Pacing::parse)?
        .unwrap_or_default();
    draft.max_lag = sources
        .one(flags.max_lag.take(), source!("--max-lag", "ENGINE_MAX_LAG"), MaxLag::parse)?
        .unwrap_or_default();
    draft.rails = Rails {
        own_hosts: sources.many(&flags.i_own, source!("--i-own", "ENGINE_I_OWN"), own_host)?,
        rate_guard: sources.one(
            flags.rate_guard.take(),
            source!("--rate-guard", "ENGINE_RATE_GUARD"),
            parse_rate,
        )?,
        fence: None,
    };
    draft.tags = sources.many(&flags.tag, source!("--tag", "ENGINE_TAG"), Tag::parse)?;
    let worker = sources.one(
        flags.worker_id.take(),
        source!("--worker-id", "ENGINE_WORKER_ID", "WORKER_ID"),
        |text| {
            if text.is_empty() {
                return Err(PlanError::new("the worker id is empty: is a variable unset?", "e.g. 3"));
            }
            Tag::parse(&format!("worker_id={text}"))
        },
    )?;
    draft.tags.extend(worker);
    draft.run_id =
        sources.one(flags.run_id.take(), source!("--run-id", "ENGINE_RUN_ID", "RUN_ID"), RunId::parse)?;
    Ok(())
}

/// A host that somebody vouches for: a host, not a URL, and no wildcard.
fn own_host(text: &str) -> Result<Host, PlanError> {
    if text.contains("://") || text.contains('/') {
        return Err(PlanError::new(
            format!("{} is not a host", quoted(text)),
            "the host alone, e.g. shop.example",
        ));
    }
    if text.contains('*') {
        return Err(PlanError::new(
            format!("{} is a pattern", quoted(text)),
            "each host by name: --i-own shop.example",
        ));
    }
    Host::parse(text)
}

fn outputs(flags: &mut Flags, sources: &Sources<'_>) -> Result<Outputs, PlanError> {
    let document = |text: &str| sink(text, sources.surroundings);
    let json = sources.one(flags.json.take(), source!("--json", "ENGINE_JSON"), document)?;
    let ndjson = sources.one(flags.ndjson.take(), source!("--ndjson", "ENGINE_NDJSON"), document)?;
    if json.is_some() && json == ndjson {
        let what = match json {
            Some(Sink::Stdout) => "--json and --ndjson cannot both have standard output",
            _ => "--json and --ndjson name the same file",
        };
        return Err(PlanError::new(what, "a file of its own for each").at(Place::Flag("--json")));
    }
    let progress = sources.one(
        flags.progress_every.take(),
        source!("--progress-every", "ENGINE_PROGRESS_EVERY"),
        |text| match parse_duration(text)? {
            0 => Err(PlanError::new("progress cannot be told all the time", "at least 1s, or --quiet")),
            ns => Ok(ns),
        },
    )?;
    let control = sources.one(flags.control.take(), source!("--control", "ENGINE_CONTROL"), |text| {
        match document(text)? {
            Sink::Stdout => {
                Err(PlanError::new("the control socket is a Unix socket", "a path, e.g. engine.sock"))
            }
            // sockaddr_un holds 108 bytes, the last of which is NUL.
            Sink::File(_) if text.len() > 107 => {
                Err(PlanError::new(format!("the socket's path has {} bytes", text.len()), "at most 107"))
            }
            Sink::File(path) => Ok(path),
        }
    })?;
    let when = sources.one(flags.color.take(), source!("--color", "ENGINE_COLOR"), color)?;
    Ok(Outputs {
        json,
        ndjson,
        quiet: sources.switch(flags.quiet, source!("--quiet", "ENGINE_QUIET"))?,
        progress_every_ns: progress.unwrap_or(PROGRESS_EVERY_NS),
        color: when.unwrap_or_else(|| environment_color(sources.surroundings)),
        control,
    })
}
