//! A real PostgreSQL of the tests' own, in a folder that goes away.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// A server.
#[derive(Debug)]
pub struct Server {
    folder: PathBuf,
    bin: PathBuf,
    port: u16,
}

/// The server that all tests of this process share, started once; it ends with the process.
///
/// # Panics
/// If PostgreSQL is not installed.
pub fn shared() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(Server::start)
}

impl Server {
    /// Starts a server on a free port.
    ///
    /// # Panics
    /// If PostgreSQL is not installed, or does not start.
    pub fn start() -> Self {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let bin = find().expect("initdb not found: install PostgreSQL (Debian: apt-get install postgresql)");
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("cairn-postgres-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let server = Self { folder, bin, port: free.expect("a free port").port() };
        if is_root() {
            run(Command::new("chown").arg("nobody").arg(&server.folder));
        }
        let data = server.data();
        run(server.command("initdb").args(["-A", "trust", "-U", "postgres", "--no-sync", "-D"]).arg(&data));
        server.up();
        // It ends when this process does, also if that is killed.
        let watch = format!(
            "while ps -p {} >/dev/null; do sleep 1; done; '{}' -D '{}' -m immediate stop; rm -rf '{}'",
            std::process::id(),
            server.bin.join("pg_ctl").display(),
            data.display(),
            server.folder.display(),
        );
        let mut watcher = as_nobody(Command::new("sh").args(["-c", &watch]));
        watcher.stdout(Stdio::null()).stderr(Stdio::null());
        #[expect(clippy::zombie_processes, reason = "it outlives this process, to clean up after it")]
        watcher.spawn().expect("sh is there");
        server
    }

    /// Starts it again after [`Server::down`].
    ///
    /// # Panics
    /// If it does not start.
    pub fn up(&self) {
        let options = format!(
            "-p {} -k {} -c listen_addresses=127.0.0.1 -c fsync=off",
            self.port,
            self.folder.display()
        );
        let mut start = self.command("pg_ctl");
        start.args(["-w", "-l"]).arg(self.folder.join("log")).args(["-o", &options, "-D"]).arg(self.data());
        run(start.arg("start"));
    }

    /// Stops it as a crash would.
    ///
    /// # Panics
    /// If it does not run.
    pub fn down(&self) {
        run(self.command("pg_ctl").args(["-m", "immediate", "-D"]).arg(self.data()).arg("stop"));
    }

    /// A new database: its address as Cairn takes it.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn database(&self, name: &str) -> String {
        let port = self.port.to_string();
        let own = own(name);
        run(self.command("createdb").args(["-h", "127.0.0.1", "-U", "postgres", "-p", &port, &own]));
        self.address(name)
    }

    /// The address of a database that was made.
    pub fn address(&self, name: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{}", self.port, own(name))
    }

    /// The same by a file, for who is in a network of its own.
    pub fn local_address(&self, name: &str) -> String {
        let folder = self.folder.display();
        format!("postgres://postgres@localhost:{}/{}?host={folder}", self.port, own(name))
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn command(&self, program: &str) -> Command {
        as_nobody(&Command::new(self.bin.join(program)))
    }
}

/// What a database is called: names are cut at 63 bytes, these are unique before that.
fn own(name: &str) -> String {
    format!("d{:x}_{}", name.len(), &name[..name.len().min(40)])
}

fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Where `initdb` is linked elsewhere, `pg_ctl` may not be.
    let has_all = |bin: &PathBuf| ["initdb", "pg_ctl", "createdb"].iter().all(|name| bin.join(name).exists());
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|versions| versions.flatten().map(|version| version.path().join("bin")).collect())
        .unwrap_or_default();
    versions.sort();
    std::env::split_paths(&path).chain(versions.into_iter().rev()).find(has_all)
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
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
