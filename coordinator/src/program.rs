//! The commands of the `coordinator` program.
//!
//! What it is: from a parsed command to what carries it out, and from its result to an exit code.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use command::{Color, Refusal};
use report::Style;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use verdict::ExitCode;

use crate::args::{self, Asked, Listen, Serve, SubCommand};
use crate::director::Settings;
use crate::handle::Refused;
use crate::headless::{self, refused_code};
use crate::security::{Audit, TokenKey, check_bind, server_config};
use crate::serve::{Coordinator, Options, ServeError};
use crate::store::Retention;
use crate::submission::Rails;
use crate::{client, http, rpc, security};

/// Why a command ends early: what is said, and the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    code: ExitCode,
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>, code: ExitCode) -> Self {
        Self { message: message.into(), code }
    }

    pub(crate) fn usage(message: &str) -> Self {
        Self::new(message, ExitCode::Usage)
    }

    pub(crate) fn internal(message: &str) -> Self {
        Self::new(format!("{message} → a defect; please report it"), ExitCode::Internal)
    }

    pub(crate) fn environment(message: impl Into<String>) -> Self {
        Self::new(message, ExitCode::Environment)
    }

    pub(crate) fn refused(refused: &Refused) -> Self {
        Self::new(refused.message.clone(), refused_code(refused))
    }

    #[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
    pub(crate) fn serve(error: ServeError) -> Self {
        Self::environment(error.to_string())
    }

    #[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
    pub(crate) fn state(error: io::Error) -> Self {
        Self::environment(format!("the system refuses: {error} → see --state, and the limits of this user"))
    }

    pub(crate) fn engine(engine: &Path, error: &io::Error) -> Self {
        let what = format!("--local: cannot start {}: {error}", engine.display());
        Self::environment(format!("{what} → --engine FILE names the engine program"))
    }

    pub(crate) fn file(path: &str, error: &io::Error) -> Self {
        Self::new(
            format!("cannot read {}: {error} → the path of a file", plan::quoted(path)),
            ExitCode::Usage,
        )
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.message, refusal.exit_code)
    }
}

impl From<plan::PlanError> for Failure {
    fn from(error: plan::PlanError) -> Self {
        Refusal::from(error).into()
    }
}

/// Runs the program; yields how it ends.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let done = args::parse(arguments).map_err(Failure::from).and_then(|asked| match asked {
        Asked::Print(text) => Ok(print(&text, ExitCode::Passed)),
        Asked::Command(command, matches) => match *command {
            SubCommand::Serve(flags) => serve(&flags),
            SubCommand::Run(flags) => headless::run(*flags, &matches),
            SubCommand::Certs(flags) => printed(security::certs(&flags)),
            SubCommand::Tokens(flags) => {
                let state = flags.state.map_or_else(default_state, Ok);
                state.and_then(|state| printed(security::tokens(&flags.of, &state)))
            }
            other => client::carry_out(other, &matches),
        },
    });
    done.unwrap_or_else(|failure| {
        tell(&format!("error: {}\n", failure.message));
        failure.code
    })
}

/// Prints what was made.
fn printed(made: Result<String, Refusal>) -> Result<ExitCode, Failure> {
    Ok(print(&made?, ExitCode::Passed))
}

/// What `serve` and `run` have in common: where they listen, whom they let in, where their state lies.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) nodes_listen: SocketAddr,
    rails: Rails,
    settings: Settings,
    tls: Option<(PathBuf, PathBuf)>,
    tokens: Option<Arc<TokenKey>>,
    nodes_tokens: Option<Arc<TokenKey>>,
    audit: Audit,
    names: Vec<String>,
    folder: PathBuf,
    nodes_tls: Option<Arc<tokio_rustls::rustls::ServerConfig>>,
    http_tls: Option<Arc<tokio_rustls::rustls::ServerConfig>>,
    /// Removed with this.
    _temporary: Option<tempfile::TempDir>,
}

