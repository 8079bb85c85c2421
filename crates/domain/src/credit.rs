//! Credits: prepaid balances of keys, or of the operator's own customers.
//!
//! A unit is in exactly one place: in the balance, held by a node that may spend it (a *slice*), reserved for work that
//! runs, or spent. Whatever was granted is the sum of these four at any moment ([`CreditAccount::is_balanced`]), whoever
//! crashes when: nothing is spent that was not taken out of the balance before (escrow, as with [`crate::pool`]).

use async_trait::async_trait;

use crate::{
    audit::FieldChange,
    caps,
    command::CommandError,
    ids::{CreditAccountId, KeyId, ReservationId, WorkspaceId},
    key::is_printable,
    permit::Action,
    query::Page,
    store::StoreError,
    time::Timestamp,
};

/// Whose balance it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CreditSubject {
    /// One key's own.
    Key(KeyId),
    /// That of all keys of the workspace with this `external_id` that have none of their own.
    External(String),
}

impl CreditSubject {
    /// As a column: no two subjects of a workspace share it, and a key's own sorts before that of its `external_id`.
    pub fn to_column(&self) -> String {
        match self {
            Self::Key(key) => format!("k:{key}"),
            Self::External(id) => format!("x:{id}"),
        }
    }

    /// From a column.
    pub fn from_column(text: &str) -> Option<Self> {
        match text.split_at_checked(2)? {
            ("k:", key) => KeyId::parse(key).ok().map(Self::Key),
            ("x:", id) => Some(Self::External(id.to_owned())),
            _ => None,
        }
    }
}

/// A grant that repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refill {
    /// Credits per time.
    pub amount: u64,
    /// How often, in seconds.
    pub every_seconds: u32,
    /// The balance is never filled beyond this.
    pub cap: u64,
    /// When the next one is due.
    pub due_at: Timestamp,
}

/// A prepaid balance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreditAccount {
    /// The id.
    pub id: CreditAccountId,
    /// The workspace.
    pub workspace: WorkspaceId,
    /// Whose.
    pub subject: CreditSubject,
    /// What may be spent, reserved or drawn.
    pub balance: u64,
    /// What nodes have drawn and may be spending at this moment.
    pub held: u64,
    /// What is reserved.
    pub reserved: u64,
    /// What was spent.
    pub spent: u64,
    /// What was granted, refills included.
    pub granted: u64,
    /// The grant that repeats, if there is one.
    pub refill: Option<Refill>,
    /// When it was opened.
    pub created_at: Timestamp,
}

/// What became of a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReservationState {
    /// It waits for its end.
    Open,
    /// So much of it was spent; the rest went back.
    Committed {
        /// How much.
        spent: u64,
    },
    /// It went back because somebody said so.
    Refunded,
    /// It went back because nobody said anything in time.
    Expired,
}

/// Credits set aside for work whose cost is not known yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// The id.
    pub id: ReservationId,
    /// The account.
    pub account: CreditAccountId,
    /// How much was set aside.
    pub amount: u64,
    /// What became of it.
    pub state: ReservationState,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it goes back by itself.
    pub expires_at: Timestamp,
    /// When it ended.
    pub settled_at: Option<Timestamp>,
}

/// What a refill is to be. The first one is due one period after it is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewRefill {
    /// Credits per time.
    pub amount: u64,
    /// How often, in seconds.
    pub every_seconds: u32,
    /// The balance is never filled beyond this.
    pub cap: u64,
}

