//! TLS against `engine target --tls`: trust, names, versions, resumption, client certificates.

use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::engine::write;
use e2e::machine::among_others;
use e2e::process::program;
use e2e::{Engine, Target, count, text};
use tempfile::TempDir;

/// A target that speaks TLS, and the file with what its clients must trust.
fn secure_target(flags: &str) -> (Target, PathBuf, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = folder.path().join("ca.pem");
    let engine = Engine::new("target --tls --certificate-out").arg(&authority).args(flags);
    (Target::start_on("127.0.0.1:0", engine), authority, folder)
}

#[test]
fn certificates_are_checked_unless_the_user_waives_it() {
    let _hold = among_others();
    let (target, authority, _folder) = secure_target("");
    for driver in ["uring", "epoll"] {
        let line = format!("--tps 50 -d 1s --io {driver}");
        let outcome =
            Engine::patient(&line).arg("--cacert").arg(&authority).arg(target.url()).run().expect(0);
        assert_eq!(outcome.summary()["target"]["insecure"], false);
        assert_eq!(outcome.audit().ok, 50);
        assert!(count(outcome.summary(), "/latency_ns/tls/count") >= 1);
        let outcome = Engine::patient(&line).arg("-k").arg(target.url()).run().expect(0);
        assert_eq!(outcome.summary()["target"]["insecure"], true);
        assert!(outcome.stdout.contains("INSECURE"), "{}", outcome.told());
        let outcome = Engine::patient(&line).arg(target.url()).run().expect(11);
        assert_eq!(outcome.audit().error_classes(), ["tls_unknown_issuer"], "{}", outcome.told());
    }
    // Nobody whose certificate was not accepted has been sent a request.
    assert_eq!(count(&target.stop(), "/requests"), 4 * 50);
}

#[test]
fn a_certificate_of_another_name_is_told() {
    let _hold = among_others();
    let (target, authority, _folder) = secure_target("");
    let connect_to = format!("shop.example:443:{}", target.address);
    let engine = || Engine::patient("https://shop.example/ --tps 20 -d 1s --connect-to").arg(&connect_to);
    let outcome = engine().arg("--cacert").arg(&authority).run().expect(11);
    assert_eq!(outcome.audit().error_classes(), ["tls_name"], "{}", outcome.told());
    assert_eq!(engine().arg("-k").run().expect(0).audit().ok, 20);
    assert_eq!(count(&target.stop(), "/requests"), 20);
}

#[test]
fn sessions_are_resumed_unless_the_user_says_no() {
    let _hold = among_others();
    for versions in ["", "--tls-max 1.2", "--tls-min 1.3"] {
        let (target, authority, _folder) = secure_target("");
        let engine = |flags: &str| {
            let line = format!("--users 1 -n 10 --close-after 1 {versions} {flags} --cacert");
            Engine::patient(&line).arg(&authority).arg(target.url()).run().expect(0)
        };
        let resumed = |flags: &str| count(engine(flags).summary(), "/connections/tls_resumed");
        assert!(resumed("") >= 5, "{versions}");
        assert_eq!(resumed("--no-resumption"), 0, "{versions}");
        assert_eq!(count(&target.stop(), "/tls_handshakes"), 20, "{versions}");
    }
}

#[test]
fn peers_without_tls_are_told() {
    let _hold = among_others();
    let plain = Target::start("");
    let url = format!("https://{}/", plain.address);
    let outcome = Engine::patient("--tps 20 -d 1s -k").arg(url).run().expect(11);
    let classes = outcome.audit();
    assert!(classes.error_classes().iter().all(|class| class.starts_with("tls_")), "{}", outcome.told());
    let (secure, _, _folder) = secure_target("");
    let url = format!("http://{}/", secure.address);
    let outcome = Engine::patient("--tps 20 -d 1s").arg(url).run().expect(11);
    assert_eq!(outcome.audit().ok, 0);
    assert_eq!(count(&secure.stop(), "/requests"), 0);
}

/// What `openssl ca` must be told; `@` is the folder.
const AUTHORITY: &str = "[ca]
default_ca = own
[own]
database = @/index.txt
new_certs_dir = @
rand_serial = yes
default_md = sha256
policy = subject
x509_extensions = names
[subject]
commonName = supplied
[names]
subjectAltName = IP:127.0.0.1
";

fn openssl(folder: &Path, line: &str) {
    let words = line.split_whitespace().map(|word| word.replace('@', folder.to_str().expect("a plain name")));
    let output = Command::new(program(&["openssl"])).args(words).output().expect("openssl runs");
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Makes a key and a certificate of its own for 127.0.0.1, valid from one day to another.
fn certificate(folder: &Path, from: &str, until: &str) -> (PathBuf, PathBuf) {
    let settings = AUTHORITY.replace('@', folder.to_str().expect("a plain name"));
    write(&folder.join("ca.cnf"), settings);
    write(&folder.join("index.txt"), "");
    let curve = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1";
    openssl(
        folder,
        &format!("req -new {curve} -nodes -batch -subj /CN=e2e -keyout @/own.key -out @/own.csr"),
    );
    let validity = format!("-startdate {from}000000Z -enddate {until}000000Z");
    let own = "-selfsign -keyfile @/own.key -in @/own.csr -out @/own.pem";
    openssl(folder, &format!("ca -batch -notext -config @/ca.cnf {own} {validity}"));
    (folder.join("own.pem"), folder.join("own.key"))
}

#[test]
fn a_client_may_have_to_show_a_certificate() {
    let _hold = among_others();
    let folder = tempfile::tempdir().expect("a folder");
    let (certificate, key) = certificate(folder.path(), "20200101", "20990101");
    let (target, authority, _folder) = secure_target(&format!("--client-ca {}", certificate.display()));
    let engine = || Engine::patient("--tps 20 -d 1s --cacert").arg(&authority).arg(target.url());
    let outcome = engine().arg("--cert").arg(&certificate).arg("--key").arg(&key).run().expect(0);
    assert_eq!(outcome.audit().ok, 20);
    let outcome = engine().run().expect(11);
    let audit = outcome.audit();
    assert!(audit.error_classes().iter().all(|class| class.starts_with("tls_")), "{}", outcome.told());
    assert_eq!(count(&target.stop(), "/requests"), 20);
    let keys = [&key, &certificate].map(|file| std::fs::read_to_string(file).expect("it is there"));
    for secret in keys {
        let line = secret.lines().nth(1).expect("PEM has lines");
        assert!(!outcome.told().contains(line) && !text(outcome.summary(), "/target/url").contains(line));
    }
}

#[test]
fn a_certificate_that_has_expired_is_told() {
    let _hold = among_others();
    let folder = tempfile::tempdir().expect("a folder");
    let (certificate, key) = certificate(folder.path(), "20200101", "20210101");
    let engine = Engine::new("target --tls --cert").arg(&certificate).arg("--key").arg(&key);
    let target = Target::start_on("127.0.0.1:0", engine);
    let outcome =
        Engine::patient("--tps 20 -d 1s --cacert").arg(&certificate).arg(target.url()).run().expect(11);
    assert_eq!(outcome.audit().error_classes(), ["tls_expired"], "{}", outcome.told());
}