impl Opened {
    /// Reads the papers and makes the folder; a temporary one where none is named.
    pub(crate) fn of(listen: &Listen, rails: Rails, state: Option<&Path>) -> Result<Self, Failure> {
        if listen.tokens && state.is_none() {
            let what = "--tokens: nobody has a token for a folder that is made now";
            return Err(Failure::usage(&format!(
                "{what} → --state DIR, as in coordinator tokens --state DIR"
            )));
        }
        let temporary = if state.is_none() { Some(headless::temporary()?) } else { None };
        let folder = state.map_or_else(
            || temporary.as_ref().map(|folder| folder.path().to_owned()).unwrap_or_default(),
            Path::to_owned,
        );
        crate::files::private_folder(&folder).map_err(|error| {
            let what = format!("--state: cannot use {}: {error}", folder.display());
            Failure::environment(format!("{what} → a folder that this user may write"))
        })?;
        let tokens = if listen.tokens {
            Some(Arc::new(TokenKey::open_or_create(&folder.join("token.key")).map_err(Failure::state)?))
        } else {
            None
        };
        let tls = listen.tls_cert.clone().zip(listen.tls_key.clone());
        let config = |client: Option<&Path>, protocols: &[&str]| match &tls {
            None => Ok(None),
            Some((cert, key)) => server_config(cert, key, client, protocols)
                .map(Some)
                .map_err(|error| Failure::environment(format!("{error} → coordinator certs makes a pair"))),
        };
        let lease_ns =
            plan::parse_duration(&listen.lease).map_err(|error| error.at(plan::Place::Flag("--lease")))?;
        if !(500_000_000..=600_000_000_000).contains(&lease_ns) {
            return Err(Failure::usage(
                "--lease: a lease that short or long keeps no fleet together → 500ms to 10m",
            ));
        }
        check_bind("the nodes' edge", listen.nodes_at, tls.is_some(), tokens.is_some())
            .map_err(|refused| Failure::new(refused.to_string(), ExitCode::Refused))?;
        Ok(Self {
            nodes_listen: listen.nodes_at,
            rails,
            settings: Settings { lease_ns, beat_ns: (lease_ns / 6).min(500_000_000), ..Settings::default() },
            nodes_tls: config(listen.node_ca.as_deref(), &["h2"])?,
            http_tls: config(None, &["h2", "http/1.1"])?,
            tls,
            nodes_tokens: tokens.clone(),
            tokens,
            audit: Audit::default(),
            names: listen.http_name.clone(),
            folder,
            _temporary: temporary,
        })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn serve_options(&self) -> Options {
        Options {
            nodes: rpc::Options {
                tls: self.nodes_tls.clone(),
                tokens: self.nodes_tokens.clone(),
                audit: self.audit.clone(),
                ..rpc::Options::default()
            },
            audit: self.audit.clone(),
            rails: self.rails.clone(),
            retention: Retention::default(),
            settings: self.settings,
            tells: true,
        }
    }

    pub(crate) fn http_options(&self) -> http::Options {
        http::Options {
            tls: self.http_tls.clone(),
            tokens: self.tokens.clone(),
            audit: self.audit.clone(),
            names: self.names.clone(),
            ..http::Options::default()
        }
    }

    /// Lets nodes in without papers: they come over loopback.
    pub(crate) fn open_to_nodes(&mut self) {
        self.nodes_tls = None;
        self.nodes_tokens = None;
    }

    /// Whether people may be listened to there.
    pub(crate) fn check_http(&self, address: SocketAddr) -> Result<(), Failure> {
        check_bind("the HTTP edge", address, self.tls.is_some(), self.tokens.is_some())
            .map_err(|refused| Failure::new(refused.to_string(), ExitCode::Refused))
    }

    pub(crate) fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}

/// Serves until a signal comes.
fn serve(flags: &Serve) -> Result<ExitCode, Failure> {
    let state = flags.state.clone().map_or_else(default_state, Ok)?;
    let allowed = flags.allow_target.iter().map(|text| plan::Allowed::parse(text)).collect::<Result<_, _>>();
    let allowed = allowed.map_err(|error| error.at(plan::Place::Flag("--allow-target")))?;
    let rails = Rails {
        fence: Some(plan::Fence { allowed, own: Vec::new() }),
        own: Vec::new(),
        rate_guard: crate::asking::value("--rate-guard", flags.rate_guard.as_deref(), plan::parse_rate)?,
    };
    let opened = Opened::of(&flags.listen, rails, Some(&state))?;
    opened.check_http(flags.http_listen)?;
    let retention = Retention { runs: flags.keep_runs, ..Retention::default() };
    let options = Options { retention, tells: !flags.quiet, ..opened.serve_options() };
    runtime()?.block_on(async {
        let nodes = listen("--nodes-listen", opened.nodes_listen).await?;
        let people = listen("--http-listen", flags.http_listen).await?;
        let address = |listener: &TcpListener| listener.local_addr().map_err(Failure::state);
        let (nodes_at, people_at) = (address(&nodes)?, address(&people)?);
        let rails = Rails { own: vec![nodes_at, people_at], ..options.rails };
        let options = Options { rails, ..options };
        let coordinator = Coordinator::open(opened.folder(), &options).map_err(Failure::serve)?;
        if !flags.quiet {
            tell(&format!(
                "nodes: engine node --coordinator {nodes_at}\npeople: {}://{people_at}/\n",
                opened.scheme()
            ));
        }
        let (end, ended) = watch::channel(false);
        let handle = coordinator.handle();
        let mut work = tokio::spawn(coordinator.work(nodes, options.nodes.clone(), ended.clone()));
        tokio::spawn(http::serve(people, handle, opened.http_options(), ended));
        let mut signals = headless::Signals::new()?;
        tokio::select! {
            // A server that was asked to end has done what it should.
            _ = signals.next() => {}
            done = &mut work => return finished(done),
        }
        let _ = end.send(true);
        finished(work.await)
    })
}

fn finished(done: Result<Result<(), ServeError>, tokio::task::JoinError>) -> Result<ExitCode, Failure> {
    match done {
        Ok(Ok(())) => Ok(ExitCode::Passed),
        Ok(Err(error)) => Err(Failure::serve(error)),
        Err(_) => Err(Failure::internal("the coordinator's task ended")),
    }
}

/// The state folder of this user.
fn default_state() -> Result<PathBuf, Failure> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state")));
    let none = || Failure::environment("neither XDG_STATE_HOME nor HOME is set → --state DIR");
    Ok(base.ok_or_else(none)?.join("openloop/coordinator"))
}

