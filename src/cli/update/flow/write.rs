//! Does one step, and handles the answer of the API server.

use std::time::Duration;

use crate::{
    api::UpdateRecord,
    cli::{
        check::render,
        update::{
            Ended,
            cluster::Failure,
            ending::gave_up,
            flow::Flow,
            left::Reached,
            progress::{Display, Progress},
            steps::{Evidence, Step},
            text,
            timing::AFTER_ALL,
        },
    },
    gate::{Source, message},
};

/// How long a refusal is retried, because an API server that is just starting may refuse wrongly.
const STARTING: Duration = Duration::from_mins(1);
/// How often in a row a write may fail because the object has changed.
const CONFLICTS: u32 = 20;

impl Flow<'_> {
    pub(super) async fn perform(&mut self, step: &Step, evidence: &Evidence) -> Result<(), Failure> {
        let done = |text: &str| self.display.say(text);
        match step {
            Step::InstallPolicy => {
                self.reached = self.reached.max(Reached::Forced);
                self.cluster.install_policy().await?;
                done("Created ValidatingAdmissionPolicy upgrade-gate and its binding, until the update is over.");
            }
            Step::Record(record) => {
                self.cluster.record(record).await?;
                let name = record.metadata.name.as_deref().unwrap_or_default();
                done(&format!("Created UpdateRecord {name}."));
            }
            Step::Show(record) => {
                self.memory.shown = true;
                show(&self.display, record, evidence);
            }
            Step::Close => {
                self.cluster.close(&evidence.endings).await?;
                done("Wrote the outcome into the UpdateRecord.");
            }
            Step::Force(force) => {
                self.reached = self.reached.max(Reached::Forced);
                self.cluster.force(force.patch()).await?;
                done(&format!(
                    "Forced {}: set spec.desiredUpdate.force, as the cluster-version operator refuses it for overrides alone.",
                    self.name
                ));
            }
            Step::Unforce(removal) => {
                self.cluster.force(removal.patch()).await?;
                done("Removed spec.desiredUpdate.force. The cluster-version operator applies the release once more.");
            }
            Step::RemovePolicy => {
                self.cluster.remove_policy().await?;
                done("Removed ValidatingAdmissionPolicy upgrade-gate and its binding.");
            }
            Step::Ask | Step::Look | Step::Wait(_) | Step::End(_) => {}
        }
        Ok(())
    }

    /// Handles the answer to a write. The next read of the cluster shows its result.
    pub(super) async fn note(&mut self, step: &Step, answer: Result<(), Failure>) -> Result<(), Ended> {
        if matches!(step, Step::Record(_) | Step::Close) {
            self.timing.recorded(&mut self.memory, answer.is_ok());
        }
        match answer {
            Ok(()) => {
                self.conflicts = 0;
                self.timing.done();
                if self.repeats.is_reverted(step) {
                    let left = self.left().await;
                    return Err(self.run_so_far(left).reverted(step));
                }
                Ok(())
            }
            Err(Failure::Conflict(problem)) => {
                self.conflicts += 1;
                if self.conflicts > CONFLICTS {
                    return Err(self.failed(step, &problem).await);
                }
                tokio::time::sleep(AFTER_ALL).await;
                Ok(())
            }
            // Neither the update nor the removal of its force waits for longer than a minute for a record.
            Err(Failure::Refused { problem, .. } | Failure::Lost(problem))
                if matches!(step, Step::Record(_) | Step::Close) =>
            {
                let problem = message::sanitize_name(&problem);
                let message = format!("The UpdateRecord cannot be written, trying again for a minute: {problem}");
                self.display.update(&Progress { percent: None, message });
                tokio::time::sleep(AFTER_ALL).await;
                Ok(())
            }
            Err(Failure::Refused { problem, .. }) => Err(self.failed(step, &problem).await),
            Err(failure @ Failure::Lost(_)) => self.lost(failure).await,
        }
    }

    async fn failed(&self, step: &Step, problem: &str) -> Ended {
        self.run_so_far(self.left().await).failed(step, problem)
    }

    /// Tries again for as long as `--retry-for` allows: while a cluster updates, its API servers restart.
    pub(super) async fn lost(&mut self, failure: Failure) -> Result<(), Ended> {
        let limit = match &failure {
            Failure::Lost(_) | Failure::Conflict(_) => self.args.retry_for,
            Failure::Refused { .. } => self.args.retry_for.min(STARTING),
        };
        let lost_for = self.timing.lost_for();
        if lost_for >= limit {
            return Err(gave_up(self.cluster.server(), &failure, lost_for, &self.left().await));
        }
        self.try_again(&failure).await;
        Ok(())
    }

    /// Shows the failure, and waits a moment.
    pub(super) async fn try_again(&mut self, failure: &Failure) {
        let (what, problem) = match failure {
            Failure::Lost(problem) | Failure::Conflict(problem) => ("does not answer", problem),
            Failure::Refused { problem, .. } => ("refuses a request", problem),
        };
        let message = format!("The API server {what}, trying again: {}", message::sanitize_name(problem));
        self.display.update(&Progress { percent: None, message });
        tokio::time::sleep(AFTER_ALL).await;
    }
}

fn show(display: &Display, record: &UpdateRecord, evidence: &Evidence) {
    let is_served = evidence.records != Source::NotServed;
    match render::yaml(record) {
        Ok(yaml) => display.line(text::record(&yaml, record, is_served).trim_end()),
        Err(error) => display.line(&format!("Warning: the UpdateRecord cannot be printed: {error}")),
    }
}
