//! Certificates and keys from PEM text (RFC 7468).
//!
//! What it is: a strict reader that knows line numbers, so that a mistake in a file can be pointed at.
//! What it is not: a file reader. Text between sections is ignored, as RFC 7468, section 2 allows.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::SetupError;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// A certificate and the line on which it begins.
pub(crate) struct Certificate {
    pub(crate) line: u32,
    pub(crate) der: CertificateDer<'static>,
}

/// A private key and the line on which it begins.
pub(crate) struct Key {
    pub(crate) line: u32,
    pub(crate) der: PrivateKeyDer<'static>,
}

/// Every certificate in `text`; at least one. `what` names the text in errors.
pub(crate) fn certificates(what: &'static str, text: &[u8]) -> Result<Vec<Certificate>, SetupError> {
    let sections = sections(what, text)?;
    let mut found = Vec::new();
    for section in &sections {
        if section.label == "CERTIFICATE" {
            let der = CertificateDer::from_pem_slice(section.text)
                .map_err(|_| section.fault(what, not_base64(), copy_again()))?;
            found.push(Certificate { line: section.line, der });
        } else if section.label == "TRUSTED CERTIFICATE" {
            let fix = "convert it with `openssl x509 -in FILE -out FILE.pem`".to_owned();
            return Err(section.fault(
                what,
                "this is OpenSSL's own TRUSTED CERTIFICATE form".to_owned(),
                fix,
            ));
        }
    }
    if found.is_empty() {
        return Err(nothing(what, "certificate", "-----BEGIN CERTIFICATE-----", &sections));
    }
    Ok(found)
}

/// The one private key in `text`.
pub(crate) fn private_key(what: &'static str, text: &[u8]) -> Result<Key, SetupError> {
    let sections = sections(what, text)?;
    let mut found: Option<Key> = None;
    for section in &sections {
        let label = section.label;
        let is_encrypted = label == "ENCRYPTED PRIVATE KEY"
            || (label.ends_with("PRIVATE KEY") && contains(section.text, b"Proc-Type: 4,ENCRYPTED"));
        if is_encrypted {
            let fix = "decrypt it with `openssl pkey -in FILE -out FILE.plain.pem` and keep the result safe"
                .to_owned();
            return Err(section.fault(what, "the private key is encrypted".to_owned(), fix));
        }
        if !matches!(label, "PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY") {
            continue;
        }
        if let Some(first) = &found {
            let fault = format!("a second private key; the first begins on line {}", first.line);
            return Err(section.fault(
                what,
                fault,
                "keep the one that the certificate was issued for".to_owned(),
            ));
        }
        let der = PrivateKeyDer::from_pem_slice(section.text)
            .map_err(|_| section.fault(what, not_base64(), copy_again()))?;
        found = Some(Key { line: section.line, der });
    }
    found.ok_or_else(|| nothing(what, "private key", "-----BEGIN PRIVATE KEY-----", &sections))
}

/// What lies between one BEGIN line and its END line, both included.
struct Section<'a> {
    line: u32,
    label: &'a str,
    text: &'a [u8],
}

impl Section<'_> {
    fn fault(&self, what: &'static str, fault: String, fix: String) -> SetupError {
        SetupError::Pem { what, line: self.line, fault, fix }
    }
}

fn sections<'a>(what: &'static str, text: &'a [u8]) -> Result<Vec<Section<'a>>, SetupError> {
    // 0x30 begins an ASN.1 SEQUENCE: DER, without the text around it.
    if text.first() == Some(&0x30) && !contains(text, BEGIN.as_bytes()) {
        let fix =
            "convert it with `openssl x509 -inform der -in FILE -out FILE.pem` (a key with `openssl pkey`)";
        let fault = "this is binary DER, not PEM text".to_owned();
        return Err(SetupError::Pem { what, line: 1, fault, fix: fix.to_owned() });
    }
    let mut found = Vec::new();
    let mut open: Option<(u32, &str, usize)> = None;
    let mut at = 0;
    for (number, raw) in (1_u32..).zip(text.split_inclusive(|&byte| byte == b'\n')) {
        let start = at;
        at += raw.len();
        let Some(line) = std::str::from_utf8(raw).ok().map(str::trim) else { continue };
        match open {
            None => {
                if let Some(label) = line.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(DASHES)) {
                    open = Some((number, label, start));
                }
            }
            Some((line_begun, label, begun)) => {
                let is_end = line.strip_prefix(END).and_then(|rest| rest.strip_suffix(DASHES)) == Some(label);
                if is_end {
                    found.push(Section { line: line_begun, label, text: &text[begun..at] });
                    open = None;
                } else if line.starts_with(BEGIN) || line.starts_with(END) {
                    return Err(unfinished(what, line_begun, label));
                }
            }
        }
    }
    match open {
        Some((line, label, _)) => Err(unfinished(what, line, label)),
        None => Ok(found),
    }
}

fn unfinished(what: &'static str, line: u32, label: &str) -> SetupError {
    let fault = format!("{BEGIN}{}{DASHES} has no matching END line", label.escape_debug());
    SetupError::Pem { what, line, fault, fix: copy_again() }
}

fn nothing(what: &'static str, wanted: &str, begin: &str, sections: &[Section<'_>]) -> SetupError {
    let (line, held) = match sections.first() {
        Some(first) => (first.line, format!("it holds a {} instead", first.label.escape_debug())),
        None => (1, "it holds no PEM section at all".to_owned()),
    };
    let fault = format!("no {wanted} here: {held}");
    SetupError::Pem { what, line, fault, fix: format!("give a PEM file with a line {begin}") }
}

fn not_base64() -> String {
    "the text between BEGIN and END is not base64".to_owned()
}

fn copy_again() -> String {
    "copy the whole of it again, from BEGIN to END".to_owned()
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
