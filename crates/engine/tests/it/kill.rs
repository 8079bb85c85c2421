//! `kill -9` while counting: every reply that got out is counted after the restart.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Command, Stdio},
};

use keywright_domain::{key::KeyNumber, time::Timestamp, usage::AgentClass, verdict::Code};
use keywright_engine::{RouteId, Spool, SpoolOptions, UsageEvent};

const READY: u8 = b'!';
const REPLY: u8 = b'.';

fn options(round: u8) -> SpoolOptions {
    SpoolOptions { entries_min: 1_024, entries_max: 2_048, ..SpoolOptions::new([round; 16], 3) }
}

/// The child: counts and replies until it is killed. Does nothing when run as a test: its standard input is not a
/// directory's name then.
#[test]
#[ignore = "run by the test below, as a process of its own"]
fn child() {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).unwrap();
    let Some((round, directory)) = line.trim_end().split_once(' ') else { return };
    let spool = Spool::open(directory, options(round.parse().unwrap())).unwrap();
    let mut replies = std::io::stderr();
    replies.write_all(&[READY]).unwrap();
    for step in 0_u32.. {
        let event = UsageEvent {
            key: KeyNumber(step % 500),
            secret_ordinal: 1,
            address: None,
            route: RouteId::NONE,
            code: Code::Valid,
            agent: AgentClass::Unknown,
            at: Timestamp::from_unix_ms(1_800_000_000_000 + i64::from(step)),
        };
        spool.record(&event, 1);
        replies.write_all(&[REPLY]).unwrap();
        if step % 300 == 0 {
            spool.maintain().unwrap();
            spool.seal().unwrap();
        }
    }
}

/// Runs a child, kills it after `replies_min` replies, and returns how many got out.
fn replies_of_a_killed_child(directory: &str, round: u8, replies_min: usize) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::child", "--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "{round} {directory}").unwrap();
    let mut output = BufReader::new(child.stderr.take().unwrap());
    let mut bytes = vec![0; replies_min];
    output.read_exact(&mut bytes).unwrap();
    child.kill().unwrap();
    output.read_to_end(&mut bytes).unwrap();
    child.wait().unwrap();
    assert!(bytes.contains(&READY), "{}", String::from_utf8_lossy(&bytes));
    (bytes.len() - bytes.iter().filter(|byte| **byte != REPLY).count()) as u64
}

#[test]
fn no_reply_is_lost_and_at_most_the_one_in_flight_is_extra() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    let (mut replied, mut counted, rounds) = (0, 0, 12);
    for round in 1..=rounds {
        replied += replies_of_a_killed_child(path, round, 100 + 197 * usize::from(round));
        let spool = Spool::open(path, options(100 + round)).unwrap();
        assert_eq!(spool.gauges().damaged_files, 0);
        // Leaves every second round's segments for the one after it.
        while let Some(sealed) = spool.oldest_sealed().filter(|_| round % 2 == 0 || round == rounds) {
            counted += spool.batches(&sealed).flat_map(|batch| batch.rows).map(|row| row.count).sum::<u64>();
            assert_eq!(sealed.unattributed(), (0, 0));
            spool.confirm(&sealed, 0).unwrap();
        }
    }
    assert!(
        (replied..=replied + u64::from(rounds)).contains(&counted),
        "{replied} replied, {counted} counted"
    );
}
