//! Credits: no unit is lost or made, whatever is done in which order, once or twice.

use std::sync::Arc;

use keywright_domain::{
    caps,
    command::{Command, CommandError, Committed, Outcome},
    credit::{
        CreditAccount, CreditCommand, CreditDraw, CreditError, CreditSettlement, CreditSubject, NewRefill,
        Reservation, ReservationState,
    },
    ids::{CreditAccountId, ReservationId, WorkspaceId},
    permit::Action,
    query::AuditQuery,
    store::Store,
    time::Timestamp,
};

use crate::{Installation, Samples};

const NOW: Timestamp = Samples::NOW;

/// An installation and what it does with credits.
struct Bank<S> {
    installation: Installation<S>,
    store: Arc<S>,
}

impl<S: Store> Bank<S> {
    async fn open(store: Arc<S>) -> Self {
        Self { installation: Installation::set_up(Arc::clone(&store)).await, store }
    }

    fn workspace(&self) -> WorkspaceId {
        self.installation.workspace.id
    }

    async fn at(&self, now: Timestamp, command: CreditCommand) -> Result<Committed, CommandError> {
        let action = command.needs().0;
        let workspace = (!matches!(command, CreditCommand::Sweep)).then(|| self.workspace());
        let context = self.installation.samples.context_at(now, Samples::permit(action, workspace));
        self.store.execute(context, Command::Credit(command)).await
    }

    async fn done(&self, command: CreditCommand) -> (CreditAccount, Option<Reservation>) {
        match self.at(NOW, command).await.unwrap().outcome {
            Outcome::Credit(account, reservation) => (*account, reservation.map(|made| *made)),
            other => panic!("{other:?}"),
        }
    }

    async fn refused(&self, command: CreditCommand) -> CreditError {
        match self.at(NOW, command).await.unwrap_err() {
            CommandError::Credit(error) => error,
            other => panic!("{other:?}"),
        }
    }

    async fn grant(&self, subject: &CreditSubject, amount: u64) -> CreditAccount {
        let account = CreditAccountId::generate(NOW, self.installation.samples.entropy());
        let grant =
            CreditCommand::Grant { account, subject: subject.clone(), amount, reason: Some("Paid.".into()) };
        self.done(grant).await.0
    }

    fn reserve(&self, subject: &CreditSubject, amount: u64) -> (ReservationId, CreditCommand) {
        let reservation = ReservationId::generate(NOW, self.installation.samples.entropy());
        let subject = subject.clone();
        (reservation, CreditCommand::Reserve { reservation, subject, amount, ttl_seconds: 60 })
    }

    async fn account(&self, subject: &CreditSubject) -> CreditAccount {
        let found = self.store.credit_account(self.workspace(), subject.clone()).await.unwrap().unwrap();
        assert!(found.is_balanced(), "{found:?}");
        found
    }

    /// Balance, held, reserved, spent.
    async fn places(&self, subject: &CreditSubject) -> [u64; 4] {
        let found = self.account(subject).await;
        [found.balance, found.held, found.reserved, found.spent]
    }

    fn draw(&self, slice: u8, subjects: &[CreditSubject], needed: u64, want: u64) -> CreditDraw {
        CreditDraw {
            slice: [slice; 16],
            workspace: self.workspace(),
            subjects: subjects.to_vec(),
            needed,
            want,
            nodes: 3,
            now: NOW,
        }
    }
}

fn customer() -> CreditSubject {
    CreditSubject::External("cust_42".to_owned())
}

/// Grants open accounts and add up, each with its audit entry; another workspace has other accounts.
pub async fn grants<S: Store>(store: Arc<S>) {
    let bank = Bank::open(store).await;
    let opened = bank.grant(&customer(), 100).await;
    let again = bank.grant(&customer(), 50).await;
    assert_eq!((again.id, again.balance, again.granted), (opened.id, 150, 150));
    assert_eq!(bank.account(&customer()).await, again);
    let key = CreditSubject::Key(bank.installation.create_key("worker").await.id);
    let of_key = bank.grant(&key, 7).await;
    let first = bank.store.credit_accounts(bank.workspace(), None, 1).await.unwrap();
    assert!(first.has_more);
    let rest = bank.store.credit_accounts(bank.workspace(), Some(first.items[0].id), 10).await.unwrap();
    assert!(!rest.has_more);
    let mut all = [first.items, rest.items].concat();
    all.sort_by_key(|account| account.balance);
    assert_eq!(all, [of_key, again.clone()]);
    let other = WorkspaceId::from_bytes([9; 16]);
    assert_eq!(bank.store.credit_account(other, customer()).await.unwrap(), None);
    assert!(bank.store.credit_accounts(other, None, 10).await.unwrap().items.is_empty());
    let query = AuditQuery {
        workspace: Some(bank.workspace()),
        target: Some(again.id.to_string()),
        action: None,
        before: None,
        limit: 10,
    };
    let entries = bank.store.audit(query).await.unwrap().items;
    assert_eq!(entries.len(), 2);
    let nothing = CreditCommand::Grant { account: again.id, subject: customer(), amount: 0, reason: None };
    assert_eq!(bank.refused(nothing).await, CreditError::Amount);
    assert_eq!(bank.places(&customer()).await, [150, 0, 0, 0]);
}

