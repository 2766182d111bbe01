//! `coordinator certs`: an authority of one's own, and certificates for the coordinator and its nodes.
//!
//! What it is: everything that TLS between strangers takes, made in one command, so that nobody switches it off.
//! What it is not: a public authority; whoever connects is told of it with `--ca` or `--coordinator-ca`.
//!
//! Invariant: what exists is never overwritten; an authority that is there issues further certificates. Keys are readable
//! by their owner alone.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use command::Refusal;
use plan::quoted;
use rustls_pki_types::ServerName;
use verdict::ExitCode;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};

/// The authority's file, and its key's.
const AUTHORITY: [&str; 2] = ["ca.pem", "ca.key"];
const AUTHORITY_NAME: &str = "Openloop fleet authority";
/// Clocks that are behind by this much still find a new certificate valid.
const EARLIER: Duration = Duration::from_hours(1);
const AUTHORITY_DAYS: u32 = 3_650;

/// Why certificates could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// No certificate can be for somebody of that name.
    #[error("{flag}: {} is no name of a host → letters, digits, - and dots, at most 128", quoted(.name))]
    Name {
        /// Which flag it is of.
        flag: &'static str,
        /// The name.
        name: String,
    },
    /// There is a file of that name.
    #[error("{path} is there already, and is not overwritten → another folder: --dir DIR")]
    There {
        /// Which.
        path: PathBuf,
    },
    /// A file cannot be written or read.
    #[error("{path}: {source} → a folder that this user may write: --dir DIR")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A name cannot stand in a certificate, or an authority's key is damaged.
    #[error("cannot make a certificate for {what}: {reason} → another name, or another authority: --dir DIR")]
    Papers {
        /// For whom.
        what: String,
        /// Why.
        reason: String,
    },
}

impl From<CertificateError> for Refusal {
    fn from(error: CertificateError) -> Self {
        let is_name = matches!(error, CertificateError::Name { .. });
        let exit_code = if is_name { ExitCode::Usage } else { ExitCode::Environment };
        Self { message: error.to_string(), exit_code }
    }
}

/// Which certificates to make.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificatesRequest {
    /// Where they go.
    pub folder: PathBuf,
    /// Names and addresses by which the coordinator is reached.
    pub servers: Vec<String>,
    /// Names of nodes.
    pub nodes: Vec<String>,
    /// For how many days they are good; the authority's own is for ten years.
    pub days: u32,
}

/// The files that were written.
pub type IssuedFiles = Vec<PathBuf>;

/// An authority.
#[derive(Debug)]
pub struct Authority {
    key: KeyPair,
    /// Its certificate, in PEM form; `None` where it was read from files.
    certificate: Option<String>,
}

impl Authority {
    /// A new one, as of `now` since the Unix epoch.
    pub fn create(now: Duration) -> Result<Self, CertificateError> {
        let papers = |error: rcgen::Error| papers("the authority", &error);
        let key = KeyPair::generate().map_err(papers)?;
        let mut params = authority_params();
        set_validity(&mut params, now, AUTHORITY_DAYS);
        let certificate = params.self_signed(&key).map_err(papers)?.pem();
        Ok(Self { key, certificate: Some(certificate) })
    }

    /// The one whose key is this.
    pub fn from_key(key_pem: &str) -> Result<Self, CertificateError> {
        let key = KeyPair::from_pem(key_pem).map_err(|error| papers("the authority", &error))?;
        Ok(Self { key, certificate: None })
    }

    /// A certificate for a server with these names and addresses: certificate and key in PEM form.
    pub fn server(
        &self,
        names: &[String],
        now: Duration,
        days: u32,
    ) -> Result<[String; 2], CertificateError> {
        let name = names.first().map_or("coordinator", String::as_str);
        self.issue(name, names, ExtendedKeyUsagePurpose::ServerAuth, now, days)
    }

