//! Whom a command speaks with.

use std::fs;
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use controller_kube::inject::Settings;

use super::Common;
use super::exit::Wrong;
use super::output::Format;
use crate::Engine;
use crate::api::auth::Token;
use crate::api::client::{Client, encode};
use crate::api::http;
use crate::api::types::{Wished, called};
use crate::config::Config;
use crate::driver;
use crate::router::Home;

/// Whom a command speaks with, and how it answers.
pub(super) struct Connection {
    /// Speaks with the API.
    pub(super) client: Client,
    /// The engine of this process, when no server is asked.
    pub(super) engine: Option<Engine>,
    /// Namespace of experiments.
    pub(super) namespace: String,
    /// How data is written.
    pub(super) format: Format,
}

impl Connection {
    /// To the server that is named, or to an engine in this process.
    pub(super) async fn open(common: &Common) -> anyhow::Result<Self> {
        let Some(url) = &common.server else { return Self::to_engine(common, None).await };
        let token = common.token_file.as_deref().map(Token::read).transpose()?.map(|(_, text)| text);
        let client = Client::there(url, token).map_err(Wrong)?;
        Ok(Self { client, engine: None, namespace: common.namespace.clone(), format: common.output })
    }

    /// To an engine in this process, whose trials reach its API at this address.
    pub(super) async fn at(common: &Common, address: SocketAddr) -> anyhow::Result<Self> {
        Self::to_engine(common, Some(format!("http://{address}"))).await
    }

    async fn to_engine(common: &Common, server: Option<String>) -> anyhow::Result<Self> {
        let engine = Engine::open(&common.config(server)?).await?;
        let client = Client::here(http::router(engine.api.clone()));
        Ok(Self { client, engine: Some(engine), namespace: common.namespace.clone(), format: common.output })
    }

    /// The path of something of an experiment.
    pub(super) fn path(&self, experiment: &str, rest: &str) -> String {
        let separator = if rest.contains('?') { '&' } else { '?' };
        let (experiment, namespace) = (encode(experiment), encode(&self.namespace));
        format!("/api/v1/experiments/{experiment}{rest}{separator}namespace={namespace}")
    }

    /// The experiment as the next command must name it: with its namespace, unless that is the usual one.
    pub(super) fn called(&self, experiment: &str) -> String {
        called(&self.namespace, experiment)
    }

    /// Carries out a wish that leaves nothing running, if it is ours to do: there is no server, and nobody drives.
    /// Returns whether it is done.
    pub(super) async fn carry_out(&self, experiment: &str, wished: &Wished) -> anyhow::Result<bool> {
        let (Some(engine), None) = (&self.engine, &wished.driven_by) else { return Ok(false) };
        let world = &engine.api.world;
        if let Some(record) = world.store.experiment(&self.namespace, experiment).await? {
            driver::drive(world, record.id).await?;
        }
        Ok(true)
    }
}

impl Common {
    /// Where this process keeps things; trials reach its API at `server`.
    pub(super) fn config(&self, server: Option<String>) -> anyhow::Result<Config> {
        let dir = std::path::absolute(&self.dir).context("the working directory is gone")?;
        let (store, router) = (self.store.clone(), self.router.clone());
        Ok(Config { dir, store, server, router, kubernetes: None, quota: None, sidecar: Settings::default() })
    }

    /// Where the router of this folder is, which is to listen at `listen`.
    pub(super) fn home(&self, listen: Option<String>) -> anyhow::Result<Home> {
        let dir = std::path::absolute(&self.dir).context("the working directory is gone")?;
        Ok(Home::new(&dir, listen))
    }
}

/// Reads an Experiment from a file, or from standard input for `-`; also the folder its relative paths start from.
pub(super) fn read_file(path: &str) -> anyhow::Result<(String, PathBuf)> {
    let from_input = path == "-";
    let name = if from_input { "standard input" } else { path };
    let unread = |error: io::Error| Wrong(format!("cannot read {name}: {error}"));
    let mut bytes = Vec::new();
    let most = http::MAX_BODY as u64 + 1;
    let read = if from_input {
        io::stdin().lock().take(most).read_to_end(&mut bytes)
    } else {
        fs::File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes))
    };
    read.map_err(unread)?;
    if bytes.len() > http::MAX_BODY {
        return Err(Wrong(format!("{name} is larger than {}", http::largest_body())).into());
    }
    let text = String::from_utf8(bytes).map_err(|_| {
        Wrong(format!("{name} is not UTF-8 text; an Experiment is a YAML or JSON text in UTF-8"))
    })?;
    let folder = match Path::new(path).parent() {
        Some(parent) if !from_input && !parent.as_os_str().is_empty() => {
            parent.canonicalize().with_context(|| format!("cannot find the folder of {path}"))?
        }
        _ => std::env::current_dir().context("the working directory is gone")?,
    };
    Ok((text, folder))
}