/// Reservations end once, and a repeat of the end changes nothing.
pub async fn reservations<S: Store>(store: Arc<S>) {
    let bank = Bank::open(store).await;
    let (unknown, reserve) = bank.reserve(&customer(), 1);
    assert_eq!(bank.refused(reserve).await, CreditError::NoAccount);
    let commit = |reservation, amount| CreditCommand::Commit { reservation, amount };
    assert_eq!(bank.refused(commit(unknown, None)).await, CreditError::NoReservation);
    bank.grant(&customer(), 100).await;
    let (_, too_much) = bank.reserve(&customer(), 101);
    assert_eq!(bank.refused(too_much).await, CreditError::Insufficient { balance: 100, asked: 101 });
    let (first, reserve) = bank.reserve(&customer(), 30);
    let made = bank.done(reserve).await.1.unwrap();
    assert_eq!((made.id, made.amount, made.state), (first, 30, ReservationState::Open));
    assert_eq!(bank.places(&customer()).await, [70, 0, 30, 0]);
    let refused = bank.refused(commit(first, Some(31))).await;
    assert_eq!(refused, CreditError::MoreThanReserved { asked: 31, reserved: 30 });
    for _ in 0..2 {
        let ended = bank.done(commit(first, Some(20))).await.1.unwrap();
        assert_eq!(ended.state, ReservationState::Committed { spent: 20 });
        assert_eq!(bank.places(&customer()).await, [80, 0, 0, 20]);
    }
    assert_eq!(bank.refused(commit(first, None)).await, CreditError::Settled("committed"));
    let (second, reserve) = bank.reserve(&customer(), 80);
    bank.done(reserve).await;
    for _ in 0..2 {
        bank.done(CreditCommand::Refund { reservation: second }).await;
        assert_eq!(bank.places(&customer()).await, [80, 0, 0, 20]);
    }
    assert_eq!(bank.refused(commit(second, None)).await, CreditError::Settled("refunded"));
}

/// What is due is carried out once: refills, expired reservations, slices that nobody settled, old reservations.
pub async fn sweeps<S: Store>(store: Arc<S>) {
    let bank = Bank::open(store).await;
    assert_eq!(bank.store.credits_due().await.unwrap(), None);
    bank.grant(&customer(), 10).await;
    let account = CreditAccountId::from_bytes([5; 16]);
    let refill = Some(NewRefill { amount: 10, every_seconds: 60, cap: 25 });
    bank.done(CreditCommand::SetRefill { account, subject: customer(), refill }).await;
    let (late, reserve) = bank.reserve(&customer(), 4);
    bank.done(reserve).await;
    let minute = |minutes: i64| NOW.plus_seconds(60 * minutes);
    assert_eq!(bank.store.credits_due().await.unwrap(), Some(minute(1)));
    for expected in [2, 0] {
        let swept = bank.at(minute(1), CreditCommand::Sweep).await.unwrap().outcome;
        assert!(matches!(swept, Outcome::Swept(count) if count == expected), "{swept:?}");
        assert_eq!(bank.places(&customer()).await, [20, 0, 0, 0]);
    }
    let refused = bank.refused(CreditCommand::Commit { reservation: late, amount: None }).await;
    assert_eq!(refused, CreditError::Settled("expired"));
    bank.done(CreditCommand::SetRefill { account, subject: customer(), refill: None }).await;
    bank.store.draw_credits(bank.draw(1, &[customer()], 5, 0)).await.unwrap();
    let week = NOW.plus_seconds(caps::SLICE_LOST_SECONDS);
    bank.at(week, CreditCommand::Sweep).await.unwrap();
    assert_eq!(bank.places(&customer()).await, [15, 0, 0, 5], "nobody knows better");
    bank.at(week.plus_seconds(60), CreditCommand::Sweep).await.unwrap();
    let refused = bank.refused(CreditCommand::Commit { reservation: late, amount: None }).await;
    assert_eq!(refused, CreditError::NoReservation, "forgotten");
    let next = bank.store.credits_due().await.unwrap();
    assert!(next.is_none_or(|next| next > week.plus_seconds(60)), "nothing more, {next:?}");
}