/// Listens where a flag says.
pub(crate) async fn listen(flag: &str, address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        let fix = "another address, port 0 for any, or end the coordinator that is there";
        Failure::environment(format!("{flag}: cannot listen on {address}: {error} → {fix}"))
    })
}

pub(crate) fn runtime() -> Result<Runtime, Failure> {
    raise_descriptor_limit();
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(Failure::state)
}

/// How text is styled on standard output, or on standard error.
pub(crate) fn style(color: Color, on_stderr: bool) -> Style {
    let is_terminal = if on_stderr { io::stderr().is_terminal() } else { io::stdout().is_terminal() };
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let by_itself = variable("NO_COLOR").is_empty() && is_terminal && variable("TERM") != "dumb";
    let locale =
        ["LC_ALL", "LC_CTYPE", "LANG"].iter().map(|name| variable(name)).find(|value| !value.is_empty());
    let utf8 = locale.is_none_or(|value| value.to_ascii_lowercase().replace('-', "").contains("utf8"));
    Style { colour: color == Color::Always || (color == Color::Auto && by_itself), utf8 }
}

/// Prints on standard output; yields `code`, or that of an output that does not take it.
pub(crate) fn print(text: &str, code: ExitCode) -> ExitCode {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => code,
        // A reader that has seen enough is no failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => code,
        Err(error) => {
            tell(&format!("error: cannot write to standard output: {error}\n"));
            ExitCode::first_of([code, ExitCode::ReportNotWritten])
        }
    }
}

/// Prints on standard error, line by line, without what a terminal would obey: nodes and plans say what they please. A closed
/// one is nobody to tell.
pub(crate) fn tell(text: &str) {
    let lines: Vec<String> = text.lines().map(|line| report::sanitized(line) + "\n").collect();
    show(&lines.concat());
}

/// Prints what was made for a terminal on standard error.
pub(crate) fn show(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

/// A connection takes a descriptor, and so does a file that is handed out; the usual limit holds few fleets.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Where it is refused, fewer nodes find a place.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}
