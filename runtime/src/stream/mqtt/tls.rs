//! What an encrypted connection needs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};

use super::Error;

/// Files in PEM form for `mqtts://`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Authorities that may vouch for the broker, instead of those that the machine knows.
    pub ca: Option<PathBuf>,
    /// This client's certificate.
    pub cert: Option<PathBuf>,
    /// Its private key.
    pub key: Option<PathBuf>,
}

/// The most that a file of certificates or keys may hold.
const MAX_BYTES: u64 = 1 << 20;

pub(super) fn config(files: &TlsFiles) -> Result<Arc<ClientConfig>, Error> {
    let roots = match &files.ca {
        Some(path) => authorities(path)?,
        None => known_authorities()?,
    };
    let builder = builder()?.with_root_certificates(roots);
    let config = match (&files.cert, &files.key) {
        (Some(cert), Some(key)) => {
            let (chain, secret) = (certificates(cert)?, private_key(key)?);
            builder.with_client_auth_cert(chain, secret).map_err(|e| Error::Pem {
                path: key.clone(),
                reason: format!("the key does not fit {}: {e}", cert.display()),
            })?
        }
        _ => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

fn builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, Error> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    // Fails only if the provider has no cipher for any version.
    builder.with_safe_default_protocol_versions().map_err(|_| Error::Internal)
}

fn authorities(path: &Path) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|e| Error::Pem {
            path: path.into(),
            reason: format!("not the certificate of an authority: {e}"),
        })?;
    }
    Ok(roots)
}

fn known_authorities() -> Result<RootCertStore, Error> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Machines have odd ones among many: those are left out.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let reason = found.errors.first().map(|e| format!(" ({e})")).unwrap_or_default();
        return Err(Error::NoAuthorities { reason });
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let bytes = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(no("certificate", path)(pem::Error::NoItemsFound)),
        Err(e) => Err(no("certificate", path)(e)),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(no("private key", path))
}

fn no(what: &str, path: &Path) -> impl Fn(pem::Error) -> Error {
    move |e| Error::Pem {
        path: path.into(),
        reason: match e {
            pem::Error::NoItemsFound => format!("holds no {what}; give one in PEM form"),
            e => format!("holds no usable {what}: {e}"),
        },
    }
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    use std::io::Read;
    let failed = |source| Error::Read { path: path.into(), source };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}
