//! `coordinator certs` and `coordinator tokens`: papers for those who may come in.
//!
//! What it is: the commands' flags, and what they print. What it is not: the program's entry; `main` calls these.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::certificates::{CertificatesRequest, write_certificates};
use super::tokens::{Grant, LONGEST_LIFETIME_S, Role, TokenKey};

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
    #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub days: u32,
}

/// Flags of `coordinator tokens`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct TokensArgs {
    /// What its bearer may do
    #[arg(long, value_enum)]
    pub role: RoleName,
    /// The only project that its bearer sees
    #[arg(long, value_name = "NAME")]
    pub project: Option<String>,
    /// How long it is good, at most 366 days
    #[arg(long, value_name = "TIME", default_value = "1h")]
    pub lifetime: String,
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

/// Makes certificates; yields what to print, or why it failed (exit code 3).
pub fn certs(args: &CertsArgs) -> Result<String, String> {
    if args.servers.is_empty() && args.nodes.is_empty() {
        return Err("nobody to make a certificate for; name one: --server coordinator.example, --node alpha"
            .to_owned());
    }
    let request = CertificatesRequest {
        folder: args.dir.clone(),
        servers: args.servers.clone(),
        nodes: args.nodes.clone(),
        days: args.days,
    };
    let written = write_certificates(&request, clock::wall_time()).map_err(|error| error.to_string())?;
    let names: Vec<String> = written.iter().map(|path| path.display().to_string()).collect();
    Ok(names.join("\n") + "\n")
}

/// Makes a token with the key in the coordinator's state folder, and the key where there is none yet; yields what to print.
pub fn tokens(args: &TokensArgs, state: &Path) -> Result<String, String> {
    let lifetime = plan::parse_duration(&args.lifetime).map_err(|error| error.to_string())?;
    let lifetime = Duration::from_nanos(lifetime);
    if lifetime.as_secs() == 0 || lifetime.as_secs() > LONGEST_LIFETIME_S {
        return Err("a token is good for 1s to 366d: --lifetime 1h".to_owned());
    }
    if args.project.as_ref().is_some_and(String::is_empty) {
        return Err("a project has a name: --project checkout".to_owned());
    }
    std::fs::create_dir_all(state).map_err(|error| format!("{}: {error}", state.display()))?;
    let key = TokenKey::open_or_create(&state.join(TOKEN_KEY_FILE)).map_err(|error| error.to_string())?;
    let expires_s = (clock::wall_time() + lifetime).as_secs();
    let grant = Grant { role: args.role.into(), project: args.project.clone(), expires_s };
    key.mint(&grant).map(|token| token + "\n").map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_the_command_is_one_of_the_coordinators() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let args = |lifetime: &str, project: Option<&str>| TokensArgs {
            role: RoleName::Node,
            project: project.map(str::to_owned),
            lifetime: lifetime.to_owned(),
        };
        let token = tokens(&args("1h", None), &state).unwrap();
        let key = TokenKey::open_or_create(&state.join(TOKEN_KEY_FILE)).unwrap();
        let grant = key.verify(token.trim_end(), clock::wall_time().as_secs()).unwrap();
        assert_eq!((grant.role, grant.project), (Role::Node, None));
        for wrong in [args("0s", None), args("400d", None), args("soon", None), args("1h", Some(""))] {
            assert!(tokens(&wrong, &state).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn certificates_are_made_for_somebody() {
        let folder = tempfile::tempdir().unwrap();
        let args =
            CertsArgs { dir: folder.path().join("certs"), servers: Vec::new(), nodes: Vec::new(), days: 1 };
        assert!(certs(&args).unwrap_err().contains("--server"));
        let args = CertsArgs { servers: vec!["localhost".to_owned()], ..args };
        assert_eq!(certs(&args).unwrap().lines().count(), 4);
        assert!(certs(&args).is_err(), "nothing is overwritten");
    }
}
