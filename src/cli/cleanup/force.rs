//! Records how updates have ended, and removes a force of the bridge that is left in spec, under the operator's own conditions,
//! or reports what it waits for.

use crate::{
    api::{ClusterOperator, names},
    cli::{
        cleanup::{
            CleanupError, Report, failed, missing_api, read,
            recording::{self, is_conflict},
        },
        records::{followed, records},
    },
    controller::{cluster_operators, cluster_versions},
    gate::Source,
    plan::{
        bridge::unforce::{KeepReason, decide as decide_unforce},
        newest_entry::EntryStart,
        role::owns_force,
    },
};
use kube::{
    Api, Client,
    api::{DynamicObject, ListParams, Patch, PatchParams},
};

/// How often the decision is made again after the CVO or another writer has written in between.
const CONFLICTS: usize = 5;

/// Removes it, or reports why it stays; changes nothing unless `confirmed`. Returns whether it stays.
pub async fn remove(
    client: &Client,
    confirmed: bool,
    now: jiff::Timestamp,
    report: &mut Report,
) -> Result<bool, CleanupError> {
    for _ in 0..CONFLICTS {
        let mut attempt = Report::default();
        match remove_once(client, confirmed, now, false, &mut attempt).await {
            // Another writer has written between the read and the write: decide again on what it wrote.
            Err(CleanupError::Api { source, .. }) if is_conflict(&source) => report.recorded.extend(attempt.recorded),
            result => {
                report.withdrawn.extend(attempt.withdrawn);
                report.recorded.extend(attempt.recorded);
                report.stays.extend(attempt.stays);
                report.unwritten.extend(attempt.unwritten);
                report.problems.extend(attempt.problems);
                return result;
            }
        }
    }
    remove_once(client, confirmed, now, true, report).await
}

async fn remove_once(
    client: &Client,
    confirmed: bool,
    now: jiff::Timestamp,
    is_last: bool,
    report: &mut Report,
) -> Result<bool, CleanupError> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &cluster_versions());
    let found =
        api.get_opt(names::CLUSTER_VERSION).await.or_else(missing_api).map_err(failed("reading ClusterVersion"))?;
    let Some(object) = found else { return Ok(false) };
    let cluster_version = read(&object)?;
    let (records, endings) = followed(records(client).await, &cluster_version);
    if let Source::Read(records) = &records {
        recording::end(client, confirmed, is_last, (records, endings), report).await?;
    }
    if !owns_force(&cluster_version) {
        return Ok(false);
    }
    let operators = operators(client).await;
    // A force that outlives its update is worse than a record that is printed.
    let waits_for = if let Source::Unreadable(_) = &records { &Source::NotServed } else { &records };
    match decide_unforce(&cluster_version, &operators, waits_for, EntryStart::default()) {
        None => {}
        Some(Err(reason)) => {
            report.stays.push(format!(
                "spec.desiredUpdate.force, which upgrade-gate set: {} {} `upgrade-gate cleanup --yes` again afterwards.",
                reason.message(),
                advice(&reason)
            ));
            return Ok(true);
        }
        Some(Ok(removal)) => {
            recording::print_unreadable(&records, &cluster_version, confirmed, now, report);
            if confirmed {
                let params = PatchParams { field_manager: Some(names::SELF.to_owned()), ..PatchParams::default() };
                let written = api.patch(names::CLUSTER_VERSION, &params, &Patch::<()>::Json(removal.patch())).await;
                written.map_err(failed("removing the force from spec.desiredUpdate"))?;
            }
            report.withdrawn.push("force of spec.desiredUpdate, as its update has completed".to_owned());
        }
    }
    Ok(false)
}

/// What to do before `cleanup` can remove the rest.
fn advice(reason: &KeepReason) -> &'static str {
    match reason {
        KeepReason::Invalid | KeepReason::NotBegun => {
            "If it does not start, clear the request with `oc adm upgrade --clear`, and run"
        }
        KeepReason::SharedForce(_) | KeepReason::RequestChanged => "Run",
        KeepReason::NotCompleted
        | KeepReason::NotDesired
        | KeepReason::NotAccepted
        | KeepReason::Progressing
        | KeepReason::Failing
        | KeepReason::OperatorsUnreadable
        | KeepReason::OperatorUnhealthy(_)
        | KeepReason::RecordsUnreadable
        | KeepReason::RecordOpen => "Leave it while the update runs, and run",
    }
}

/// The ClusterOperators of others. If one cannot be read, the source is unreadable.
async fn operators(client: &Client) -> Source<Vec<ClusterOperator>> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &cluster_operators());
    let list = match api.list(&ListParams::default()).await {
        Ok(list) => list.items,
        Err(error) => return Source::Unreadable(error.to_string()),
    };
    let others = list.iter().filter(|object| object.metadata.name.as_deref() != Some(names::SELF));
    let read = others.map(|object| serde_json::to_value(object).and_then(serde_json::from_value));
    match read.collect::<Result<_, _>>() {
        Ok(operators) => Source::Read(operators),
        Err(error) => Source::Unreadable(error.to_string()),
    }
}
