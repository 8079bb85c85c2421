//! What goes over the wire: types shared by endpoints. Nothing here decides anything.

mod audit;
mod credit;
mod fields;
mod filter;
mod invitation;
mod key;
mod limits;
mod member;
mod names;
mod networks;
mod operator;
mod page;
mod path;
mod plan;
mod prompt;
mod receipt;
mod secret;
mod session;
mod time;
mod usage;
mod workspace;

pub(crate) use audit::hex;
pub use audit::{AuditActor, AuditEntry, AuditTarget, Checkpoint, FieldChange};
pub(crate) use credit::credit_subject;
pub use credit::{CreditAccount, Refill, Reservation};
pub use fields::Patch;
pub use filter::KeyFilter;
pub use invitation::Invitation;
pub use key::{Incident, Key, KeySecret, Principal};
pub(crate) use key::{KeyTexts, LastUses};
pub use limits::LimitWindow;
pub use member::{AccountStatus, HandOverWarning, Member, MovedKeys, ServiceAccount};
pub use names::{Algorithm, Environment, Granularity, KeyStatus, Mode, Role};
pub(crate) use networks::parse_networks;
pub use operator::Operator;
pub use page::Page;
pub(crate) use page::page_limit;
pub use path::{
    ConsentPath, InvitationPath, KeyPath, MemberPath, NamePath, OperationPath, OperatorPath, OwnConsentPath,
    ReservationPath, ServiceAccountPath, UserPath, WorkspacePath,
};
pub use plan::{Permission, Plan};
pub use prompt::{
    ContextItem, ContextKind, Prompt, PromptContent, PromptPath, PromptVariable, PromptVersion, VersionPath,
};
pub use receipt::{Effective, Operation, Receipt, WaitingNode};
pub(crate) use receipt::{OperationAnswer, Receipted};
pub use secret::RevealedSecret;
pub use session::Session;
pub use time::Time;
pub(crate) use usage::six_digits;
pub use usage::{LedgerRow, Origin, OwnUsage, Usage, UsageBucket, UsageScope};
pub use workspace::{
    IdleAction, Period, PolicyPatch, RotationMode, RotationPatch, RotationPolicy, Workspace, WorkspacePolicy,
};