/// A change of credits.
#[derive(Clone, Debug)]
pub enum CreditCommand {
    /// Add to a balance, and open the account if there is none. Needs `Operate` on the workspace.
    Grant {
        /// The id of the account if it is opened.
        account: CreditAccountId,
        /// Whose balance.
        subject: CreditSubject,
        /// How much.
        amount: u64,
        /// Why, for the audit trail.
        reason: Option<String>,
    },
    /// Set or remove the grant that repeats, and open the account if there is none. Needs `Operate` on the workspace.
    SetRefill {
        /// The id of the account if it is opened.
        account: CreditAccountId,
        /// Whose balance.
        subject: CreditSubject,
        /// What it is to be.
        refill: Option<NewRefill>,
    },
    /// Set credits aside. Needs `VerifyKeys` on the workspace, as have the two below.
    Reserve {
        /// The id of the reservation.
        reservation: ReservationId,
        /// Whose balance.
        subject: CreditSubject,
        /// How much.
        amount: u64,
        /// When it goes back by itself, in seconds from now.
        ttl_seconds: u32,
    },
    /// Spend what was set aside, or less of it. Again with the same amount, it changes nothing.
    Commit {
        /// The reservation.
        reservation: ReservationId,
        /// How much of it; `None`: all.
        amount: Option<u64>,
    },
    /// Give back what was set aside. Again, it changes nothing.
    Refund {
        /// The reservation.
        reservation: ReservationId,
    },
    /// Carry out what is due: refills, reservations that expired, slices that nobody settled. Needs `Operate` on the
    /// installation.
    Sweep,
}

impl CreditCommand {
    /// What the permit of the command must be for, and whether it is one on a workspace.
    pub const fn needs(&self) -> (Action, Scope) {
        match self {
            Self::Grant { .. } | Self::SetRefill { .. } => (Action::Operate, Scope::Workspace),
            Self::Reserve { .. } | Self::Commit { .. } | Self::Refund { .. } => {
                (Action::VerifyKeys, Scope::Workspace)
            }
            Self::Sweep => (Action::Operate, Scope::Installation),
        }
    }
}

/// What a permit is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// A workspace.
    Workspace,
    /// The installation.
    Installation,
}

/// Why a command about credits is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CreditError {
    /// No such account.
    #[error("there is no such credit account")]
    NoAccount,
    /// No such reservation.
    #[error("there is no such reservation")]
    NoReservation,
    /// Less is left.
    #[error("the balance is {balance}, less than {asked}")]
    Insufficient {
        /// What is left.
        balance: u64,
        /// What was asked for.
        asked: u64,
    },
    /// The reservation ended otherwise.
    #[error("the reservation ended before: {0}")]
    Settled(&'static str),
    /// An amount is out of range.
    #[error("an amount of credits is from 1 to {}", caps::CREDITS_MAX)]
    Amount,
    /// More would be spent than was set aside.
    #[error("{asked} is more than the {reserved} that were reserved")]
    MoreThanReserved {
        /// What was asked for.
        asked: u64,
        /// What was reserved.
        reserved: u64,
    },
    /// A time is out of range.
    #[error("a reservation lasts from 1 to {} seconds", caps::RESERVATION_SECONDS_MAX)]
    Lifetime,
    /// A refill's period is out of range.
    #[error("a refill repeats every {} to {} seconds", caps::REFILL_SECONDS_MIN, caps::REFILL_SECONDS_MAX)]
    Period,
    /// An `external_id` or a reason is too long or not printable.
    #[error("`{0}` is empty, too long, or has characters that cannot be printed")]
    Text(&'static str),
}

/// What a node asks of an account before it spends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreditDraw {
    /// The slice's id, made by the node before it asks, so that nothing is lost with an answer.
    pub slice: [u8; 16],
    /// The workspace.
    pub workspace: WorkspaceId,
    /// Whose credits: of the first that has an account.
    pub subjects: Vec<CreditSubject>,
    /// What calls wait for: less is not granted.
    pub needed: u64,
    /// What the node expects to spend soon. More than `needed` is granted only as far as enough is left for all.
    pub want: u64,
    /// How many nodes draw, at least 1.
    pub nodes: u32,
    /// The moment.
    pub now: Timestamp,
}

/// What a draw comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CreditGrant {
    /// The account; `None`: there is none.
    pub account: Option<CreditAccountId>,
    /// Units of the slice; 0: there is no slice.
    pub units: u64,
    /// What is left in the balance.
    pub left: u64,
}

/// The end of a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreditSettlement {
    /// The slice.
    pub slice: [u8; 16],
    /// How much of it was spent; the rest goes back. More than it had counts as all.
    pub spent: u64,
}

