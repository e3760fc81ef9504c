//! Python with the packages that the stories need, installed once into the build's own folder.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{FlockOperation, flock};

/// The interpreter of an environment with the packages of `tests/requirements/NAME.txt`.
///
/// # Panics
/// If there is no Python 3, or the packages cannot be installed.
pub fn with(name: &str) -> PathBuf {
    let list = crate::workspace().join(format!("tests/requirements/{name}.txt"));
    let wanted = fs::read_to_string(&list).unwrap_or_else(|error| panic!("{}: {error}", list.display()));
    let folder = crate::workspace().join("target/python").join(name);
    fs::create_dir_all(&folder).expect("a folder");
    // Several test programs may come at once.
    let lock = File::create(folder.join("lock")).expect("a file");
    flock(&lock, FlockOperation::LockExclusive).expect("a lock");
    let (python, done) = (folder.join("venv/bin/python"), folder.join("installed.txt"));
    if fs::read_to_string(&done).is_ok_and(|installed| installed == wanted) {
        return python;
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder.join("venv")));
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]).arg(&list);
    run(install.current_dir(crate::workspace()));
    fs::write(done, wanted).expect("a file");
    python
}

/// Whether a module can be imported by the Python that a user has.
pub fn can_import(python: &Path, module: &str) -> bool {
    let find = format!("import importlib.util, sys; sys.exit(importlib.util.find_spec('{module}') is None)");
    Command::new(python).args(["-c", &find]).status().is_ok_and(|status| status.success())
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
