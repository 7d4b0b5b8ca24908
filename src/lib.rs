//! upgrade-gate: a Kubernetes operator that gates OpenShift updates.

pub mod api;
pub mod crd;
pub mod gate;
