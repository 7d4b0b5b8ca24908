//! upgrade-gate: a Kubernetes operator that gates OpenShift updates.
//!
//! ```text
//! watch -> Observed -> Snapshot -> evaluate -> Verdict -> plan -> Vec<Write> -> apply
//!          (controller)            (gate, pure)          (pure)               (controller)
//! ```

pub mod api;
pub mod check;
pub mod cleanup;
pub mod config;
pub mod controller;
pub mod crd;
pub mod gate;
pub mod history;
pub mod metrics;
pub mod plugin;
pub mod server;
pub mod telemetry;
