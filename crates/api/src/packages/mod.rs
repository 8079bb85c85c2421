//! What the routes that serve prompts share: rendered bodies and their cache, signed download links, byte ranges.

mod body;
mod cache;
mod range;
mod serve;
mod signer;

pub(crate) use body::{FlatPage, FlatPrompt, prompt_body};
pub use cache::PromptCache;
pub(crate) use cache::Rendered;
pub(crate) use range::{ByteRange, requested_range};
pub(crate) use serve::{Question, Reader, from_memory, serve};
pub(crate) use signer::{DownloadLink, LinkRefusal};
