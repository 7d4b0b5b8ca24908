//! The command line: parses arguments, calls one function for each subcommand, and returns its exit code.

use std::{
    ffi::OsString,
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{
    CommandFactory as _, FromArgMatches as _, Parser, Subcommand,
    error::{ContextKind, ContextValue, ErrorKind},
};
use upgrade_gate::{
    cli::{check, cleanup, crd, examples, history, now, plugin, tips, update},
    client,
    controller::{self, config, telemetry},
    escape,
};

/// The package's version and the commit that it was built from.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("UPGRADE_GATE_COMMIT"), ")");
/// The answer is no, or the operator has failed.
const BLOCKED: u8 = 1;
/// There is no answer; clap uses the same code for wrong arguments.
const NO_ANSWER: u8 = 2;

/// Lets patch updates through on OpenShift clusters that are locked out by overrides; minor and major updates stay blocked.
#[derive(Debug, Parser)]
#[command(name = "upgrade-gate", version = VERSION)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Args),
    Update(Box<update::Args>),
    History(history::Args),
    /// Removes what the operator or an interrupted update has left on a cluster, and reports what stays.
    ///
    /// It also writes into the UpdateRecords how their updates have ended. Changes nothing without --yes. Delete the Deployment
    /// first: a running operator would write everything again.
    Cleanup {
        /// Make the changes.
        #[arg(long)]
        yes: bool,
        /// Where the cluster is, and as whom.
        #[command(flatten)]
        cluster: client::ClusterArgs,
    },
    /// Runs the operator.
    Run(Box<config::RunArgs>),
    /// Prints the CRD of UpdateRecord or of ClusterVersion.
    ///
    /// The CRD of ClusterVersion is only for clusters that are not OpenShift: on OpenShift it would replace the existing one.
    Crd {
        /// Which CRD.
        #[arg(value_enum, default_value_t = crd::Name::Updaterecord)]
        name: crd::Name,
    },
    /// Prints a script that completes commands and options in a shell.
    ///
    /// The examples show how to load it into the shell.
    Completion {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

fn main() -> ExitCode {
    match parse(std::env::args_os().collect()).command {
        Command::Run(args) => run(&args),
        Command::Check(mut args) => {
            args.program = program().unwrap_or(args.program);
            answer(&args)
        }
        Command::Update(mut args) => {
            args.program = program().unwrap_or(args.program);
            apply_update(&args)
        }
        Command::History(args) => match history::run(&args) {
            Ok(text) => print(text.as_bytes(), ExitCode::SUCCESS),
            Err(error) => fail(NO_ANSWER, &error.to_string()),
        },
        Command::Cleanup { yes, cluster } => clean_up(yes, &cluster),
        Command::Crd { name } => print(name.yaml().as_bytes(), ExitCode::SUCCESS),
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "upgrade-gate", &mut script);
            print(&script, ExitCode::SUCCESS)
        }
    }
}

/// The command that a person types, if this runs as a plugin; `None` for the program under its own name.
fn program() -> Option<String> {
    std::env::args_os().next().and_then(|program| plugin::name(&program))
}

/// Parses the arguments, also as a plugin of kubectl or oc. Ends the process if they are wrong or ask for help.
fn parse(arguments: Vec<OsString>) -> Cli {
    let mut command = command();
    let plugin = program();
    if let Some(name) = &plugin {
        let checks = format!("Without a command, it checks: see `{name} check --help`.");
        command = command
            .override_usage(format!("{name} [OPTIONS OF check]\n       {name} <COMMAND>"))
            .after_long_help(format!("{checks}\n\n{}", examples::OVERVIEW))
            .after_help(checks)
            .bin_name(name);
    }
    let arguments = plugin::arguments(tips::without_help_of_help(arguments));
    let parse = |command: clap::Command| {
        command.try_get_matches_from(&arguments).map_err(|error| with_tip(error, &arguments, plugin.as_deref()))
    };
    let matches = parse(command.clone()).unwrap_or_else(|error| {
        // Without clap's own styles, every unprintable character comes from the input.
        let plain = parse(command.clone().styles(clap::builder::Styles::plain()));
        end(&error, &plain.map_or_else(|error| error.render().ansi().to_string(), |_| String::new()))
    });
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.format(&mut command).exit())
}

/// All commands, with examples of each.
fn command() -> clap::Command {
    let command = Cli::command().after_long_help(examples::OVERVIEW);
    examples::EXAMPLES.iter().fold(command, |command, (name, examples)| {
        command.mut_subcommand(name, |command| command.after_long_help(*examples))
    })
}

