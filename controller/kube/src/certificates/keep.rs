//! The Secret with the certificates, and who is told of what is in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use controller_core::time::Clock;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, PostParams};
use kube::core::ObjectMeta;
use thiserror::Error;
use tokio::sync::watch;
use tracing::{info, warn};

use super::make::{Pair, blocks};
use super::plan::plan;
use crate::answer::{self, Doing};
use crate::client::{Cluster, MANAGER};

/// Name of the Secret.
pub(crate) const SECRET: &str = "cairn-certificates";
/// How often it is looked at: another replica may have written it.
const LOOK_EVERY: Duration = Duration::from_mins(1);
/// How often it is tried when others write at the same time.
const TRIES: usize = 5;

/// Why there are no certificates.
#[derive(Debug, Error)]
pub enum CertificatesError {
    /// The Secret cannot be read or written.
    #[error("certificates cannot be kept in the secret `{SECRET}` of namespace `{namespace}`: {message}")]
    Secret {
        /// Where it is.
        namespace: String,
        /// What the cluster says.
        message: String,
    },
    /// None can be made, as for a name that is none.
    #[error("no certificate can be made for {names}")]
    Make {
        /// What it is for.
        names: String,
        /// Why not.
        #[source]
        source: rcgen::Error,
    },
}

/// What is served with.
#[derive(Clone, PartialEq, Eq)]
pub struct Issued {
    /// The serving certificate, as PEM.
    pub certificate: String,
    /// Its key, as PEM.
    pub key: String,
    /// The authorities to trust, as PEM.
    pub authorities: String,
}

/// Certificates of this server and its replicas.
pub struct Certificates {
    api: Api<Secret>,
    namespace: String,
    clock: Arc<dyn Clock>,
    names: BTreeSet<String>,
    issued: watch::Sender<Issued>,
}

/// Everything that is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Kept {
    authorities: Vec<Pair>,
    serving: Option<Pair>,
}

impl Certificates {
    /// Reads them from the Secret in Cairn's own namespace, or makes them, good for these hosts and addresses.
    ///
    /// # Errors
    /// If the Secret cannot be read or written, or a name is none.
    pub async fn open(
        cluster: &Cluster,
        names: BTreeSet<String>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, CertificatesError> {
        let nothing = Issued { certificate: String::new(), key: String::new(), authorities: String::new() };
        let certificates = Self {
            api: Api::namespaced(cluster.client.clone(), &cluster.home),
            namespace: cluster.home.clone(),
            clock,
            names,
            issued: watch::Sender::new(nothing),
        };
        certificates.look().await?;
        Ok(certificates)
    }

    /// What is served with, now and later.
    pub fn issued(&self) -> watch::Receiver<Issued> {
        self.issued.subscribe()
    }

    /// Sees to it that there are always good ones.
    pub async fn keep(self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if let Err(error) = self.look().await {
                warn!(error = answer::chain(&error), "certificates could not be looked at");
            }
        }
    }

    /// Looks once, and makes what is needed.
    async fn look(&self) -> Result<(), CertificatesError> {
        let mut tries = 0;
        loop {
            let doing = |verb| Doing { verb, group: "", plural: "secrets" };
            let there = answer::within(self.api.get_opt(SECRET)).await;
            let there = there.map_err(|error| self.failed(&error, &doing("get")))?;
            let before = there.as_ref().map(Kept::read).unwrap_or_default();
            let kept = self.renewed(before.clone())?;
            if kept == before {
                self.publish(&kept);
                return Ok(());
            }
            let verb = if there.is_some() { "update" } else { "create" };
            let written = if let Some(there) = there {
                // It bears its version: nothing of another is overwritten.
                let secret = kept.write(there);
                answer::within(self.api.replace(SECRET, &PostParams::default(), &secret)).await
            } else {
                let name = Some(SECRET.to_owned());
                let labels = Some([("app.kubernetes.io/name".to_owned(), MANAGER.to_owned())].into());
                let metadata = ObjectMeta { name, labels, ..ObjectMeta::default() };
                let secret = kept.write(Secret { metadata, ..Secret::default() });
                answer::within(self.api.create(&PostParams::default(), &secret)).await
            };
            match written {
                Ok(_) => {
                    info!(namespace = self.namespace, secret = SECRET, "certificates were made anew");
                    self.publish(&kept);
                    return Ok(());
                }
                Err(error) if answer::is_conflict(&error) && tries < TRIES => tries += 1,
                Err(error) => return Err(self.failed(&error, &doing(verb))),
            }
        }
    }

