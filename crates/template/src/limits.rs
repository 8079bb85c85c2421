//! How much is too much. Sizes are bytes.

/// Size of a template.
pub const MAX_TEMPLATE_BYTES: usize = 256 << 10;
/// Variables of a template.
pub const MAX_VARIABLES: usize = 100;
/// Placeholders of a template: a variable may stand in several places.
pub const MAX_PLACEHOLDERS: usize = 1_000;
/// Size of the name of a variable.
pub const MAX_NAME_BYTES: usize = 64;
/// Members of an enum.
pub const MAX_MEMBERS: usize = 100;
/// Size of a value, JSON as it is inserted.
pub const MAX_VALUE_BYTES: usize = 128 << 10;
/// Size of a value without boundaries.
pub const MAX_INLINE_BYTES: usize = 1 << 10;
/// Size of a filled template.
pub const MAX_OUTPUT_BYTES: usize = 1 << 20;