/// What Keywright needs of a database for credits.
#[async_trait]
pub trait CreditStore: Send + Sync {
    /// A page of a workspace's accounts, oldest first.
    ///
    /// # Errors
    /// [`StoreError`], as with all of these.
    async fn credit_accounts(
        &self,
        workspace: WorkspaceId,
        after: Option<CreditAccountId>,
        limit: u32,
    ) -> Result<Page<CreditAccount>, StoreError>;

    /// The account of one subject.
    async fn credit_account(
        &self,
        workspace: WorkspaceId,
        subject: CreditSubject,
    ) -> Result<Option<CreditAccount>, StoreError>;

    /// When a [`CreditCommand::Sweep`] will find something to do, as far as is known now; in the past if it would already,
    /// `None` for never.
    async fn credits_due(&self) -> Result<Option<Timestamp>, StoreError>;

    /// Takes a slice out of a balance. When this fails, the slice may have been taken: settle it.
    async fn draw_credits(&self, draw: CreditDraw) -> Result<CreditGrant, StoreError>;

    /// Ends slices. Those that ended before, or were never drawn, are passed over, so it may be said again.
    async fn settle_credits(&self, settlements: Vec<CreditSettlement>) -> Result<(), StoreError>;
}

impl CreditAccount {
    /// An account without anything in it.
    pub const fn open(
        id: CreditAccountId,
        workspace: WorkspaceId,
        subject: CreditSubject,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            workspace,
            subject,
            balance: 0,
            held: 0,
            reserved: 0,
            spent: 0,
            granted: 0,
            refill: None,
            created_at: now,
        }
    }

    /// Whether every unit that was granted is in one place.
    pub const fn is_balanced(&self) -> bool {
        self.granted == self.balance + self.held + self.reserved + self.spent
    }

    /// Adds to the balance.
    ///
    /// # Errors
    /// [`CreditError::Amount`] if that is nothing, or if more than [`caps::CREDITS_MAX`] would ever have been granted.
    pub fn grant(&mut self, amount: u64) -> Result<(), CreditError> {
        if amount == 0 || amount > caps::CREDITS_MAX || self.granted + amount > caps::CREDITS_MAX {
            return Err(CreditError::Amount);
        }
        self.balance += amount;
        self.granted += amount;
        Ok(())
    }

    /// Carries out the refills that are due, all at once; says how much that gave.
    pub fn refill(&mut self, now: Timestamp) -> u64 {
        let Some(refill) = &mut self.refill else { return 0 };
        let Ok(late_ms) = u64::try_from(now.unix_ms() - refill.due_at.unix_ms()) else { return 0 };
        let times = late_ms / (u64::from(refill.every_seconds) * 1_000) + 1;
        let seconds =
            i64::try_from(times.saturating_mul(refill.every_seconds.into())).unwrap_or(i64::MAX / 2_000);
        refill.due_at = refill.due_at.plus_seconds(seconds);
        let room = refill.cap.saturating_sub(self.balance).min(caps::CREDITS_MAX - self.granted);
        let amount = refill.amount.saturating_mul(times).min(room);
        self.balance += amount;
        self.granted += amount;
        amount
    }

    /// Sets credits aside.
    ///
    /// # Errors
    /// [`CreditError::Amount`], [`CreditError::Insufficient`].
    pub fn reserve(&mut self, amount: u64) -> Result<(), CreditError> {
        if amount == 0 || amount > caps::CREDITS_MAX {
            return Err(CreditError::Amount);
        }
        if amount > self.balance {
            return Err(CreditError::Insufficient { balance: self.balance, asked: amount });
        }
        self.balance -= amount;
        self.reserved += amount;
        Ok(())
    }

    /// Ends a reservation of `amount`, of which `spent` was spent.
    pub const fn release(&mut self, amount: u64, spent: u64) {
        self.reserved -= amount;
        self.spent += spent;
        self.balance += amount - spent;
    }

    /// Takes a slice out of the balance: what calls wait for first, then what is expected, as long as every node could take
    /// twice as much. So slices become small, and in the end exact, as the balance runs out.
    pub fn draw(&mut self, draw: &CreditDraw) -> u64 {
        if self.balance < draw.needed {
            return 0;
        }
        let ahead = (self.balance / (2 * u64::from(draw.nodes.max(1)))).min(draw.want);
        let units = ahead.max(draw.needed);
        self.balance -= units;
        self.held += units;
        units
    }

    /// Ends a slice of `units`, of which `spent` was spent.
    pub fn settle(&mut self, units: u64, spent: u64) {
        let spent = spent.min(units);
        self.held -= units;
        self.spent += spent;
        self.balance += units - spent;
    }
}

