//! `coordinator certs` and `coordinator tokens`: papers for those who may come in.
//!
//! What it is: the commands' flags, and what they print. What it is not: the program's entry; `main` calls these.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use command::Refusal;
use plan::{Place, PlanError, quoted};

use super::certificates::{CertificatesRequest, write_certificates};
use super::register::{Entry, Register};
use super::tokens::{Grant, LONGEST_LIFETIME_S, Role, TokenKey, id_of};

/// The folder of the register of tokens, within the coordinator's state folder.
const REGISTER: &str = "tokens";

/// The file of the key of tokens, within the coordinator's state folder.
pub const TOKEN_KEY_FILE: &str = "token.key";

/// Flags of `coordinator certs`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct CertsArgs {
    /// Folder for the files; an authority that is there issues further certificates
    #[arg(long, value_name = "DIR", default_value = "certs")]
    pub dir: PathBuf,
    /// A name or address by which the coordinator is reached; may be repeated
    #[arg(long = "server", value_name = "NAME")]
    pub servers: Vec<String>,
    /// A node to make a certificate for; may be repeated
    #[arg(long = "node", value_name = "NAME")]
    pub nodes: Vec<String>,
    /// How long the certificates are good
    #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = days)]
    pub days: u32,
}

/// Flags of `coordinator tokens`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct TokensArgs {
    /// What is done, where no token is made.
    #[command(subcommand)]
    pub what: Option<TokensCommand>,
    /// What its bearer may do
    #[arg(long, value_enum, required = true)]
    pub role: Option<RoleName>,
    /// The only project that its bearer sees
    #[arg(long, value_name = "NAME")]
    pub project: Option<String>,
    /// How long it is good, at most 366 days
    #[arg(long, value_name = "TIME", default_value = "1h")]
    pub lifetime: String,
}

/// What is done with tokens that were made.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum TokensCommand {
    /// List the tokens that were made; what they are is not shown, nobody knows it
    List,
    /// Call a token back: from now on it is good for nothing
    Revoke {
        /// Its number, as the list shows it
        #[arg(value_name = "ID")]
        id: String,
    },
}

/// A role as it is written on the command line.
#[derive(Copy, Clone, Debug, PartialEq, Eq, ValueEnum)]
pub enum RoleName {
    /// Reads
    Viewer,
    /// Reads, starts, changes and stops
    Operator,
    /// Joins the fleet as a node
    Node,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Viewer => Self::Viewer,
            RoleName::Operator => Self::Operator,
            RoleName::Node => Self::Node,
        }
    }
}

fn days(text: &str) -> Result<u32, PlanError> {
    let days = text.parse().ok().filter(|days| (1..=3_650).contains(days));
    days.ok_or_else(|| PlanError::new(format!("{} is no number of days", quoted(text)), "1 to 3650"))
}

/// Makes certificates; yields what to print.
pub fn certs(args: &CertsArgs) -> Result<String, Refusal> {
    if args.servers.is_empty() && args.nodes.is_empty() {
        let fix = "--server coordinator.example, --node alpha";
        return Err(Refusal::usage("nobody is named to make a certificate for", fix));
    }
    let request = CertificatesRequest {
        folder: args.dir.clone(),
        servers: args.servers.clone(),
        nodes: args.nodes.clone(),
        days: args.days,
    };
    let written = write_certificates(&request, clock::wall_time())?;
    let names: Vec<String> = written.iter().map(|path| path.display().to_string()).collect();
    Ok(names.join("\n") + "\n")
}

/// Makes a token with the key in the coordinator's state folder, and the key where there is none yet; or lists tokens, or calls
/// one back. Yields what to print.
pub fn tokens(args: &TokensArgs, state: &Path) -> Result<String, Refusal> {
    let register = Register::of(state.join(REGISTER));
    let wrong = |error: std::io::Error| {
        let what = format!("--state: cannot use {}: {error}", state.display());
        Refusal::environment(&what, "the state folder of the coordinator, as its own user")
    };
    let role = match (&args.what, args.role) {
        (Some(TokensCommand::List), _) => return register.entries().map(|all| list(&all)).map_err(wrong),
        (Some(TokensCommand::Revoke { id }), _) => {
            return match register.revoke(id) {
                Ok(true) => Ok(format!("token {id} is good for nothing any more\n")),
                Ok(false) => {
                    let what = format!("no token {} is in force here", quoted(id));
                    Err(Refusal::usage(&what, "coordinator tokens list"))
                }
                Err(error) => Err(wrong(error)),
            };
        }
        (None, Some(role)) => role,
        (None, None) => {
            return Err(Refusal::usage("--role: nothing says what its bearer may do", "--role viewer"));
        }
    };
    let lifetime =
        plan::parse_duration(&args.lifetime).map_err(|error| error.at(Place::Flag("--lifetime")))?;
    let lifetime = Duration::from_nanos(lifetime);
    if lifetime.as_secs() == 0 || lifetime.as_secs() > LONGEST_LIFETIME_S {
        return Err(Refusal::usage("--lifetime: no token is good for so short or so long", "1s to 366d"));
    }
    if args.project.as_ref().is_some_and(String::is_empty) {
        return Err(Refusal::usage("--project: the name is empty", "a name, e.g. --project checkout"));
    }
    crate::files::private_folder(state).map_err(wrong)?;
    let key = TokenKey::open_or_create(&state.join(TOKEN_KEY_FILE)).map_err(wrong)?;
    let expires_s = (clock::wall_time() + lifetime).as_secs();
    let grant = Grant { role: role.into(), project: args.project.clone(), expires_s };
    let token = key.mint(&grant).map_err(wrong)?;
    // Beside the token, which alone stands on standard output.
    crate::tell(&format!("token {}, good until {}\n", id_of(&token).unwrap_or_default(), instant(expires_s)));
    Ok(token + "\n")
}

