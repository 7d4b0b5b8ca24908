//! `upgrade-gate cleanup`: removes what the operator has left on a cluster, and reports what stays. A ClusterOperator that
//! remains with `Upgradeable=False` would block minor updates.

mod force;
mod recording;

use kube::{
    Api, Client,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams},
};

use crate::{
    api::{ClusterVersion, UnreadableClusterVersion, UpdateRecord, names},
    cli::update::policy,
    client,
    controller::{cluster_operators, cluster_versions, self_lease},
    plan::{
        role::{CvoLease, Mode},
        withdraw::{ours, withdrawal},
        write::Withdrawal,
    },
};

/// The result, as lines for a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What was removed, or would be.
    pub withdrawn: Vec<String>,
    /// The outcomes of updates that were written into UpdateRecords, or would be.
    pub recorded: Vec<String>,
    /// What stays, and what to do about it.
    pub stays: Vec<String>,
    /// The UpdateRecords that could not be written, as YAML.
    pub unwritten: Vec<String>,
    /// What has failed without keeping the force or anything else on the cluster.
    pub problems: Vec<String>,
}

impl Report {
    /// The error to end with, although the rest was done.
    #[must_use]
    pub fn error(&self) -> Option<String> {
        (!self.problems.is_empty()).then(|| self.problems.join("; "))
    }
}

/// Cleaning up has failed. Earlier changes stay, and it can be run again.
#[derive(Debug, thiserror::Error)]
pub enum CleanupError {
    /// The operator would write everything again.
    #[error(
        "the operator is still running: its Lease {namespace}/{name} is fresh. Delete the Deployment first \
         (`make undeploy`, or kubectl -n {namespace} delete deployment {name}), and run this again within a minute or later",
        namespace = names::NAMESPACE, name = names::SELF
    )]
    StillRunning,
    /// One may still be running.
    #[error(
        "it is not known whether the operator is still running: its Lease {namespace}/{name} cannot be read. Run this as a user \
         who may get it, such as a cluster administrator",
        namespace = names::NAMESPACE, name = names::SELF
    )]
    MayBeRunning,
    /// The API server refuses, or cannot be reached.
    #[error("{what}: {}; {}", client::problem(source), advice(source))]
    Api {
        /// What was tried.
        what: &'static str,
        /// The API server's error, or why the request failed.
        source: Box<kube::Error>,
    },
    /// The object is not a ClusterVersion.
    #[error(transparent)]
    Unreadable(#[from] UnreadableClusterVersion),
}

fn advice(error: &kube::Error) -> &'static str {
    match error {
        kube::Error::Api(status) => match status.code {
            401 => "log in again",
            403 => "the user of the kubeconfig needs the rights of a cluster administrator",
            _ => "try again",
        },
        _ => client::advice(error),
    }
}

fn failed(what: &'static str) -> impl FnOnce(kube::Error) -> CleanupError {
    move |source| CleanupError::Api { what, source: Box::new(source) }
}

/// Removes our conditions, a force of ours that is no longer needed, and our ClusterOperator, and records how updates have
/// ended; changes nothing unless `confirmed`. An UpdateRecord that cannot be written is in the report, and keeps nothing.
///
/// # Errors
/// The operator is still running or may be, or the API server refuses.
pub async fn clean_up(client: &Client, confirmed: bool, now: jiff::Timestamp) -> Result<Report, CleanupError> {
    let mut report = Report::default();
    match remove_all(client, confirmed, now, &mut report).await {
        Ok(()) => Ok(report),
        // The record is nowhere else.
        Err(error) if !report.unwritten.is_empty() => {
            report.problems.push(error.to_string());
            Ok(report)
        }
        Err(error) => Err(error),
    }
}

