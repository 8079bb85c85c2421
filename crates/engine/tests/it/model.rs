//! The engine against a naive model: after any sequence of changes, every secret ever issued gets the same answer.

use std::collections::{BTreeMap, BTreeSet};

use keywright_domain::{
    change::{Change, KeyView, MembershipView, WorkspaceView},
    environment::Environment,
    key::KeyNumber,
    limits::LimitWindow,
    permission::{Builtin, PermissionSet},
    time::Timestamp,
    verdict::Code,
    workspace::WorkspaceNumber,
};
use keywright_engine::VerifyRequest;
use keywright_keyformat::{KeyKind, Secret, parse};
use proptest::prelude::*;

use crate::fixture::{Fixture, START_MS, membership, request, secret, window, workspace};

const KEYS: u32 = 6;

#[derive(Clone, Debug)]
enum Operation {
    Put { key: u32, environment: u8, permissions: u64, flags: u8, expires_ms: Option<i64>, limits: u8 },
    Rotate { key: u32, overlap_ms: Option<i64> },
    Retire { key: u32, which: u8 },
    Forget { key: u32 },
    Remove { key: u32 },
    Workspace { number: u32, suspended: bool, permissions: u64 },
    Membership { number: u32, ended: bool, permissions: u64 },
    Advance { ms: u32 },
}

fn operation() -> impl Strategy<Value = Operation> {
    let key = 1..=KEYS;
    prop_oneof![
        4 => (key.clone(), 0_u8..4, 0_u64..16, any::<u8>(), proptest::option::of(-50_i64..500), 0_u8..4).prop_map(
            |(key, environment, permissions, flags, expires_ms, limits)| Operation::Put { key, environment, permissions, flags, expires_ms, limits }
        ),
        4 => (key.clone(), proptest::option::of(0_i64..300)).prop_map(|(key, overlap_ms)| Operation::Rotate { key, overlap_ms }),
        2 => (key.clone(), any::<u8>()).prop_map(|(key, which)| Operation::Retire { key, which }),
        1 => key.clone().prop_map(|key| Operation::Forget { key }),
        1 => key.prop_map(|key| Operation::Remove { key }),
        1 => (1_u32..=2, any::<bool>(), 0_u64..16).prop_map(|(number, suspended, permissions)| Operation::Workspace { number, suspended, permissions }),
        1 => (1_u32..=2, any::<bool>(), 0_u64..16).prop_map(|(number, ended, permissions)| Operation::Membership { number, ended, permissions }),
        2 => (1_u32..100).prop_map(|ms| Operation::Advance { ms }),
    ]
}

#[derive(Default)]
struct Model {
    keys: BTreeMap<u32, KeyView>,
    workspaces: BTreeMap<u32, WorkspaceView>,
    memberships: BTreeMap<u32, MembershipView>,
    /// Every secret ever issued, with its key.
    issued: Vec<(u32, Secret)>,
    now_ms: i64,
}

fn set(bits: u64) -> PermissionSet {
    PermissionSet::from_words([bits, 0, 0, 0])
}

fn limits(choice: u8) -> Option<Vec<LimitWindow>> {
    match choice {
        0 => None,
        1 => Some(Vec::new()),
        2 => Some(vec![window("minute", 4_000_000_000, 60)]),
        _ => Some(vec![window("minute", 4_000_000_000, 60), window("day", 4_000_000_000, 86_400)]),
    }
}

impl Model {
    fn new() -> Self {
        let mut model = Self { now_ms: START_MS, ..Self::default() };
        for (number, slug) in [(1, "acme"), (2, "other")] {
            model.workspaces.insert(number, workspace(number, slug, "unlimited"));
            model.memberships.insert(number, membership(number));
        }
        model
    }

