//! TLS by rustls, with the ring provider named in each configuration, so that
//! nothing of the process is changed.

use std::future::Future;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, InconsistentKeys, RootCertStore,
    SignatureScheme,
};
use tokio_postgres::Socket;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres_rustls::MakeRustlsConnect;
use x509_cert::der::{Decode, Encode};

use crate::Error;
use crate::config::{ClientCert, Config, RootCert, SslMode};
use crate::error::Phase;
use crate::text::one_line;

/// Makes the TLS side of connections, and notes how far the last one came.
#[derive(Clone)]
pub(crate) struct Connector {
    inner: MakeRustlsConnect,
    phase: Arc<Mutex<Phase>>,
}

impl Connector {
    /// Reads the certificate files that `config` names.
    pub(crate) fn new(config: &Config) -> Result<Self, Error> {
        let inner = MakeRustlsConnect::new(client_config(config)?);
        Ok(Self { inner, phase: Arc::new(Mutex::new(Phase::Resolve)) })
    }

    /// The same connector with a phase of its own.
    pub(crate) fn for_attempt(&self) -> Self {
        Self { inner: self.inner.clone(), phase: Arc::new(Mutex::new(Phase::Resolve)) }
    }

    pub(crate) fn phase(&self) -> Phase {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn enter(&self, phase: Phase) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = phase;
    }
}

type RustlsConnect = <MakeRustlsConnect as MakeTlsConnect<Socket>>::TlsConnect;
type RustlsStream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;

impl MakeTlsConnect<Socket> for Connector {
    type Stream = RustlsStream;
    type TlsConnect = Handshake;
    type Error = std::convert::Infallible;

    fn make_tls_connect(&mut self, host: &str) -> Result<Handshake, Self::Error> {
        self.enter(Phase::TlsRequest);
        let inner = MakeTlsConnect::<Socket>::make_tls_connect(&mut self.inner, host)?;
        Ok(Handshake { inner, connector: self.clone() })
    }
}

/// One TLS handshake to come.
pub(crate) struct Handshake {
    inner: RustlsConnect,
    connector: Connector,
}

impl TlsConnect<Socket> for Handshake {
    type Stream = RustlsStream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<RustlsStream>> + Send>>;

    fn connect(self, socket: Socket) -> Self::Future {
        self.connector.enter(Phase::TlsHandshake);
        let handshake = self.inner.connect(socket);
        Box::pin(async move {
            let stream = handshake.await?;
            self.connector.enter(Phase::Authentication);
            Ok(stream)
        })
    }
}

fn client_config(config: &Config) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Arc::new(Verifier::new(config, Arc::clone(&provider))?);
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Config(format!("TLS cannot be set up: {error}")))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut tls = match &config.ssl_client {
        Some(client) => {
            let key = read_client_cert(client, &provider)?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key)))
        }
        None => builder.with_no_client_auth(),
    };
    if config.ssl_direct {
        tls.alpn_protocols = vec![b"postgresql".to_vec()];
    }
    Ok(tls)
}

fn read_certs(path: &Path, setting: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let refuse = |reason: &dyn std::fmt::Display| {
        Error::Config(format!("{setting}: {}: {reason}", one_line(&path.to_string_lossy(), 120)))
    };
    let pem = std::fs::read(path).map_err(|error| refuse(&error))?;
    let certs: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|_| refuse(&"is not a PEM file of certificates"))?;
    if certs.is_empty() { Err(refuse(&"holds no PEM certificate")) } else { Ok(certs) }
}

fn read_client_cert(client: &ClientCert, provider: &CryptoProvider) -> Result<CertifiedKey, Error> {
    let chain = read_certs(&client.certificate, "sslcert")?;
    let refuse = |reason: &dyn std::fmt::Display| {
        let path = client.key.to_string_lossy();
        Error::Config(format!("sslkey: {}: {reason}", one_line(&path, 120)))
    };
    let meta = std::fs::metadata(&client.key).map_err(|error| refuse(&error))?;
    // libpq's rule: a key of root may be readable by a group.
    let open_to = if meta.uid() == 0 { 0o027 } else { 0o077 };
    if meta.permissions().mode() & open_to != 0 {
        return Err(refuse(&"others may read this key; chmod 0600 it"));
    }
    let key = PrivateKeyDer::from_pem_file(&client.key)
        .map_err(|_| refuse(&"is not an unencrypted PEM private key"))?;
    let key = provider.key_provider.load_private_key(key).map_err(|_| {
        refuse(&"is a key of a kind that is not supported; use RSA, ECDSA or Ed25519")
    })?;
    let pair = CertifiedKey::new(chain, key);
    match pair.keys_match() {
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Err(refuse(&"is not the key of the certificate in sslcert"))
        }
        // What cannot be compared, such as a version 1 certificate, the server judges.
        _ => Ok(pair),
    }
}

/// Whether webpki cannot read a certificate because it is of X.509 version 1.
fn is_version_1(error: &rustls::Error) -> bool {
    matches!(
        error,
        rustls::Error::InvalidCertificate(CertificateError::Other(other))
            if other.0.downcast_ref::<webpki::Error>() == Some(&webpki::Error::UnsupportedCertVersion)
    )
}

/// How much of a server's certificate is verified. The handshake's signature
/// always is: the server holds the key of the certificate that it shows.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    /// The authorities to accept; none means that any certificate will do.
    roots: Option<Roots>,
    check_name: bool,
}

