//! The command line of the harness.

use std::process::{Command, Output};

fn chaos(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_keywright-chaos")).args(arguments).output().expect("the harness runs")
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn every_example_of_the_help_is_understood() {
    let help = String::from_utf8(chaos(&["--help"]).stdout).unwrap();
    let examples: Vec<_> =
        help.lines().filter_map(|line| line.trim().strip_prefix("keywright-chaos ")).collect();
    assert!(examples.len() >= 4, "{help}");
    for example in examples {
        // With the help of its own it does nothing else.
        let words: Vec<_> = example.split(' ').chain(["--help"]).collect();
        let output = chaos(&words);
        assert!(output.status.success(), "{example}: {}", complaint(&output));
    }
}

#[test]
fn a_control_that_there_is_not_is_refused_with_those_that_there_are() {
    let output = chaos(&["revoke", "--control", "nonsense"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(complaint(&output).contains("no-barrier"), "{}", complaint(&output));
}

#[test]
fn an_executable_that_is_not_there_is_named() {
    let output = chaos(&["revoke", "--keywright", "/nowhere/keywright", "--seconds", "1"]);
    assert!(!output.status.success());
    assert!(complaint(&output).contains("/nowhere/keywright"), "{}", complaint(&output));
}