    /// The change that an operation makes, if it makes one.
    fn change(&mut self, fixture: &Fixture, operation: &Operation) -> Option<Change> {
        match *operation {
            Operation::Put { key, environment, permissions, flags, expires_ms, limits: choice } => {
                let mut view = self.keys.get(&key).cloned().unwrap_or_else(|| self.fresh(fixture, key));
                view.environment = Environment::from_u8(environment).unwrap();
                view.permissions = set(permissions);
                (view.disabled, view.revoked) = (flags & 0x1 != 0, flags & 0xe == 0xe);
                view.networks =
                    if flags & 0x30 == 0x30 { vec!["203.0.113.0/24".parse().unwrap()] } else { Vec::new() };
                view.external_id = (flags & 0x40 != 0).then(|| format!("customer-{flags}"));
                view.metadata =
                    format!("{{\"flags\":{flags},\"pad\":\"{}\"}}", "x".repeat(usize::from(flags)));
                view.workspace = WorkspaceNumber(1 + u32::from(flags & 0x80 != 0));
                view.expires_at = expires_ms.map(|ms| Timestamp::from_unix_ms(self.now_ms + ms));
                view.limits = limits(choice);
                Some(self.put(view))
            }
            Operation::Rotate { key, overlap_ms } => {
                let mut view = self.keys.get(&key).cloned()?;
                let end = overlap_ms.map(|ms| Timestamp::from_unix_ms(self.now_ms + ms));
                for old in view.secrets.iter_mut().filter(|old| !old.retired) {
                    (old.expires_at, old.retired) = (end, end.is_none());
                }
                let ordinal = view.secrets.last().map_or(0, |last| last.ordinal) + 1;
                view.secrets.push(self.issue(fixture, key, ordinal));
                while view.secrets.len() > 12 {
                    view.secrets.remove(0);
                }
                Some(self.put(view))
            }
            Operation::Retire { key, which } => {
                let mut view = self.keys.get(&key).cloned()?;
                let position = usize::from(which) % view.secrets.len();
                view.secrets[position].retired = true;
                Some(self.put(view))
            }
            Operation::Forget { key } => {
                let mut view = self.keys.get(&key).cloned()?;
                if view.secrets.len() > 1 {
                    view.secrets.remove(0);
                }
                Some(self.put(view))
            }
            Operation::Remove { key } => {
                self.keys.remove(&key);
                Some(Change::KeyRemoved(KeyNumber(key)))
            }
            Operation::Workspace { number, suspended, permissions } => {
                let view = self.workspaces.get_mut(&number)?;
                (view.suspended, view.allowed_permissions) = (suspended, set(permissions | 1));
                Some(Change::Workspace(view.clone()))
            }
            Operation::Membership { number, ended, permissions } => {
                let view = self.memberships.get_mut(&number)?;
                (view.off, view.permissions) = (ended, set(permissions | 2));
                Some(Change::Membership(view.clone()))
            }
            Operation::Advance { ms } => {
                self.now_ms += i64::from(ms);
                fixture.clock.advance_ms(ms);
                None
            }
        }
    }

    fn put(&mut self, view: KeyView) -> Change {
        self.keys.insert(view.number.0, view.clone());
        Change::Key(Box::new(view))
    }

    fn fresh(&mut self, fixture: &Fixture, number: u32) -> KeyView {
        let (view, _) = fixture.key(number);
        KeyView { secrets: vec![self.issue(fixture, number, 1)], ..view }
    }

    fn issue(&mut self, fixture: &Fixture, key: u32, ordinal: u16) -> keywright_domain::change::SecretView {
        let secret = secret(KeyKind::Live, 1_000 + self.issued.len() as u64);
        let view = fixture.secret_view(&secret, ordinal);
        self.issued.push((key, secret));
        view
    }

