//! What an administrator waits for, against the real control plane, each as a ratio to the floor in the same run, turn by
//! turn: `cargo bench --bench end_to_end`, or `make bench` for everything. ROUNDS is the number of rounds, by default 200. SCENES=start plays
//! the start alone, with 300 ClusterOperators.
//!
//! The operator runs as the Deployment runs it, as its ServiceAccount, on ClusterVersion `version`. The floor
//! ([`floor`]) runs in parallel on a ClusterVersion `floor` of the same size. Times are taken by a third client, in a
//! thread of its own, that watches both.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a bench that can't measure has to say so and end"
)]
#![allow(clippy::disallowed_methods, reason = "a bench has a clock, an environment and a cluster")]

mod answers;
mod floor;
mod observer;
mod process;
mod report;
mod scenes;
#[path = "../sizes.rs"]
mod sizes;
#[path = "../../tests/support/mod.rs"]
mod support;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    if let [_, "floor", kubeconfig, plural] = arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        let ended = runtime.block_on(floor::run(kubeconfig.as_ref(), plural));
        panic!("the floor has ended: {ended:?}");
    }
    report::publish(runtime.block_on(scenes::play()));
}
