//! `upgrade-gate update`: what `oc adm upgrade` does, plus the bridge, with the user's own rights and nothing deployed.
//!
//! ```text
//! judge      what is shown before the first write
//! request    what the arguments mean on this cluster, and what oc refuses on the client   pure
//! steps      the next step, from the state of the cluster                                 pure
//! text, left, ending   the texts that are printed                                               pure
//! operator   what the operator of upgrade-gate does here                               pure
//! cluster    reads and writes
//! policy     the admission policy that guards the force
//! rights     which rights the user has
//! progress   the bar
//! timing     how long each wait has lasted
//! flow       the loop: read the cluster, decide, do one step
//! ```

mod args;
mod cluster;
mod ending;
mod flow;
mod judge;
mod left;
mod operator;
pub(crate) mod policy;
mod progress;
mod request;
mod rights;
mod steps;
pub(super) mod text;
mod timing;

use std::time::Duration;

use kube::{Client, Config};

pub use args::Args;

use crate::client;

/// The field manager of what is written as the user: the request and the policy. The force is written as the operator
/// writes it, under [`crate::api::names::SELF`], so that the operator and `cleanup` recognise it.
pub(crate) const MANAGER: &str = "upgrade-gate-update";
/// How long one request may take.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// How it ended: the exit code, and the text on standard error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// 0: done. 1: the answer is no. 2: no answer.
    pub code: u8,
    /// Why the update is not done, and what to do.
    pub error: Option<String>,
}

impl Ended {
    fn done() -> Self {
        Self { code: 0, error: None }
    }

    fn no(error: impl Into<String>) -> Self {
        Self { code: 1, error: Some(error.into()) }
    }

    fn unknown(error: impl Into<String>) -> Self {
        Self { code: 2, error: Some(error.into()) }
    }
}

/// A client whose requests time out, and which does not retry: this command does.
///
/// # Errors
/// The configuration doesn't make a client.
pub fn connect(mut config: Config) -> kube::Result<Client> {
    config.connect_timeout = Some(TIME_LIMIT);
    config.read_timeout = Some(TIME_LIMIT);
    config.default_retry = false;
    Ok(client::builder(&config)?.build())
}

/// Updates the cluster.
pub async fn run(args: &Args, client: Client, server: String) -> Ended {
    let named = match request::named(args.to.as_deref(), args.to_image.as_deref()) {
        Ok(named) => named,
        Err(refusal) => return Ended::unknown(refusal.to_string()),
    };
    Box::pin(flow::Flow::new(args, named, client, server).run()).await
}