    /// What DESIGN's order of checks says, written down naively.
    fn expected(&self, key: u32, secret: &Secret, asked: PermissionSet) -> (Code, Option<u16>) {
        let locator = parse(secret.expose().as_bytes(), None).unwrap().locator();
        let found = self.keys.get(&key).and_then(|view| {
            view.secrets.iter().find(|known| known.locator == locator).map(|known| (view, known))
        });
        let Some((view, known)) = found else { return (Code::InvalidKey, None) };
        let over = |end: Option<Timestamp>| end.is_some_and(|end| end.unix_ms() <= self.now_ms);
        let workspace = &self.workspaces[&view.workspace.0];
        let member = &self.memberships[&view.creator.membership.0];
        let effective =
            view.permissions.intersection(workspace.allowed_permissions).intersection(member.permissions);
        let code = if view.revoked || known.retired || over(known.expires_at) {
            Code::RevokedKey
        } else if view.disabled || member.off {
            Code::DisabledKey
        } else if over(view.expires_at) {
            Code::ExpiredKey
        } else if workspace.suspended {
            Code::WorkspaceSuspended
        } else if !view.networks.is_empty() {
            Code::IpNotAllowed
        } else if !asked.is_subset(effective) {
            Code::InsufficientPermissions
        } else {
            Code::Valid
        };
        (code, Some(known.ordinal))
    }

    fn check(&self, fixture: &Fixture) {
        let asked = PermissionSet::EMPTY.with(Builtin::PromptsList.bit());
        for (key, secret) in &self.issued {
            let verdict = fixture.engine.verify(&VerifyRequest { permissions: asked, ..request(secret) });
            let ordinal = verdict.key.map(|hit| hit.secret_ordinal);
            assert_eq!((verdict.code, ordinal), self.expected(*key, secret, asked), "key {key}");
            let located = fixture.engine.locate(&parse(secret.expose().as_bytes(), None).unwrap().locator());
            assert_eq!(
                located.map(|located| (located.number.0, located.secret_ordinal)),
                ordinal.map(|ordinal| (*key, ordinal))
            );
            if let Some(hit) = verdict.key {
                let (view, mut buffer) = (&self.keys[key], Vec::new());
                let details = fixture.engine.details(&hit, &mut buffer).unwrap();
                assert_eq!(
                    (details.external_id, details.metadata),
                    (view.external_id.as_deref(), view.metadata.as_str())
                );
                assert_eq!(details.creator, view.creator);
            }
        }
        let gauges = fixture.engine.gauges();
        let secrets: usize = self.keys.values().map(|view| view.secrets.len()).sum();
        assert_eq!((gauges.keys, gauges.secrets), (self.keys.len() as u64, secrets as u64));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_secret_gets_the_answer_of_the_model(operations in proptest::collection::vec(operation(), 1..60)) {
        let (fixture, mut model) = (Fixture::new(), Model::new());
        for view in model.workspaces.values() {
            fixture.apply(Change::Workspace(view.clone()));
        }
        for operation in &operations {
            if let Some(change) = model.change(&fixture, operation) {
                fixture.apply(change);
            }
            model.check(&fixture);
        }
    }
}

#[test]
fn tables_grow_and_shrink_without_losing_a_key() {
    let fixture = Fixture::new();
    let secrets: Vec<Secret> =
        (0..3_000_u32).map(|number| secret(KeyKind::Live, u64::from(number))).collect();
    let mut present = BTreeSet::new();
    for round in 0..3_u32 {
        for (number, secret) in (1_u32..).zip(&secrets) {
            let (mut view, _) = fixture.key(number);
            view.secrets = vec![fixture.secret_view(secret, 1)];
            fixture.put(&view);
            present.insert(number);
        }
        for number in (1..=3_000_u32).filter(|number| number % 3 == round) {
            fixture.apply(Change::KeyRemoved(KeyNumber(number)));
            present.remove(&number);
        }
        for (number, secret) in (1_u32..).zip(&secrets) {
            let expected = if present.contains(&number) { Code::Valid } else { Code::InvalidKey };
            assert_eq!(fixture.verify(secret).code, expected, "{number} in round {round}");
        }
    }
    let gauges = fixture.engine.gauges();
    assert_eq!(gauges.keys, 2_000);
    assert!(gauges.index_bytes <= 16 * 3_000, "{gauges:?}");
}