/// What a command finds.
#[derive(Clone, Debug)]
pub struct Found {
    /// The workspace of the permit.
    pub workspace: WorkspaceId,
    /// The account that the command is about, or that its reservation is of.
    pub account: Option<CreditAccount>,
    /// The reservation that the command names.
    pub reservation: Option<Reservation>,
}

/// What a command comes to.
#[derive(Clone, Debug)]
pub struct Decided {
    /// The account as it is now.
    pub account: CreditAccount,
    /// The reservation as it is now.
    pub reservation: Option<Reservation>,
    /// What there is to tell; `None`: nothing was changed.
    pub told: Option<Told>,
}

/// An audit entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The event's name.
    pub action: &'static str,
    /// The reason given.
    pub reason: Option<String>,
    /// Before and after.
    pub fields: Vec<FieldChange>,
}

/// Decides every command but [`CreditCommand::Sweep`], which decides nothing.
///
/// # Errors
/// [`CreditError`].
pub fn decide(command: &CreditCommand, found: Found, now: Timestamp) -> Result<Decided, CreditError> {
    match command {
        CreditCommand::Grant { account, subject, amount, reason } => {
            check_text("reason", reason.as_deref(), caps::REASON_MAX_CHARS)?;
            let mut after = opened(found, *account, subject, now)?;
            let before = after.balance;
            after.grant(*amount)?;
            let fields = vec![number("granted", 0, *amount), number("balance", before, after.balance)];
            Ok(told(after, None, "credits.granted", reason.clone(), fields))
        }
        CreditCommand::SetRefill { account, subject, refill } => {
            let mut after = opened(found, *account, subject, now)?;
            let fields =
                vec![field("refill", describe(after.refill.as_ref()), refill.map(|new| new.to_string()))];
            after.refill = refill.map(|new| new.checked(now)).transpose()?;
            Ok(told(after, None, "credits.refill_set", None, fields))
        }
        CreditCommand::Reserve { reservation, amount, ttl_seconds, .. } => {
            if !(1..=caps::RESERVATION_SECONDS_MAX).contains(ttl_seconds) {
                return Err(CreditError::Lifetime);
            }
            let mut after = found.account.ok_or(CreditError::NoAccount)?;
            let before = after.balance;
            after.reserve(*amount)?;
            let made = Reservation {
                id: *reservation,
                account: after.id,
                amount: *amount,
                state: ReservationState::Open,
                created_at: now,
                expires_at: now.plus_seconds(i64::from(*ttl_seconds)),
                settled_at: None,
            };
            let fields = vec![number("reserved", 0, *amount), number("balance", before, after.balance)];
            Ok(told(after, Some(made), "credits.reserved", None, fields))
        }
        CreditCommand::Commit { amount, .. } => {
            let asked = |reservation: &Reservation| ReservationState::Committed {
                spent: amount.unwrap_or(reservation.amount),
            };
            end(found, asked, "credits.committed", now)
        }
        CreditCommand::Refund { .. } => end(found, |_| ReservationState::Refunded, "credits.refunded", now),
        CreditCommand::Sweep => Err(CreditError::NoReservation),
    }
}

/// Carries out the refill that is due, and says so.
pub fn refill(account: &mut CreditAccount, now: Timestamp) -> Told {
    let before = account.balance;
    let amount = account.refill(now);
    let fields = vec![number("granted", 0, amount), number("balance", before, account.balance)];
    Told { action: "credits.refilled", reason: None, fields }
}

/// What there is to tell when a slice counts as spent because nobody settled it.
pub fn lost(account: &CreditAccount) -> Told {
    let fields = vec![field("held", Some(account.held.to_string()), None)];
    Told { action: "credits.slice_lost", reason: None, fields }
}

