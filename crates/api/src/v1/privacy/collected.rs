//! `GET /v1/privacy/collected`

use axum::Json;
use keywright_domain::collected::{COLLECTED, Collected};
use serde::Serialize;
use utoipa::ToSchema;

use crate::openapi::problems;

/// Something that is collected of people.
#[derive(Serialize, ToSchema)]
#[schema(as = Collected)]
pub(crate) struct Row {
    /// What it is.
    #[schema(example = "Name and e-mail address")]
    what: &'static str,
    /// What it is for.
    #[schema(example = "to address people, and to let them sign in")]
    why: &'static str,
    /// How long it is kept.
    #[schema(example = "until the person is erased")]
    until: &'static str,
    /// How it is kept: `sealed`, `digest` or `clear`.
    #[schema(example = "sealed")]
    kept: &'static str,
    /// Where: `table.column`.
    places: Vec<String>,
}

/// All that is collected of people.
#[derive(Serialize, ToSchema)]
pub(crate) struct WhatIsCollected {
    /// What, why, for how long, and where.
    data: Vec<Row>,
}

problems! {}

/// What is collected of people
///
/// Needs no credential. Everything in the database that tells of a person, made of its schema.
#[utoipa::path(
    get, path = "/v1/privacy/collected", operation_id = "what_is_collected", tag = "Privacy", security(()),
    responses((status = 200, description = "What is collected, why, and for how long.", body = WhatIsCollected), Problems),
)]
pub(crate) async fn handler() -> Json<WhatIsCollected> {
    Json(WhatIsCollected { data: COLLECTED.iter().map(Row::from).collect() })
}

impl From<&Collected> for Row {
    fn from(collected: &Collected) -> Self {
        let places = collected.places.iter();
        let places =
            places.flat_map(|(table, columns)| columns.iter().map(move |column| format!("{table}.{column}")));
        Self {
            what: collected.what,
            why: collected.why,
            until: collected.until,
            kept: collected.kept.as_str(),
            places: places.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::harness::{Api, Who};

    #[tokio::test]
    async fn anybody_may_know() {
        let api = Api::start().await;
        let told = api.get(&Who::Anonymous, "/v1/privacy/collected").await.json();
        assert_eq!(told["data"][0]["places"][0], "users.sealed");
        assert_eq!(told["data"][0]["kept"], "sealed");
    }
}