async fn remove_all(
    client: &Client,
    confirmed: bool,
    now: jiff::Timestamp,
    report: &mut Report,
) -> Result<(), CleanupError> {
    let (lease, mode) = self_lease(client, now).await;
    match lease {
        // It writes nothing.
        CvoLease::Fresh if mode == Some(Mode::Observe) => {}
        CvoLease::Fresh if confirmed => return Err(CleanupError::StillRunning),
        CvoLease::Fresh => report.stays.push("The operator is still running: delete its Deployment first.".to_owned()),
        CvoLease::Unknown if confirmed => {
            // If nothing can be read, that is the error to report.
            conditions(client, false, report).await?;
            return Err(CleanupError::MayBeRunning);
        }
        CvoLease::Unknown => report.stays.push(
            "It is not known whether the operator is still running, because its Lease cannot be read: make sure that its \
             Deployment is deleted."
                .to_owned(),
        ),
        CvoLease::Stale | CvoLease::Absent => {}
    }
    conditions(client, confirmed, report).await?;
    let is_forced = force::remove(client, confirmed, now, report).await?;
    admission_policy(client, confirmed, is_forced, report).await?;
    cluster_operator(client, confirmed, report).await?;
    records(client, report).await?;
    Ok(())
}

async fn conditions(client: &Client, confirmed: bool, report: &mut Report) -> Result<(), CleanupError> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &cluster_versions());
    let found =
        api.get_opt(names::CLUSTER_VERSION).await.or_else(missing_api).map_err(failed("reading ClusterVersion"))?;
    let Some(object) = found else { return Ok(()) };
    let mut cluster_version = read(&object)?;
    if withdrawal(&cluster_version).is_some() {
        report.withdrawn.push(format!("conditions of ClusterVersion: {}", ours(&cluster_version).join(", ")));
    }
    while confirmed && let Some(step) = withdrawal(&cluster_version) {
        let params = PatchParams { field_manager: Some(names::SELF.to_owned()), ..PatchParams::default() };
        let patch = Patch::<()>::Json(step.patch());
        let patched = match step {
            Withdrawal::Conditions { .. } => api.patch_status(names::CLUSTER_VERSION, &params, &patch).await,
            Withdrawal::Ownership { .. } => api.patch(names::CLUSTER_VERSION, &params, &patch).await,
        };
        cluster_version = read(&patched.map_err(failed("withdrawing the conditions"))?)?;
    }
    Ok(())
}

fn read(object: &DynamicObject) -> Result<ClusterVersion, UnreadableClusterVersion> {
    ClusterVersion::from_value(serde_json::to_value(object)?)
}

/// A policy that `upgrade-gate update` created and could not remove. A deployed one is removed with its manifests.
async fn admission_policy(
    client: &Client,
    confirmed: bool,
    is_forced: bool,
    report: &mut Report,
) -> Result<(), CleanupError> {
    let what = "ValidatingAdmissionPolicy upgrade-gate and its binding, which `upgrade-gate update` created";
    let is_left = policy::is_left(client).await.map(Some).or_else(missing_api);
    if is_left.map_err(failed("reading the ValidatingAdmissionPolicy"))? != Some(true) {
        return Ok(());
    }
    if is_forced {
        report.stays.push(format!("{what}: it guards the force as long as that stays."));
        return Ok(());
    }
    if confirmed {
        policy::remove(client).await.map_err(failed("removing the ValidatingAdmissionPolicy"))?;
    }
    report.withdrawn.push(what.to_owned());
    Ok(())
}

async fn cluster_operator(client: &Client, confirmed: bool, report: &mut Report) -> Result<(), CleanupError> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &cluster_operators());
    let found = api.get_opt(names::SELF).await.or_else(missing_api).map_err(failed("reading the ClusterOperator"))?;
    if found.is_some() {
        if confirmed {
            api.delete(names::SELF, &DeleteParams::default()).await.map_err(failed("deleting the ClusterOperator"))?;
        }
        report.withdrawn.push(format!("ClusterOperator {}", names::SELF));
    }
    Ok(())
}

