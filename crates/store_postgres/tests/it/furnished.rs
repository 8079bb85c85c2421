//! An installation with everything in it.

use std::sync::Arc;

use keywright_domain::{
    account::{
        AccountCommand, CredentialCommand, InvitationCommand, NewInvitation, NewSecret, NewSession,
        SessionLimits, SignInMethod, Subject, SubjectKind, TokenDigest,
    },
    audit::Checkpoint,
    command::Command,
    credit::{CreditCommand, CreditDraw, CreditSubject},
    environment::Environment,
    identity::{ExternalIdentity, IdentityCommand},
    ids::{
        ContextId, CreditAccountId, InvitationId, PromptId, ReservationId, ServiceAccountId, SessionId,
        UserId,
    },
    key::{KeyChange, KeyNumber, KeyPatch},
    member::{MemberCommand, NewServiceAccount, Switch},
    permission::{PermissionName, PermissionSet, Role},
    permit::{Action, Actor, authorize},
    plan::Plan,
    principal::Principal,
    privacy::{Collection, ConsentName, ConsentTo, PrivacyCommand},
    prompt::{
        CHUNK_BYTES, Content, ContextKind, NewContext, NewPrompt, PromptCommand, PromptPatch, PromptSlug,
    },
    store::Store,
    time::Timestamp,
    usage::{AgentClass, UsageBatch, UsageRow},
    verdict::Code,
    workspace::{Slug, WorkspacePatch},
};
use keywright_testkit::{Installation, Samples};

const NOW: Timestamp = Samples::NOW;
/// Rows of the ledger: more than one piece.
const LEDGER_ROWS: u64 = 9_000;

/// Everything that an installation can have.
pub(crate) async fn everything<S: Store>(store: Arc<S>) -> Installation<S> {
    let installation = Installation::set_up(store).await;
    let samples = &installation.samples;
    let [plan, ..] = Plan::builtin();
    installation.operate(Command::PutPlan(Plan { name: "own".to_owned(), ..plan })).await.unwrap();
    let name = PermissionName::parse("prompts:translate").unwrap();
    let description = "Prüfung — 検証 🔑".to_owned();
    installation.operate(Command::PutPermission { name, description }).await.unwrap();
    installation.operate(Command::CreateWorkspace(Box::new(samples.new_workspace("other")))).await.unwrap();
    let (workspace, user) = (installation.workspace.id, samples.user());
    let person = user.id;
    installation.operate(Command::CreateMember { user, workspace, role: Role::Viewer }).await.unwrap();
    choices(&installation, person).await;
    service_account(&installation).await;
    accounts(&installation).await;
    prompts(&installation).await;
    credits(&installation).await;
    let second = samples.new_operator("second");
    let id = second.id;
    installation.operate(Command::CreateOperator(Box::new(second))).await.unwrap();
    installation.operate(Command::CreateOperator(Box::new(samples.new_operator("third")))).await.unwrap();
    installation.operate(Command::RevokeOperator(id)).await.unwrap();
    let patch = WorkspacePatch { suspended: Some(true), ..WorkspacePatch::default() };
    installation.patch_workspace(patch).await.unwrap();
    let patch = WorkspacePatch { suspended: Some(false), ..WorkspacePatch::default() };
    installation.patch_workspace(patch).await.unwrap();
    for slug in ["acme-inc", "acme"] {
        let slug = Some(Slug::parse(slug).unwrap());
        let patch = WorkspacePatch { slug, ..WorkspacePatch::default() };
        installation.patch_workspace(patch).await.unwrap();
    }
    keys(&installation).await;
    let context = samples.repeatable(installation.keys_permit(), "retry-1", 7);
    let new = samples.new_key("remembered");
    installation.execute(context, Command::CreateKey(Box::new(new))).await.unwrap();
    usage(&installation).await;
    checkpoint(&*installation.store).await;
    installation
}

/// Somebody who opted out, and consented to something, twice.
async fn choices<S: Store>(installation: &Installation<S>, user: UserId) {
    let collection = Collection::OptedOut;
    let command = PrivacyCommand::SetCollection { user, collection };
    installation.operate(Command::Privacy(command)).await.unwrap();
    for version in ["2026-10", "2026-11"] {
        let plain = |text: &str| ConsentName::parse(text).unwrap();
        let consent = ConsentTo { name: plain("terms"), version: plain(version) };
        let command = PrivacyCommand::GiveConsent { user, consent };
        installation.operate(Command::Privacy(command)).await.unwrap();
    }
}

