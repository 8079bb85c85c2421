//! What concerns everybody's personal data.

pub(super) mod collected;
