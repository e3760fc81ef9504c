//! What this build is, as far as the last bits of a suggestion depend on it.

use std::env::consts::{ARCH, OS};

/// Version, machine and level of vector instructions: the same name, the same numbers. Another level may add in another
/// order, and the last bits differ.
pub fn build() -> String {
    format!("{} {OS}-{ARCH} {}", env!("CARGO_PKG_VERSION"), vectors())
}

/// The widest vector instructions of this processor that a sum may be computed with.
fn vectors() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            return "avx512";
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return "avx2+fma";
        }
        "sse2"
    }
    #[cfg(target_arch = "aarch64")]
    {
        "neon"
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        "scalar"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_is_named_by_version_machine_and_level() {
        let name = build();
        let parts: Vec<&str> = name.split(' ').collect();
        assert_eq!(parts.len(), 3, "{name}");
        assert_eq!((parts[0], build()), (env!("CARGO_PKG_VERSION"), name.clone()));
    }
}
