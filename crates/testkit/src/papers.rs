//! Certificates of every kind, made when a target starts.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection};

/// What is wrong with a certificate.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Nothing.
    None,
    /// Its last day is over.
    Expired,
    /// Its first day has not come.
    NotYetValid,
    /// It is for another name.
    WrongName,
    /// It was issued by itself.
    SelfSigned,
    /// It was issued by an authority that nobody trusts.
    UnknownAuthority,
    /// Its chain has about so many KiB.
    Large(usize),
}

/// The keys and the authorities of one target.
#[derive(Debug)]
pub(crate) struct Papers {
    key: KeyPair,
    trusted: CertifiedIssuer<'static, KeyPair>,
    unknown: CertifiedIssuer<'static, KeyPair>,
}

impl Papers {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        Self { key, trusted: authority("trusted"), unknown: authority("unknown") }
    }

    pub(crate) fn authority_pem(&self) -> String {
        self.trusted.pem()
    }

    /// A server's side of TLS with a certificate of this kind.
    pub(crate) fn server(&self, flaw: Flaw, protocols: &[&[u8]], asks_certificate: bool) -> ServerConnection {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("the provider has what TLS 1.2 and 1.3 need");
        let builder = if asks_certificate {
            let mut roots = RootCertStore::empty();
            roots.add(self.unknown.der().clone()).expect("an authority");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.expect("an authority"))
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        let mut config = builder.with_single_cert(self.chain(flaw), key).expect("a key and its certificate");
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        ServerConnection::new(Arc::new(config)).expect("the configuration is whole")
    }

    fn chain(&self, flaw: Flaw) -> Vec<CertificateDer<'static>> {
        let name = if flaw == Flaw::WrongName { "other.example" } else { "127.0.0.1" };
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a plain name");
        match flaw {
            Flaw::Expired => {
                params.not_before = date_time_ymd(2020, 1, 1);
                params.not_after = date_time_ymd(2021, 1, 1);
            }
            Flaw::NotYetValid => {
                params.not_before = date_time_ymd(2090, 1, 1);
                params.not_after = date_time_ymd(2091, 1, 1);
            }
            _ => {}
        }
        let issuer = if flaw == Flaw::UnknownAuthority { &self.unknown } else { &self.trusted };
        let leaf = match flaw {
            Flaw::SelfSigned => params.self_signed(&self.key),
            _ => params.signed_by(&self.key, issuer),
        };
        let mut chain = vec![leaf.expect("the key signs").der().clone()];
        if let Flaw::Large(kib) = flaw {
            let filler = self.filler();
            chain.extend(std::iter::repeat_n(filler.clone(), (kib << 10) / filler.len()));
        }
        chain
    }

    /// A certificate of about 4 KiB that leads nowhere.
    fn filler(&self) -> CertificateDer<'static> {
        let names = (0..100).map(|number| format!("a-rather-long-name-{number}.filler.example"));
        let params = CertificateParams::new(names.collect::<Vec<_>>()).expect("plain names");
        params.signed_by(&self.key, &self.unknown).expect("the key signs").der().clone()
    }
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, format!("{name} test authority"));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("the key signs")
}
