//! The shipped CRDs: `upgrade-gate crd` prints the files of `crds/`, which are generated from Rust types.
//!
//! The types and the generator are part of the tests alone: `cargo test crd` compares the files with them, and
//! `UPDATE=1 cargo test crd` rewrites the files.

#[cfg(test)]
mod cluster_version;
#[cfg(test)]
mod generator;

/// The shipped CRDs. Each is in `crds/NAME/NAME.crd.yaml`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Name {
    /// The object that records an accepted risk; part of deploy/base
    Updaterecord,
    /// Only for clusters that are not OpenShift: on OpenShift it would replace the existing one
    Clusterversion,
}

impl Name {
    /// The CRD as a YAML document.
    #[must_use]
    pub fn yaml(self) -> &'static str {
        match self {
            Self::Updaterecord => include_str!("../../../crds/updaterecord/updaterecord.crd.yaml"),
            Self::Clusterversion => include_str!("../../../crds/clusterversion/clusterversion.crd.yaml"),
        }
    }
}
