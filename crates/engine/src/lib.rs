//! The verification data plane: the whole verification state in memory, answers without a lock or I/O.
//!
//! # Life of an engine
//!
//! 1. [`Spool::open`] adopts what an earlier process counted; [`Engine::new`] makes an engine that answers nothing.
//! 2. Attach it to the store's changes (it is a [`ChangeSink`](keywright_domain::change::ChangeSink)), then hand
//!    everything of `Store::load` to [`Engine::load`] and end with [`Engine::finish_load`]. Changes that are committed
//!    meanwhile wait, none is lost. [`Engine::reserve`] first makes it faster.
//! 3. [`Engine::restore_cost`] for long limit windows.
//! 4. [`Engine::set_leases`] opens the permission to answer: [`LeaseEnd::NEVER`] for a single node with an embedded store.
//!
//! One of several nodes that share a store applies what it fetches with [`Engine::apply_from`], and starts anew with
//! [`Engine::begin_reload`] when the store's history is another one.
//!
//! # A verification
//!
//! ```ignore
//! let now = Moment::read(&*clock);
//! let request = VerifyRequest {
//!     permissions: engine.resolve(["prompts:read"])?,
//!     route: engine.spool().route("POST /v1/chat"),
//!     ..VerifyRequest::new(text)
//! };
//! let verdict = engine.verify_at(&request, now);       // decides, spends, counts; about 200 ns
//! let limits = engine.limit_readings(&verdict);        // names and numbers of the windows
//! let details = engine.details(&key_hit, &mut buffer); // external id, metadata, workspace, creator
//! let checks = engine.explain(&request, now, &verdict);
//! ```
//!
//! [`Engine::authenticate`] recognizes who makes a management call (operator credential or key) and gives the
//! [`Actor`](keywright_domain::permit::Actor) for a permit.
//!
//! # Guarantees
//!
//! * When [`Engine::apply`] has returned, no verification that starts afterwards sees the state before.
//! * A reader never sees half a change of a key: records are versioned (seqlock), cold bytes are checked against it.
//! * Refused calls spend nothing. The bounds of both limit algorithms are stated in `limits/`.
//! * A verification is counted in the [`Spool`] before it is answered; `kill -9` loses no count.
//! * Without a lease the answer is [`Code::Unavailable`](keywright_domain::verdict::Code::Unavailable), never another.
//!
//! # Limits that several nodes share
//!
//! An engine made with [`Engine::with_shared_limits`] spends from shares that were drawn from a pool. Where a share is
//! missing the verdict is [`Unavailable::Share`]: settle what [`Engine::missing_shares`] names, and ask again with
//! [`VerifyRequest::settled`].
//!
//! # In the background
//!
//! Every 50 ms [`Spool::maintain`]; every second [`Spool::seal_if_due`], and then for each [`Spool::oldest_sealed`] hand
//! its [`Spool::batches`] to the store and [`Spool::confirm`]; every 200 ms [`Spool::sync`] (the bound of what a power
//! failure loses); every few seconds [`Engine::take_redigests`].
//!
//! `unsafe` is confined to one file, `raw.rs` (ADR 3).

mod answer;
mod apply;
mod arena;
mod audit;
mod clock;
mod cold;
mod credit;
mod engine;
mod explain;
mod follow;
mod hmac;
mod index;
mod lease;
mod life;
mod limits;
mod pending;
mod pepper;
mod prompts;
mod raw;
mod record;
mod redigest;
mod refuse;
mod reload;
mod rows;
mod share;
mod spend;
mod spool;
mod state;
mod table;
mod verify;

pub use answer::{
    KeyDetails, KeyHit, LimitReading, LimitScope, Located, Moment, Presumed, Verdict, VerifyRequest,
};
pub use apply::ApplyError;
pub use audit::WouldAccept;
pub use clock::SystemClock;
pub use credit::{CreditReading, Deposit, EndedSlices, Heard, MissingCredits, PendingSlice};
pub use engine::{Caller, Engine, EngineGauges, EngineOptions, Refusal};
pub use explain::{CheckOutcome, ExplainedCheck};
pub use lease::{LeaseEnd, Trust, Unavailable};
pub use pepper::{Pepper, PepperError, PepperSet};
pub use share::{MissingShares, Outcome, Settled, Target};
pub use spool::{
    Gauges as SpoolGauges, RouteId, SealedSegment, Spool, SpoolError, SpoolOptions, UsageEvent,
    counted_segments,
};
