//! Who may speak with this server: anybody on this machine by default; elsewhere whoever holds the token.
//!
//! Host and Origin are checked, so that a web page cannot reach a server on loopback through a name that it controls.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use super::service::{ApiError, Code};

/// Shortest token.
const MIN_TOKEN: usize = 16;
/// Needs no token.
const TOKENLESS: [&str; 2] = ["/api.v1.beta1.DBManager/ReportObservationLog", "/healthz"];

/// Programs of trials report without a token, Katib's and ours; the calls themselves take names of running trials only.
fn is_tokenless(path: &str) -> bool {
    let reports = path.strip_prefix("/api/v1/trials/").and_then(|rest| rest.strip_suffix("/observations"));
    TOKENLESS.contains(&path) || reports.is_some_and(|name| !name.is_empty() && !name.contains('/'))
}

/// Why a token cannot be used.
#[derive(Debug, Error)]
pub(crate) enum TokenError {
    /// The file cannot be read.
    #[error("token file {path} cannot be read")]
    Read {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others may read it.
    #[error(
        "token file {path} has mode {mode:04o}; it must be readable by its owner alone: `chmod 600 {path}`"
    )]
    Mode {
        /// Which.
        path: String,
        /// What it is.
        mode: u32,
    },
    /// It is no secret.
    #[error(
        "token file {path} holds fewer than {MIN_TOKEN} characters; `openssl rand -hex 32 > {path}` makes a good one"
    )]
    Short {
        /// Which.
        path: String,
    },
    /// Without one, only this machine may be served.
    #[error(
        "listening on {0} needs a token: --token-file FILE (mode 0600); without one only 127.0.0.1 and [::1] are served"
    )]
    Missing(SocketAddr),
}

/// A secret; only its digest is kept.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token([u8; 32]);

impl Token {
    /// The token of a file that nobody else may read.
    pub(crate) fn read(path: &Path) -> Result<(Self, String), TokenError> {
        let name = path.display().to_string();
        let read = |source| TokenError::Read { path: name.clone(), source };
        let mode = fs::metadata(path).map_err(read)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(TokenError::Mode { path: name, mode });
        }
        let text = fs::read_to_string(path).map_err(read)?.trim().to_owned();
        if text.len() < MIN_TOKEN {
            return Err(TokenError::Short { path: name });
        }
        Ok((Self::of(&text), text))
    }

    /// The token of a text.
    pub(crate) fn of(text: &str) -> Self {
        // Digests are compared, so how long a comparison takes says nothing of the token.
        Self(Sha256::digest(text).into())
    }
}

/// What is let in.
pub(crate) struct Guard {
    token: Option<Token>,
    hosts: Vec<String>,
    /// Paths whose own services ask who comes.
    guarded_within: Vec<&'static str>,
}

impl Guard {
    /// The guard of an address. `hosts` are names beside this machine's addresses under which it is reached.
    pub(crate) fn new(
        listen: SocketAddr,
        token: Option<Token>,
        hosts: Vec<String>,
    ) -> Result<Self, TokenError> {
        if !listen.ip().is_loopback() && token.is_none() {
            return Err(TokenError::Missing(listen));
        }
        Ok(Self { token, hosts, guarded_within: Vec::new() })
    }

    /// Leaves a path to its service, which asks for tokens of another kind.
    pub(crate) fn leave(mut self, path: &'static str) -> Self {
        self.guarded_within.push(path);
        self
    }

    fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
        let forbidden = |what: &str, host: &str| {
            let message =
                format!("{what} `{host}` is not served here; `cairn serve --allow-host NAME` lets a name in");
            ApiError::new(Code::Forbidden, message)
        };
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let host = uri.authority().map(axum::http::uri::Authority::as_str).or_else(|| text(header::HOST));
        let host = host.unwrap_or_default();
        if !self.knows(host) {
            return Err(forbidden("host", host));
        }
        if let Some(origin) = headers.get(header::ORIGIN) {
            let origin = origin.to_str().unwrap_or_default();
            let of_page = origin.split_once("://").map(|(_, host)| host);
            if of_page.is_none_or(|of_page| of_page != host) {
                return Err(forbidden("origin", origin));
            }
        }
        let Some(token) = &self.token else { return Ok(()) };
        if is_tokenless(uri.path()) || self.guarded_within.contains(&uri.path()) {
            return Ok(());
        }
        let sent = text(header::AUTHORIZATION).and_then(|value| value.split_once(' '));
        match sent {
            Some((scheme, sent))
                if scheme.eq_ignore_ascii_case("bearer") && Token::of(sent.trim()) == *token =>
            {
                Ok(())
            }
            _ => {
                let message =
                    "a token is needed: `Authorization: Bearer TOKEN` (the command line takes --token-file)";
                Err(ApiError::new(Code::Unauthorized, message))
            }
        }
    }

    /// Addresses cannot be rebound, `localhost` is this machine, and other names must be allowed.
    fn knows(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        match bare.parse::<IpAddr>() {
            Ok(address) => self.token.is_some() || address.is_loopback(),
            Err(_) => name == "localhost" || self.hosts.iter().any(|host| host == name),
        }
    }
}

