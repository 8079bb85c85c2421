//! The class of a user agent, remembered per thread: few different clients make most requests.

use std::cell::RefCell;

use http::{HeaderMap, HeaderValue, header};
use keywright_domain::usage::AgentClass;

/// Remembered user agents per thread.
const SLOTS: usize = 16;
/// Longest remembered user agent, in bytes; longer ones are classified anew each time.
const REMEMBERED_MAX_BYTES: usize = 256;

type Remembered = [Option<(Box<str>, AgentClass)>; SLOTS];

thread_local! {
    static REMEMBERED: RefCell<Remembered> = const { RefCell::new([const { None }; SLOTS]) };
}

/// The class of the request's user agent.
pub(super) fn agent(headers: &HeaderMap) -> AgentClass {
    agent_of(headers.get(header::USER_AGENT).map(HeaderValue::as_bytes))
}

/// The class of the user agent with this header, if it was sent.
pub(super) fn agent_of(value: Option<&[u8]>) -> AgentClass {
    let is_visible = |byte: &u8| (0x20..0x7f).contains(byte) || *byte == b'\t';
    value
        .filter(|value| value.iter().all(is_visible))
        .and_then(|value| std::str::from_utf8(value).ok())
        .map_or(AgentClass::Unknown, class_of)
}

/// The class of this user agent.
pub(super) fn class_of(text: &str) -> AgentClass {
    if text.is_empty() || text.len() > REMEMBERED_MAX_BYTES {
        return AgentClass::of(text);
    }
    REMEMBERED.with_borrow_mut(|slots| {
        let bytes = text.as_bytes();
        let mixed = text.len() ^ usize::from(bytes[0]) ^ usize::from(bytes[bytes.len() - 1]);
        let slot = &mut slots[mixed % SLOTS];
        match slot {
            Some((known, class)) if **known == *text => *class,
            _ => {
                let class = AgentClass::of(text);
                *slot = Some((text.into(), class));
                class
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_without_mixing_up() {
        let agents = [
            "curl/8.5.0",
            "curl/8.5.1",
            "Mozilla/5.0",
            "",
            "python-requests/2",
            &"x".repeat(300),
            "curl/8.5.0",
        ];
        for _ in 0..3 {
            for agent in agents {
                assert_eq!(class_of(agent), AgentClass::of(agent), "{agent}");
            }
        }
    }
}
