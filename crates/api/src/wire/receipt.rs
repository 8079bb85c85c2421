//! Receipts.

use std::time::Duration;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    cluster::WaitingOn,
    commit::{self, Reached},
    operation, plane,
    prefer::PREFERENCE_APPLIED,
};

/// The header that has the sequence number where an answer has no body.
const SEQUENCE: HeaderName = HeaderName::from_static("x-keywright-sequence");

/// The receipt of a change: from now on, no node goes by the state before it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
#[schema(example = json!({"nodes": 3, "waited_ms": 4.1, "silent": 0}))]
pub struct Effective {
    /// Nodes that have applied the change.
    pub nodes: u32,
    /// How long the call waited for them, in milliseconds.
    pub waited_ms: f64,
    /// Nodes that were not heard of, and that answer nothing any more, because their leases have run out.
    pub silent: u32,
}

/// How far a change is: `effective` or, with status 202, `operation`.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Receipt {
    /// The change's place in the log. Pass it as `min_seq` to be answered by a node that goes by it.
    #[schema(example = 42)]
    pub sequence: u64,
    /// The receipt: what the change took away, no node gives any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective: Option<Effective>,
    /// The change is made, and some nodes may not go by it yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
}

/// A change that some nodes may not go by yet.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Operation {
    /// The id, for `GET /v1/operations/{id}`.
    #[schema(example = "op_000000000002m00g1srf4x7z8a")]
    pub id: String,
    /// `waiting` or `complete`.
    #[schema(example = "waiting")]
    pub status: &'static str,
    /// The change's place in the log.
    #[schema(example = 42)]
    pub sequence: u64,
    /// The nodes that are waited for, as far as they are known.
    pub waiting_on: Vec<WaitingNode>,
    /// In this many milliseconds it is complete at the latest.
    #[schema(example = 37_000)]
    pub complete_by_ms: u64,
    /// The receipt, once it is complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective: Option<Effective>,
}

/// A node that a change waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct WaitingNode {
    /// Its name.
    #[schema(example = "eu-1")]
    pub node: String,
    /// In this many milliseconds it answers nothing from memory any more.
    #[schema(example = 28_500)]
    pub lease_left_ms: u64,
}

impl From<plane::Effective> for Effective {
    fn from(effective: plane::Effective) -> Self {
        let plane::Effective { nodes, waited_ms, silent } = effective;
        Self { nodes, waited_ms, silent }
    }
}

impl From<&commit::Receipt> for Receipt {
    fn from(receipt: &commit::Receipt) -> Self {
        let sequence = receipt.change.sequence;
        match &receipt.reached {
            Reached::Holds(effective) => {
                Self { sequence, effective: Some((*effective).into()), operation: None }
            }
            Reached::Waiting { .. } => Self { sequence, effective: None, operation: Some(receipt.into()) },
        }
    }
}

impl From<&commit::Receipt> for Operation {
    fn from(receipt: &commit::Receipt) -> Self {
        let id = operation::id_of(receipt.change).to_string();
        let sequence = receipt.change.sequence;
        match &receipt.reached {
            Reached::Holds(effective) => Self {
                id,
                status: "complete",
                sequence,
                waiting_on: Vec::new(),
                complete_by_ms: 0,
                effective: Some((*effective).into()),
            },
            Reached::Waiting { on, complete_in } => Self {
                id,
                status: "waiting",
                sequence,
                waiting_on: on.iter().map(WaitingNode::from).collect(),
                complete_by_ms: milliseconds(*complete_in),
                effective: None,
            },
        }
    }
}

impl From<&WaitingOn> for WaitingNode {
    fn from(waiting: &WaitingOn) -> Self {
        Self { node: waiting.node.clone(), lease_left_ms: milliseconds(waiting.lease_left) }
    }
}

/// Rounded up: before that, nothing is promised.
fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// An answer with a receipt: 200, or 202 and where to ask on.
pub(crate) struct Receipted<T> {
    body: Option<T>,
    receipt: commit::Receipt,
}

impl<T: Serialize> Receipted<T> {
    /// An answer with this body, made from the receipt as it goes over the wire.
    pub(crate) fn new(receipt: commit::Receipt, body: impl FnOnce(Receipt) -> T) -> Self {
        Self { body: Some(body(Receipt::from(&receipt))), receipt }
    }
}

impl Receipted<Receipt> {
    /// An answer without a body, unless there is something to wait for.
    pub(crate) const fn empty(receipt: commit::Receipt) -> Self {
        Self { body: None, receipt }
    }
}

impl<T: Serialize> IntoResponse for Receipted<T> {
    fn into_response(self) -> Response {
        let is_waiting = matches!(self.receipt.reached, Reached::Waiting { .. });
        let mut response = match self.body {
            Some(body) => Json(body).into_response(),
            None if is_waiting => Json(Receipt::from(&self.receipt)).into_response(),
            None => StatusCode::NO_CONTENT.into_response(),
        };
        let headers = response.headers_mut();
        headers.insert(SEQUENCE, HeaderValue::from(self.receipt.change.sequence));
        if let Some(applied) = preference_applied(&self.receipt) {
            headers.insert(PREFERENCE_APPLIED, applied);
        }
        if is_waiting {
            let location = format!("/v1/operations/{}", operation::id_of(self.receipt.change));
            headers
                .insert(header::LOCATION, HeaderValue::try_from(location).expect("an id is visible ASCII"));
            *response.status_mut() = StatusCode::ACCEPTED;
        }
        response
    }
}

/// An operation as it is now.
pub(crate) struct OperationAnswer(pub(crate) commit::Receipt);

impl IntoResponse for OperationAnswer {
    fn into_response(self) -> Response {
        let mut response = Json(Operation::from(&self.0)).into_response();
        if let Some(applied) = preference_applied(&self.0) {
            response.headers_mut().insert(PREFERENCE_APPLIED, applied);
        }
        response
    }
}

fn preference_applied(receipt: &commit::Receipt) -> Option<HeaderValue> {
    let value = HeaderValue::try_from(format!("wait={}", receipt.wait_seconds?));
    Some(value.expect("digits are visible ASCII"))
}
