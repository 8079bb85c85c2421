use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp::from_unix_ms(1_795_248_000_000);

fn account() -> CreditAccount {
    let subject = CreditSubject::External("cust_42".to_owned());
    CreditAccount::open(CreditAccountId::from_bytes([1; 16]), WorkspaceId::from_bytes([2; 16]), subject, NOW)
}

fn draw(needed: u64, want: u64) -> CreditDraw {
    CreditDraw {
        slice: [9; 16],
        workspace: WorkspaceId::from_bytes([2; 16]),
        subjects: Vec::new(),
        needed,
        want,
        nodes: 3,
        now: NOW,
    }
}

#[test]
fn slices_shrink_towards_the_end_and_are_exact_there() {
    let mut account = account();
    account.grant(100).unwrap();
    assert_eq!(account.draw(&draw(1, 50)), 16, "100 / (2 · 3)");
    assert_eq!(account.draw(&draw(40, 1)), 40);
    assert_eq!(account.draw(&draw(45, 0)), 0, "44 are left");
    assert_eq!(account.draw(&draw(44, 50)), 44);
    assert_eq!(account.draw(&draw(1, 1)), 0);
    account.settle(16, 3);
    assert_eq!((account.balance, account.held, account.spent), (13, 84, 3));
    account.settle(84, u64::MAX);
    assert_eq!((account.balance, account.held, account.spent), (13, 0, 87), "a lost ledger counts as spent");
}

#[test]
fn refills_that_were_missed_come_together_and_stop_at_the_cap() {
    let mut account = account();
    account.refill = Some(Refill { amount: 10, every_seconds: 60, cap: 25, due_at: NOW });
    assert_eq!(account.refill(NOW.plus_seconds(-1)), 0);
    assert_eq!(account.refill(NOW), 10);
    assert_eq!(account.refill(NOW.plus_seconds(59)), 0);
    assert_eq!(account.refill(NOW.plus_seconds(600)), 15, "up to the cap");
    assert_eq!(account.refill.unwrap().due_at, NOW.plus_seconds(660));
    account.balance -= 5;
    account.spent += 5;
    assert_eq!(account.refill(NOW.plus_seconds(660)), 5);
    assert!(account.is_balanced());
    account.refill = Some(Refill { due_at: Timestamp::from_unix_ms(0), ..account.refill.unwrap() });
    account.refill(Timestamp::from_unix_ms(i64::MAX / 4));
    assert!(account.refill.unwrap().due_at > NOW);
}

fn found(account: &CreditAccount, reservation: Option<&Reservation>) -> Found {
    Found { workspace: account.workspace, account: Some(account.clone()), reservation: reservation.cloned() }
}

#[test]
fn a_reservation_ends_once() {
    let mut start = account();
    start.grant(10).unwrap();
    let id = ReservationId::from_bytes([3; 16]);
    let reserve = |amount, ttl_seconds| CreditCommand::Reserve {
        reservation: id,
        subject: start.subject.clone(),
        amount,
        ttl_seconds,
    };
    let refused = decide(&reserve(11, 60), found(&start, None), NOW).unwrap_err();
    assert_eq!(refused, CreditError::Insufficient { balance: 10, asked: 11 });
    for (ttl_seconds, is_good) in [(0, false), (1, true), (86_400, true), (86_401, false)] {
        assert_eq!(decide(&reserve(1, ttl_seconds), found(&start, None), NOW).is_ok(), is_good);
    }
    let reserved = decide(&reserve(8, 60), found(&start, None), NOW).unwrap();
    let (after, open) = (reserved.account, reserved.reservation.unwrap());
    assert_eq!((after.balance, after.reserved), (2, 8));
    let commit = |amount| CreditCommand::Commit { reservation: id, amount };
    let more = decide(&commit(Some(9)), found(&after, Some(&open)), NOW).unwrap_err();
    assert_eq!(more, CreditError::MoreThanReserved { asked: 9, reserved: 8 });
    let done = decide(&commit(Some(5)), found(&after, Some(&open)), NOW).unwrap();
    let (after, ended) = (done.account, done.reservation.unwrap());
    assert_eq!((after.balance, after.reserved, after.spent), (5, 0, 5));
    assert!(decide(&commit(Some(5)), found(&after, Some(&ended)), NOW).unwrap().told.is_none());
    for other in [commit(None), CreditCommand::Refund { reservation: id }] {
        let refused = decide(&other, found(&after, Some(&ended)), NOW).unwrap_err();
        assert_eq!(refused, CreditError::Settled("committed"));
    }
    assert!(expire(after.clone(), ended, NOW.plus_seconds(1_000)).is_none());
    let mut elsewhere = found(&after, Some(&open));
    elsewhere.workspace = WorkspaceId::from_bytes([8; 16]);
    assert_eq!(decide(&commit(None), elsewhere, NOW).unwrap_err(), CreditError::NoReservation);
}

