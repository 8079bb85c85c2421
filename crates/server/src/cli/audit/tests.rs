use clap::Parser;

use super::{
    super::console::{Dialogue, captured::console},
    verifier::tests::{chain, sign},
    *,
};

#[derive(Debug, Parser)]
struct Line_ {
    #[command(flatten)]
    audit: Audit,
}

fn run(arguments: &[&str], input: &str) -> (u8, String) {
    let line = Line_::try_parse_from([&["audit"], arguments].concat()).unwrap();
    let (console, out, err) = console(input.as_bytes(), Dialogue::Impossible);
    let result = line.audit.run(console);
    let exit = result.as_ref().err().map_or(0, |failure| failure.exit() as u8);
    (exit, out.text() + &err.text() + &result.err().map(|failure| failure.to_string()).unwrap_or_default())
}

fn trail(count: u64) -> Vec<Line> {
    let key = ed25519_dalek::SigningKey::from_bytes(&[9; 32]);
    let entries = chain(count);
    let checkpoint = sign(&key, count, entries.last().unwrap().hash);
    let mut lines: Vec<Line> = entries.into_iter().map(Line::Entry).collect();
    lines.extend([Line::Checkpoint(checkpoint), Line::End(count)]);
    lines
}

fn text(lines: &[Line]) -> String {
    lines.iter().map(|line| line.to_json() + "\n").collect()
}

#[test]
fn an_export_verifies_and_a_break_is_named() {
    let lines = trail(4);
    let (exit, said) = run(&["verify", "--file", "-"], &text(&lines));
    assert_eq!(exit, 0, "{said}");
    assert!(said.contains("4 entries (1 to 4), 1 checkpoints") && said.contains("--public-key"), "{said}");

    let mut altered = lines.clone();
    let Line::Entry(entry) = &mut altered[2] else { panic!() };
    entry.body[40] ^= 1;
    let (exit, said) = run(&["verify", "--file", "-", "--json"], &text(&altered));
    assert_eq!(exit, 3);
    assert!(said.contains("entry 3") && said.contains("\"whole\": false"), "{said}");

    let (exit, said) = run(&["verify", "--file", "-"], &text(&lines[..5]));
    assert_eq!(exit, 3, "without the end line it is cut off");
    assert!(said.contains("cut off"), "{said}");

    let other = "00".repeat(32);
    assert_eq!(run(&["verify", "--file", "-", "--public-key", &other], &text(&lines)).0, 3);
    assert_eq!(run(&["verify", "--file", "-"], "hello").0, 1);
    assert_eq!(run(&["verify", "--file", "/does/not/exist"], "").0, 1);
}

#[test]
fn a_part_goes_on_from_the_entry_before_it() {
    let (mut console, out, _) = console(b"", Dialogue::Impossible);
    let lines = trail(3);
    let all: Trail<'_> = Box::new(lines.clone().into_iter().map(Ok));
    let later = Timestamp::from_unix_ms(1_900_000_000_000);
    assert_eq!(write(all, Some(later), &mut console, &indicatif::ProgressBar::hidden()).unwrap(), 0);
    let (exit, said) = run(&["verify", "--file", "-"], &out.text());
    assert_eq!(exit, 0, "{said}");
    assert!(said.contains("0 entries (4 to 3)"), "{said}");
}

#[test]
fn arguments() {
    assert!(
        public_key(&"0".repeat(64)).is_ok()
            && public_key(&"0".repeat(63)).is_err()
            && public_key("").is_err()
    );
    assert_eq!(head(&format!("7:{}", "00".repeat(32))), Ok((7, [0; 32])));
    assert!(head("7").is_err() && head("x:00").is_err());
}
