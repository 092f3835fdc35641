//! Reading PEM files. No message has anything of a file's contents: it may be a key.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A bundle of all authorities of the world has about 200 KiB.
const LARGEST: u64 = 16 << 20;

/// The certificates of a file, at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = found.map_err(|error| damaged(path, &error))?;
    if found.is_empty() {
        let instead = if looks_like_der(&bytes) {
            "; it seems to be DER or a Java keystore: convert it to PEM (`openssl x509 -inform der`, or \
             `openssl pkcs12 -nokeys`)"
        } else {
            ""
        };
        return Err(format!(
            "{} has no certificate in PEM format (\"-----BEGIN CERTIFICATE-----\"){instead}",
            path.display()
        ));
    }
    Ok(found)
}

/// The private key of a file.
pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let bytes = read(path)?;
    if contains(&bytes, b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
        || contains(&bytes, b"Proc-Type: 4,ENCRYPTED")
    {
        return Err(format!(
            "the private key in {} is encrypted, which is not supported: decrypt it (`openssl pkey -in <file> -out \
             <new file>`) and protect the new file by its permissions",
            path.display()
        ));
    }
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| match error {
        PemError::NoItemsFound => format!(
            "{} has no private key in PEM format (\"-----BEGIN PRIVATE KEY-----\", PKCS#8, PKCS#1 or SEC1)",
            path.display()
        ),
        error => damaged(path, &error),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let unreadable = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("{} is too large to be a PEM file", path.display()));
    }
    Ok(bytes)
}

/// The library's words for a line it cannot read have the line in them.
fn damaged(path: &Path, error: &PemError) -> String {
    let what = match error {
        PemError::MissingSectionEnd { .. } => "a section has no \"-----END\" line",
        PemError::IllegalSectionStart { .. } => "a \"-----BEGIN\" line is malformed",
        PemError::Base64Decode(_) => "what is between BEGIN and END is not base64",
        _ => "it is not well-formed",
    };
    format!("{} cannot be read as PEM: {what}", path.display())
}

/// DER and PKCS#12 begin with a sequence, Java's own keystores with a magic number.
fn looks_like_der(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x30, 0x82]) || bytes.starts_with(&[0xfe, 0xed, 0xfe, 0xed])
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(contents: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(contents).unwrap();
        file
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_without_its_contents() {
        for (contents, says) in [
            (&b""[..], "no private key"),
            (b"marker", "no private key"),
            (
                b"-----BEGIN PRIVATE KEY-----\nmarker!\n-----END PRIVATE KEY-----\n",
                "not base64",
            ),
            (b"-----BEGIN PRIVATE KEY-----\nmarker\n", "no \"-----END\" line"),
            (b"-----BEGIN PRIVATE KEY marker\nAAAA\n", "malformed"),
            (b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nmarker\n", "is encrypted"),
            (
                b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nmarker\n",
                "is encrypted",
            ),
        ] {
            let file = file(contents);
            let error = private_key(file.path()).unwrap_err();
            assert!(error.contains(says) && !error.contains("marker"), "{error}");
            assert!(error.contains(&file.path().display().to_string()), "{error}");
        }
    }

    #[test]
    fn a_file_of_another_kind_gets_a_hint() {
        for contents in [&b"\x30\x82\x01\x0a\x02\x82"[..], b"\xfe\xed\xfe\xed\0\0\0\x02"] {
            let error = certificates(file(contents).path()).unwrap_err();
            assert!(error.contains("convert it to PEM"), "{error}");
        }
        let error = certificates(Path::new("/no/such/file.pem")).unwrap_err();
        assert!(
            error.contains("cannot read /no/such/file.pem: No such file"),
            "{error}"
        );
        let error = certificates(Path::new("/")).unwrap_err();
        assert!(error.contains("cannot read /"), "{error}");
    }
}
