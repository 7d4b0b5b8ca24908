//! `check` on several clusters at once: each is read on a thread of its own under a time limit, so that one that
//! doesn't answer, or a credential plugin that hangs, delays and hides no other.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt as _, stream};
use serde::Serialize;

use crate::{
    cli::{
        check::{Args, Error, Outcome, Report, judge_cluster},
        error::CHECK_NETWORK,
    },
    client::ClusterArgs,
};

/// Clusters that are read at the same time.
const AT_ONCE: usize = 16;
/// How long one cluster may take as a whole.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// What a cluster came to.
pub struct ClusterAnswer {
    /// The context of the kubeconfig by which it is known.
    pub context: String,
    /// The report, or why there is none.
    pub result: Result<(Report, Outcome), Error>,
}

/// One cluster in JSON and YAML: what `check` prints for it alone, with its context; or the error.
#[derive(Serialize)]
pub struct Entry<'a> {
    context: &'a str,
    #[serde(flatten)]
    report: Option<&'a Report>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Checks the clusters that the arguments name, and returns their answers in the order of the contexts.
///
/// # Errors
/// The kubeconfig can't be read, or it names no cluster.
pub fn check(args: &Args) -> Result<Vec<ClusterAnswer>, Error> {
    let kubeconfig = args.input.kubeconfig.as_ref();
    let listed = ClusterArgs::of(kubeconfig, None).contexts()?;
    let mut contexts: Vec<String> = Vec::new();
    for context in if args.all_contexts { &listed } else { &args.context } {
        if !contexts.contains(context) {
            contexts.push(context.clone());
        }
    }
    let (kubeconfig, program, to) = (kubeconfig.cloned(), args.program.clone(), args.to.clone());
    gather(contexts, TIME_LIMIT, move |context| {
        judge_cluster(&ClusterArgs::of(kubeconfig.as_ref(), Some(context)), &program, &to)
    })
}

/// Runs `check` for each context, each on a thread of its own.
fn gather(
    contexts: Vec<String>,
    limit: Duration,
    check: impl Fn(&String) -> Result<(Report, Outcome), Error> + Send + Sync + 'static,
) -> Result<Vec<ClusterAnswer>, Error> {
    let unreachable = |context: &str, problem| Error::Unreachable {
        server: format!("context {context}"),
        problem,
        advice: CHECK_NETWORK,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|error| unreachable("of the kubeconfig", error.to_string()))?;
    let check = Arc::new(check);
    let answers = runtime.block_on(
        stream::iter(contexts)
            .map(|context| {
                let check = Arc::clone(&check);
                async move {
                    let of_thread = context.clone();
                    let thread = tokio::task::spawn_blocking(move || check(&of_thread));
                    let result = match tokio::time::timeout(limit, thread).await {
                        Ok(Ok(result)) => result,
                        Ok(Err(error)) => Err(unreachable(&context, error.to_string())),
                        Err(_) => {
                            Err(unreachable(&context, format!("no answer within {} seconds", limit.as_secs_f32())))
                        }
                    };
                    ClusterAnswer { context, result }
                }
            })
            .buffered(AT_ONCE)
            .collect(),
    );
    // Threads that are still waiting end with the process.
    runtime.shutdown_background();
    Ok(answers)
}

/// The answers as JSON and YAML have them.
pub fn entries(answers: &[ClusterAnswer]) -> Vec<Entry<'_>> {
    answers
        .iter()
        .map(|answer| {
            let (report, error) = match &answer.result {
                Ok((report, _)) => (Some(report), None),
                Err(error) => (None, Some(error.to_string())),
            };
            Entry { context: &answer.context, report, error }
        })
        .collect()
}

/// The worst of the outcomes.
pub fn worst(answers: &[ClusterAnswer]) -> Outcome {
    let outcome = |answer: &ClusterAnswer| answer.result.as_ref().map_or(Outcome::NoAnswer, |(_, outcome)| *outcome);
    answers.iter().map(outcome).max().unwrap_or(Outcome::NoAnswer)
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};

    use super::*;

    fn contexts(number: usize) -> Vec<String> {
        (0..number).map(|number| format!("c{number}")).collect()
    }

    /// Why each cluster gave no answer.
    fn errors(answers: &[ClusterAnswer]) -> Vec<String> {
        answers.iter().map(|answer| answer.result.as_ref().err().unwrap().to_string()).collect()
    }

    #[test]
    fn a_cluster_that_never_answers_holds_back_no_other_and_gets_an_error() {
        let (release, held) = mpsc::channel::<()>();
        let held = Mutex::new(held);
        let check = move |context: &String| {
            if context == "c0" {
                assert!(held.lock().unwrap().recv().is_err(), "nothing is sent");
            }
            Err(Error::EmptyFolder { path: context.clone() })
        };
        let answers = gather(contexts(40), Duration::from_millis(1500), check).unwrap();
        let errors = errors(&answers);
        let (first, others) = errors.split_first().unwrap();
        assert!(first.starts_with("context c0 cannot be reached: no answer within 1.5 seconds"), "{first}");
        assert!(others.iter().enumerate().all(|(number, error)| error.starts_with(&format!("c{}: ", number + 1))));
        drop(release);
    }

    #[test]
    fn no_more_clusters_are_read_at_once_than_the_limit() {
        let (started, starts) = mpsc::channel();
        let gate = Arc::new(Mutex::new(()));
        let closed = Arc::clone(&gate);
        let closed = closed.lock().unwrap();
        let check = move |context: &String| {
            started.send(()).unwrap();
            drop(gate.lock().unwrap());
            Err(Error::EmptyFolder { path: context.clone() })
        };
        let run = std::thread::spawn(move || gather(contexts(40), Duration::from_secs(30), check).unwrap().len());
        for _ in 0..AT_ONCE {
            starts.recv().unwrap();
        }
        assert!(starts.try_recv().is_err(), "none more while these are being read");
        drop(closed);
        assert_eq!(run.join().unwrap(), 40);
    }
}
