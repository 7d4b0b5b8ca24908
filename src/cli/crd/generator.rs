//! The shipped CRDs, generated from Rust types, and the test that `crds/` contains them.

use std::{env, fs, path::Path};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use kube::CustomResourceExt;

use super::{Name, cluster_version};
use crate::api::UpdateRecord;

/// A CRD as a YAML document.
fn generated(name: Name) -> String {
    let crd = match name {
        Name::Updaterecord => definition::<UpdateRecord>(),
        Name::Clusterversion => definition::<cluster_version::ClusterVersion>(),
    };
    format!("---\n{}", serde_saphyr::to_string(&crd).unwrap())
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

#[test]
#[expect(clippy::disallowed_methods, reason = "UPDATE=1 is for the developer who runs the tests")]
fn the_files_are_what_the_types_say() {
    for (name, folder) in [(Name::Updaterecord, "updaterecord"), (Name::Clusterversion, "clusterversion")] {
        let generated = generated(name);
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("crds/{folder}/{folder}.crd.yaml"));
        if env::var_os("UPDATE").is_some() {
            fs::write(&path, &generated).unwrap();
        }
        let file = fs::read_to_string(&path).unwrap_or_default();
        assert!(file == generated, "{} isn't fresh: run UPDATE=1 cargo test crd", path.display());
    }
}

#[test]
fn each_command_prints_its_file() {
    assert!(Name::Updaterecord.yaml().contains("\n  name: updaterecords.upgrade-gate.openshift.io\n"));
    assert!(Name::Clusterversion.yaml().contains("\n  name: clusterversions.config.openshift.io\n"));
}
