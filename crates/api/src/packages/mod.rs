//! What the routes that serve prompts share: rendered bodies and their cache, signed download links, byte ranges.

mod body;
mod cache;
mod range;
mod signer;

pub(crate) use body::{FlatPage, FlatPrompt, page_body, prompt_body};
pub use cache::PromptCache;
pub(crate) use cache::Rendered;
pub(crate) use range::{ByteRange, requested_range};
pub(crate) use signer::{DownloadLink, LinkRefusal};