async fn records(client: &Client, report: &mut Report) -> Result<(), CleanupError> {
    let api: Api<UpdateRecord> = Api::all(client.clone());
    let found = match api.list_metadata(&ListParams::default()).await {
        Ok(list) => list.items.len(),
        Err(kube::Error::Api(status)) if status.code == 404 => 0,
        // Why they cannot be read is reported already.
        Err(_) if !report.problems.is_empty() => 0,
        Err(error) => return Err(failed("listing UpdateRecords")(error)),
    };
    if found > 0 {
        report.stays.push(format!(
            "{found} UpdateRecord{}: the record of what was let through. `upgrade-gate history` shows it, deleting the \
             CRD deletes it.",
            if found == 1 { "" } else { "s" }
        ));
    }
    Ok(())
}

/// If the API is not served, there is nothing of ours either.
fn missing_api<T>(error: kube::Error) -> Result<Option<T>, kube::Error> {
    match error {
        kube::Error::Api(status) if status.code == 404 => Ok(None),
        error => Err(error),
    }
}

/// The report as text.
#[must_use]
pub fn text(report: &Report, confirmed: bool) -> String {
    let (removed, recorded, nothing) = if confirmed {
        ("Removed", "Recorded", "Nothing of upgrade-gate was left.")
    } else {
        ("Would remove", "Would record", "Nothing of upgrade-gate is left.")
    };
    let mut lines = Vec::new();
    let indented = |line: &String| format!("  {line}");
    let is_clean = report.withdrawn.is_empty() && report.recorded.is_empty();
    if is_clean {
        lines.push(nothing.to_owned());
    }
    for (done, list) in [(removed, &report.withdrawn), (recorded, &report.recorded)] {
        if !list.is_empty() {
            lines.push(format!("{done}:"));
            lines.extend(list.iter().map(indented));
        }
    }
    if !report.stays.is_empty() {
        lines.push("Stays:".to_owned());
        lines.extend(report.stays.iter().map(indented));
    }
    if !confirmed && !is_clean {
        lines.push("Nothing was changed. Run this with --yes to make the changes.".to_owned());
    }
    lines.extend(report.unwritten.iter().map(|yaml| yaml.trim_end().to_owned()));
    lines.push(String::new());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const HEAD: &str = "Would record:\n  UpdateRecord a: outcome Abandoned\n";

    #[rstest]
    #[case::nothing(Report::default(), "Nothing of upgrade-gate is left.\n", "Nothing of upgrade-gate was left.\n")]
    #[case::only_a_record(
        Report { recorded: vec!["UpdateRecord a: outcome Abandoned".to_owned()], ..Report::default() },
        &format!("{HEAD}Nothing was changed. Run this with --yes to make the changes.\n"),
        "Recorded:\n  UpdateRecord a: outcome Abandoned\n"
    )]
    #[case::a_record_that_cannot_be_written(
        Report {
            withdrawn: vec!["force".to_owned()],
            stays: vec!["1 UpdateRecord".to_owned()],
            unwritten: vec!["# why\nkind: UpdateRecord\n".to_owned()],
            ..Report::default()
        },
        "Would remove:\n  force\nStays:\n  1 UpdateRecord\nNothing was changed. Run this with --yes to make the \
         changes.\n# why\nkind: UpdateRecord\n",
        "Removed:\n  force\nStays:\n  1 UpdateRecord\n# why\nkind: UpdateRecord\n"
    )]
    fn the_report_as_text(#[case] report: Report, #[case] looked: &str, #[case] done: &str) {
        assert_eq!([text(&report, false), text(&report, true)], [looked, done]);
    }

    #[test]
    fn what_has_failed_is_one_error() {
        assert_eq!(Report::default().error(), None);
        let report = Report { problems: vec!["a".to_owned(), "b".to_owned()], ..Report::default() };
        assert_eq!(report.error().as_deref(), Some("a; b"));
    }
}
