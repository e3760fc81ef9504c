//! A database of its own for each test, on a real PostgreSQL.

use std::sync::Arc;

use controller_core::ports::Store;

/// A store in a new database; `None` if `CAIRN_NO_POSTGRES` says that these tests are to be skipped.
pub(super) async fn store(database: &str) -> Option<Arc<dyn Store>> {
    if std::env::var_os("CAIRN_NO_POSTGRES").is_some() {
        e2e::skipped("PostgreSQL: CAIRN_NO_POSTGRES is set");
        return None;
    }
    let url = e2e::postgres::shared().database(database);
    Some(crate::open(&url).await.unwrap())
}
