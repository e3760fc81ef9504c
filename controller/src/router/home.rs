//! The folder by which controller and router speak with each other.
//!
//! `routes/` has a file for each model, written anew by rename; `log/` a folder for each model whose requests are kept;
//! `address` is where the router listens, `version` which Cairn it is of; `lock` is held by it; at `door` it hands its socket over to the next.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use controller_core::spec::{CompareSpec, LogSpec};
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

/// Where models are served unless somebody says otherwise.
const USUAL: &str = "127.0.0.1:7800";

/// Which Cairn this is.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How the requests of a model are split.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Routes {
    /// Namespace of the model.
    pub(crate) namespace: String,
    /// The model.
    pub(crate) model: String,
    /// The path under which it is reached.
    pub(crate) path: String,
    /// Goes up with each change.
    pub(crate) generation: u64,
    /// The header by whose value requests are told apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sticky: Option<String>,
    /// Which requests are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) log: Option<LogSpec>,
    /// How answers to copies are compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) compare: Option<CompareSpec>,
    /// The servers.
    pub(crate) backends: Vec<Backend>,
}

/// A server and its share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Backend {
    /// Name of the deployment.
    pub(crate) name: String,
    /// Host and port.
    pub(crate) address: String,
    /// Its share in percent.
    pub(crate) weight: u32,
    /// Host and port at which it speaks gRPC, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) grpc: Option<String>,
    /// Whether it gets a copy of each request.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) shadow: bool,
}

/// The folder.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    dir: PathBuf,
    /// The address that somebody wants.
    wanted: Option<String>,
}

impl Home {
    /// The one in the folder of a Cairn.
    pub(crate) fn new(dir: &Path, wanted: Option<String>) -> Self {
        Self { dir: dir.join("router"), wanted }
    }

    /// Writes how a model's requests are split, unless it stands there already.
    pub(crate) fn write(&self, routes: &Routes) -> io::Result<()> {
        if self.has(routes) {
            return Ok(());
        }
        let mut text = serde_json::to_vec_pretty(routes).map_err(io::Error::other)?;
        text.push(b'\n');
        fs::create_dir_all(self.dir.join("routes"))?;
        replace(&self.file(routes), &text)
    }

    /// Whether it stands there how a model's requests are split.
    pub(crate) fn has(&self, routes: &Routes) -> bool {
        let there = fs::read(self.file(routes)).ok();
        there
            .and_then(|text| serde_json::from_slice(&text).ok())
            .is_some_and(|there: Routes| there == *routes)
    }

    fn file(&self, routes: &Routes) -> PathBuf {
        self.dir.join("routes").join(format!("{}.{}.json", routes.namespace, routes.model))
    }

    /// How the requests of all models are split.
    pub(crate) fn read(&self) -> io::Result<Vec<Routes>> {
        let mut all: Vec<Routes> = Vec::new();
        let entries = match fs::read_dir(self.dir.join("routes")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(all),
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                all.push(serde_json::from_slice(&fs::read(path)?)?);
            }
        }
        all.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(all)
    }

    /// The lock of the router of this folder; `None` if there is one already.
    pub(crate) fn lock(&self) -> io::Result<Option<File>> {
        fs::create_dir_all(&self.dir)?;
        let file = File::options().create(true).append(true).open(self.dir.join("lock"))?;
        // Someone may hold it for a moment to see whether there is a router, so it is tried for a while.
        for _ in 0..20 {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Some(file)),
                Err(Errno::WOULDBLOCK) => std::thread::sleep(std::time::Duration::from_millis(5)),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }

    /// Whether there is a router.
    pub(crate) fn is_alive(&self) -> bool {
        File::open(self.dir.join("lock")).is_ok_and(|file| {
            // Shared, so that those who only look do not see each other.
            rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK)
        })
    }

    /// The folder of a model whose requests are kept.
    pub(crate) fn log(&self, namespace: &str, model: &str) -> PathBuf {
        self.dir.join("log").join(format!("{namespace}.{model}"))
    }

    /// Says where the router listens.
    pub(crate) fn say_address(&self, address: &str) -> io::Result<()> {
        replace(&self.dir.join("address"), address.as_bytes())
    }

    /// Says that the router is of this Cairn.
    pub(super) fn say_version(&self) -> io::Result<()> {
        replace(&self.dir.join("version"), VERSION.as_bytes())
    }

    /// Which Cairn the router is of, if it says so.
    pub(crate) fn version(&self) -> Option<String> {
        fs::read_to_string(self.dir.join("version")).ok()
    }

    /// Where the router listens, or has listened last.
    pub(crate) fn address(&self) -> Option<String> {
        fs::read_to_string(self.dir.join("address")).ok()
    }

    /// Where a router of this folder is to listen: where somebody wants it, else where it was before, since models keep
    /// their address, else the usual place, else any.
    pub(crate) fn place(&self) -> String {
        let free = |address: &str| std::net::TcpListener::bind(address).is_ok();
        let (any, named): (Vec<_>, Vec<_>) = self.wanted.iter().partition(|address| address.ends_with(":0"));
        let chosen = named.into_iter().next().cloned().or_else(|| self.address());
        let chosen = chosen.or_else(|| any.into_iter().next().cloned());
        chosen.unwrap_or_else(|| if free(USUAL) { USUAL.into() } else { "127.0.0.1:0".into() })
    }

    /// The socket at which a router hands over to the next.
    pub(super) fn door(&self) -> PathBuf {
        self.dir.join("door")
    }

    /// The folder of the Cairn that it belongs to.
    pub(crate) fn owner(&self) -> &Path {
        self.dir.parent().unwrap_or(&self.dir)
    }
}

/// Writes a file in place of any other, at once.
pub(crate) fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    fs::write(&temporary, text)?;
    fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_the_lock_tells_of_a_router() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path(), None);
        assert_eq!((home.read().unwrap(), home.is_alive(), home.address()), (vec![], false, None));
        let routes = Routes { namespace: "default".into(), model: "digits".into(), ..Routes::default() };
        home.write(&routes).unwrap();
        home.write(&Routes { generation: 2, ..routes.clone() }).unwrap();
        assert_eq!(home.read().unwrap(), [Routes { generation: 2, ..routes }]);
        let lock = home.lock().unwrap();
        assert!(lock.is_some() && home.is_alive() && home.lock().unwrap().is_none());
        drop(lock);
        assert!(!home.is_alive());
        home.say_address("127.0.0.1:5").unwrap();
        assert_eq!(home.place(), "127.0.0.1:5");
        let wanted = |address: &str| Home::new(folder.path(), Some(address.into())).place();
        assert_eq!((wanted("0.0.0.0:0"), wanted("0.0.0.0:6")), ("127.0.0.1:5".into(), "0.0.0.0:6".into()));
    }
}
