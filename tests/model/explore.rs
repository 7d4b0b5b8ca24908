//! The explored bounds, and the seeded bugs that the model has to find. `--nocapture` prints the figures.

use rstest::rstest;
use stateright::{Checker, HasDiscoveries};
use std::time::Instant;

use crate::{
    invariants::{COMPLETED, Invariant},
    *,
};

const REPLACE: Role = Role::Replace;
const BRIDGE: Role = Role::Bridge;
const NO_TESTS: Safeguards = Safeguards { tests: false, ..ALL };
const NO_VERSION: Safeguards = Safeguards { resource_version: false, ..ALL };
const NEITHER: Safeguards = Safeguards { resource_version: false, tests: false, ..ALL };
const NO_LEASE: Safeguards = Safeguards { lease: false, ..ALL };

/// Actions of the administrator, crashes, lost answers, and Leases that expire.
fn bounds([admin_actions, crashes, lost_answers, expiries]: [u8; 4]) -> Bounds {
    Bounds { admin_actions, crashes, lost_answers, expiries }
}

/// The names of violated properties. Prints the actions that lead to each violation.
fn violations(checker: &impl Checker<Protocol>) -> Vec<&'static str> {
    let mut violations = Vec::new();
    for (name, path) in checker.discoveries().into_iter().filter(|(name, _)| *name != COMPLETED) {
        violations.push(name);
        eprintln!("{name}: {:#?}", path.into_actions());
    }
    violations.sort_unstable();
    violations
}

/// Explores all states within the bounds.
fn explored(role: Role, bounds: Bounds) -> Vec<&'static str> {
    let start = Instant::now();
    let checker = Protocol::new(role, bounds, ALL).checker().spawn_bfs().join();
    assert!(checker.is_done());
    eprintln!(
        "{role:?} {bounds:?}: {} states, {} steps deep, in {:.1?}",
        checker.unique_state_count(),
        checker.max_depth(),
        start.elapsed()
    );
    assert!(checker.discovery(COMPLETED).is_some(), "no update completes in this model");
    violations(&checker)
}

#[rstest]
#[case::a_crash(REPLACE, [1, 1, 0, 0])]
#[case::a_lost_answer(REPLACE, [1, 0, 1, 0])]
#[case::an_expiry(REPLACE, [1, 0, 0, 1])]
#[case::a_crash_of_the_bridge(BRIDGE, [1, 1, 0, 0])]
#[case::a_lost_answer_of_the_bridge(BRIDGE, [1, 0, 1, 0])]
#[case::an_expiry_of_the_bridge(BRIDGE, [1, 0, 0, 1])]
#[case::two_actions_of_the_bridge(BRIDGE, [2, 0, 0, 0])]
fn every_invariant_holds(#[case] role: Role, #[case] within: [u8; 4]) {
    assert_eq!(explored(role, bounds(within)), Vec::<&str>::new());
}

/// Takes some minutes: `make model`.
#[rstest]
#[case::two_actions(REPLACE, [2, 0, 0, 0])]
#[case::two_actions_and_a_crash(REPLACE, [2, 1, 0, 0])]
#[case::two_actions_and_an_expiry(REPLACE, [2, 0, 0, 1])]
#[case::two_actions_and_a_lost_answer(REPLACE, [2, 0, 1, 0])]
#[case::an_expiry_and_a_lost_answer(REPLACE, [1, 0, 1, 1])]
#[case::two_actions_and_an_expiry_of_the_bridge(BRIDGE, [2, 0, 0, 1])]
#[case::two_actions_and_a_lost_answer_of_the_bridge(BRIDGE, [2, 0, 1, 0])]
#[case::everything_once_on_the_bridge(BRIDGE, [1, 1, 1, 1])]
#[ignore = "takes minutes: make model"]
fn every_invariant_holds_within_wider_bounds(#[case] role: Role, #[case] within: [u8; 4]) {
    assert_eq!(explored(role, bounds(within)), Vec::<&str>::new());
}

/// Explores until that invariant is violations, and says whether it is.
fn is_found(invariant: Invariant, role: Role, within: [u8; 4], safeguards: Safeguards) -> bool {
    let when = HasDiscoveries::AnyOf([invariant.name()].into());
    let checker = Protocol::new(role, bounds(within), safeguards).checker().finish_when(when);
    let checker = checker.spawn_bfs().join();
    checker.discovery(invariant.name()).is_some()
}

/// The conditions of a force are not part of the request, which is all that the patch's `test` compares.
#[rstest]
#[case::a_minor_against_a_risk(Invariant::Accepted, REPLACE)]
#[case::a_force_that_nothing_calls_for_any_more(Invariant::Force, BRIDGE)]
fn without_the_resource_version_a_late_write_is_stale(#[case] invariant: Invariant, #[case] role: Role) {
    assert!(is_found(invariant, role, [2, 0, 0, 0], NO_VERSION));
}

/// Each of the two alone rejects a patch of a history that has changed.
#[test]
fn without_tests_and_resource_version_one_request_has_two_entries() {
    let is_found = |safeguards| is_found(Invariant::Entries, REPLACE, [1, 0, 0, 1], safeguards);
    assert_eq!([NEITHER, NO_TESTS, NO_VERSION].map(is_found), [true, false, false]);
}

#[test]
fn without_the_lease_a_former_leader_keeps_writing() {
    assert!(is_found(Invariant::Late, REPLACE, [1, 0, 0, 1], NO_LEASE));
}