fn instant(unix_s: u64) -> String {
    clock::rfc3339(Duration::from_secs(unix_s))
}

/// Tokens for people; what they are stands nowhere.
fn list(entries: &[Entry]) -> String {
    let now_s = clock::wall_time().as_secs();
    if entries.is_empty() {
        return "no tokens → coordinator tokens --role operator\n".to_owned();
    }
    let heading = format!(
        "{:<16}  {:<8}  {:<9}  {:<24}  {:<24}  project\n",
        "id", "role", "state", "made at", "good until"
    );
    entries.iter().fold(heading, |text, entry| {
        let role = match entry.role {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Node => "node",
        };
        let state = match entry {
            Entry { is_revoked: true, .. } => "revoked",
            Entry { expires_s, .. } if *expires_s <= now_s => "expired",
            Entry { .. } => "in force",
        };
        let project = report::sanitized(entry.project.as_deref().unwrap_or("all"));
        let (made, until) = (instant(entry.made_s), instant(entry.expires_s));
        text + &format!("{}  {role:<8}  {state:<9}  {made:<24}  {until:<24}  {project}\n", entry.id)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_the_command_is_one_of_the_coordinators() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let args = |lifetime: &str, project: Option<&str>| TokensArgs {
            what: None,
            role: Some(RoleName::Node),
            project: project.map(str::to_owned),
            lifetime: lifetime.to_owned(),
        };
        let token = tokens(&args("1h", None), &state).unwrap();
        let key = TokenKey::open_or_create(&state.join(TOKEN_KEY_FILE)).unwrap();
        let grant = key.verify(token.trim_end(), clock::wall_time().as_secs()).unwrap();
        assert_eq!((grant.role, grant.project), (Role::Node, None));
        let id = id_of(token.trim_end()).unwrap();
        let of = |what| TokensArgs { what: Some(what), role: None, ..args("1h", None) };
        let listed = tokens(&of(TokensCommand::List), &state).unwrap();
        assert!(listed.contains(&id) && listed.contains("in force") && !listed.contains("olt_"), "{listed}");
        let revoke = of(TokensCommand::Revoke { id: id.clone() });
        assert!(tokens(&revoke, &state).unwrap().contains(&id));
        assert!(tokens(&revoke, &state).unwrap_err().message.contains("tokens list"));
        assert!(tokens(&of(TokensCommand::List), &state).unwrap().contains("revoked"));
        assert!(key.verify(token.trim_end(), 0).is_err());
        for wrong in [args("0s", None), args("400d", None), args("soon", None), args("1h", Some(""))] {
            let refusal = tokens(&wrong, &state).expect_err("it is wrong");
            assert_eq!(refusal.exit_code, verdict::ExitCode::Usage, "{wrong:?}: {refusal}");
            assert!(refusal.message.starts_with("--") && refusal.message.contains(" → "), "{refusal}");
        }
    }

    #[test]
    fn certificates_are_made_for_somebody() {
        let folder = tempfile::tempdir().unwrap();
        let args =
            CertsArgs { dir: folder.path().join("certs"), servers: Vec::new(), nodes: Vec::new(), days: 1 };
        assert!(certs(&args).unwrap_err().message.contains("--server"));
        for (servers, nodes) in
            [(vec!["a b"], vec![]), (vec!["localhost"], vec!["a/b"]), (vec![""], vec!["b"])]
        {
            let names = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
            let args = CertsArgs { servers: names(servers), nodes: names(nodes), ..args.clone() };
            let refusal = certs(&args).expect_err("no such host");
            assert_eq!(refusal.exit_code, verdict::ExitCode::Usage, "{refusal}");
            assert!(!args.dir.exists(), "nothing is made before all names are looked at: {refusal}");
        }
        let args = CertsArgs { servers: vec!["localhost".to_owned(), "::1".to_owned()], ..args };
        assert_eq!(certs(&args).unwrap().lines().count(), 4);
        let refusal = certs(&args).expect_err("nothing is overwritten");
        assert_eq!(refusal.exit_code, verdict::ExitCode::Environment);
        assert!(refusal.message.contains("server.pem") && refusal.message.contains(" → "), "{refusal}");
    }
}
