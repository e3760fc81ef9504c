//! What this machine has to give.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::slots::{Wants, cpus, distinct, gibibytes};

/// How long `nvidia-smi` may take; a driver in trouble lets it hang.
const NVIDIA_SMI_AT_MOST: Duration = Duration::from_secs(10);

/// What this machine has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Capacity {
    /// Devices, as they are named in `CUDA_VISIBLE_DEVICES`.
    pub(crate) gpus: Vec<String>,
    /// Whether they are numbers in the order of the bus, as `nvidia-smi` has it.
    pub(crate) by_index: bool,
    /// Thousandths of CPUs.
    pub(crate) cpu_milli: u64,
    /// Bytes.
    pub(crate) memory: u64,
}

impl Capacity {
    /// Looks at the machine. May take seconds where `nvidia-smi` does.
    pub(crate) fn discover() -> Self {
        let visible = std::env::var("CUDA_VISIBLE_DEVICES").ok();
        let by_index = visible.is_none();
        let gpus = visible.map_or_else(gpus_of_nvidia_smi, |list| visible_gpus(&list));
        let cpu_milli = std::thread::available_parallelism().map_or(1, |n| n.get() as u64) * 1000;
        Self { gpus, by_index, cpu_milli, memory: memory().unwrap_or(u64::MAX) }
    }

    /// Why this can never be had here, if it cannot.
    pub(crate) fn refusal(&self, wants: &Wants) -> Option<String> {
        if wants.gpus > 0 && self.gpus.is_empty() {
            return Some(format!(
                "wants {} GPU and this machine has none that Cairn can see (neither CUDA_VISIBLE_DEVICES nor nvidia-smi \
                 names one); remove `nvidia.com/gpu` from the resources to run without",
                wants.gpus
            ));
        }
        if wants.gpus > self.gpus.len() as u64 {
            return Some(format!("wants {} GPUs and this machine has {}", wants.gpus, self.gpus.len()));
        }
        if wants.cpu_milli > self.cpu_milli {
            return Some(format!(
                "wants {} CPU and this machine has {}",
                cpus(wants.cpu_milli),
                cpus(self.cpu_milli)
            ));
        }
        if wants.memory > self.memory {
            let (wanted, all) = (gibibytes(wants.memory), gibibytes(self.memory));
            return Some(format!("wants {wanted} Gi of memory and this machine has {all} Gi"));
        }
        None
    }
}

/// Devices of `CUDA_VISIBLE_DEVICES`: as CUDA reads it, up to the first entry that is none.
fn visible_gpus(list: &str) -> Vec<String> {
    let entries = list.split(',').map(|entry| entry.trim().to_owned());
    distinct(entries.take_while(|entry| !entry.is_empty() && !entry.starts_with('-') && entry != "none"))
}

/// Devices that `nvidia-smi` lists; none where there is no such program, it fails or it hangs.
fn gpus_of_nvidia_smi() -> Vec<String> {
    let mut command = Command::new("nvidia-smi");
    command.args(["--query-gpu=index,uuid", "--format=csv,noheader"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let Ok(mut child) = command.spawn() else {
        return Vec::new();
    };
    let until = Instant::now() + NVIDIA_SMI_AT_MOST;
    while matches!(child.try_wait(), Ok(None)) {
        if Instant::now() >= until {
            child.kill().ok();
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().ok().filter(|output| output.status.success()).map_or_else(Vec::new, |output| {
        let text = String::from_utf8_lossy(&output.stdout);
        let index = |line: &str| line.split(',').next().map(|index| index.trim().to_owned());
        distinct(text.lines().filter_map(index).filter(|index| index.parse::<u32>().is_ok()))
    })
}

/// Memory of the machine, or of the control group that this process lives in.
#[cfg(target_os = "linux")]
fn memory() -> Option<u64> {
    let info = fs::read_to_string("/proc/meminfo").ok()?;
    let line = info.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let total = line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024;
    let group = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let group = group.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default().to_owned();
    let limit = fs::read_to_string(format!("/sys/fs/cgroup/{group}/memory.max"));
    let limit = limit.ok().and_then(|text| text.trim().parse::<u64>().ok());
    Some(limit.map_or(total, |limit| limit.min(total)))
}

#[cfg(not(target_os = "linux"))]
fn memory() -> Option<u64> {
    super::processes::output_of("sysctl", &["-n", "hw.memsize"])?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visible_devices_are_read_as_cuda_reads_them() {
        assert_eq!(visible_gpus("0,2, 3"), ["0", "2", "3"]);
        assert_eq!(visible_gpus("GPU-1a,GPU-1a"), ["GPU-1a"]);
        assert_eq!(visible_gpus("1,-1,2"), ["1"]);
        assert!(visible_gpus("").is_empty() && visible_gpus("-1").is_empty());
    }

    #[test]
    fn a_machine_refuses_what_it_will_never_have() {
        let machine = Capacity { gpus: vec!["0".into()], by_index: true, cpu_milli: 2000, memory: 1 << 30 };
        let refusal = |gpus, cpu_milli, memory| machine.refusal(&Wants { gpus, cpu_milli, memory });
        assert_eq!(refusal(1, 2000, 1 << 30), None);
        assert_eq!(refusal(2, 0, 0).unwrap(), "wants 2 GPUs and this machine has 1");
        assert_eq!(refusal(0, 2500, 0).unwrap(), "wants 2.5 CPU and this machine has 2");
        assert_eq!(refusal(0, 0, 1 << 31).unwrap(), "wants 2 Gi of memory and this machine has 1 Gi");
        assert!(
            Capacity::default()
                .refusal(&Wants { gpus: 1, ..Wants::default() })
                .unwrap()
                .contains("nvidia-smi")
        );
    }

    #[test]
    fn this_machine_has_something() {
        let machine = Capacity::discover();
        assert!(machine.cpu_milli >= 1000 && machine.memory > 1 << 20);
    }
}
