//! Who this process is among those that would act upon a cluster.

use controller_kube::Candidate;
use rustix::process::getpid;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::local::Identity;

/// Characters of a digest that tell two processes of one name apart.
const DIGITS: usize = 8;

/// A process, and the place in which its number means it: a container has numbers of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Process {
    namespace: String,
    #[serde(flatten)]
    identity: Identity,
}

/// This process, on this machine or in this pod.
pub(crate) fn candidate(host: &str) -> Candidate {
    let own = Identity::of(getpid()).map(|identity| Process { namespace: namespace(), identity });
    let process = own.and_then(|own| serde_json::to_string(&own).ok()).unwrap_or_default();
    let digest: String =
        Sha256::digest(format!("{host} {process}")).iter().map(|b| format!("{b:02x}")).collect();
    Candidate { name: format!("{host}-{}", &digest[..DIGITS]), process, is_dead }
}

/// Whether a process of this machine has ended; of others nobody here can tell.
fn is_dead(process: &str) -> bool {
    let Ok(process) = serde_json::from_str::<Process>(process) else { return false };
    let is_here = process.namespace == namespace() && process.identity.is_of_this_boot();
    is_here && process.identity.alive().is_none()
}

/// In which numbers of processes mean the same; empty where they do everywhere.
fn namespace() -> String {
    let link = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    link.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_dead_only_if_that_can_be_told_here() {
        let own = candidate("host");
        assert!(!(own.is_dead)(&own.process), "{}", own.process);
        let own: Process = serde_json::from_str(&own.process).unwrap();
        let text = |process: &Process| serde_json::to_string(process).unwrap();
        let begun = |start: &str| Identity { start: start.into(), ..own.identity.clone() };
        let earlier = Process { identity: begun("1"), ..own.clone() };
        assert!(is_dead(&text(&earlier)), "another had its number before");
        let container = Process { namespace: "pid:[1]".into(), ..earlier.clone() };
        assert!(!is_dead(&text(&container)));
        let machine = Identity { boot: "another".into(), ..begun("1") };
        assert!(!is_dead(&text(&Process { identity: machine, ..earlier })));
        assert!(!is_dead("") && !is_dead("{}"));
    }

    #[test]
    fn hosts_of_one_name_are_told_apart_by_their_processes() {
        assert_eq!(candidate("a").name, candidate("a").name);
        assert_ne!(candidate("a").name, candidate("b").name);
        assert!(candidate("a").name.starts_with("a-"));
    }
}
