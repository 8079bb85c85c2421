//! Letters: what they say, and how they reach the mail server.
//!
//! A request only puts a letter into a queue. One task takes letters out, one at a time, and tries again for a while when the
//! server does not take them. Whom a letter goes to and what it says is neither logged nor counted.

mod carrier;
mod outbox;
mod queue;
mod text;

pub(crate) use carrier::{Carrier, SendError};
pub(crate) use queue::{Letterbox, MailStats, Posted, deliver};
pub(crate) use text::{Text, test_letter};
