//! The outcome of an update is written into its UpdateRecord, or the record is printed if that cannot be done.

use kube::{
    Api, Client,
    api::{ObjectMeta, Patch, PatchParams},
};
use serde_json::Value;

use crate::{
    api::{ClusterVersion, Outcome, UpdateRecord, names},
    cli::{
        check::render,
        cleanup::{CleanupError, Report, advice, failed},
        records::of_completed,
        update::text,
    },
    client,
    gate::Source,
    plan::newest_entry::EntryStart,
};

/// Whether another writer has written since the read.
pub fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}

/// Writes how the updates of these records have ended, as the operator does; changes nothing unless `confirmed`. A record that
/// cannot be written is printed.
///
/// # Errors
/// Another writer has written since the records were read, unless this is the last attempt.
pub async fn end(
    client: &Client,
    confirmed: bool,
    is_last: bool,
    (records, endings): (&[UpdateRecord], Vec<(String, Value)>),
    report: &mut Report,
) -> Result<(), CleanupError> {
    let api: Api<UpdateRecord> = Api::all(client.clone());
    let params = PatchParams { field_manager: Some(names::SELF.to_owned()), ..PatchParams::default() };
    for (name, status) in endings {
        let Some((record, outcome)) = ended(records, &name) else { continue };
        if confirmed && let Err(error) = api.patch_status(&name, &params, &Patch::Merge(status)).await {
            if is_conflict(&error) && !is_last {
                return Err(failed("writing the outcome into an UpdateRecord")(error));
            }
            let why = format!("{}; {}", client::problem(&error), advice(&error));
            report.problems.push(format!(
                "writing the outcome into UpdateRecord {name}: {why}; the record is printed above, and `upgrade-gate cleanup \
                 --yes` writes it once that is possible"
            ));
            print(record, true, report);
        } else {
            report.recorded.push(format!("UpdateRecord {name}: outcome {outcome}"));
        }
    }
    Ok(())
}

/// The record of that name, if its update has ended.
fn ended<'a>(records: &'a [UpdateRecord], name: &str) -> Option<(&'a UpdateRecord, &'static str)> {
    let record = records.iter().find(|record| record.metadata.name.as_deref() == Some(name))?;
    match record.status.as_ref()?.outcome {
        Outcome::Pending => None,
        Outcome::Completed => Some((record, "Completed")),
        Outcome::Abandoned => Some((record, "Abandoned")),
    }
}

/// Prints the record of the completed update if UpdateRecords are not served or cannot be read. Once the force is removed,
/// nothing shows any more who let the update through.
pub fn print_unreadable(
    records: &Source<Vec<UpdateRecord>>,
    cluster_version: &ClusterVersion,
    confirmed: bool,
    now: jiff::Timestamp,
    report: &mut Report,
) {
    let is_served = match records {
        Source::Read(_) | Source::NotGiven => return,
        Source::NotServed => false,
        Source::Unreadable(why) => {
            let printed = if confirmed {
                "the record is printed above, and `upgrade-gate cleanup --yes` writes it once that is possible"
            } else {
                "with --yes, the record is printed"
            };
            report.problems.push(format!("reading the UpdateRecords: {why}; {printed}"));
            true
        }
    };
    if confirmed && let Some(record) = of_completed(cluster_version, EntryStart::default(), &now.to_string()) {
        print(&record, is_served, report);
    }
}

fn print(record: &UpdateRecord, is_served: bool, report: &mut Report) {
    // What the API server has added is of no use to a person.
    let metadata = ObjectMeta { name: record.metadata.name.clone(), ..ObjectMeta::default() };
    let record = UpdateRecord { metadata, ..record.clone() };
    match render::yaml(&record) {
        Ok(yaml) => report.unwritten.push(text::record(&yaml, &record, is_served)),
        Err(error) => report.problems.push(format!("the UpdateRecord cannot be printed: {error}")),
    }
}