/// Ends a reservation because nobody did, if its time has come.
pub fn expire(account: CreditAccount, reservation: Reservation, now: Timestamp) -> Option<Decided> {
    if reservation.state != ReservationState::Open || reservation.expires_at > now {
        return None;
    }
    let workspace = account.workspace;
    let found = Found { workspace, account: Some(account), reservation: Some(reservation) };
    end(found, |_| ReservationState::Expired, "credits.reservation_expired", now).ok()
}

fn end(
    found: Found,
    into: impl FnOnce(&Reservation) -> ReservationState,
    action: &'static str,
    now: Timestamp,
) -> Result<Decided, CreditError> {
    let own = found.account.filter(|account| account.workspace == found.workspace);
    let (Some(mut account), Some(mut reservation)) = (own, found.reservation) else {
        return Err(CreditError::NoReservation);
    };
    let state = into(&reservation);
    if reservation.state == state {
        return Ok(Decided { account, reservation: Some(reservation), told: None });
    }
    match reservation.state {
        ReservationState::Open => {}
        ReservationState::Committed { .. } => return Err(CreditError::Settled("committed")),
        ReservationState::Refunded => return Err(CreditError::Settled("refunded")),
        ReservationState::Expired => return Err(CreditError::Settled("expired")),
    }
    let spent = if let ReservationState::Committed { spent } = state { spent } else { 0 };
    if spent > reservation.amount {
        return Err(CreditError::MoreThanReserved { asked: spent, reserved: reservation.amount });
    }
    let before = account.balance;
    account.release(reservation.amount, spent);
    reservation.state = state;
    reservation.settled_at = Some(now);
    let fields = vec![number("spent", 0, spent), number("balance", before, account.balance)];
    Ok(told(account, Some(reservation), action, None, fields))
}

/// The account that was found, or a new one.
fn opened(
    found: Found,
    id: CreditAccountId,
    subject: &CreditSubject,
    now: Timestamp,
) -> Result<CreditAccount, CreditError> {
    if let CreditSubject::External(external) = subject {
        check_text("external_id", Some(external), caps::EXTERNAL_ID_MAX_CHARS)?;
    }
    let fresh = || CreditAccount::open(id, found.workspace, subject.clone(), now);
    Ok(found.account.unwrap_or_else(fresh))
}

fn check_text(name: &'static str, text: Option<&str>, chars_max: usize) -> Result<(), CreditError> {
    match text {
        Some(text) if !is_printable(text, 1, chars_max) => Err(CreditError::Text(name)),
        _ => Ok(()),
    }
}

const fn told(
    account: CreditAccount,
    reservation: Option<Reservation>,
    action: &'static str,
    reason: Option<String>,
    fields: Vec<FieldChange>,
) -> Decided {
    Decided { account, reservation, told: Some(Told { action, reason, fields }) }
}

/// A number before and after.
pub fn number(name: &str, before: u64, after: u64) -> FieldChange {
    field(name, Some(before.to_string()), Some(after.to_string()))
}

fn field(name: &str, before: Option<String>, after: Option<String>) -> FieldChange {
    FieldChange { field: name.to_owned(), before, after }
}

fn describe(refill: Option<&Refill>) -> Option<String> {
    refill.map(|Refill { amount, every_seconds, cap, .. }| {
        NewRefill { amount: *amount, every_seconds: *every_seconds, cap: *cap }.to_string()
    })
}

impl std::fmt::Display for NewRefill {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} every {} s up to {}", self.amount, self.every_seconds, self.cap)
    }
}

impl NewRefill {
    fn checked(self, now: Timestamp) -> Result<Refill, CreditError> {
        let amounts = 1..=caps::CREDITS_MAX;
        if !amounts.contains(&self.amount) || !amounts.contains(&self.cap) {
            return Err(CreditError::Amount);
        }
        if !(caps::REFILL_SECONDS_MIN..=caps::REFILL_SECONDS_MAX).contains(&self.every_seconds) {
            return Err(CreditError::Period);
        }
        let due_at = now.plus_seconds(i64::from(self.every_seconds));
        Ok(Refill { amount: self.amount, every_seconds: self.every_seconds, cap: self.cap, due_at })
    }
}

impl From<CreditError> for CommandError {
    fn from(error: CreditError) -> Self {
        Self::Credit(error)
    }
}

#[cfg(test)]
mod tests;