/// The same error, with a tip about what was probably meant.
fn with_tip(mut error: clap::Error, arguments: &[OsString], plugin: Option<&str>) -> clap::Error {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let command = arguments.get(1).and_then(|command| command.to_str()).unwrap_or_default();
    let tip = text(ContextKind::InvalidArg)
        .or_else(|| text(ContextKind::InvalidSubcommand))
        .filter(|_| matches!(error.kind(), ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand))
        .and_then(|word| tips::tip(word, command, plugin.unwrap_or("upgrade-gate"), plugin.is_some()));
    if let Some(tip) = tip {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

/// Prints clap's error or help; escapes `plain` if it contains unprintable characters, which may come from a file name among
/// the arguments or from the environment.
fn end(error: &clap::Error, plain: &str) -> ! {
    if !plain.chars().any(|character| character != '\n' && escape::is_unprintable(character)) {
        error.exit();
    }
    let shown = escape::escape_lines(plain);
    let _ = if error.use_stderr() { write!(io::stderr(), "{shown}") } else { write!(io::stdout(), "{shown}") };
    std::process::exit(error.exit_code())
}

fn run(args: &config::RunArgs) -> ExitCode {
    telemetry::init(args.log_format, args.log_level);
    #[expect(clippy::disallowed_methods, reason = "here the environment is resolved")]
    let environment = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let config = match config::Config::new(args, environment("POD_NAME"), environment("POD_NAMESPACE"), now()) {
        Ok(config) => config,
        Err(error) => return fail(NO_ANSWER, &error.to_string()),
    };
    let connect = |cluster: kube::Config| client::rate_limit::Clients::new(&cluster, args.lease_renew_interval);
    on_cluster(&args.cluster, "run", connect, async |clients, _| match controller::run(config, clients).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(BLOCKED, &error.to_string()),
    })
}

fn clean_up(yes: bool, cluster: &client::ClusterArgs) -> ExitCode {
    let connect = |cluster| Ok(client::builder(&cluster)?.build());
    on_cluster(cluster, "cleanup", connect, async |client, server| match cleanup::clean_up(&client, yes, now()).await {
        Ok(report) => {
            let code = print(cleanup::text(&report, yes).as_bytes(), ExitCode::SUCCESS);
            report.error().map_or(code, |error| fail(NO_ANSWER, &format!("{server}: {error}")))
        }
        Err(error) => fail(NO_ANSWER, &format!("{server}: {error}")),
    })
}

fn apply_update(args: &update::Args) -> ExitCode {
    on_cluster(&args.cluster, "update", update::connect, async |client, server| {
        let ended = update::run(args, client, server).await;
        ended.error.map_or(ExitCode::from(ended.code), |error| fail(ended.code, &error))
    })
}

/// Calls `work` with a connection to the cluster that the arguments name, and with its address.
fn on_cluster<C>(
    cluster: &client::ClusterArgs,
    command: &str,
    connect: impl FnOnce(kube::Config) -> kube::Result<C>,
    work: impl AsyncFnOnce(C, String) -> ExitCode,
) -> ExitCode {
    #[expect(clippy::expect_used, reason = "set-up: without a runtime there is no program")]
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be built");
    runtime.block_on(async {
        let config = match cluster.resolve(command).await {
            Ok(config) => config,
            Err(error) => return fail(NO_ANSWER, &error.to_string()),
        };
        let server = client::address(&config.cluster_url);
        let plugin = client::plugin_command(&config);
        match connect(config) {
            Ok(connection) => work(connection, server).await,
            Err(error) => {
                let error = client::ClusterError::Client { server, plugin, source: Box::new(error) };
                fail(NO_ANSWER, &error.to_string())
            }
        }
    })
}

fn answer(args: &check::Args) -> ExitCode {
    match check::run(args) {
        Ok(answer) => {
            let code = match answer.outcome {
                check::Outcome::Allowed => 0,
                check::Outcome::Blocked => BLOCKED,
                check::Outcome::NoAnswer => NO_ANSWER,
            };
            print(answer.text.as_bytes(), ExitCode::from(code))
        }
        Err(error) => fail(NO_ANSWER, &error.to_string()),
    }
}

/// Prints, without colours unless stdout is a terminal. A reader that closes the pipe early (`| head -1`) is no error.
fn print(text: &[u8], code: ExitCode) -> ExitCode {
    let mut stdout = anstream::stdout().lock();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            fail(NO_ANSWER, &check::Error::Output(error).to_string())
        }
        _ => code,
    }
}

fn fail(code: u8, message: &str) -> ExitCode {
    // If standard error is closed as well, the exit code is all that is left.
    let _ = writeln!(anstream::stderr(), "error: {}", escape::escape(message));
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use upgrade_gate::cli::examples::{EXAMPLES, OVERVIEW};

    #[test]
    fn the_arguments_are_consistent() {
        super::command().debug_assert();
    }

    #[test]
    fn every_command_has_examples_in_its_help() {
        for command in super::command().get_subcommands_mut() {
            let help = command.render_long_help().to_string();
            assert!(help.contains("Examples:\n"), "{help}");
        }
    }

    #[test]
    fn the_exit_codes_of_every_command_are_documented() {
        let page = include_str!("../docs/exit-codes.md");
        for command in super::command().get_subcommands().filter(|command| !command.is_hide_set()) {
            let row = format!("\n| `{}` |", command.get_name());
            assert!(page.contains(&row), "docs/exit-codes.md has no row for {}", command.get_name());
        }
    }

    #[test]
    fn every_example_is_a_command_line() {
        let lines = EXAMPLES.iter().map(|(_, text)| *text).chain([OVERVIEW]).flat_map(str::lines);
        let calls: Vec<&str> = lines.filter(|line| !line.trim_start().starts_with('#')).filter_map(call).collect();
        assert!(calls.len() > 15, "{calls:?}");
        for call in calls {
            let parsed = super::command().try_get_matches_from(call.split_whitespace());
            let is_fine = parsed.as_ref().map_or_else(|error| !error.use_stderr(), |_| true);
            assert!(is_fine, "{call}: {}", parsed.unwrap_err());
        }
    }

    /// The call of this program in a line of a shell.
    fn call(line: &str) -> Option<&str> {
        let (_, call) = line.split_once("upgrade-gate ").map(|(before, _)| line.split_at(before.len()))?;
        call.split(['|', '>', ')']).next()
    }
}
