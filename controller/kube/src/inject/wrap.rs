//! The program's command in a shell that keeps what it prints, and says at its end how it has ended.

use controller_core::process::{quote, under_shell};
use controller_core::sidecar::{EARLY_STOPPED, OUTPUT, marking};
use serde_json::{Value, json};

/// What is to be known of a program to wrap it.
pub(super) struct Wrapping<'a> {
    /// Where its marker lies.
    pub(super) folder: &'a str,
    /// Whether what it prints is kept.
    pub(super) keeps_output: bool,
    /// Whether rules may stop it.
    pub(super) has_rules: bool,
    /// Whether its words are taken as they are; else the shell reads them again, as Katib's does and templates rely on.
    pub(super) literal: bool,
}

/// Wraps a container's command. False if there is none: what its image would start is not known.
pub(super) fn wrap(container: &mut Value, wrapping: &Wrapping<'_>) -> bool {
    let words = |word: &str| -> Vec<String> {
        let items = container.get(word).and_then(Value::as_array).into_iter().flatten();
        items.map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned)).collect()
    };
    let command = words("command");
    if command.is_empty() {
        return false;
    }
    let mut argv = [command, words("args")].concat();
    if wrapping.literal {
        argv = argv.iter().map(|word| quote(word)).collect();
        argv.splice(0..0, ["sh".to_owned(), "-c".to_owned()]);
    }
    let mut shell = under_shell(&argv);
    let Some(body) = shell.pop() else { return false };
    let body = std::iter::once(body).chain(endings(wrapping)).collect::<Vec<_>>().join(" ");
    container["command"] = json!(shell);
    container["args"] = json!([body]);
    true
}

/// What follows the program. In arguments `$$` is `$` to the shell, except that Kubernetes takes `$(` for a variable of its own,
/// knows none such, and leaves everything up to the parenthesis alone: `$$` is the shell's number in both.
fn endings(wrapping: &Wrapping<'_>) -> Vec<String> {
    let folder = wrapping.folder;
    let mut endings = Vec::new();
    if wrapping.keeps_output {
        endings.push(format!("1>{OUTPUT} 2>&1"));
    }
    if wrapping.has_rules {
        endings.push(format!(
            "|| if test -f {folder}/$$$$.pid && [ $(head -n 1 {folder}/$$.pid) = {EARLY_STOPPED} ]; \
             then echo Training Container was Early Stopped; \
             else echo Training Container was Failed; exit 1; fi"
        ));
    }
    endings.push(format!("&& {}/$$$$.pid", marking(folder)));
    endings
}
