//! The target of the TLS table: nginx, TLS 1.3, an ECDSA P-256 certificate made on the spot, one process.
//!
//! Requests are counted by nginx itself (`stub_status`, on a plain port of its own).

use std::cell::Cell;
use std::fmt::Display;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use rcgen::{CertifiedKey, KeyPair, PKCS_ECDSA_P256_SHA256};

use crate::PerfError;
use crate::child::Running;

const SECOND_NS: u64 = clock::NANOS_PER_SECOND;
/// How often we ask whether it answers yet, ten milliseconds apart.
const ATTEMPTS: u32 = 500;

/// A running nginx. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Nginx {
    secure: SocketAddr,
    plain: SocketAddr,
    certificate: PathBuf,
    /// Our own questions, which nginx counts as well.
    asked: Cell<u64>,
    process: Running,
}

impl Nginx {
    /// Starts it on `core`; whether it lets sessions be resumed decides what a new connection costs.
    pub(crate) fn start(
        program: &Path,
        core: usize,
        scratch: &Path,
        resumes: bool,
    ) -> Result<Self, PerfError> {
        let folder = scratch.join("nginx");
        fs::create_dir_all(&folder).map_err(PerfError::system("cannot create a scratch folder"))?;
        let (secure, plain) = free_ports()?;
        let certificate = folder.join("cert.pem");
        let configuration = configure(&folder, secure, plain, resumes)?;
        let shown = |path: &Path| path.display().to_string();
        let arguments =
            ["-e", "stderr", "-p", &shown(&folder), "-c", &shown(&configuration)].map(str::to_owned);
        let process = Running::start(program, &arguments, &[core], scratch, "nginx")?;
        let nginx = Self { secure, plain, certificate, asked: Cell::new(0), process };
        nginx.await_ready(scratch)?;
        Ok(nginx)
    }

    /// Where TLS is spoken.
    pub(crate) fn address(&self) -> SocketAddr {
        self.secure
    }

    /// Its certificate, which vouches for itself.
    pub(crate) fn certificate(&self) -> &Path {
        &self.certificate
    }

    /// Requests received until now, ours not counted.
    pub(crate) fn requests(&self) -> Result<u64, PerfError> {
        let mut stream = TcpStream::connect(self.plain).map_err(PerfError::system("connect to nginx"))?;
        self.asked.set(self.asked.get() + 1);
        let mut text = String::new();
        stream
            .write_all(b"GET /status HTTP/1.0\r\n\r\n")
            .and_then(|()| stream.read_to_string(&mut text))
            .map_err(PerfError::system("cannot ask nginx for its count"))?;
        let total = requests_in(&text).ok_or_else(|| failed(format!("cannot read its status: {text:?}")))?;
        Ok(total.saturating_sub(self.asked.get()))
    }

    /// CPU time used until now.
    pub(crate) fn cpu_ns(&self) -> Result<u64, PerfError> {
        self.process.cpu_ns()
    }

    fn await_ready(&self, scratch: &Path) -> Result<(), PerfError> {
        for _ in 0..ATTEMPTS {
            if TcpStream::connect(self.plain).is_ok() {
                return Ok(());
            }
            if self.process.has_ended_within(SECOND_NS / 100)? {
                break;
            }
        }
        Err(failed(fs::read_to_string(scratch.join("nginx.err")).unwrap_or_default()))
    }
}

/// The third figure of the third line: `accepts handled requests`.
fn requests_in(status: &str) -> Option<u64> {
    let mut lines = status.lines().skip_while(|line| !line.starts_with("server accepts"));
    lines.nth(1)?.split_whitespace().nth(2)?.parse().ok()
}

fn failed(detail: impl Display) -> PerfError {
    PerfError::Failed { program: "nginx".to_owned(), detail: detail.to_string() }
}

/// Two free ports: taken together, so that they differ, and let go, so that nginx may have them.
fn free_ports() -> Result<(SocketAddr, SocketAddr), PerfError> {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(PerfError::system("bind"));
    let (one, other) = (bind()?, bind()?);
    let name = |listener: &TcpListener| listener.local_addr().map_err(PerfError::system("getsockname"));
    Ok((name(&one)?, name(&other)?))
}

fn configure(
    folder: &Path,
    secure: SocketAddr,
    plain: SocketAddr,
    resumes: bool,
) -> Result<PathBuf, PerfError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
    let parameters =
        rcgen::CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).map_err(failed)?;
    let cert = parameters.self_signed(&key).map_err(failed)?;
    let identity = CertifiedKey { cert, signing_key: key };
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).map(|()| path).map_err(PerfError::system("cannot write a scratch file"))
    };
    let certificate = write("cert.pem", &identity.cert.pem())?;
    let key = write("key.pem", &identity.signing_key.serialize_pem())?;
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("  {kind}_temp_path {}/{kind};\n", folder.display()))
        .concat();
    let text = format!(
        "daemon off;\nmaster_process off;\npid {folder}/nginx.pid;\nevents {{ worker_connections 4096; }}\n\
         http {{\n  access_log off;\n  keepalive_requests 1000000000;\n  keepalive_timeout 600s;\n{temporary}\
         server {{\n  listen {secure} ssl;\n  ssl_protocols TLSv1.3;\n  ssl_session_tickets {tickets};\n  ssl_certificate {certificate};\n  \
         ssl_certificate_key {key};\n  default_type text/plain;\n  \
         location / {{ return 200 \"hello from perf 0123456\"; }}\n}}\n\
         server {{ listen {plain}; location = /status {{ stub_status; }} }}\n}}\n",
        tickets = if resumes { "on" } else { "off" },
        folder = folder.display(),
        certificate = certificate.display(),
        key = key.display(),
    );
    write("nginx.conf", &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_status_is_read() {
        let status = "HTTP/1.1 200 OK\r\n\r\nActive connections: 1 \nserver accepts handled requests\n 3 3 41 \nReading: 0\n";
        assert_eq!(requests_in(status), Some(41));
        assert_eq!(requests_in("HTTP/1.1 404 Not Found\r\n\r\n"), None);
    }
    #[test]
    fn it_serves_and_counts_what_others_ask() {
        let program = crate::programs::find("nginx").expect("`cargo xtask test` installs nginx-light");
        let scratch = tempfile::tempdir().unwrap();
        let core = crate::child::cores().unwrap()[0];
        let nginx = Nginx::start(&program, core, scratch.path(), true).unwrap();
        assert_eq!(nginx.requests().unwrap(), 0);
        let mut stream = TcpStream::connect(nginx.plain).unwrap();
        stream.write_all(b"GET /absent HTTP/1.0\r\n\r\n").unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        assert!(reply.starts_with("HTTP/1.1 404"), "{reply}");
        assert_eq!(nginx.requests().unwrap(), 1);
        assert_eq!(nginx.requests().unwrap(), 1);
    }
}
