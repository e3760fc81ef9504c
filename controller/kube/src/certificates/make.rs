//! Certificates as PEM: what one says, and how one is made.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use controller_core::time::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;
use x509_parser::prelude::X509Certificate;

use super::plan::{AUTHORITY, SERVING, Served, Validity};

/// How much earlier than they are made certificates are good: clocks differ.
const SKEW: Duration = Duration::from_hours(1);

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    /// The certificate.
    pub(super) certificate: String,
    /// Its key.
    pub(super) key: String,
}

impl Pair {
    /// A new authority.
    pub(super) fn authority(now: Timestamp) -> Result<Self, rcgen::Error> {
        let mut params = params("Cairn authority", now, AUTHORITY);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        Ok(Self { certificate: params.self_signed(&key)?.pem(), key: key.serialize_pem() })
    }

    /// A new serving certificate, signed by this authority.
    pub(super) fn sign(&self, now: Timestamp, names: &BTreeSet<String>) -> Result<Self, rcgen::Error> {
        let issuer = Issuer::from_ca_cert_pem(&self.certificate, KeyPair::from_pem(&self.key)?)?;
        let mut params = params("cairn", now, SERVING);
        params.subject_alt_names =
            CertificateParams::new(names.iter().cloned().collect::<Vec<_>>())?.subject_alt_names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        Ok(Self { certificate: params.signed_by(&key, &issuer)?.pem(), key: key.serialize_pem() })
    }

    /// When it is good; `None` if it cannot be read, or its key is another's.
    pub(super) fn validity(&self) -> Option<Validity> {
        self.read(validity)
    }

    /// What is to be known of a serving certificate. `None` as for its validity.
    pub(super) fn served(&self, authorities: &[Self]) -> Option<Served> {
        let signer = authorities.iter().position(|authority| self.is_signed_by(authority));
        self.read(|certificate| Served { validity: validity(certificate), names: names(certificate), signer })
    }

    fn is_signed_by(&self, authority: &Self) -> bool {
        let verified = self.read(|certificate| {
            authority.read(|authority| certificate.verify_signature(Some(authority.public_key())).is_ok())
        });
        verified.flatten() == Some(true)
    }

    fn read<T>(&self, with: impl FnOnce(&X509Certificate<'_>) -> T) -> Option<T> {
        let pem = Pem::iter_from_buffer(self.certificate.as_bytes()).next()?.ok()?;
        let certificate = pem.parse_x509().ok()?;
        let key = KeyPair::from_pem(&self.key).ok()?;
        let is_its = certificate.public_key().subject_public_key.data == key.public_key_raw();
        is_its.then(|| with(&certificate))
    }
}

fn params(name: &str, now: Timestamp, lasts: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let now = Duration::from_micros(u64::try_from(now.0).unwrap_or(0));
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    (params.not_before, params.not_after) = (epoch + now.saturating_sub(SKEW), epoch + (now + lasts));
    params
}

fn validity(certificate: &X509Certificate<'_>) -> Validity {
    let validity = certificate.validity();
    let time = |seconds: i64| Timestamp(seconds.saturating_mul(1_000_000));
    Validity { from: time(validity.not_before.timestamp()), until: time(validity.not_after.timestamp()) }
}

fn names(certificate: &X509Certificate<'_>) -> BTreeSet<String> {
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.iter().flat_map(|names| &names.value.general_names);
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string()),
        _ => None,
    };
    names.filter_map(name).collect()
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(bytes).into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|bytes| Ipv6Addr::from(bytes).into())
}

/// The blocks of a text with several.
pub(super) fn blocks(text: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut block = String::new();
    for line in text.lines() {
        block.push_str(line);
        block.push('\n');
        if line.starts_with("-----END ") {
            blocks.push(std::mem::take(&mut block));
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(2_000_000_000_000_000);

    #[test]
    fn what_is_made_reads_back() {
        let (other, authority) = (Pair::authority(NOW).unwrap(), Pair::authority(NOW).unwrap());
        let names = ["cairn.ns.svc", "192.0.2.1", "2001:db8::1"].map(str::to_owned).into();
        let serving = authority.sign(NOW, &names).unwrap();
        let served = serving.served(&[other, authority.clone()]).unwrap();
        assert_eq!((served.names, served.signer), (names, Some(1)));
        assert_eq!(served.validity.until, NOW.plus(SERVING));
        assert_eq!(authority.validity().unwrap().until, NOW.plus(AUTHORITY));
    }

    #[test]
    fn a_key_of_another_is_no_pair() {
        let (a, b) = (Pair::authority(NOW).unwrap(), Pair::authority(NOW).unwrap());
        assert_eq!(Pair { key: b.key, ..a.clone() }.validity(), None);
        assert_eq!(Pair { certificate: "nonsense".into(), ..a }.validity(), None);
    }

    #[test]
    fn blocks_come_apart_as_they_were_put_together() {
        let all = [Pair::authority(NOW).unwrap().key, Pair::authority(NOW).unwrap().key];
        assert_eq!(blocks(&all.concat()), all);
        assert_eq!(blocks("nonsense"), Vec::<String>::new());
    }
}