    /// A certificate for a node, which may join under this name alone: certificate and key in PEM form.
    pub fn node(&self, name: &str, now: Duration, days: u32) -> Result<[String; 2], CertificateError> {
        self.issue(name, &[name.to_owned()], ExtendedKeyUsagePurpose::ClientAuth, now, days)
    }

    fn issue(
        &self,
        name: &str,
        alternatives: &[String],
        purpose: ExtendedKeyUsagePurpose,
        now: Duration,
        days: u32,
    ) -> Result<[String; 2], CertificateError> {
        let papers = |error: rcgen::Error| papers(name, &error);
        let mut params = CertificateParams::new(alternatives.to_vec()).map_err(papers)?;
        params.distinguished_name = distinguished(name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![purpose];
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params, now, days);
        let key = KeyPair::generate().map_err(papers)?;
        let issuer = Issuer::new(authority_params(), &self.key);
        let certificate = params.signed_by(&key, &issuer).map_err(papers)?;
        Ok([certificate.pem(), key.serialize_pem()])
    }
}

/// Makes what `request` asks for, as of `now` since the Unix epoch.
pub fn write_certificates(
    request: &CertificatesRequest,
    now: Duration,
) -> Result<IssuedFiles, CertificateError> {
    request.servers.iter().try_for_each(|name| check_name("--server", name, is_host))?;
    request.nodes.iter().try_for_each(|name| check_name("--node", name, is_file_name))?;
    std::fs::create_dir_all(&request.folder)
        .map_err(|source| CertificateError::File { path: request.folder.clone(), source })?;
    let mut written = Vec::new();
    let mut write = |name: &str, text: &str, mode| {
        let path = request.folder.join(name);
        create(&path, text, mode).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => CertificateError::There { path: path.clone() },
            _ => CertificateError::File { path: path.clone(), source },
        })?;
        written.push(path);
        Ok(())
    };
    let key_path = request.folder.join(AUTHORITY[1]);
    let authority = match std::fs::read_to_string(&key_path) {
        Ok(key) => Authority::from_key(&key)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let authority = Authority::create(now)?;
            write(AUTHORITY[0], authority.certificate.as_deref().unwrap_or_default(), 0o644)?;
            write(AUTHORITY[1], &authority.key.serialize_pem(), 0o600)?;
            authority
        }
        Err(source) => return Err(CertificateError::File { path: key_path, source }),
    };
    if !request.servers.is_empty() {
        let [certificate, key] = authority.server(&request.servers, now, request.days)?;
        write("server.pem", &certificate, 0o644)?;
        write("server.key", &key, 0o600)?;
    }
    for node in &request.nodes {
        let [certificate, key] = authority.node(node, now, request.days)?;
        write(&format!("node-{node}.pem"), &certificate, 0o644)?;
        write(&format!("node-{node}.key"), &key, 0o600)?;
    }
    Ok(written)
}

fn check_name(flag: &'static str, name: &str, is_one: fn(&str) -> bool) -> Result<(), CertificateError> {
    if name.len() <= 128 && is_one(name) {
        return Ok(());
    }
    Err(CertificateError::Name { flag, name: name.to_owned() })
}

/// A name or an address, or all names below one.
fn is_host(name: &str) -> bool {
    ServerName::try_from(name.strip_prefix("*.").unwrap_or(name)).is_ok()
}

/// A node's name becomes a part of a file's name.
fn is_file_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    name.bytes().all(plain) && ServerName::try_from(name).is_ok()
}

fn create(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// What an authority's certificate says of itself, but for its validity: the same for all of ours, which differ by their key.
fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = distinguished(AUTHORITY_NAME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn distinguished(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn set_validity(params: &mut CertificateParams, now: Duration, days: u32) {
    let begin = time::OffsetDateTime::UNIX_EPOCH + now.saturating_sub(EARLIER);
    params.not_before = begin;
    params.not_after = begin + EARLIER + time::Duration::days(i64::from(days));
}

fn papers(what: &str, reason: &rcgen::Error) -> CertificateError {
    CertificateError::Papers { what: what.to_owned(), reason: reason.to_string() }
}
