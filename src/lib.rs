//! upgrade-gate: a Kubernetes operator that gates OpenShift updates.

pub mod api;
pub mod check;
pub mod gate;