#[derive(Debug)]
struct Roots {
    store: RootCertStore,
    /// The certificates as given. A server whose own self-signed certificate is
    /// among them is accepted, as OpenSSL does.
    given: Vec<CertificateDer<'static>>,
}

impl Verifier {
    fn new(config: &Config, provider: Arc<CryptoProvider>) -> Result<Self, Error> {
        let verify = matches!(config.ssl_mode, SslMode::VerifyCa | SslMode::VerifyFull);
        let roots = match &config.ssl_root {
            Some(root) if verify => Some(Roots::read(root)?),
            None if verify => {
                return Err(Error::Config("sslmode: verification needs sslrootcert".to_owned()));
            }
            _ => None,
        };
        Ok(Self { provider, roots, check_name: config.ssl_mode == SslMode::VerifyFull })
    }
}

/// Refuses a system without authorities, where no server could be believed.
fn refuse_empty(store: &RootCertStore) -> Result<(), Error> {
    if store.is_empty() {
        return Err(Error::Config(
            "sslrootcert=system: the system has no certificate authorities".to_owned(),
        ));
    }
    Ok(())
}

impl Roots {
    fn read(root: &RootCert) -> Result<Self, Error> {
        let mut store = RootCertStore::empty();
        match root {
            RootCert::System => {
                store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                refuse_empty(&store)?;
                Ok(Self { store, given: Vec::new() })
            }
            RootCert::File(path) => {
                let given = read_certs(path, "sslrootcert")?;
                store.add_parsable_certificates(given.iter().cloned());
                Ok(Self { store, given })
            }
        }
    }

    fn verify(
        &self,
        cert: &ParsedCertificate<'_>,
        der: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        provider: &CryptoProvider,
    ) -> Result<(), rustls::Error> {
        let verified = verify_server_cert_signed_by_trust_anchor(
            cert,
            &self.store,
            intermediates,
            now,
            provider.signature_verification_algorithms.all,
        );
        match verified {
            // A certificate that is an authority as well, the form that `openssl
            // req -x509` makes. Its dates have been verified before this error.
            Err(rustls::Error::InvalidCertificate(CertificateError::Other(other)))
                if other.0.downcast_ref::<webpki::Error>()
                    == Some(&webpki::Error::CaUsedAsEndEntity)
                    && self.given.iter().any(|given| given == der) =>
            {
                Ok(())
            }
            other => other,
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(roots) = &self.roots {
            let cert = ParsedCertificate::try_from(end_entity)?;
            roots.verify(&cert, end_entity, intermediates, now, &self.provider)?;
            if self.check_name {
                verify_server_name(&cert, server_name)?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        match rustls::crypto::verify_tls13_signature(message, cert, signed, algorithms) {
            // Many servers have such a certificate, and where none is verified it
            // will do. The signature matters still: channel binding relies on it.
            Err(error) if self.roots.is_none() && is_version_1(&error) => {
                let key = public_key(cert).ok_or(error)?;
                rustls::crypto::verify_tls13_signature_with_raw_key(
                    message, &key, signed, algorithms,
                )
            }
            verified => verified,
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The public key of a certificate of any version.
fn public_key(cert: &CertificateDer<'_>) -> Option<SubjectPublicKeyInfoDer<'static>> {
    let cert = x509_cert::Certificate::from_der(cert).ok()?;
    let key = cert.tbs_certificate.subject_public_key_info.to_der().ok()?;
    Some(SubjectPublicKeyInfoDer::from(key))
}

/// Whether an I/O error comes from TLS.
pub(crate) fn is_tls(error: &io::Error) -> bool {
    error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>)
}

/// What a failed handshake means: expected, found, what to do.
pub(crate) fn explain(error: &io::Error, host: &str) -> String {
    use CertificateError as C;
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        return format!("the TLS handshake broke off ({})", one_line(&error.to_string(), 80));
    };
    match tls {
        rustls::Error::InvalidCertificate(C::Other(other))
            if other.0.downcast_ref::<webpki::Error>()
                == Some(&webpki::Error::CaUsedAsEndEntity) =>
        {
            "the server's certificate is self-signed and not in sslrootcert — add it there".to_owned()
        }
        rustls::Error::AlertReceived(alert) => {
            format!("the server broke off with the TLS alert {alert:?} — check sslcert and sslkey")
        }
        rustls::Error::InvalidCertificate(C::UnknownIssuer) => {
            "no authority in sslrootcert signed the server's certificate — give the right file"
                .to_owned()
        }
        rustls::Error::InvalidCertificate(
            C::NotValidForName | C::NotValidForNameContext { .. },
        ) => {
            format!(
                "the server's certificate is not for \"{}\" — connect by the name it holds",
                one_line(host, 80)
            )
        }
        rustls::Error::InvalidCertificate(C::Expired | C::ExpiredContext { .. }) => {
            "the server's certificate has expired — renew it".to_owned()
        }
        other if is_version_1(other) => {
            "the server's certificate is X.509 version 1 and cannot be verified — issue one with a subjectAltName".to_owned()
        }
        other => one_line(&other.to_string(), 140),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verification_without_authorities_is_refused() {
        let mut config = Config::from_url("postgres://u@h/d?sslrootcert=system").unwrap();
        config.ssl_root = None;
        let error = Connector::new(&config).err().unwrap();
        assert!(error.to_string().contains("verification needs sslrootcert"), "{error}");
        let error = refuse_empty(&RootCertStore::empty()).unwrap_err();
        assert!(error.to_string().contains("no certificate authorities"), "{error}");
    }
}
