//! Secrets of the install that this Cairn is one of.

use controller_kube::{Cluster, Options};
use rand::TryRng as _;
use rand::rngs::SysRng;

/// What a Secret keeps under a key; of several Cairns the first makes it up.
pub(super) async fn kept(options: &Options, name: &str, key: &str) -> anyhow::Result<String> {
    let mut bits = [0; 32];
    SysRng.try_fill_bytes(&mut bits)?;
    let fresh: String = bits.iter().map(|byte| format!("{byte:02x}")).collect();
    let cluster = Cluster::connect(options).await?;
    let text = cluster.secret(name, key, &fresh).await?;
    Ok(text.trim().to_owned())
}
