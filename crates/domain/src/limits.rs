//! Limits: windows in which a key or a workspace may spend a number of cost units.

use serde::{Deserialize, Serialize};

use crate::caps;

/// How spending inside a window is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// Sliding window counter: the previous fixed window counts by the share of it that still lies inside the
    /// sliding one.
    #[default]
    Sliding,
    /// Generic cell rate algorithm (ITU-T I.371): refills evenly, allows a burst of the whole limit.
    Smooth,
}

impl Algorithm {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sliding => "sliding",
            Self::Smooth => "smooth",
        }
    }
}

/// How a window is counted where several nodes share it. A single node counts both ways alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Nodes spend from shares that they drew before. Never more than the limit is admitted; towards its end a few
    /// units may lie unused with a node that does not need them.
    #[default]
    Shared,
    /// Every call is counted in the database before it is answered.
    Exact,
}

/// What an exact window says while the database cannot be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUnavailable {
    /// The call is answered `unavailable`.
    #[default]
    Closed,
    /// The call passes uncounted.
    Open,
}

impl Mode {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Exact => "exact",
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl OnUnavailable {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// One window of a limit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitWindow {
    /// Names the window among those of the same key or plan, such as `minute`.
    pub name: String,
    /// Cost units that may be spent in any window.
    pub limit: u64,
    /// Length of the window, in seconds.
    pub window_seconds: u32,
    /// How spending is counted.
    #[serde(default)]
    pub algorithm: Algorithm,
    /// How it is counted where several nodes share it.
    #[serde(default, skip_serializing_if = "Mode::is_default")]
    pub mode: Mode,
    /// What an exact window says while the database cannot be asked. A shared one goes on with the node's part.
    #[serde(default, skip_serializing_if = "OnUnavailable::is_default")]
    pub on_unavailable: OnUnavailable,
}

/// Why a list of windows is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLimits {
    /// More windows than [`caps::WINDOWS_MAX`].
    #[error("at most {} windows", caps::WINDOWS_MAX)]
    TooMany,
    /// A name is empty, too long, or has other characters.
    #[error("a window's name has 1 to 32 of a-z, 0-9, '_' and '-'")]
    Name,
    /// Two windows have the same name.
    #[error("two windows are called {0:?}")]
    DuplicateName(String),
    /// A limit is out of range.
    #[error("a limit is from {} to {}", caps::WINDOW_LIMIT_MIN, caps::WINDOW_LIMIT_MAX)]
    Limit,
    /// A window's length is out of range.
    #[error("window_seconds is from {} to {}", caps::WINDOW_SECONDS_MIN, caps::WINDOW_SECONDS_MAX)]
    WindowSeconds,
}

/// Checks a list of windows.
///
/// # Errors
/// [`InvalidLimits`] with the first thing that is wrong.
pub fn check_windows(windows: &[LimitWindow]) -> Result<(), InvalidLimits> {
    if windows.len() > caps::WINDOWS_MAX {
        return Err(InvalidLimits::TooMany);
    }
    for (position, window) in windows.iter().enumerate() {
        let name_is_valid = (1..=32).contains(&window.name.len())
            && window.name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'));
        if !name_is_valid {
            return Err(InvalidLimits::Name);
        }
        if windows[..position].iter().any(|other| other.name == window.name) {
            return Err(InvalidLimits::DuplicateName(window.name.clone()));
        }
        if !(caps::WINDOW_LIMIT_MIN..=caps::WINDOW_LIMIT_MAX).contains(&window.limit) {
            return Err(InvalidLimits::Limit);
        }
        if !(caps::WINDOW_SECONDS_MIN..=caps::WINDOW_SECONDS_MAX).contains(&window.window_seconds) {
            return Err(InvalidLimits::WindowSeconds);
        }
    }
    Ok(())
}

impl LimitWindow {
    /// The window in words, as the audit trail records it.
    pub fn describe(&self) -> String {
        let Self { name, limit, window_seconds, algorithm, mode, on_unavailable } = self;
        let mut text = format!("{name} {limit}/{window_seconds}s {}", algorithm.as_str());
        if *mode == Mode::Exact {
            text.push_str(" exact");
            if *on_unavailable == OnUnavailable::Open {
                text.push_str(" or-open");
            }
        }
        text
    }

    /// Whether a refusal by this window is a spent quota rather than a rate.
    pub const fn is_quota(&self) -> bool {
        self.window_seconds >= caps::QUOTA_WINDOW_SECONDS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(name: &str, limit: u64, window_seconds: u32) -> LimitWindow {
        LimitWindow {
            name: name.to_owned(),
            limit,
            window_seconds,
            algorithm: Algorithm::Sliding,
            mode: Mode::Shared,
            on_unavailable: OnUnavailable::Closed,
        }
    }

    #[test]
    fn what_a_window_says_of_itself() {
        let plain = window("minute", 5, 60);
        assert_eq!(plain.describe(), "minute 5/60s sliding");
        let exact = LimitWindow { mode: Mode::Exact, ..plain.clone() };
        assert_eq!(exact.describe(), "minute 5/60s sliding exact");
        let open = LimitWindow { on_unavailable: OnUnavailable::Open, ..exact };
        assert_eq!(open.describe(), "minute 5/60s sliding exact or-open");
    }

    #[test]
    fn both_sides_of_every_limit() {
        assert_eq!(
            check_windows(&[window("minute", 1, 1), window("year", 4_000_000_000, 366 * 86_400)]),
            Ok(())
        );
        assert_eq!(check_windows(&[window("m", 0, 1)]), Err(InvalidLimits::Limit));
        assert_eq!(check_windows(&[window("m", 4_000_000_001, 1)]), Err(InvalidLimits::Limit));
        assert_eq!(check_windows(&[window("m", 1, 0)]), Err(InvalidLimits::WindowSeconds));
        assert_eq!(check_windows(&[window("m", 1, 366 * 86_400 + 1)]), Err(InvalidLimits::WindowSeconds));
        assert_eq!(check_windows(&[window("", 1, 1)]), Err(InvalidLimits::Name));
        assert_eq!(check_windows(&[window(&"m".repeat(32), 1, 1)]), Ok(()));
        assert_eq!(check_windows(&[window(&"m".repeat(33), 1, 1)]), Err(InvalidLimits::Name));
        assert_eq!(
            check_windows(&[window("m", 1, 1), window("m", 2, 2)]),
            Err(InvalidLimits::DuplicateName("m".to_owned()))
        );
        let windows = |count: usize| (0..count).map(|n| window(&format!("w{n}"), 1, 1)).collect::<Vec<_>>();
        assert_eq!(check_windows(&windows(8)), Ok(()));
        assert_eq!(check_windows(&windows(9)), Err(InvalidLimits::TooMany));
    }
}
