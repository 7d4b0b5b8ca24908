//! What the user may do, asked before anything is written: a right that is missing halfway would leave the work half done.

use std::fmt;

use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, PostParams},
};
use serde_json::json;

use crate::api::names::{self, CVO_LEASE, RECORD_GROUP};

const CONFIG_GROUP: &str = "config.openshift.io";
const ADMISSION_GROUP: &str = "admissionregistration.k8s.io";

/// A verb on a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Right {
    verb: &'static str,
    group: &'static str,
    resource: &'static str,
    subresource: &'static str,
    namespace: &'static str,
    name: &'static str,
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.subresource.is_empty() { "" } else { "/" };
        write!(f, "{} {}{slash}{}.{}", self.verb, self.resource, self.subresource, self.group)?;
        if self.namespace.is_empty() { Ok(()) } else { write!(f, " in {}", self.namespace) }
    }
}

const fn right(verb: &'static str, group: &'static str, resource: &'static str, name: &'static str) -> Right {
    Right { verb, group, resource, subresource: "", namespace: "", name }
}

/// To ask for an update.
pub const ASK: [Right; 1] = [right("patch", CONFIG_GROUP, "clusterversions", names::CLUSTER_VERSION)];
/// To force it, and to take the force back; the first shows whether an operator runs, which does both.
pub const FORCE: [Right; 3] = [
    Right { namespace: names::NAMESPACE, ..right("get", "coordination.k8s.io", "leases", names::SELF) },
    Right { namespace: CVO_LEASE.0, ..right("get", "coordination.k8s.io", "leases", CVO_LEASE.1) },
    right("list", CONFIG_GROUP, "clusteroperators", ""),
];
/// To record it.
pub const RECORD: [Right; 3] = [
    right("list", RECORD_GROUP, "updaterecords", ""),
    right("create", RECORD_GROUP, "updaterecords", ""),
    Right { subresource: "status", ..right("patch", RECORD_GROUP, "updaterecords", "") },
];
/// To install the policy.
pub const INSTALL_POLICY: [Right; 2] = [
    right("create", ADMISSION_GROUP, "validatingadmissionpolicies", ""),
    right("create", ADMISSION_GROUP, "validatingadmissionpolicybindings", ""),
];
/// To remove it.
pub const REMOVE_POLICY: [Right; 4] = [
    right("get", ADMISSION_GROUP, "validatingadmissionpolicies", names::POLICY),
    right("delete", ADMISSION_GROUP, "validatingadmissionpolicies", names::POLICY),
    right("get", ADMISSION_GROUP, "validatingadmissionpolicybindings", names::POLICY),
    right("delete", ADMISSION_GROUP, "validatingadmissionpolicybindings", names::POLICY),
];

/// Those that the user lacks. A review that fails counts as allowed: the request itself then shows the error.
pub async fn missing(client: &Client, rights: &[Right]) -> Vec<Right> {
    let asked = rights.iter().map(async |right| is_denied(client, *right).await.then_some(*right));
    futures::future::join_all(asked).await.into_iter().flatten().collect()
}

async fn is_denied(client: &Client, right: Right) -> bool {
    let resource = ApiResource::erase::<SelfSubjectAccessReview>(&());
    let mut review = DynamicObject::new("", &resource).data(json!({"spec": {"resourceAttributes": {
        "verb": right.verb, "group": right.group, "resource": right.resource, "subresource": right.subresource,
        "namespace": right.namespace, "name": right.name,
    }}}));
    review.metadata.name = None;
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    match api.create(&PostParams::default(), &review).await {
        Ok(answer) => answer.data["status"]["allowed"] == false,
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};

    use super::*;

    fn grants(rule: &PolicyRule, right: &Right) -> bool {
        let holds = |list: &Option<Vec<String>>, text: &str| list.iter().flatten().any(|entry| entry == text);
        let slash = if right.subresource.is_empty() { "" } else { "/" };
        let resource = format!("{}{slash}{}", right.resource, right.subresource);
        let any_name = rule.resource_names.as_ref().is_none_or(Vec::is_empty);
        rule.verbs.iter().any(|verb| verb == right.verb)
            && holds(&rule.api_groups, right.group)
            && holds(&rule.resources, &resource)
            && (any_name || holds(&rule.resource_names, right.name))
    }

    #[test]
    fn the_role_in_deploy_grants_every_right() {
        let role: ClusterRole =
            serde_saphyr::from_str(include_str!("../../../deploy/update-role/cluster-role.yaml")).unwrap();
        let rules = role.rules.unwrap();
        let is_granted = |right: &&Right| rules.iter().any(|rule| grants(rule, right));
        let all = ASK.iter().chain(&FORCE).chain(&RECORD).chain(&INSTALL_POLICY).chain(&REMOVE_POLICY);
        let lacking: Vec<String> = all.filter(|right| !is_granted(right)).map(Right::to_string).collect();
        assert_eq!(lacking, [""; 0]);
    }
}
