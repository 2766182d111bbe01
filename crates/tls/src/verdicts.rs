//! The verifier of everyday: verdicts on certificate chains, remembered while they cannot have changed.
//!
//! What it is: rustls' verifier, asked once for each chain and second. Its verdict depends on nothing but the chain,
//! the name, the stapled response and the wall clock in whole seconds; where all of these are the same, byte by byte,
//! so is the answer, and a load generator asks thousands of times a second.
//! What it is not: a way around anything. Each handshake's own signature is checked anew, and a chain that was refused
//! is looked at again each time.

use std::sync::{Arc, Mutex};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

/// Chains remembered at a time: a name's machines may each show one of their own.
const REMEMBERED: usize = 8;

/// What was found good, and in which second.
#[derive(Debug)]
struct Good {
    second: UnixTime,
    name: ServerName<'static>,
    end_entity: CertificateDer<'static>,
    intermediates: Vec<CertificateDer<'static>>,
    ocsp_response: Vec<u8>,
}

/// See the module's documentation. The lock is never waited for: who finds it taken asks rustls.
#[derive(Debug)]
pub(crate) struct Verdicts {
    verifier: Arc<dyn ServerCertVerifier>,
    good: Mutex<Vec<Good>>,
}

impl Verdicts {
    pub(crate) fn new(verifier: Arc<dyn ServerCertVerifier>) -> Self {
        Self { verifier, good: Mutex::new(Vec::with_capacity(REMEMBERED)) }
    }
}

impl ServerCertVerifier for Verdicts {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let judge =
            || self.verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let Ok(mut good) = self.good.try_lock() else { return judge() };
        let is_known = good.iter().any(|one| {
            one.second == now
                && one.name == *server_name
                && one.end_entity == *end_entity
                && one.intermediates == intermediates
                && one.ocsp_response == ocsp_response
        });
        if is_known {
            return Ok(ServerCertVerified::assertion());
        }
        let verdict = judge()?;
        good.retain(|one| one.second == now);
        if good.len() < REMEMBERED {
            good.push(Good {
                second: now,
                name: server_name.to_owned(),
                end_entity: end_entity.clone().into_owned(),
                intermediates: intermediates.iter().map(|one| one.clone().into_owned()).collect(),
                ocsp_response: ocsp_response.to_vec(),
            });
        }
        Ok(verdict)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.verifier.requires_raw_public_keys()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        self.verifier.root_hint_subjects()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use rustls::CertificateError;

    use super::*;

    /// Believes whoever is not called `liar`, and counts how often it was asked.
    #[derive(Debug, Default)]
    struct Counting(AtomicUsize);

    impl ServerCertVerifier for Counting {
        fn verify_server_cert(
            &self,
            end_entity: &CertificateDer<'_>,
            _intermediates: &[CertificateDer<'_>],
            _server_name: &ServerName<'_>,
            _ocsp_response: &[u8],
            _now: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            self.0.fetch_add(1, Ordering::Relaxed);
            match end_entity.as_ref() {
                b"liar" => Err(CertificateError::Expired.into()),
                _ => Ok(ServerCertVerified::assertion()),
            }
        }

        fn verify_tls12_signature(
            &self,
            _message: &[u8],
            _cert: &CertificateDer<'_>,
            _signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn verify_tls13_signature(
            &self,
            _message: &[u8],
            _cert: &CertificateDer<'_>,
            _signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            Vec::new()
        }
    }

    #[derive(Copy, Clone)]
    struct Question {
        end_entity: &'static str,
        intermediates: &'static [&'static str],
        name: &'static str,
        ocsp: &'static str,
        second: u64,
    }

    const FIRST: Question = Question {
        end_entity: "leaf",
        intermediates: &["one", "two"],
        name: "a.example",
        ocsp: "",
        second: 7,
    };

    fn ask(verdicts: &Verdicts, question: Question) -> bool {
        let der = |text: &'static str| CertificateDer::from(text.as_bytes());
        let intermediates: Vec<_> = question.intermediates.iter().map(|text| der(text)).collect();
        let name = ServerName::try_from(question.name).unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(question.second));
        let ocsp = question.ocsp.as_bytes();
        verdicts.verify_server_cert(&der(question.end_entity), &intermediates, &name, ocsp, now).is_ok()
    }

    #[test]
    fn only_the_very_same_question_in_the_same_second_is_answered_from_memory() {
        for (again, is_asked) in [
            (FIRST, false),
            (Question { second: 8, ..FIRST }, true),
            (Question { second: 6, ..FIRST }, true),
            (Question { name: "b.example", ..FIRST }, true),
            (Question { end_entity: "lea", ..FIRST }, true),
            (Question { intermediates: &["one"], ..FIRST }, true),
            (Question { intermediates: &["two", "one"], ..FIRST }, true),
            (Question { ocsp: "stapled", ..FIRST }, true),
        ] {
            let counting = Arc::new(Counting::default());
            let verdicts = Verdicts::new(Arc::clone(&counting) as Arc<dyn ServerCertVerifier>);
            assert!(ask(&verdicts, FIRST));
            for _ in 0..3 {
                assert!(ask(&verdicts, again));
            }
            assert_eq!(counting.0.load(Ordering::Relaxed), 1 + usize::from(is_asked));
        }
    }

    #[test]
    fn refusals_are_not_remembered_and_memory_is_bounded() {
        let counting = Arc::new(Counting::default());
        let verdicts = Verdicts::new(Arc::clone(&counting) as Arc<dyn ServerCertVerifier>);
        for _ in 0..3 {
            assert!(!ask(&verdicts, Question { end_entity: "liar", ..FIRST }));
        }
        assert_eq!(counting.0.load(Ordering::Relaxed), 3);
        for end_entity in ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"] {
            assert!(ask(&verdicts, Question { end_entity, ..FIRST }));
        }
        assert_eq!(verdicts.good.lock().unwrap().len(), REMEMBERED);
        assert!(ask(&verdicts, Question { second: 8, ..FIRST }));
        assert_eq!(verdicts.good.lock().unwrap().len(), 1, "a new second begins with nothing");
    }
}
