//! `keywright completions`: scripts that let a shell complete commands.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::console::Console;
use crate::failure::Failure;

/// Print a completion script for your shell
///
/// How to install it is printed to standard error.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright completions bash > ~/.local/share/bash-completion/completions/keywright
  keywright completions zsh > \"${fpath[1]}/_keywright\"
  keywright completions fish > ~/.config/fish/completions/keywright.fish")]
pub(crate) struct Completions {
    /// Shell
    shell: Shell,
}

impl Completions {
    /// Does what the arguments say.
    pub(crate) fn run(self, mut console: Console) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut crate::args::Args::command(), "keywright", &mut script);
        console.answer(&String::from_utf8_lossy(&script))?;
        console.finish()?;
        let hint = match self.shell {
            Shell::Bash => {
                "Save it as ~/.local/share/bash-completion/completions/keywright and open a new shell."
            }
            Shell::Zsh => {
                "Save it as _keywright in a directory of $fpath, then run: autoload -U compinit && compinit"
            }
            Shell::Fish => "Save it as ~/.config/fish/completions/keywright.fish",
            Shell::PowerShell => "Add it to the file that $PROFILE names.",
            _ => "Save it where your shell looks for completions.",
        };
        console.note(hint);
        Ok(())
    }
}