/// Lets in what the guard lets in.
pub(crate) fn guarded(router: Router, guard: Guard) -> Router {
    router.layer(middleware::from_fn_with_state(Arc::new(guard), admit))
}

async fn admit(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    match guard.check(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => {
            let kind = request.headers().get(header::CONTENT_TYPE);
            if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) {
                let code = if error.code == Code::Unauthorized {
                    tonic::Code::Unauthenticated
                } else {
                    tonic::Code::PermissionDenied
                };
                return tonic::Status::new(code, error.message).into_http::<axum::body::Body>();
            }
            error.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "127.0.0.1:7700";
    const SECRET: &str = "0123456789abcdef";

    fn guard(listen: &str, token: bool) -> Guard {
        let token = token.then(|| Token::of(SECRET));
        Guard::new(listen.parse().unwrap(), token, vec!["cairn.example".into()]).unwrap()
    }

    fn check(guard: &Guard, path: &str, headers: &[(header::HeaderName, &str)]) -> Result<(), Code> {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        guard.check(&path.parse().unwrap(), &headers).map_err(|error| error.code)
    }

    #[test]
    fn another_address_than_loopback_needs_a_token() {
        assert!(Guard::new("0.0.0.0:7700".parse().unwrap(), None, Vec::new()).is_err());
        assert!(Guard::new("[::1]:7700".parse().unwrap(), None, Vec::new()).is_ok());
    }

    #[test]
    fn names_that_others_control_are_refused() {
        let guard = guard(HERE, false);
        for host in ["localhost:7700", "127.0.0.1:7700", "[::1]:7700", "cairn.example"] {
            assert_eq!(check(&guard, "/", &[(header::HOST, host)]), Ok(()), "{host}");
        }
        for host in ["evil.example:7700", "192.0.2.1", "", "localhost.evil.example"] {
            assert_eq!(check(&guard, "/", &[(header::HOST, host)]), Err(Code::Forbidden), "{host}");
        }
    }

    #[test]
    fn pages_of_other_origins_are_refused() {
        let guard = guard(HERE, false);
        let with = |origin| check(&guard, "/", &[(header::HOST, HERE), (header::ORIGIN, origin)]);
        assert_eq!(with("http://127.0.0.1:7700"), Ok(()));
        assert_eq!(with("http://evil.example"), Err(Code::Forbidden));
        assert_eq!(with("http://127.0.0.1:8080"), Err(Code::Forbidden));
        assert_eq!(with("null"), Err(Code::Forbidden));
    }

    #[test]
    fn the_token_is_wanted_of_all_but_a_running_trial() {
        let guard = guard("0.0.0.0:7700", true);
        let host = (header::HOST, "192.0.2.7:7700");
        let bearer = format!("Bearer {SECRET}");
        assert_eq!(check(&guard, "/api/v1/version", std::slice::from_ref(&host)), Err(Code::Unauthorized));
        assert_eq!(
            check(&guard, "/", &[host.clone(), (header::AUTHORIZATION, "Bearer wrong")]),
            Err(Code::Unauthorized)
        );
        assert_eq!(check(&guard, "/", &[host.clone(), (header::AUTHORIZATION, &bearer)]), Ok(()));
        let of = |path| check(&guard, path, std::slice::from_ref(&host));
        assert_eq!(of(TOKENLESS[0]), Ok(()));
        assert_eq!(of("/api/v1/trials/a-b2c4d5f6/observations"), Ok(()));
        assert_eq!(of("/api/v1/trials//observations"), Err(Code::Unauthorized));
        assert_eq!(of("/api/v1/trials/a/b/observations"), Err(Code::Unauthorized));
        assert_eq!(of("/own"), Err(Code::Unauthorized));
        let guard = guard.leave("/own");
        assert_eq!(check(&guard, "/own", std::slice::from_ref(&host)), Ok(()));
        assert_eq!(check(&guard, "/own/more", std::slice::from_ref(&host)), Err(Code::Unauthorized));
    }

    #[test]
    fn a_token_that_others_can_read_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), format!("{SECRET}\n")).unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o600)).unwrap();
        assert!(Token::read(file.path()).unwrap().0 == Token::of(SECRET));
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Token::read(file.path()), Err(TokenError::Mode { mode: 0o640, .. })));
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(file.path(), "short").unwrap();
        assert!(matches!(Token::read(file.path()), Err(TokenError::Short { .. })));
    }
}
