//! The shipped CRDs, generated from Rust types: `upgrade-gate crd` prints them, and `crds/` contains them.
//!
//! `cargo test crd` compares the two; `UPDATE=1 cargo test crd` rewrites the files.

mod cluster_version;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use kube::CustomResourceExt;

use crate::api::UpdateRecord;

/// The shipped CRDs. Each is in `crds/NAME/NAME.crd.yaml`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Name {
    /// The object that records an accepted risk; part of deploy/base
    Updaterecord,
    /// Only for clusters that are not OpenShift: on OpenShift it would replace the existing one
    Clusterversion,
}

/// What is applied to the cluster.
#[must_use]
pub fn crd(name: Name) -> CustomResourceDefinition {
    match name {
        Name::Updaterecord => definition::<UpdateRecord>(),
        Name::Clusterversion => definition::<cluster_version::ClusterVersion>(),
    }
}

/// A CRD as a YAML document.
///
/// # Errors
///
/// If it cannot be written as YAML, which would be a bug in its types.
pub fn to_yaml(crd: &CustomResourceDefinition) -> Result<String, serde_saphyr::ser::Error> {
    Ok(format!("---\n{}", serde_saphyr::to_string(crd)?))
}

fn definition<K: CustomResourceExt>() -> CustomResourceDefinition {
    let mut definition = K::crd();
    for version in &mut definition.spec.versions {
        if let Some(schema) = version.schema.as_mut().and_then(|s| s.open_api_v3_schema.as_mut()) {
            schema.title = None;
            optional_is_absent(schema);
        }
    }
    definition
}

/// An optional field may be absent, but not null, as everywhere in Kubernetes; only a required one may be null, if its
/// type is an `Option`. The generator would let every optional field be null.
fn optional_is_absent(schema: &mut JSONSchemaProps) {
    let required = schema.required.clone().unwrap_or_default();
    for (name, property) in schema.properties.iter_mut().flatten() {
        if !required.contains(name) {
            property.nullable = None;
            property.enum_.iter_mut().for_each(|values| values.retain(|JSON(value)| !value.is_null()));
        }
        optional_is_absent(property);
    }
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => optional_is_absent(items),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => {
            items.iter_mut().for_each(optional_is_absent);
        }
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{env, fs, path::Path};

    #[test]
    #[expect(clippy::disallowed_methods, reason = "UPDATE=1 is for the developer who runs the tests")]
    fn the_files_are_what_the_types_say() {
        for (name, folder) in [(Name::Updaterecord, "updaterecord"), (Name::Clusterversion, "clusterversion")] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("crds/{folder}/{folder}.crd.yaml"));
            let generated = to_yaml(&crd(name)).unwrap();
            if env::var_os("UPDATE").is_some() {
                fs::write(&path, &generated).unwrap();
            }
            let file = fs::read_to_string(&path).unwrap_or_default();
            assert!(file == generated, "{} isn't fresh: run UPDATE=1 cargo test crd", path.display());
        }
    }
}
