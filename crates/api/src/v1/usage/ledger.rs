//! `GET /v1/workspaces/{slug}/keys/{id}/ledger`

use axum::{Json, extract::State};
use keywright_domain::usage;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    actor::{ReadUsage, Scope},
    caps::LEDGER_ROWS_PER_MINUTE_MAX,
    cursor::CursorScope,
    edge::StrictQuery,
    error::{ApiError, ErrorCode},
    openapi::problems,
    state::AppState,
    v1::problems::of_store,
    wire::{KeyPath, LedgerRow, Page, page_limit},
};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Request {
    /// Size of the page; 20 unless given.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// The `cursor` of the page before.
    cursor: Option<String>,
}

problems! { InvalidCursor }

/// The access ledger of a key
///
/// Needs `usage:read`. Who used the key from where for what with which outcome: one row per minute, secret, address,
/// route and outcome, newest minute first.
#[utoipa::path(
    get, path = "/v1/workspaces/{slug}/keys/{id}/ledger", operation_id = "list_key_ledger", tag = "Usage",
    params(KeyPath, Request),
    responses((status = 200, description = "A page of the ledger.", body = Page<LedgerRow>), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<ReadUsage>,
    StrictQuery(request): StrictQuery<Request>,
) -> Result<Json<Page<LedgerRow>>, ApiError> {
    let limit = page_limit(request.limit)?;
    let key = scope.key(&state).await?;
    let cursors = CursorScope::new("ledger", &[&key.id.to_string()]);
    let place = cursors.decode_array(request.cursor.as_deref())?.map(Place::from_bytes).unwrap_or_default();
    if place.skipped > LEDGER_ROWS_PER_MINUTE_MAX {
        return Err(ErrorCode::InvalidCursor.into());
    }
    let before_minute = place.minute.map(|minute| minute.saturating_add(1));
    let asked = place.skipped + limit + 1;
    let rows = state.store.ledger(key.number, before_minute, asked).await.map_err(of_store)?;
    let (rows, next) = cut(rows, place, limit);
    let cursor = next.map(|place| cursors.encode(&place.to_bytes()));
    Ok(Json(Page::new(rows.into_iter().map(LedgerRow::from).collect(), cursor)))
}

/// Where a page ended: so many rows of this minute were shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place {
    minute: Option<i64>,
    skipped: u32,
}

impl Place {
    const LENGTH: usize = 12;

    fn from_bytes(bytes: [u8; Self::LENGTH]) -> Self {
        let (minute, skipped) = bytes.split_first_chunk().expect("12 bytes");
        let skipped = u32::from_be_bytes(skipped.try_into().expect("4 bytes are left"));
        Self { minute: Some(i64::from_be_bytes(*minute)), skipped }
    }

    fn to_bytes(self) -> Vec<u8> {
        [&self.minute.unwrap_or(i64::MAX).to_be_bytes()[..], &self.skipped.to_be_bytes()].concat()
    }
}

/// The rows of one page, and where the next one begins if there is one. `rows` begin with the whole minute of `place`.
fn cut(rows: Vec<usage::LedgerRow>, place: Place, limit: u32) -> (Vec<usage::LedgerRow>, Option<Place>) {
    let skipped = place.skipped as usize;
    let has_more = rows.len() > skipped + limit as usize;
    let shown: Vec<_> = rows.into_iter().skip(skipped).take(limit as usize).collect();
    let Some(last) = shown.last().filter(|_| has_more) else { return (shown, None) };
    let minute = last.minute;
    let of_minute = shown.iter().filter(|row| row.minute == minute).count();
    let before = if place.minute == Some(minute) { place.skipped } else { 0 };
    let of_minute = u32::try_from(of_minute).expect("a page is short");
    (shown, Some(Place { minute: Some(minute), skipped: before + of_minute }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use keywright_domain::{usage::AgentClass, verdict::Code};

    fn row(minute: i64, secret_ordinal: u16) -> usage::LedgerRow {
        usage::LedgerRow {
            minute,
            secret_ordinal,
            address: None,
            route: String::new(),
            code: Code::Valid,
            agent: AgentClass::Unknown,
            count: 1,
        }
    }

    /// As the store answers it.
    fn fetch(ledger: &[usage::LedgerRow], place: Place, limit: u32) -> Vec<usage::LedgerRow> {
        let before = place.minute.map_or(i64::MAX, |minute| minute + 1);
        let rows = ledger.iter().filter(|row| row.minute < before);
        rows.take((place.skipped + limit + 1) as usize).cloned().collect()
    }

    #[test]
    fn pages_show_every_row_once_even_within_one_minute() {
        let minutes = [9, 9, 9, 9, 9, 7, 6, 6, 6, 1];
        let ledger: Vec<_> = (1..).zip(minutes).map(|(ordinal, minute)| row(minute, ordinal)).collect();
        for limit in 1..=11 {
            let (mut place, mut seen) = (Place::default(), Vec::new());
            loop {
                let (rows, next) = cut(fetch(&ledger, place, limit), place, limit);
                assert!(rows.len() <= limit as usize);
                seen.extend(rows);
                let Some(next) = next else { break };
                let bytes: [u8; Place::LENGTH] = next.to_bytes().try_into().unwrap();
                assert_eq!(Place::from_bytes(bytes), next);
                place = next;
            }
            assert_eq!(seen, ledger, "{limit}");
        }
    }
}
