//! What holds against a real API server: one binary, so that all of it shares one control plane.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test says what it expects by panicking")]
#![allow(clippy::disallowed_methods, reason = "tests aren't the core: they have a clock, an environment and a cluster")]

#[path = "../support/mod.rs"]
mod support;

mod auto;
mod bridge;
mod bridge_conditions;
mod bridge_force;
mod bridge_history;
mod bridge_records;
mod bridge_reports;
mod bridge_restarts;
mod check_clusters;
mod check_commands;
mod check_gate;
mod cleanup;
mod conditions;
mod conflicts;
mod contention;
mod crd;
mod events;
mod examples;
mod faults;
mod gates;
mod gitops;
mod harness;
mod hidden;
mod history;
mod idle;
mod install;
mod leader;
mod level;
mod manifests;
mod metrics;
mod mission;
mod objects;
mod once;
mod operator;
mod overrides;
mod policy;
mod records;
mod records_crd;
mod removal;
mod requests;
mod sizes;
mod soak;
mod sources;
mod stand_in;
mod update;
mod update_beside;
mod update_changes;
mod update_interrupted;
mod update_reads;
mod versions;