#[test]
fn what_nobody_ends_goes_back() {
    let mut start = account();
    start.grant(10).unwrap();
    let reserve = CreditCommand::Reserve {
        reservation: ReservationId::from_bytes([3; 16]),
        subject: start.subject.clone(),
        amount: 8,
        ttl_seconds: 60,
    };
    let reserved = decide(&reserve, found(&start, None), NOW).unwrap();
    let open = reserved.reservation.unwrap();
    assert!(expire(reserved.account.clone(), open.clone(), NOW.plus_seconds(59)).is_none());
    let expired = expire(reserved.account, open, NOW.plus_seconds(60)).unwrap();
    assert_eq!((expired.account.balance, expired.account.reserved), (10, 0));
    assert_eq!(expired.reservation.unwrap().state, ReservationState::Expired);
}

#[test]
fn amounts_and_periods_have_limits() {
    for (amount, is_good) in
        [(0, false), (1, true), (caps::CREDITS_MAX, true), (caps::CREDITS_MAX + 1, false)]
    {
        assert_eq!(account().grant(amount).is_ok(), is_good, "{amount}");
    }
    let mut full = account();
    full.grant(caps::CREDITS_MAX).unwrap();
    assert_eq!(full.grant(1), Err(CreditError::Amount));
    for (every_seconds, is_good) in [(59, false), (60, true), (366 * 86_400, true), (366 * 86_400 + 1, false)]
    {
        let refill = NewRefill { amount: 1, every_seconds, cap: 1 };
        assert_eq!(refill.checked(NOW).is_ok(), is_good, "{every_seconds}");
    }
    for (subject, is_good) in [("x".repeat(128), true), ("x".repeat(129), false), (String::new(), false)] {
        let subject = CreditSubject::External(subject);
        let grant = CreditCommand::Grant { account: account().id, subject, amount: 1, reason: None };
        let nothing = Found { workspace: account().workspace, account: None, reservation: None };
        assert_eq!(decide(&grant, nothing, NOW).is_ok(), is_good);
    }
}

#[test]
fn subjects_are_columns_and_back() {
    for subject in [CreditSubject::Key(KeyId::from_bytes([4; 16])), CreditSubject::External("k:é".to_owned())]
    {
        assert_eq!(CreditSubject::from_column(&subject.to_column()), Some(subject));
    }
    for text in ["", "k", "é", "k:", "y:a"] {
        assert_eq!(CreditSubject::from_column(text), None);
    }
}

/// What happens to an account.
#[derive(Clone, Debug)]
enum Step {
    Grant(u64),
    Reserve(u64),
    /// Which open reservation ends, and how much of it is spent.
    Release(usize, u64),
    Draw(u64, u64),
    /// Which slice ends, and how much of it was spent.
    Settle(usize, u64),
    Refill(i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..2_000_u64).prop_map(Step::Grant),
        (0..500_u64).prop_map(Step::Reserve),
        (0..8_usize, 0..500_u64).prop_map(|(which, spent)| Step::Release(which, spent)),
        (0..300_u64, 0..900_u64).prop_map(|(needed, want)| Step::Draw(needed, want)),
        (0..8_usize, 0..900_u64).prop_map(|(which, spent)| Step::Settle(which, spent)),
        (0..200_i64).prop_map(Step::Refill),
    ]
}

proptest! {
    /// The oracle keeps every unit by itself: where each of them is, not sums.
    #[test]
    fn no_unit_is_lost_or_made(steps in prop::collection::vec(step(), 1..200)) {
        let mut account = account();
        account.refill = Some(Refill { amount: 7, every_seconds: 60, cap: 500, due_at: NOW });
        let (mut purse, mut granted, mut spent, mut now) = (0_u64, 0_u64, 0_u64, NOW);
        let (mut reservations, mut slices) = (Vec::<u64>::new(), Vec::<u64>::new());
        for step in steps {
            match step {
                Step::Grant(amount) => {
                    let is_granted = account.grant(amount).is_ok();
                    prop_assert_eq!(is_granted, amount > 0);
                    granted += amount;
                    purse += amount;
                }
                Step::Reserve(amount) => {
                    let is_there = amount > 0 && amount <= purse;
                    prop_assert_eq!(account.reserve(amount).is_ok(), is_there);
                    if is_there {
                        purse -= amount;
                        reservations.push(amount);
                    }
                }
                Step::Release(which, part) if which < reservations.len() => {
                    let amount = reservations.remove(which);
                    let part = part.min(amount);
                    account.release(amount, part);
                    spent += part;
                    purse += amount - part;
                }
                Step::Draw(needed, want) => {
                    let units = account.draw(&draw(needed, want));
                    prop_assert!(units <= purse);
                    prop_assert!(units >= needed || purse < needed);
                    purse -= units;
                    slices.push(units);
                }
                Step::Settle(which, part) if which < slices.len() => {
                    let units = slices.remove(which);
                    account.settle(units, part);
                    spent += part.min(units);
                    purse += units - part.min(units);
                }
                Step::Refill(seconds) => {
                    now = now.plus_seconds(seconds);
                    let amount = account.refill(now);
                    prop_assert!(amount == 0 || purse + amount <= 500);
                    granted += amount;
                    purse += amount;
                }
                Step::Release(..) | Step::Settle(..) => {}
            }
            prop_assert!(account.is_balanced());
            prop_assert_eq!(
                (account.balance, account.reserved, account.held, account.spent, account.granted),
                (purse, reservations.iter().sum(), slices.iter().sum(), spent, granted)
            );
        }
    }
}
