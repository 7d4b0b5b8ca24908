//! What holds against a real API server: one binary, so that all of it shares one control plane.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test says what it expects by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod conditions;
mod conflicts;
mod contention;
mod events;
mod gates;
mod harness;
mod history;
mod leader;
mod metrics;
mod mission;
mod objects;
mod once;
mod overrides;
mod requests;
mod rest;
mod sources;
mod versions;
