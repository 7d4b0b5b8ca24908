//! upgrade-gate: a Kubernetes operator that gates OpenShift updates, and `check`, which gives the same verdicts from
//! files. This page is the map; each module's own page says what its part is.
//!
//! ```text
//!  ClusterVersion, ClusterOperators,          spec.desiredUpdate, --to, the lists of updates
//!  admin-gates, admin-acks                                     |
//!        |                                                     v
//!   controller::watch -> ClusterCache -> gate::Snapshot { sources, targets, now }
//!   check::inputs, check::live  ---------^       |
//!                                                v
//!                                       gate::evaluate (pure)
//!                                         risks            five sources, one file each
//!                                         preconditions    four, one file each
//!                                                |
//!                                                v
//!                                         gate::Verdict
//!                                          |          |
//!        check::render, history  <---------+          +-->  plan::step::step (pure), with its Memory:
//!        what a person reads                                  role::role, bridge, plan -> Plan { desired, writes },
//!                                                             throttle -> Write | Ask | Rest
//!                                                                 |
//!                                                                 v
//!                                                           controller::reconcile, controller::apply
//! ```
//!
//! What decides is pure and takes its time, its sources and its mode as values; what talks to a cluster, a clock or a
//! terminal sits at the edges: [`controller`] runs the loop, [`check`] and [`history`] read and print, [`cleanup`] takes
//! away what the operator leaves behind.

pub mod api;
pub mod cli;
pub mod client;
pub mod controller;
pub mod escape;
pub mod gate;
pub mod plan;
