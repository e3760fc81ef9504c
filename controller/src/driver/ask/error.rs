//! Why a question was not answered.

use controller_core::ports::StoreError;
use tonic::{Code, Status};

/// Why a question was not answered.
pub(super) enum AskError {
    /// Asking again later may help.
    Later(Status),
    /// It never will.
    Never(Status),
    /// The store failed.
    Store(StoreError),
}

impl From<Status> for AskError {
    fn from(status: Status) -> Self {
        match status.code() {
            Code::InvalidArgument | Code::Unimplemented | Code::NotFound | Code::PermissionDenied => {
                Self::Never(status)
            }
            _ => Self::Later(status),
        }
    }
}
