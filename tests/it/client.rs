//! The Python client against a real server, from scripts and from a real headless notebook.

use std::process::Command;

#[test]
fn the_python_client_passes_its_own_tests() {
    let python = e2e::python::with("client");
    let mut pytest = Command::new(python);
    pytest.args(["-m", "pytest", "-q", "-x", "proto/python/tests"]).current_dir(e2e::workspace());
    let output = pytest.env("CAIRN_BIN", e2e::cairn::binary()).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&text));
}