/// A service account that is off, with narrowed permissions.
async fn service_account<S: Store>(installation: &Installation<S>) {
    let account = ServiceAccountId::generate(NOW, installation.samples.entropy());
    let new = NewServiceAccount {
        id: account,
        name: "api-production".to_owned(),
        email: "api-production@company.com".to_owned(),
        purpose: Some("Prüfung".to_owned()),
        owning_team: None,
        role: Role::Member,
        narrowed_to: Some(PermissionSet::EMPTY.with(1)),
        created_by: installation.owner.principal,
    };
    let create = MemberCommand::CreateServiceAccount(Box::new(new));
    for command in [create, MemberCommand::SwitchServiceAccount { account, switch: Switch::Off }] {
        let permit = Samples::permit(command.needs(), Some(installation.workspace.id));
        let context = installation.samples.context(permit);
        installation.execute(context, Command::Member(command)).await.unwrap();
    }
}

/// Somebody who is signed in, and somebody who failed to.
async fn accounts<S: Store>(installation: &Installation<S>) {
    let Principal::User(user) = installation.owner.principal else { panic!("not a person") };
    let id = SessionId::generate(NOW, installation.samples.entropy());
    let session = NewSession {
        id,
        user,
        digest: TokenDigest([3; 32]),
        method: SignInMethod::Password,
        agent: "Firefox on Linux".to_owned(),
    };
    let limits = SessionLimits::default();
    let own = authorize(Actor::User { user, session: id, member: None }, Action::OwnAccount, None).unwrap();
    let system = authorize(Actor::System, Action::Operate, None).unwrap();
    let subject = Subject { kind: SubjectKind::Account, digest: [8; 32] };
    for (permit, command) in [
        (own, AccountCommand::CreateSession { session, limits, forgive: Vec::new(), factor: None }),
        (system, AccountCommand::BeginAttempt(vec![subject])),
    ] {
        let context = installation.samples.context(permit);
        installation.execute(context, Command::Account(command)).await.unwrap();
    }
    let secret = NewSecret(b"12345678901234567890".to_vec().into());
    let digest = TokenDigest([4; 32]);
    for (permit, command) in [
        (own, CredentialCommand::BeginSecondFactor { user, secret }),
        (own, CredentialCommand::ConfirmSecondFactor { user, step: 7, codes: vec![digest] }),
        (system, CredentialCommand::StartRecovery { user, digest }),
    ] {
        let context = installation.samples.context(permit);
        installation.execute(context, Command::Credential(command)).await.unwrap();
    }
    let invited = NewInvitation {
        id: InvitationId::generate(NOW, installation.samples.entropy()),
        user: installation.samples.user(),
        digest,
        role: Role::Admin,
        narrowed_to: Some(PermissionSet::EMPTY.with(1)),
    };
    let command = InvitationCommand::Invite(vec![invited]);
    let permit = Samples::permit(command.needs(), Some(installation.workspace.id));
    let context = installation.samples.context(permit);
    installation.execute(context, Command::Invitation(command)).await.unwrap();
    let identity = ExternalIdentity { issuer: "https://id.example".to_owned(), subject: "1".to_owned() };
    let link = IdentityCommand::Link { user, identity };
    installation.operate(Command::Identity(link)).await.unwrap();
}

/// A prompt with a version, another draft, a file of more than one piece and a link.
async fn prompts<S: Store>(installation: &Installation<S>) {
    let entropy = installation.samples.entropy();
    let id = PromptId::generate(NOW, entropy);
    let draft = Content {
        title: "Prüfung".to_owned(),
        generator: "Answer {{question}}. {\"json\": 1}".to_owned(),
        ..Content::default()
    };
    let new = NewPrompt { id, slug: PromptSlug::parse("qa-bot").unwrap(), draft };
    let bytes = vec![7; CHUNK_BYTES + 1];
    let file = ContextKind::File {
        name: "faq.txt".to_owned(),
        mime_type: "text/plain".to_owned(),
        size: bytes.len() as u64,
        sha256: "0".repeat(64),
    };
    let link = ContextKind::Link { url: "https://example.com/faq".to_owned() };
    let item = |kind, chunks| PromptCommand::AddContext {
        prompt: id,
        item: Box::new(NewContext { id: ContextId::generate(NOW, entropy), label: None, kind, chunks }),
    };
    let patch = PromptPatch { tags: Some(vec!["ä".to_owned()]), ..PromptPatch::default() };
    for command in [
        PromptCommand::Create(Box::new(new)),
        item(file, bytes.chunks(CHUNK_BYTES).map(<[u8]>::to_vec).collect()),
        PromptCommand::Publish { prompt: id, if_revision: None },
        item(link, Vec::new()),
        PromptCommand::Edit { prompt: id, patch: Box::new(patch), if_revision: None },
    ] {
        let permit = Samples::permit(Action::WritePrompts, Some(installation.workspace.id));
        let context = installation.samples.context(permit);
        installation.execute(context, Command::Prompt(command)).await.unwrap();
    }
}

