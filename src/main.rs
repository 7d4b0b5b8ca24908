//! The command line: `run`, `check`, `crd`, `completion`.

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use upgrade_gate::{config, controller, plugin, telemetry};

/// Gates OpenShift updates: overrides stop minor and major updates, and no others.
#[derive(Debug, Parser)]
#[command(name = "upgrade-gate", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the operator
    Run(Box<config::RunArgs>),
}

fn main() -> ExitCode {
    let known = Cli::command();
    let commands: Vec<&str> = known.get_subcommands().map(clap::Command::get_name).collect();
    match Cli::parse_from(plugin::arguments(std::env::args_os(), &commands)).command {
        Command::Run(args) => run(&args),
    }
}

fn run(args: &config::RunArgs) -> ExitCode {
    telemetry::init(args.log_format, args.log_level);
    #[expect(clippy::disallowed_methods, reason = "here the environment is resolved")]
    let environment = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let config = match config::Config::new(args, environment("POD_NAME"), environment("POD_NAMESPACE")) {
        Ok(config) => config,
        Err(error) => return fail(2, &error),
    };
    #[expect(clippy::expect_used, reason = "set-up: without a runtime there is no program")]
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be built");
    runtime.block_on(async {
        let client = match args.cluster.resolve().await {
            Ok(config) => kube::Client::try_from(config),
            Err(error) => return fail(2, &error),
        };
        let client = match client {
            Ok(client) => client,
            Err(error) => return fail(2, &error),
        };
        match controller::run(config, client).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(1, &error),
        }
    })
}

fn fail(code: u8, error: &dyn std::error::Error) -> ExitCode {
    anstream::eprintln!("error: {error}");
    ExitCode::from(code)
}
