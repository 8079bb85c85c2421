//! The dictionary of routes: usage entries carry numbers, this file knows the names.
//!
//! One file for all segments and incarnations, one route per line, the line's number is the route's. It is only ever
//! appended to, before the first entry that uses the number, so a segment that outlives its process can be read.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::Path,
    sync::Arc,
};

use arc_swap::ArcSwap;
use keywright_domain::caps;
use parking_lot::Mutex;

/// Number of a route in the spool's dictionary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteId(pub(crate) u32);

impl RouteId {
    /// No route was told.
    pub const NONE: Self = Self(0);
    /// A route beyond those that the dictionary has room for, or one whose detail was given up under pressure.
    pub const OTHER: Self = Self(1);
}

/// Most routes that are told apart.
pub(super) const ROUTES_MAX: usize = 4_096;
const FIRST: u32 = 2;
const OTHER_NAME: &str = "(other)";
const FILE_NAME: &str = "routes.dict";

#[derive(Clone, Default)]
struct Names {
    by_name: HashMap<Arc<str>, u32>,
    in_order: Vec<Arc<str>>,
}

pub(super) struct Routes {
    names: ArcSwap<Names>,
    file: Mutex<File>,
}

impl Routes {
    /// Reads the dictionary. A line that a crash cut short is removed: nothing uses its number yet.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        let path = directory.join(FILE_NAME);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let complete = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        if complete < bytes.len() {
            file.set_len(complete as u64)?;
        }
        let mut names = Names::default();
        for line in String::from_utf8_lossy(&bytes[..complete]).lines() {
            names.push(line);
        }
        Ok(Self { names: ArcSwap::from_pointee(names), file: Mutex::new(file) })
    }

    /// The route's number; a new one is written down first.
    pub(super) fn intern(&self, route: &str) -> RouteId {
        if route.is_empty() {
            return RouteId::NONE;
        }
        if let Some(number) = self.names.load().by_name.get(route) {
            return RouteId(*number);
        }
        if route.len() > caps::ROUTE_MAX_BYTES || route.contains(['\n', '\r']) {
            return RouteId::OTHER;
        }
        self.append(route)
    }

    #[cold]
    fn append(&self, route: &str) -> RouteId {
        let mut file = self.file.lock();
        let known = self.names.load();
        if let Some(number) = known.by_name.get(route) {
            return RouteId(*number);
        }
        // One write call, so that a crash leaves a whole line or a cut one, never two mixed.
        let is_written =
            known.in_order.len() < ROUTES_MAX && file.write_all(format!("{route}\n").as_bytes()).is_ok();
        if !is_written {
            return RouteId::OTHER;
        }
        let mut names = Names::clone(&known);
        let number = names.push(route);
        self.names.store(Arc::new(names));
        RouteId(number)
    }

    /// The route's name.
    pub(super) fn name(&self, route: RouteId) -> String {
        let Some(position) = route.0.checked_sub(FIRST) else {
            return if route == RouteId::NONE { String::new() } else { OTHER_NAME.to_owned() };
        };
        let names = self.names.load();
        names
            .in_order
            .get(position as usize)
            .map_or_else(|| OTHER_NAME.to_owned(), std::string::ToString::to_string)
    }
}

impl Names {
    fn push(&mut self, name: &str) -> u32 {
        let number = FIRST + u32::try_from(self.in_order.len()).expect("at most ROUTES_MAX");
        let name: Arc<str> = name.into();
        self.by_name.insert(Arc::clone(&name), number);
        self.in_order.push(name);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_a_restart_and_a_cut_line_does_not() {
        let directory = tempfile::tempdir().unwrap();
        let (first, second) = {
            let routes = Routes::open(directory.path()).unwrap();
            (routes.intern("POST /v1/chat"), routes.intern("GET /v1/prompts"))
        };
        let mut file = OpenOptions::new().append(true).open(directory.path().join(FILE_NAME)).unwrap();
        file.write_all(b"GET /cut").unwrap();
        let routes = Routes::open(directory.path()).unwrap();
        assert_eq!(
            (routes.intern("POST /v1/chat"), routes.name(second)),
            (first, "GET /v1/prompts".to_owned())
        );
        let third = routes.intern("GET /whole");
        assert_eq!(Routes::open(directory.path()).unwrap().name(third), "GET /whole");
    }

    #[test]
    fn no_route_and_routes_that_do_not_fit() {
        let directory = tempfile::tempdir().unwrap();
        let routes = Routes::open(directory.path()).unwrap();
        assert_eq!((routes.intern(""), routes.name(RouteId::NONE)), (RouteId::NONE, String::new()));
        assert_eq!(routes.intern("a\nb"), RouteId::OTHER);
        assert_eq!(routes.intern(&"x".repeat(129)), RouteId::OTHER);
        assert_ne!(routes.intern(&"x".repeat(128)), RouteId::OTHER);
        for number in 1..ROUTES_MAX {
            assert_ne!(routes.intern(&format!("r{number}")), RouteId::OTHER);
        }
        assert_eq!(routes.intern("one too many"), RouteId::OTHER);
        assert_eq!(routes.name(RouteId::OTHER), "(other)");
    }
}
