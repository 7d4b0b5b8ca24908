//! The command line: one subcommand, one function; exit codes are the answer.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{CommandFactory as _, Parser, Subcommand};
use upgrade_gate::check;

/// The package's version and the commit that it was built from.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("UPGRADE_GATE_COMMIT"), ")");
/// The answer is no.
const BLOCKED: u8 = 1;
/// There is no answer; clap uses the same for mistakes in the arguments.
const NO_ANSWER: u8 = 2;

/// Gates OpenShift updates: overrides stop minor and major updates, and no others.
#[derive(Debug, Parser)]
#[command(name = "upgrade-gate", version = VERSION)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the operator.
    Run, // STUB: `Run(upgrade_gate::config::RunArgs)`
    Check(check::Args),
    /// Prints the CRDs.
    Crd,
    /// Prints a script that completes commands and options in a shell.
    Completion {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run => stub("run"), // STUB: the operator
        Command::Check(args) => answer(&args),
        Command::Crd => stub("crd"), // STUB: print(&upgrade_gate::crd::yaml())
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "upgrade-gate", &mut script);
            print(&script, ExitCode::SUCCESS)
        }
    }
}

fn stub(command: &str) -> ExitCode {
    fail(&format!("{command} isn't built yet"))
}

fn answer(args: &check::Args) -> ExitCode {
    match check::run(args) {
        Ok(answer) => {
            let code = if answer.blocked { ExitCode::from(BLOCKED) } else { ExitCode::SUCCESS };
            print(answer.text.as_bytes(), code)
        }
        Err(error) => fail(&error.to_string()),
    }
}

/// Prints, without colours where nobody would see them. Whoever has read enough (`| head -1`) may close the pipe.
fn print(text: &[u8], code: ExitCode) -> ExitCode {
    let mut stdout = anstream::stdout().lock();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => fail(&check::Error::Output(error).to_string()),
        _ => code,
    }
}

fn fail(message: &str) -> ExitCode {
    // Where standard error is closed as well there is nobody left to tell.
    let _ = writeln!(anstream::stderr(), "error: {message}");
    ExitCode::from(NO_ANSWER)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_arguments_are_consistent() {
        super::Cli::command().debug_assert();
    }
}
