//! The command line: a file for each subcommand. Data goes to stdout, talk to stderr.
//!
//! Every command speaks HTTP/JSON: with `--server` to a Cairn elsewhere, else to the same routes in this process.

mod algorithms;
mod best;
mod clone;
mod cluster;
mod compare;
mod completions;
mod connect;
mod delete;
mod doors;
mod edit;
mod exit;
mod explain;
mod export;
mod follow;
mod gc;
mod get;
mod init;
mod install;
mod lead;
mod lineage;
mod list;
mod logs;
mod model;
mod models;
mod nas;
mod output;
mod plan;
mod progress;
mod promote;
mod promotion;
mod purge;
mod recover;
mod replay;
mod resume;
mod router;
mod run;
mod schedule;
mod secret;
mod serve;
mod stop;
mod stopped;
mod submit;
mod suggest;
mod trial;
mod trials;
mod validate;
mod version;
mod watch;
mod watched;
mod yaml;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use connect::Connection;
use exit::Exit;
use output::Format;

/// Searches hyperparameters and architectures over real training runs.
#[derive(Debug, Parser)]
#[command(
    name = "cairn",
    version,
    propagate_version = true,
    after_help = "Exit codes: 0 done; 1 Cairn failed; 2 the command or the file is not right; 3 the experiment failed; \
                  4 stopped before its end.\n\nStart with `cairn init`, then `cairn run experiment.yaml`."
)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// What every command understands.
#[derive(Clone, Debug, Args)]
struct Common {
    /// A Cairn to speak with, such as http://127.0.0.1:7700; without one this process does everything itself
    #[arg(long, global = true, env = "CAIRN_SERVER", value_name = "URL")]
    server: Option<String>,
    /// File with the token of that server (mode 0600)
    #[arg(long, global = true, env = "CAIRN_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Where records are kept: a file, or postgres://user@host/database [default: DIR/cairn.db]
    #[arg(long, global = true, env = "CAIRN_STORE", value_name = "URL")]
    store: Option<String>,
    /// Folder of runs, and of the default store
    #[arg(long, global = true, env = "CAIRN_DIR", value_name = "DIR", default_value = ".cairn")]
    dir: PathBuf,
    /// Address at which models are served here [default: where it was before, or 127.0.0.1:7800]
    #[arg(long, global = true, env = "CAIRN_ROUTER", value_name = "ADDRESS")]
    router: Option<String>,
    /// Namespace of experiments
    #[arg(short, long, global = true, value_name = "NAME", default_value = "default")]
    namespace: String,
    /// How data is written
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table)]
    output: Format,
    /// How log lines are written; from which level on says CAIRN_LOG
    #[arg(long, global = true, env = "CAIRN_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

/// A form of log lines.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum LogFormat {
    /// For people.
    Text,
    /// One object a line, with the spans that it stands in.
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Init),
    Run(run::Run),
    Validate(validate::Validate),
    Serve(serve::Serve),
    Router(router::Router),
    Install(install::Install),
    Submit(submit::Submit),
    List(list::List),
    Get(get::Get),
    Trials(trials::Trials),
    Best(best::Best),
    Logs(logs::Logs),
    Watch(watch::Watch),
    Compare(compare::Compare),
    Explain(explain::Explain),
    Edit(edit::Edit),
    #[command(subcommand)]
    Trial(trial::Trial),
    Clone(clone::Clone),
    Stop(stop::Stop),
    Resume(resume::Resume),
    Delete(delete::Delete),
    Purge(purge::Purge),
    Gc(gc::Gc),
    Recover(recover::Recover),
    Export(export::Export),
    Promote(promote::Promote),
    #[command(subcommand)]
    Promotion(promotion::Promotion),
    #[command(subcommand)]
    Models(models::Models),
    Lineage(models::Lineage),
    #[command(subcommand)]
    Audit(models::Audit),
    #[command(subcommand)]
    Schedule(schedule::Schedule),
    #[command(subcommand)]
    Nas(nas::Nas),
    Algorithms(algorithms::Algorithms),
    Suggest(suggest::Suggest),
    Replay(replay::Replay),
    Version(version::Version),
    Completions(completions::Completions),
}

