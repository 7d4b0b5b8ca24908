//! The UpdateRecords of a cluster as they would be if the operator followed them now.

use kube::{
    Api, Client,
    api::{ApiResource, ListParams},
};
use serde_json::Value;

use crate::{
    api::{ClusterVersion, UpdateRecord},
    client::discovery::is_served,
    gate::Source,
    plan::{
        newest_entry::EntryStart,
        patch::record_status,
        role::owns_force,
        update_records::{follow, of_history},
        write::RecordWrite,
    },
};

/// All UpdateRecords. After a 404, discovery decides whether the API is served: a proxy may answer 404 as well, and what is
/// not served gets no record.
pub async fn records(client: &Client) -> Source<Vec<UpdateRecord>> {
    match Api::<UpdateRecord>::all(client.clone()).list(&ListParams::default()).await {
        Ok(list) => Source::Read(list.items),
        Err(kube::Error::Api(status)) if status.code == 404 => {
            match is_served(client, &ApiResource::erase::<UpdateRecord>(&())).await {
                Ok(false) => Source::NotServed,
                Ok(true) => Source::Unreadable(format!("the API is served, but: {status}")),
                Err(error) => Source::Unreadable(format!("discovery fails: {error}")),
            }
        }
        Err(error) => Source::Unreadable(error.to_string()),
    }
}

/// The records as a running operator would have them, and the writes for that: without an operator, nothing else records how
/// an update ended.
pub fn followed(
    records: Source<Vec<UpdateRecord>>,
    cluster_version: &ClusterVersion,
) -> (Source<Vec<UpdateRecord>>, Vec<(String, Value)>) {
    let mut records = match records {
        Source::Read(records) => records,
        Source::NotServed | Source::Unreadable(_) | Source::NotGiven => return (records, Vec::new()),
    };
    let mut endings = Vec::new();
    for write in follow(&records, cluster_version) {
        match write {
            RecordWrite::Status { name, resource_version, status } => {
                if let Some(record) = records.iter_mut().find(|record| record.metadata.name.as_ref() == Some(&name)) {
                    endings.push((name, record_status(resource_version.as_ref(), &status)));
                    record.status = Some(*status);
                }
            }
            RecordWrite::Create(_) | RecordWrite::Delete { .. } => {}
        }
    }
    (Source::Read(records), endings)
}

/// The record of the newest update as it would be in the cluster, to be printed. The history still contains what was accepted.
pub fn of_completed(cluster_version: &ClusterVersion, began: EntryStart, now: &str) -> Option<UpdateRecord> {
    // No operator was running when it began.
    let began = EntryStart { is_new: began.is_new || owns_force(cluster_version), ..began };
    let mut record = of_history(&[], cluster_version, began, now)?;
    for write in follow(std::slice::from_ref(&record), cluster_version) {
        if let RecordWrite::Status { status, .. } = write {
            record.status = Some(*status);
        }
    }
    Some(record)
}
