//! Whether an API is served, by the API server's own discovery. A 404 alone does not show that it is not: a load balancer
//! or a proxy may answer 404 for a moment.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::GroupVersionForDiscovery;
use kube::{Client, core::ApiResource};

/// Whether discovery lists it.
///
/// # Errors
/// Discovery does not answer.
pub async fn is_served(client: &Client, resource: &ApiResource) -> kube::Result<bool> {
    let ApiResource { group, version, api_version, plural, .. } = resource;
    if group.is_empty() {
        return Ok(true); // the core always is
    }
    let is_version = |found: &GroupVersionForDiscovery| found.version == *version;
    let groups = client.list_api_groups().await?.groups;
    if !groups.iter().any(|found| found.name == *group && found.versions.iter().any(is_version)) {
        return Ok(false);
    }
    let resources = client.list_api_group_resources(api_version).await?.resources;
    Ok(resources.iter().any(|found| found.name == *plural))
}
