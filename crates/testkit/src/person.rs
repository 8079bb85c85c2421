//! A person with a life in the installation, whose traces are looked for afterwards.

use std::{net::IpAddr, sync::Arc};

use keywright_domain::{
    audit::{AuditBody, ChainVerifier, PersonalData},
    command::{Command, Context, Outcome},
    ids::UserId,
    key::NewKey,
    permission::{PermissionSet, Role},
    permit::{Action, Actor, authorize},
    privacy::{ConsentName, ConsentTo, PrivacyCommand},
    retention::Retention,
    store::Store,
    time::Timestamp,
    usage::{AgentClass, UsageBatch, UsageRow},
    verdict::Code,
};

use crate::{Installation, Samples, store_suite::members::creator};

const DAY_SECONDS: i64 = 86_400;

/// Somebody of whom everything is known.
pub struct Person {
    /// Who.
    pub id: UserId,
}

impl Person {
    /// The address that they sign in with.
    pub const EMAIL: &str = "zerlinda.quatsch@example.com";
    /// Their name.
    pub const NAME: &str = "Zerlinda Quatsch";
    /// Their browser.
    pub const AGENT: &str = "Zerlindas-Browser/7";
    /// Where they are. Sixteen bytes, so that nothing else looks like it by chance.
    pub const ADDRESS: [u8; 16] = [0x20, 1, 0x0d, 0xb8, 0xfe, 0xed, 0xbe, 0xef, 0xca, 0xfe, 1, 2, 3, 4, 5, 6];

    /// The address.
    pub fn address() -> IpAddr {
        IpAddr::from(Self::ADDRESS)
    }

    /// They join, consent, create a key over HTTP, and use it.
    pub async fn live<S: Store>(installation: &Installation<S>) -> Self {
        let mut user = installation.samples.user();
        Self::EMAIL.clone_into(&mut user.email);
        Self::NAME.clone_into(&mut user.name);
        let (id, workspace) = (user.id, installation.workspace.id);
        let command = Command::CreateMember { user, workspace, role: Role::Admin };
        let Outcome::Membership(membership) = installation.operate(command).await.unwrap().outcome else {
            panic!("another outcome")
        };
        let plain = |text: &str| ConsentName::parse(text).unwrap();
        let consent = ConsentTo { name: plain("terms"), version: plain("2026-11") };
        let command = Command::Privacy(PrivacyCommand::GiveConsent { user: id, consent });
        installation.operate(command).await.unwrap();
        let creator = creator(&membership);
        let new = NewKey { created_by: creator, ..installation.samples.new_key("of the person") };
        let actor = Actor::Key { key: new.id, workspace, creator, permissions: PermissionSet::ALL };
        let permit = authorize(actor, Action::WriteKeys, Some(workspace)).unwrap();
        let personal = PersonalData {
            salt: [5; 16],
            address: Some(Self::address()),
            user_agent: Some(Self::AGENT.to_owned()),
        };
        let context = Context { personal, ..installation.samples.context(permit) };
        let outcome = installation.execute(context, Command::CreateKey(Box::new(new))).await.unwrap().outcome;
        let Outcome::Key(key) = outcome else { panic!("another outcome") };
        let row = UsageRow {
            key: key.number,
            secret_ordinal: 1,
            minute: Samples::NOW.unix_seconds().div_euclid(60),
            address: Some(Self::address()),
            route: String::new(),
            code: Code::Valid,
            agent: AgentClass::Browser,
            count: 3,
            cost: 3,
            last_at: Samples::NOW,
        };
        let batch = UsageBatch { incarnation: [9; 16], batch: 1, rows: vec![row] };
        installation.store.flush_usage(batch).await.unwrap();
        Self { id }
    }

    /// They are erased, and so much time passes that nothing of them has to be kept.
    pub async fn leave_for_good<S: Store>(&self, installation: &Installation<S>) {
        let erase = Command::Privacy(PrivacyCommand::Erase { user: self.id });
        installation.operate(erase).await.unwrap();
        let retention =
            Retention { audit_personal_days: 30, access_days: 30, usage_minute_days: 0, usage_hour_days: 0 };
        installation.retain(&retention, Samples::NOW.plus_seconds(32 * DAY_SECONDS)).await;
    }

    /// The audit chain holds, as `keywright audit verify` looks at it.
    pub async fn verify_chain<S: Store>(store: &Arc<S>) {
        let entries = store.audit_after(0, 1_000).await.unwrap();
        let mut chain = ChainVerifier::default();
        for entry in &entries {
            let body: AuditBody = serde_json::from_slice(&entry.body).unwrap();
            chain.push(entry, &body.personal).unwrap();
            assert!(body.at > Timestamp::from_unix_ms(0));
        }
        assert_eq!(chain.last(), store.audit_head().await.unwrap().0);
    }
}