    /// What is kept with everything made that is needed.
    fn renewed(&self, mut kept: Kept) -> Result<Kept, CertificatesError> {
        let now = self.clock.now();
        let make = |source| {
            let names = self.names.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            CertificatesError::Make { names, source }
        };
        let readable = kept.authorities.iter().filter_map(|pair| Some((pair.clone(), pair.validity()?)));
        let (mut authorities, validities): (Vec<_>, Vec<_>) = readable.unzip();
        let served = kept.serving.as_ref().and_then(|pair| pair.served(&authorities));
        let plan = plan(now, &validities, served.as_ref(), &self.names);
        if plan.is_nothing(kept.authorities.len()) {
            return Ok(kept);
        }
        authorities = plan.keep.iter().map(|i| authorities[*i].clone()).collect();
        if plan.add {
            authorities.push(Pair::authority(now).map_err(make)?);
        }
        if let Some(sign) = plan.sign {
            kept.serving = Some(authorities[sign.signer].sign(now, &sign.names).map_err(make)?);
        }
        Ok(Kept { authorities, ..kept })
    }

    fn publish(&self, kept: &Kept) {
        let Some(serving) = &kept.serving else { return };
        let authorities = kept.authorities.iter().map(|pair| pair.certificate.as_str()).collect();
        let issued =
            Issued { certificate: serving.certificate.clone(), key: serving.key.clone(), authorities };
        self.issued.send_if_modified(|before| {
            let changed = *before != issued;
            *before = issued;
            changed
        });
    }

    fn failed(&self, error: &kube::Error, doing: &Doing<'_>) -> CertificatesError {
        CertificatesError::Secret {
            namespace: self.namespace.clone(),
            message: answer::message(error, doing),
        }
    }
}

impl Kept {
    /// What a Secret holds, as far as it makes sense.
    fn read(secret: &Secret) -> Self {
        let text = |word: &str| {
            let bytes = secret.data.as_ref()?.get(word)?;
            String::from_utf8(bytes.0.clone()).ok()
        };
        let several = |word: &str| blocks(&text(word).unwrap_or_default());
        let pairs = several("ca.crt").into_iter().zip(several("ca.key"));
        let serving = text("tls.crt").zip(text("tls.key"));
        let pair = |(certificate, key)| Pair { certificate, key };
        Self { authorities: pairs.map(pair).collect(), serving: serving.map(pair) }
    }

    /// A Secret with this in it, and everything else as it was.
    fn write(&self, mut secret: Secret) -> Secret {
        let all = |of: fn(&Pair) -> &str| self.authorities.iter().map(of).collect::<String>();
        let serving = |of: fn(&Pair) -> &str| self.serving.as_ref().map(of).unwrap_or_default().to_owned();
        let data: BTreeMap<String, ByteString> = [
            ("ca.crt", all(|pair| &pair.certificate)),
            ("ca.key", all(|pair| &pair.key)),
            ("tls.crt", serving(|pair| &pair.certificate)),
            ("tls.key", serving(|pair| &pair.key)),
        ]
        .into_iter()
        .map(|(word, text)| (word.to_owned(), ByteString(text.into_bytes())))
        .collect();
        secret.data.get_or_insert_default().extend(data);
        secret
    }
}