/// A balance of which some is reserved, and some held by a node.
async fn credits<S: Store>(installation: &Installation<S>) {
    let entropy = installation.samples.entropy();
    let workspace = installation.workspace.id;
    let subject = CreditSubject::External("customer-7".to_owned());
    let account = CreditAccountId::generate(NOW, entropy);
    let reservation = ReservationId::generate(NOW, entropy);
    for command in [
        CreditCommand::Grant { account, subject: subject.clone(), amount: 1_000, reason: None },
        CreditCommand::Reserve { reservation, subject: subject.clone(), amount: 10, ttl_seconds: 60 },
    ] {
        let permit = Samples::permit(command.needs().0, Some(workspace));
        let context = installation.samples.context(permit);
        installation.execute(context, Command::Credit(command)).await.unwrap();
    }
    let subjects = vec![subject];
    let draw = CreditDraw { slice: [5; 16], workspace, subjects, needed: 1, want: 50, nodes: 1, now: NOW };
    installation.store.draw_credits(draw).await.unwrap();
}

/// A key in every state.
async fn keys<S: Store>(installation: &Installation<S>) {
    let samples = &installation.samples;
    let secret = || samples.new_secret(Environment::Production);
    let rotate = |overlap_seconds| KeyChange::Rotate { secret: secret(), overlap_seconds };
    let compromise = |replacement| KeyChange::Compromise {
        reason: Some("Found in a log.".to_owned()),
        replacement,
        incident: samples.incident_id(),
    };
    let patch = KeyPatch {
        purpose: Some(Some("Ärger \"quoted\" \\".to_owned())),
        networks: Some(vec!["192.0.2.0/24".parse().unwrap(), "2001:db8::/32".parse().unwrap()]),
        external_id: Some(Some("customer-7".to_owned())),
        metadata: Some(r#"{"team":"payments","n":1}"#.to_owned()),
        expires_at: Some(Some(NOW.plus_seconds(86_400))),
        ..KeyPatch::default()
    };
    let cases = [
        ("plain", vec![]),
        ("Patched ÄÖÜ", vec![KeyChange::Patch(Box::new(patch))]),
        ("rotating", vec![rotate(Some(600))]),
        ("rotated", vec![rotate(Some(600)), KeyChange::CompleteRotation]),
        ("rotated twice", vec![rotate(Some(0)), rotate(None)]),
        ("not rotated", vec![rotate(Some(600)), KeyChange::CancelRotation]),
        ("disabled", vec![KeyChange::Disable]),
        ("enabled", vec![KeyChange::Disable, KeyChange::Enable]),
        ("revoked", vec![KeyChange::Revoke { reason: Some("gone with the wind".to_owned()) }]),
        ("replaced", vec![compromise(Some(secret()))]),
        ("compromised", vec![compromise(None)]),
        ("deleted", vec![KeyChange::Delete]),
    ];
    for (name, changes) in cases {
        let key = installation.create_key(name).await;
        for change in changes {
            installation.change(key.id, change).await.unwrap();
        }
    }
}

async fn usage<S: Store>(installation: &Installation<S>) {
    let row = |number: u64| UsageRow {
        key: KeyNumber(1 + u32::try_from(number % 5).unwrap()),
        secret_ordinal: 1,
        minute: NOW.unix_ms() / 60_000 + i64::try_from(number / 5).unwrap(),
        address: [None, Some([192, 0, 2, 1].into()), Some("2001:db8::1".parse().unwrap())]
            [usize::try_from(number % 3).unwrap()],
        route: ["", "/v1/a\0", "/v1/ab", "/v1/é"][usize::try_from(number % 4).unwrap()].to_owned(),
        code: if number.is_multiple_of(7) { Code::RateLimited } else { Code::Valid },
        agent: AgentClass::Library,
        count: 1 + number % 9,
        cost: 3,
        last_at: NOW.plus_seconds(i64::try_from(number).unwrap()),
    };
    for batch in 1..=3 {
        let range = LEDGER_ROWS * (batch - 1) / 3..LEDGER_ROWS * batch / 3;
        let batch = UsageBatch { incarnation: [9; 16], batch, rows: range.map(row).collect() };
        installation.store.flush_usage(batch).await.unwrap();
    }
}

pub(crate) async fn checkpoint<S: Store + ?Sized>(store: &S) {
    let (sequence, hash) = store.audit_head().await.unwrap();
    let checkpoint = Checkpoint { sequence, hash, at: NOW, public_key: [3; 32], signature: [4; 64] };
    store.put_checkpoint(checkpoint).await.unwrap();
}
