//! Certificates of authorities that nobody else trusts, made for a test, as PEM.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use crate::error::{Error, Result};

/// An authority.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

/// A certificate and its private key, both PEM; the key is PKCS#8 and not encrypted.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

/// Whether a certificate is to be good today.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// From long ago until far away.
    Good,
    /// Until the end of 2001.
    Expired,
}

impl Authority {
    /// A new one; its certificate bears `name`.
    pub fn new(name: &str) -> Result<Self> {
        let mut params = params(name, &[], Validity::Good)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?.pem();
        Ok(Self {
            issuer: Issuer::new(params, key),
            certificate,
        })
    }

    /// The authority's own certificate, PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Issues a certificate for a server or a client that goes by some names or addresses. Its key is one of ECDSA P-256.
    pub fn issue(&self, names: &[&str], validity: Validity) -> Result<Identity> {
        self.issue_for(&KeyPair::generate()?, names, validity)
    }

    /// Issues a certificate for a private key (PKCS#8, PEM).
    pub fn issue_for_key(&self, key: &str, names: &[&str]) -> Result<Identity> {
        self.issue_for(&KeyPair::from_pem(key)?, names, Validity::Good)
    }

    fn issue_for(&self, key: &KeyPair, names: &[&str], validity: Validity) -> Result<Identity> {
        let mut params = params(names.first().unwrap_or(&"nobody"), names, validity)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let certificate = params.signed_by(key, &self.issuer)?.pem();
        Ok(Identity {
            certificate,
            key: key.serialize_pem(),
        })
    }
}

fn params(name: &str, names: &[&str], validity: Validity) -> Result<CertificateParams> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2001, 1, 1);
    params.not_after = match validity {
        Validity::Good => date_time_ymd(2200, 1, 1),
        Validity::Expired => date_time_ymd(2001, 12, 31),
    };
    Ok(params)
}

impl From<rcgen::Error> for Error {
    fn from(error: rcgen::Error) -> Self {
        Self::Certificate {
            why: error.to_string(),
        }
    }
}
