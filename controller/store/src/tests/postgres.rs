//! A real PostgreSQL, started once for all tests of this process and stopped with it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use controller_core::ports::Store;

/// A server of the tests' own, in a folder that goes away.
pub(super) struct Server {
    folder: PathBuf,
    bin: PathBuf,
    port: u16,
}

/// The server; `None` if `CAIRN_NO_POSTGRES` says that these tests are to be skipped.
///
/// # Panics
/// If PostgreSQL is not installed.
pub(super) fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER
        .get_or_init(|| {
            if std::env::var_os("CAIRN_NO_POSTGRES").is_some() {
                println!("skipped: CAIRN_NO_POSTGRES is set");
                return None;
            }
            Some(Server::start())
        })
        .as_ref()
}

impl Server {
    fn start() -> Self {
        let bin = find().expect("initdb not found: install PostgreSQL (Debian: apt-get install postgresql) or set CAIRN_NO_POSTGRES=1");
        let folder = std::env::temp_dir().join(format!("cairn-postgres-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Self { folder, bin, port };
        let data = server.folder.join("data");
        if is_root() {
            run(Command::new("chown").arg("nobody").arg(&server.folder));
        }
        run(server.command("initdb").args(["-A", "trust", "-U", "postgres", "--no-sync", "-D"]).arg(&data));
        // It ends when this process does, also if that is killed.
        let watch = format!(
            "while ps -p {} >/dev/null; do sleep 1; done; '{}' -D '{}' -m immediate stop; rm -rf '{}'",
            std::process::id(),
            server.bin.join("pg_ctl").display(),
            data.display(),
            server.folder.display(),
        );
        let options = format!(
            "-p {} -k {} -c listen_addresses=127.0.0.1 -c fsync=off",
            server.port,
            server.folder.display()
        );
        run(server
            .command("pg_ctl")
            .args(["-w", "-l"])
            .arg(server.folder.join("log"))
            .args(["-o", &options, "-D"])
            .arg(&data)
            .arg("start"));
        as_nobody(Command::new("sh").args(["-c", &watch]))
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        server
    }

    fn command(&self, program: &str) -> Command {
        as_nobody(&Command::new(self.bin.join(program)))
    }

    /// A store in a database of its own.
    pub(super) async fn store(&self, database: &str) -> Arc<dyn Store> {
        // Names of databases are cut at 63 bytes; these are unique before that.
        let name = format!("d{:x}_{}", database.len(), &database[..database.len().min(40)]);
        let admin = format!("postgres://postgres@127.0.0.1:{}/postgres", self.port);
        sqlx::any::install_default_drivers();
        let pool = sqlx::AnyPool::connect(&admin).await.unwrap();
        sqlx::query(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&pool).await.unwrap();
        crate::open(&format!("postgres://postgres@127.0.0.1:{}/{name}", self.port)).await.unwrap()
    }
}

fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).find(|folder| folder.join("initdb").exists());
    on_path.or_else(|| {
        let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
        versions.flatten().map(|version| version.path().join("bin")).find(|bin| bin.join("initdb").exists())
    })
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The same command as another user where this one is root, as whom PostgreSQL refuses to run.
fn as_nobody(command: &Command) -> Command {
    if !is_root() {
        let mut same = Command::new(command.get_program());
        same.args(command.get_args());
        return same;
    }
    let mut wrapped = Command::new("setpriv");
    wrapped.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]).arg(command.get_program());
    wrapped.args(command.get_args()).current_dir(Path::new("/"));
    wrapped
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