/// Reads the command line and does what it says.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    let quiet = if matches!(cli.command, Command::Serve(_) | Command::Router(_) | Command::Suggest(_)) {
        "info"
    } else {
        "warn"
    };
    log(quiet, cli.common.log_format);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::talk(&format!("error: cannot start the runtime: {error}"));
            return Exit::Ours.into();
        }
    };
    let exit = runtime.block_on(dispatch(cli.command, cli.common)).unwrap_or_else(|error| exit::tell(&error));
    // Nothing that still runs may hold up the exit: what matters is in the store.
    runtime.shutdown_background();
    exit.into()
}

/// Begins to log on stderr, from this level on unless CAIRN_LOG says otherwise.
fn log(level: &str, format: LogFormat) {
    // What watches say each time that they are taken up again is said once, by those who keep them.
    let usual = || EnvFilter::new(format!("{level},kube_runtime=error"));
    let filter = EnvFilter::try_from_env("CAIRN_LOG").unwrap_or_else(|_| usual());
    let lines =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    match format {
        LogFormat::Text => lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
        LogFormat::Json => lines.json().with_current_span(false).init(),
    }
}

async fn dispatch(command: Command, common: Common) -> anyhow::Result<Exit> {
    // These need neither a server nor a store.
    match command {
        Command::Init(args) => return args.run(),
        Command::Serve(args) => return args.run(&common).await,
        Command::Router(args) => return args.run(&common).await,
        Command::Recover(args) => return args.run(&common).await,
        Command::Install(args) => return args.run(&common).await,
        Command::Suggest(args) => return args.run().await,
        Command::Version(args) => return args.run(common.output),
        Command::Completions(args) => return args.run(),
        Command::Algorithms(args) if common.server.is_none() => return args.here(common.output),
        Command::Run(args) => return args.run(&common).await,
        Command::Resume(args) => return args.run(&common).await,
        _ => {}
    }
    let connection = Connection::open(&common).await?;
    match command {
        Command::Validate(args) => args.run(&connection).await,
        Command::Submit(args) => args.run(&connection).await,
        Command::List(args) => args.run(&connection).await,
        Command::Get(args) => args.run(&connection).await,
        Command::Trials(args) => args.run(&connection).await,
        Command::Best(args) => args.run(&connection).await,
        Command::Logs(args) => args.run(&connection).await,
        Command::Watch(args) => args.run(&connection).await,
        Command::Compare(args) => args.run(&connection).await,
        Command::Explain(args) => args.run(&connection).await,
        Command::Edit(args) => args.run(&connection).await,
        Command::Trial(args) => args.run(&connection).await,
        Command::Clone(args) => args.run(&connection).await,
        Command::Stop(args) => args.run(&connection).await,
        Command::Delete(args) => args.run(&connection).await,
        Command::Purge(args) => args.run(&connection).await,
        Command::Gc(args) => args.run(&connection).await,
        Command::Export(args) => args.run(&connection).await,
        Command::Promote(args) => args.run(&connection).await,
        Command::Promotion(args) => args.run(&connection).await,
        Command::Models(args) => args.run(&connection).await,
        Command::Lineage(args) => args.run(&connection).await,
        Command::Audit(args) => args.run(&connection).await,
        Command::Schedule(args) => args.run(&connection).await,
        Command::Nas(args) => args.run(&connection).await,
        Command::Algorithms(args) => args.run(&connection).await,
        Command::Replay(args) => args.run(&connection).await,
        Command::Init(_)
        | Command::Run(_)
        | Command::Serve(_)
        | Command::Router(_)
        | Command::Install(_)
        | Command::Recover(_)
        | Command::Resume(_)
        | Command::Suggest(_)
        | Command::Version(_)
        | Command::Completions(_) => Ok(Exit::Done),
    }
}

/// The whole command line, for completions.
fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}
