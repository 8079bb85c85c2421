//! Asking the store where the lease does not hold.

use keywright_engine::{MissingCredits, MissingShares, Trust};

use crate::{
    cluster::Stale,
    error::{ApiError, ErrorCode},
    state::AppState,
};

/// Why an attempt to answer from memory came to no end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unfinished<E> {
    /// The state in memory may not count as current. Nothing was spent or counted.
    Stale,
    /// A share of a limit has to be drawn first. Nothing was spent or counted.
    Share(Box<MissingShares>),
    /// Credits have to be drawn first. Nothing was spent or counted.
    Credits(Box<MissingCredits>),
    /// Any other failure.
    Failed(E),
}

impl<E> From<E> for Unfinished<E> {
    fn from(error: E) -> Self {
        Self::Failed(error)
    }
}

/// Makes the attempt under the lease; where that does not hold, again when this node has applied everything that was
/// committed before.
///
/// # Errors
/// What the attempt fails with; [`Unfinished::Stale`] if the store cannot be asked.
pub(crate) async fn read_through<T, E>(
    state: &AppState,
    mut attempt: impl FnMut(Trust) -> Result<T, Unfinished<E>>,
) -> Result<T, Unfinished<E>> {
    match attempt(Trust::Lease) {
        Err(Unfinished::Stale) => {}
        finished => return finished,
    }
    state.plane.cluster().fresh().await.map_err(|Stale| Unfinished::Stale)?;
    attempt(Trust::Fresh)
}

impl From<Stale> for ApiError {
    fn from(_stale: Stale) -> Self {
        Self::new(ErrorCode::StaleVerifier).retry_after_seconds(1)
    }
}

impl From<Unfinished<Self>> for ApiError {
    fn from(unfinished: Unfinished<Self>) -> Self {
        match unfinished {
            Unfinished::Stale => Stale.into(),
            Unfinished::Share(_) | Unfinished::Credits(_) => {
                Self::new(ErrorCode::Unavailable).retry_after_seconds(1)
            }
            Unfinished::Failed(error) => error,
        }
    }
}