/// Slices are taken from the first account of the list, never more than there is, and settled once.
pub async fn slices<S: Store>(store: Arc<S>) {
    let bank = Bank::open(store).await;
    let key = CreditSubject::Key(bank.installation.create_key("worker").await.id);
    let both = [key.clone(), customer()];
    let nothing = bank.store.draw_credits(bank.draw(1, &both, 1, 1)).await.unwrap();
    assert_eq!((nothing.account, nothing.units), (None, 0));
    let account = bank.grant(&customer(), 100).await;
    let mut expected = account.clone();
    for (slice, needed, want) in [(2, 1, 50), (3, 40, 1), (4, 45, 50), (5, 44, 50), (6, 1, 1)] {
        let draw = bank.draw(slice, &both, needed, want);
        let grant = bank.store.draw_credits(draw.clone()).await.unwrap();
        let units = expected.draw(&draw);
        assert_eq!((grant.account, grant.units, grant.left), (Some(account.id), units, expected.balance));
    }
    assert_eq!(bank.account(&customer()).await, expected);
    let settle = |slice, spent| CreditSettlement { slice: [slice; 16], spent };
    for _ in 0..2 {
        bank.store.settle_credits(vec![settle(2, 3), settle(3, u64::MAX), settle(77, 5)]).await.unwrap();
        assert_eq!(bank.places(&customer()).await, [13, 44, 0, 43]);
    }
    bank.store.settle_credits(vec![settle(4, 9), settle(5, 0)]).await.unwrap();
    assert_eq!(bank.places(&customer()).await, [57, 0, 0, 43]);
    bank.grant(&key, 5).await;
    bank.store.draw_credits(bank.draw(8, &both, 1, 0)).await.unwrap();
    assert_eq!((bank.places(&key).await, bank.places(&customer()).await), ([4, 1, 0, 0], [57, 0, 0, 43]));
}

/// Many draw, settle, reserve and grant at once: in the end every unit is somewhere, and none was spent twice.
pub async fn everybody_at_once<S: Store>(store: Arc<S>) {
    let bank = Arc::new(Bank::open(store).await);
    bank.grant(&customer(), 300).await;
    let mut workers = tokio::task::JoinSet::new();
    for worker in 0..6_u8 {
        let bank = Arc::clone(&bank);
        workers.spawn(async move {
            let mut spent = 0;
            for round in 0..10_u8 {
                let slice = worker * 10 + round + 1;
                let grant = bank.store.draw_credits(bank.draw(slice, &[customer()], 7, 20)).await.unwrap();
                let used = grant.units.min(5);
                let settlement = CreditSettlement { slice: [slice; 16], spent: used };
                bank.store.settle_credits(vec![settlement]).await.unwrap();
                spent += used;
                if round == 5 {
                    bank.grant(&customer(), 10).await;
                }
                let (reservation, reserve) = bank.reserve(&customer(), 3);
                if bank.at(NOW, reserve).await.is_ok() {
                    bank.done(CreditCommand::Commit { reservation, amount: Some(2) }).await;
                    spent += 2;
                }
            }
            spent
        });
    }
    let mut spent = 0;
    while let Some(worker) = workers.join_next().await {
        spent += worker.unwrap();
    }
    assert_eq!(bank.places(&customer()).await, [360 - spent, 0, 0, spent]);
}

/// Who may what: each command is refused with a permit for something else.
pub async fn permits<S: Store>(store: Arc<S>) {
    let bank = Bank::open(store).await;
    let (reservation, reserve) = bank.reserve(&customer(), 1);
    let account = CreditAccountId::from_bytes([5; 16]);
    let grant = CreditCommand::Grant { account, subject: customer(), amount: 1, reason: None };
    let commands = [grant, reserve, CreditCommand::Refund { reservation }, CreditCommand::Sweep];
    for command in commands {
        for action in Action::ALL {
            for workspace in [None, Some(bank.workspace())] {
                let (needed, scope) = command.needs();
                let is_installation = scope == keywright_domain::credit::Scope::Installation;
                if action == needed && workspace.is_none() == is_installation {
                    continue;
                }
                let context = bank.installation.samples.context(Samples::permit(action, workspace));
                let refused =
                    bank.store.execute(context, Command::Credit(command.clone())).await.unwrap_err();
                assert!(
                    matches!(refused, CommandError::Permit),
                    "{action:?} {workspace:?} {command:?}: {refused}"
                );
            }
        }
    }
}
