//! The API server of the model: one ClusterVersion, the UpdateRecords, and the effect of a write. A `resourceVersion` is
//! only compared, so two values suffice: the one that every replica has read, and the one after any later change.

use json_patch::PatchOperation;
use serde_json::{Value, json};

use upgrade_gate::{
    api::UpdateRecord,
    plan::{
        Write,
        patch::record_status,
        recovery::WriteError,
        write::{RecordWrite, Withdrawal},
    },
};

use crate::Safeguards;

/// The `resourceVersion` that was read.
pub const READ: &str = "7";
const CHANGED: &str = "8";

/// The stored objects.
#[derive(Clone, Debug)]
pub struct Stored {
    pub object: Value,
    pub records: Vec<UpdateRecord>,
}

impl Stored {
    /// Applies a write that was planned on the current ClusterVersion if `fresh`, else on an earlier one.
    pub fn take(&self, write: &Write, fresh: bool, now: &str, safeguards: Safeguards) -> Result<Self, WriteError> {
        let mut stored = self.clone();
        let patched = |patch: json_patch::Patch| self.patched(patch, fresh, safeguards);
        match write {
            Write::Conditions(write) => stored.apply(&write.configuration(), fresh, safeguards)?,
            // The status subresource changes only the status.
            Write::History(write) => stored.object["status"] = patched(write.patch())?["status"].take(),
            Write::Restore(write) => stored.object["status"] = patched(write.patch())?["status"].take(),
            Write::Force(force_patch) => stored.set_spec(patched(force_patch.patch())?["spec"].take(), now),
            Write::Unforce(removal) => stored.set_spec(patched(removal.patch())?["spec"].take(), now),
            Write::Record(write) => stored.record(write, safeguards)?,
            Write::Withdraw(withdrawal @ Withdrawal::Conditions { .. }) => {
                stored.object["status"] = patched(withdrawal.patch())?["status"].take();
            }
            Write::Withdraw(Withdrawal::Ownership { .. }) | Write::Operator(_) => {
                unreachable!("{write:?} isn't modelled")
            }
        }
        Ok(stored)
    }

    fn version(fresh: bool) -> &'static str {
        if fresh { READ } else { CHANGED }
    }

    /// The object after a patch, without the safeguards that a seeded bug removes.
    fn patched(&self, mut patch: json_patch::Patch, fresh: bool, safeguards: Safeguards) -> Result<Value, WriteError> {
        patch.0.retain(|operation| match operation {
            PatchOperation::Test(_) => safeguards.tests,
            PatchOperation::Replace(_) => safeguards.resource_version,
            PatchOperation::Add(_) | PatchOperation::Remove(_) | PatchOperation::Move(_) | PatchOperation::Copy(_) => {
                true
            }
        });
        let mut object = self.object.clone();
        object["metadata"]["resourceVersion"] = json!(Self::version(fresh));
        json_patch::patch(&mut object, &patch).map_err(|error| WriteError::Invalid(error.to_string()))?;
        if object["metadata"]["resourceVersion"] != Self::version(fresh) {
            return Err(WriteError::Stale(String::new()));
        }
        Ok(object)
    }

    fn apply(&mut self, configuration: &Value, fresh: bool, safeguards: Safeguards) -> Result<(), WriteError> {
        let carried = &configuration["metadata"]["resourceVersion"];
        if safeguards.resource_version && !carried.is_null() && carried != Self::version(fresh) {
            return Err(WriteError::Stale(String::new()));
        }
        for applied in configuration["status"]["conditions"].as_array().unwrap() {
            set_condition(&mut self.object, applied.clone());
        }
        Ok(())
    }

    /// Records in managedFields that the operator owns the fields of the request that the write changes.
    fn set_spec(&mut self, spec: Value, now: &str) {
        let (before, after) = (&self.object["spec"]["desiredUpdate"], &spec["desiredUpdate"]);
        let changed =
            ["force", "image"].into_iter().filter(|field| !after[field].is_null() && before[field] != after[field]);
        let owned: serde_json::Map<String, Value> = changed.map(|field| (format!("f:{field}"), json!({}))).collect();
        self.object["metadata"]["managedFields"] = if owned.is_empty() {
            json!([])
        } else {
            json!([{"manager": "upgrade-gate", "operation": "Update", "time": now,
                    "fieldsV1": {"f:spec": {"f:desiredUpdate": owned}}}])
        };
        set_spec(&mut self.object, spec);
    }

    fn record(&mut self, write: &RecordWrite, safeguards: Safeguards) -> Result<(), WriteError> {
        let named = |record: &UpdateRecord, name: &str| record.metadata.name.as_deref() == Some(name);
        match write {
            RecordWrite::Create(record) => {
                let name = record.metadata.name.as_deref().unwrap();
                if self.records.iter().any(|known| named(known, name)) {
                    return Err(WriteError::Stale(String::new()));
                }
                let mut record = (**record).clone();
                record.metadata.resource_version = Some("1".to_owned());
                self.records.push(record);
            }
            RecordWrite::Status { name, resource_version, status } => {
                let patch = record_status(resource_version.as_ref(), status);
                let record = self.records.iter_mut().find(|record| named(record, name)).ok_or(WriteError::Gone)?;
                let stored = record.metadata.resource_version.clone().unwrap();
                let carried = &patch["metadata"]["resourceVersion"];
                if safeguards.resource_version && !carried.is_null() && *carried != json!(stored) {
                    return Err(WriteError::Stale(String::new()));
                }
                let mut object = json!({"status": record.status});
                json_patch::merge(&mut object, &json!({"status": patch["status"]}));
                record.status = serde_json::from_value(object["status"].take()).unwrap();
                record.metadata.resource_version = Some((stored.parse::<u32>().unwrap() + 1).to_string());
            }
            RecordWrite::Delete { name, .. } => self.records.retain(|record| !named(record, name)),
        }
        Ok(())
    }
}

/// Sets the spec, with a new generation if it changes.
pub fn set_spec(object: &mut Value, spec: Value) {
    if object["spec"] != spec {
        object["spec"] = spec;
        object["metadata"]["generation"] = json!(object["metadata"]["generation"].as_i64().unwrap() + 1);
    }
}

/// Sets a condition by its type.
pub fn set_condition(object: &mut Value, condition: Value) {
    let conditions = object["status"]["conditions"].as_array_mut().unwrap();
    match conditions.iter_mut().find(|known| known["type"] == condition["type"]) {
        Some(known) => *known = condition,
        None => conditions.push(condition),
    }
}
