//! upgrade-gate: a Kubernetes operator that gates OpenShift updates, and commands that use the same rules: `check`
//! evaluates a cluster or files, `update` updates one cluster. This page is the map; each module's own page describes
//! it.
//!
//! ```text
//!  ClusterVersion, ClusterOperators,          spec.desiredUpdate, --to, the lists of updates
//!  admin-gates, admin-acks                                     |
//!        |                                                     v
//!   controller::watch -> ClusterCache -> gate::Snapshot { sources, targets, now }
//!   cli::input, cli::check::live  -------^       |
//!                                                v
//!                                       gate::evaluate (pure)
//!                                         risks            five sources, one file each
//!                                         preconditions    four, one file each
//!                                                |
//!                                                v
//!                                         gate::Verdict
//!                                          |          |
//!        cli::check, cli::update <---------+          +-->  plan::step::step (pure), with its Memory:
//!        (update forces by plan::bridge)                      role::role, bridge, plan -> Plan { desired, writes },
//!                                                             throttle -> Write | Ask | Rest
//!                                                                 |
//!                                                                 v
//!                                                           controller::reconcile, controller::apply
//! ```
//!
//! [`gate`] and [`plan`] decide. They are pure: time, sources and mode are arguments. [`client`], [`controller`] and
//! [`cli`] use a cluster, a clock or a terminal: [`controller`] runs the loop of the operator, [`cli`] has all other
//! commands.

#[cfg_attr(not(test), warn(clippy::wildcard_enum_match_arm))]
pub mod api;
pub mod cli;
pub mod client;
pub mod controller;
pub mod escape;
#[cfg_attr(not(test), warn(clippy::wildcard_enum_match_arm))]
pub mod gate;
#[cfg_attr(not(test), warn(clippy::wildcard_enum_match_arm))]
pub mod plan;
