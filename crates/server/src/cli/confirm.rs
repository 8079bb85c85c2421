//! Asking before something is taken away.

use clap::Args;

use super::console::Console;
use crate::failure::{Exit, Failure};

/// Whether a destructive command may go ahead.
#[derive(Debug, Default, Args)]
pub(crate) struct Confirmation {
    /// Do not ask; needed where nobody can be asked, as in scripts
    #[arg(long, short = 'y')]
    pub(crate) yes: bool,
    /// Show the request that would be sent, and send nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

impl Confirmation {
    /// Goes on if `--yes` or `--dry-run` was given, or a person types `yes`.
    ///
    /// # Errors
    /// A usage failure when nobody can be asked; a failure when the person says no.
    pub(crate) fn require(&self, console: &mut Console, what: &str) -> Result<(), Failure> {
        if self.yes || self.dry_run {
            return Ok(());
        }
        match console.ask(&format!("{what}\nType yes to go on:")).as_deref() {
            Some("yes" | "y" | "YES" | "Yes") => Ok(()),
            Some(_) => Err(Failure::new(Exit::Negative, "nothing was changed: the answer was not yes")),
            None => Err(Failure::new(
                Exit::Arguments,
                format!("this needs a confirmation, and standard input is not a terminal. {what}"),
            )
            .remedy("Add --yes if that is what you want, or --dry-run to see what would be sent.")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::console::{Dialogue, captured::console},
        *,
    };

    #[test]
    fn only_yes_goes_on() {
        let ask = |input: &[u8], dialogue| {
            let (mut console, ..) = console(input, dialogue);
            Confirmation::default().require(&mut console, "Revokes a key.").map_err(|failure| failure.exit())
        };
        assert_eq!(ask(b"yes\n", Dialogue::Possible), Ok(()));
        assert_eq!(ask(b"no\n", Dialogue::Possible), Err(Exit::Negative));
        assert_eq!(ask(b"\n", Dialogue::Possible), Err(Exit::Negative));
        assert_eq!(ask(b"yes\n", Dialogue::Impossible), Err(Exit::Arguments));
        let (mut console, ..) = console(b"", Dialogue::Impossible);
        let yes = Confirmation { yes: true, dry_run: false };
        assert!(yes.require(&mut console, "").is_ok());
    }
}
