//! The controller's door: where it is, and by what it knows who speaks.

use std::path::PathBuf;
use std::time::Duration;

use controller_core::run::RunId;
use proto::cairn as wire;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status};

/// How long making a line may take. A node or pod that has died does not refuse one, it is silent.
const CONNECT: Duration = Duration::from_secs(5);
/// How often it is looked whether the other side is still there, and how long it may take to say so.
const ALIVE: Duration = Duration::from_secs(5);

/// The way to the controller.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    server: Endpoint,
    token: Option<PathBuf>,
}

/// Who speaks.
pub(crate) fn hello(run: RunId, namespace: &str, trial: &str) -> wire::Hello {
    wire::Hello {
        experiment: run.experiment.0,
        trial: run.trial.0,
        attempt: run.attempt,
        namespace: namespace.to_owned(),
        trial_name: trial.to_owned(),
    }
}

impl Door {
    /// To a server such as `https://cairn.cairn-system.svc:6790`, known by these authorities.
    pub(crate) fn new(
        server: &str,
        token: Option<PathBuf>,
        authority: Option<&str>,
    ) -> Result<Self, tonic::transport::Error> {
        let server = Endpoint::from_shared(server.to_owned())?
            .connect_timeout(CONNECT)
            .http2_keep_alive_interval(ALIVE)
            .keep_alive_timeout(ALIVE)
            .keep_alive_while_idle(true);
        let server = match authority {
            Some(pem) if server.uri().scheme_str() == Some("https") => {
                let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem));
                server.tls_config(tls)?
            }
            _ => server,
        };
        Ok(Self { server, token })
    }

    /// A new line.
    pub(crate) async fn connect(&self) -> Result<Channel, Status> {
        self.server.connect().await.map_err(|error| Status::unavailable(in_full(&error)))
    }

    /// A request with the token as it is now: a cluster writes a new one before the old one ends.
    pub(crate) fn request<T>(&self, message: T) -> Result<Request<T>, Status> {
        let mut request = Request::new(message);
        if let Some(token) = self.token()? {
            request.metadata_mut().insert("authorization", token);
        }
        Ok(request)
    }

    fn token(&self) -> Result<Option<AsciiMetadataValue>, Status> {
        let Some(path) = &self.token else { return Ok(None) };
        let wrong = |why: String| Status::unauthenticated(format!("token file {}: {why}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        let value = format!("Bearer {}", text.trim());
        value.parse().map(Some).map_err(|_| wrong("it holds what is no token".into()))
    }
}

/// An error with its causes.
fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
