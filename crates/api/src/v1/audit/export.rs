//! The audit trail as lines of JSON (`application/x-ndjson`).
//!
//! `{"type": "entry", "sequence", "hash", "body", "personal"}` with the body byte for byte as it was hashed, in a string;
//! `{"type": "checkpoint", …}`; at the end `{"type": "end", "entries": n}`. A failure on the way breaks the answer off
//! before that line.

use std::{collections::VecDeque, io};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, header};
use keywright_domain::{
    audit::{self, StoredEntry},
    ids::WorkspaceId,
    query::AuditQuery,
};
use serde_json::json;

use crate::{
    caps::EXPORT_BATCH_ENTRIES,
    error::ApiError,
    state::AppState,
    v1::problems::of_store,
    wire::{Checkpoint, hex},
};

pub(super) const MEDIA_TYPE: &str = "application/x-ndjson";

/// Which entries.
pub(super) struct Wanted {
    /// Of one workspace, or of the installation.
    pub(super) workspace: Option<WorkspaceId>,
    /// The target's id.
    pub(super) target: Option<String>,
    /// The action.
    pub(super) action: Option<String>,
}

/// The export as an answer. The first batch is read before it begins, so that a store that is down is told honestly.
pub(super) async fn respond(state: AppState, wanted: Wanted) -> Result<Response, ApiError> {
    let checkpoints = state.store.checkpoints().await.map_err(of_store)?;
    let mut export = Export { state, wanted, checkpoints, place: None, at_end: false, entries: 0 };
    let first = export.next_batch().await?;
    let lines = stream::unfold((export, VecDeque::from([first])), async |(mut export, mut ready)| {
        if let Some(batch) = ready.pop_front() {
            return Some((Ok(batch), (export, ready)));
        }
        match export.rest().await {
            Ok(Some(batch)) => Some((Ok(batch), (export, ready))),
            Ok(None) => None,
            Err(error) => {
                let context = error.internal_context();
                tracing::error!(code = error.code().slug(), context, "an audit export broke off");
                export.at_end = true;
                export.checkpoints.clear();
                Some((Err(io::Error::other("the export broke off")), (export, ready)))
            }
        }
    });
    let mut response = Body::from_stream(lines).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    Ok(response)
}

struct Export {
    state: AppState,
    wanted: Wanted,
    checkpoints: Vec<audit::Checkpoint>,
    /// Sequence of the last entry that was read.
    place: Option<u64>,
    at_end: bool,
    entries: u64,
}

impl Export {
    /// The next lines; nothing after the last one.
    async fn rest(&mut self) -> Result<Option<Bytes>, ApiError> {
        if self.at_end { Ok(None) } else { self.next_batch().await.map(Some) }
    }

    async fn next_batch(&mut self) -> Result<Bytes, ApiError> {
        let entries = self.read().await?;
        let mut lines = Vec::new();
        for entry in &entries {
            push_line(&mut lines, &entry_line(entry));
        }
        self.entries += entries.len() as u64;
        if self.at_end {
            for checkpoint in std::mem::take(&mut self.checkpoints) {
                let mut line = json!(Checkpoint::from(checkpoint));
                line["type"] = json!("checkpoint");
                push_line(&mut lines, &line);
            }
            push_line(&mut lines, &json!({"type": "end", "entries": self.entries}));
        }
        Ok(lines.into())
    }

    /// The whole chain comes oldest first, as verification needs it; a part of it newest first, as it is indexed.
    async fn read(&mut self) -> Result<Vec<StoredEntry>, ApiError> {
        let Wanted { workspace, target, action } = &self.wanted;
        let entries = if workspace.is_none() && target.is_none() && action.is_none() {
            let entries = self
                .state
                .store
                .audit_after(self.place.unwrap_or(0), EXPORT_BATCH_ENTRIES)
                .await
                .map_err(of_store)?;
            self.at_end = entries.len() < EXPORT_BATCH_ENTRIES as usize;
            entries
        } else {
            let query = AuditQuery {
                workspace: *workspace,
                target: target.clone(),
                action: action.clone(),
                before: self.place,
                limit: EXPORT_BATCH_ENTRIES,
            };
            let page = self.state.store.audit(query).await.map_err(of_store)?;
            self.at_end = !page.has_more;
            page.items
        };
        self.place = entries.last().map(|entry| entry.sequence).or(self.place);
        Ok(entries)
    }
}

fn entry_line(entry: &StoredEntry) -> serde_json::Value {
    let personal = entry.personal.as_ref().map(|personal| {
        json!({
            "salt": hex(&personal.salt),
            "address": personal.address.map(|address| address.to_string()),
            "user_agent": personal.user_agent,
        })
    });
    json!({
        "type": "entry",
        "sequence": entry.sequence,
        "hash": hex(&entry.hash),
        "body": String::from_utf8_lossy(&entry.body),
        "personal": personal,
    })
}

fn push_line(lines: &mut Vec<u8>, line: &serde_json::Value) {
    serde_json::to_writer(&mut *lines, line).expect("JSON is written to memory");
    lines.push(b'\n');
}
