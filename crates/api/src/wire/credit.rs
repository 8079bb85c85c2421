//! Credit accounts and reservations on the wire.

use keywright_domain::{
    credit::{self, CreditSubject},
    ids::{KeyId, WorkspaceId},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::time::Time;
use crate::{
    error::{ApiError, ErrorCode},
    state::AppState,
    v1::problems,
};

/// A prepaid balance. `granted` is always `balance + held + reserved + spent`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CreditAccount {
    /// The id.
    #[schema(example = "crd_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    pub id: String,
    /// The key whose balance it is, if it is one key's own.
    #[schema(example = json!(null))]
    pub key_id: Option<String>,
    /// The `external_id` whose balance it is otherwise.
    #[schema(example = "cust_42")]
    pub external_id: Option<String>,
    /// What may be spent or reserved.
    #[schema(example = 950)]
    pub balance: u64,
    /// What nodes have drawn and may be spending at this moment. Goes back, or is counted as spent, within a second.
    #[schema(example = 0)]
    pub held: u64,
    /// What is reserved.
    #[schema(example = 0)]
    pub reserved: u64,
    /// What was spent.
    #[schema(example = 50)]
    pub spent: u64,
    /// What was ever granted, refills included.
    #[schema(example = 1_000)]
    pub granted: u64,
    /// The grant that repeats, if there is one.
    pub refill: Option<Refill>,
    /// When the account was opened.
    pub created_at: Time,
}

/// A grant that repeats.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Refill {
    /// Credits per time.
    #[schema(example = 1_000)]
    pub amount: u64,
    /// How often, in seconds.
    #[schema(example = 86_400)]
    pub every_seconds: u32,
    /// The balance is never filled beyond this.
    #[schema(example = 5_000)]
    pub cap: u64,
    /// When the next one is due.
    pub due_at: Time,
}

/// Credits that are set aside.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Reservation {
    /// The id.
    #[schema(example = "rsv_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    pub id: String,
    /// The account.
    #[schema(example = "crd_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    pub account_id: String,
    /// `open`, `committed`, `refunded` or `expired`.
    #[schema(example = "open")]
    pub status: &'static str,
    /// How much was set aside.
    #[schema(example = 20)]
    pub amount: u64,
    /// How much of it was spent. The rest went back.
    #[schema(example = 0)]
    pub spent: u64,
    /// When it was made.
    pub created_at: Time,
    /// When it goes back by itself.
    pub expires_at: Time,
}

/// Whose balance a request names: exactly one of the two.
///
/// # Errors
/// `invalid_field` unless one is named; `not_found` for a key that is not in the workspace.
pub(crate) async fn credit_subject(
    state: &AppState,
    workspace: WorkspaceId,
    key_id: Option<String>,
    external_id: Option<String>,
) -> Result<CreditSubject, ApiError> {
    match (key_id, external_id) {
        (Some(key), None) => {
            let key = KeyId::parse(&key).map_err(|_| ErrorCode::NotFound)?;
            let found = state.store.key(workspace, key).await.map_err(problems::of_store)?;
            found.map(|key| CreditSubject::Key(key.id)).ok_or_else(|| ErrorCode::NotFound.into())
        }
        (None, Some(external)) => Ok(CreditSubject::External(external)),
        _ => Err(ApiError::invalid_field("external_id", "Name either `key_id` or `external_id`.")),
    }
}

impl From<credit::CreditAccount> for CreditAccount {
    fn from(account: credit::CreditAccount) -> Self {
        let (key_id, external_id) = match account.subject {
            CreditSubject::Key(key) => (Some(key.to_string()), None),
            CreditSubject::External(id) => (None, Some(id)),
        };
        Self {
            id: account.id.to_string(),
            key_id,
            external_id,
            balance: account.balance,
            held: account.held,
            reserved: account.reserved,
            spent: account.spent,
            granted: account.granted,
            refill: account.refill.map(|refill| Refill {
                amount: refill.amount,
                every_seconds: refill.every_seconds,
                cap: refill.cap,
                due_at: refill.due_at.into(),
            }),
            created_at: account.created_at.into(),
        }
    }
}

impl From<credit::Reservation> for Reservation {
    fn from(reservation: credit::Reservation) -> Self {
        let (status, spent) = match reservation.state {
            credit::ReservationState::Open => ("open", 0),
            credit::ReservationState::Committed { spent } => ("committed", spent),
            credit::ReservationState::Refunded => ("refunded", 0),
            credit::ReservationState::Expired => ("expired", 0),
        };
        Self {
            id: reservation.id.to_string(),
            account_id: reservation.account.to_string(),
            status,
            amount: reservation.amount,
            spent,
            created_at: reservation.created_at.into(),
            expires_at: reservation.expires_at.into(),
        }
    }
}
