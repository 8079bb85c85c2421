//! The command line as a whole: it is consistent, every command teaches, and `docs/cli.md` says what it does.

use std::{fmt::Write as _, path::Path};

use clap::{Command, CommandFactory as _};

const UPDATE_VARIABLE: &str = "KEYWRIGHT_UPDATE_DOCS";

fn root() -> Command {
    let mut root = crate::args::Args::command().term_width(100);
    root.build();
    root
}

/// Every command with its words, `help` left out.
fn walk(command: &Command, words: &str, visit: &mut dyn FnMut(&Command, &str)) {
    for child in command.get_subcommands().filter(|child| child.get_name() != "help" && !child.is_hide_set())
    {
        let words = format!("{words} {}", child.get_name());
        visit(child, &words);
        walk(child, &words, visit);
    }
}

#[test]
fn the_definition_is_consistent() {
    crate::args::Args::command().debug_assert();
}

#[test]
fn every_command_teaches() {
    let mut lacking = Vec::new();
    walk(&root(), "keywright", &mut |command, words| {
        let examples = command.get_after_help().or(command.get_after_long_help()).map(ToString::to_string);
        let has_example = examples.as_ref().is_some_and(|text| {
            (text.contains("Examples:") || text.contains("Example:")) && text.contains("keywright ")
        });
        if command.get_about().is_none() || !has_example {
            lacking.push(words.to_owned());
        }
        for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
            if argument.get_help().is_none() {
                lacking.push(format!("{words} {}", argument.get_id()));
            }
        }
    });
    assert!(lacking.is_empty(), "no summary, help or example: {lacking:#?}");
}

#[test]
fn examples_are_commands_that_exist() {
    let mut wrong = Vec::new();
    walk(&root(), "keywright", &mut |command, words| {
        let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        for line in text.lines().filter_map(|line| line.trim().strip_prefix("keywright ")) {
            // What stands behind a shell operator, or after some space as a remark, is not part of the command.
            let end = ["  ", " && ", " | ", " > ", " < ", "; ", " \\"]
                .iter()
                .filter_map(|mark| line.find(mark))
                .min();
            let line = &line[..end.unwrap_or(line.len())];
            let mut at = root();
            for word in line.split_whitespace() {
                let Some(next) = at.find_subcommand(word).cloned() else {
                    if at.has_subcommands() && !word.starts_with('-') {
                        wrong.push(format!("{words}: keywright {line}"));
                    }
                    break;
                };
                at = next;
            }
            let flags = line.split_whitespace().filter_map(|word| word.strip_prefix("--"));
            for flag in flags.map(|flag| flag.split('=').next().unwrap_or(flag)) {
                let known = at.get_arguments().any(|argument| {
                    argument.get_long() == Some(flag)
                        || argument.get_all_aliases().is_some_and(|aliases| aliases.contains(&flag))
                });
                if !known && flag != "help" {
                    wrong.push(format!("{words}: --{flag} in: keywright {line}"));
                }
            }
        }
    });
    assert!(wrong.is_empty(), "examples that would not run: {wrong:#?}");
}

#[test]
fn the_reference_is_up_to_date() {
    let mut text = String::from(
        "# The command line\n\nWritten from the program's own help by a test; do not edit. Environment variables stand in \
         brackets behind the options that they replace.\n\n```text\n",
    );
    let mut root = root();
    let _ = writeln!(text, "{}\n```\n\n{}", tidy(&root.render_long_help().to_string()), exit_codes());
    walk(&root, "keywright", &mut |command, words| {
        let help = command.clone().bin_name(words).term_width(100).render_long_help().to_string();
        let _ = writeln!(text, "## `{words}`\n\n```text\n{}\n```\n", tidy(&help));
    });
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    if std::env::var_os(UPDATE_VARIABLE).is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let present = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        present == text,
        "docs/cli.md is stale: {UPDATE_VARIABLE}=1 cargo test -p keywright-server reference writes it anew"
    );
}

fn exit_codes() -> String {
    format!("## Exit codes\n\n```text\n{}\n```\n", super::EXIT_CODES)
}

fn tidy(help: &str) -> String {
    help.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim_end().to_owned()
}
