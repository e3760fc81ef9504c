//! Connections over TLS, with certificates that may change while it is served.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::serve::Listener;
use controller_kube::certificates::Issued;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{Error, ServerConfig};
use tokio_rustls::server::TlsStream;

/// How long a client may take to say who it is.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Most clients that are about to say so; others wait.
const HANDSHAKES: usize = 256;

/// Accepts connections over TLS.
pub(crate) struct TlsListener {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    handshakes: JoinSet<Option<(TlsStream<TcpStream>, SocketAddr)>>,
}

impl TlsListener {
    /// On what is listened to, with the certificate of the time.
    ///
    /// # Errors
    /// If this build has no TLS.
    pub(crate) fn new(listener: TcpListener, issued: watch::Receiver<Issued>) -> Result<Self, Error> {
        let provider = Arc::new(ring::default_provider());
        let current = Current { issued, provider: Arc::clone(&provider), read: Mutex::default() };
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut config = config.with_no_client_auth().with_cert_resolver(Arc::new(current));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { listener, acceptor: Arc::new(config).into(), handshakes: JoinSet::new() })
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let has_room = self.handshakes.len() < HANDSHAKES;
            tokio::select! {
                (connection, address) = <TcpListener as Listener>::accept(&mut self.listener), if has_room => {
                    let acceptor = self.acceptor.clone();
                    self.handshakes.spawn(async move {
                        // One that cannot be set is slower, no worse.
                        connection.set_nodelay(true).ok();
                        let accepted = tokio::time::timeout(HANDSHAKE, acceptor.accept(connection)).await;
                        // Whoever does not speak TLS is let go.
                        Some((accepted.ok()?.ok()?, address))
                    });
                }
                Some(done) = self.handshakes.join_next() => {
                    if let Ok(Some(accepted)) = done {
                        return accepted;
                    }
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// The certificate of the time.
struct Current {
    issued: watch::Receiver<Issued>,
    provider: Arc<CryptoProvider>,
    /// The last that was read, by its text.
    read: Mutex<Option<(String, Arc<CertifiedKey>)>>,
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Current")
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let issued = self.issued.borrow();
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.as_ref().is_none_or(|(text, _)| *text != issued.certificate) {
            let certificates = CertificateDer::pem_slice_iter(issued.certificate.as_bytes());
            let certificates = certificates.collect::<Result<Vec<_>, _>>().ok()?;
            let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).ok()?;
            let key = CertifiedKey::from_der(certificates, key, &self.provider).ok()?;
            *read = Some((issued.certificate.clone(), Arc::new(key)));
        }
        read.as_ref().map(|(_, key)| Arc::clone(key))
    }
}
