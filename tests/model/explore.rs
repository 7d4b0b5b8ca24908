//! What is explored, and the seeded bugs that have to be found. `--nocapture` shows the figures.

use rstest::rstest;
use stateright::{Checker, HasDiscoveries};
use std::time::Instant;

use crate::{
    laws::{COMPLETED, Law},
    *,
};

const REPLACE: Role = Role::Replace;
const BRIDGE: Role = Role::Bridge;
const NO_TESTS: Defences = Defences { tests: false, ..ALL };
const NO_VERSION: Defences = Defences { resource_version: false, ..ALL };
const NEITHER: Defences = Defences { resource_version: false, tests: false, ..ALL };
const NO_LEASE: Defences = Defences { lease: false, ..ALL };

/// Wishes of the administrator, crashes, silences, and leases that run out.
fn bounds([wishes, crashes, silences, expiries]: [u8; 4]) -> Bounds {
    Bounds { wishes, crashes, silences, expiries }
}

/// The properties that don't hold, each with the way to where it doesn't.
fn violations(checker: &impl Checker<Protocol>) -> Vec<&'static str> {
    let mut broken = Vec::new();
    for (name, path) in checker.discoveries().into_iter().filter(|(name, _)| *name != COMPLETED) {
        broken.push(name);
        eprintln!("{name}: {:#?}", path.into_actions());
    }
    broken.sort_unstable();
    broken
}

/// Explores everything within the bounds.
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
    assert!(checker.discovery(COMPLETED).is_some(), "nothing happens in this model");
    violations(&checker)
}

#[rstest]
#[case::a_crash(REPLACE, [1, 1, 0, 0])]
#[case::a_silence(REPLACE, [1, 0, 1, 0])]
#[case::an_expiry(REPLACE, [1, 0, 0, 1])]
#[case::a_crash_of_the_bridge(BRIDGE, [1, 1, 0, 0])]
#[case::a_silence_of_the_bridge(BRIDGE, [1, 0, 1, 0])]
#[case::an_expiry_of_the_bridge(BRIDGE, [1, 0, 0, 1])]
#[case::two_wishes_of_the_bridge(BRIDGE, [2, 0, 0, 0])]
fn every_invariant_holds(#[case] role: Role, #[case] within: [u8; 4]) {
    assert_eq!(explored(role, bounds(within)), Vec::<&str>::new());
}

/// `make model`: some minutes.
#[rstest]
#[case::two_wishes(REPLACE, [2, 0, 0, 0])]
#[case::two_wishes_and_a_crash(REPLACE, [2, 1, 0, 0])]
#[case::two_wishes_and_an_expiry(REPLACE, [2, 0, 0, 1])]
#[case::two_wishes_and_a_silence(REPLACE, [2, 0, 1, 0])]
#[case::an_expiry_and_a_silence(REPLACE, [1, 0, 1, 1])]
#[case::two_wishes_and_an_expiry_of_the_bridge(BRIDGE, [2, 0, 0, 1])]
#[case::two_wishes_and_a_silence_of_the_bridge(BRIDGE, [2, 0, 1, 0])]
#[case::everything_once_on_the_bridge(BRIDGE, [1, 1, 1, 1])]
#[ignore = "takes minutes: make model"]
fn every_invariant_holds_within_wider_bounds(#[case] role: Role, #[case] within: [u8; 4]) {
    assert_eq!(explored(role, bounds(within)), Vec::<&str>::new());
}

/// Explores until that law is broken, and says whether it is.
fn is_found(law: Law, role: Role, within: [u8; 4], defences: Defences) -> bool {
    let when = HasDiscoveries::AnyOf([law.name()].into());
    let checker = Protocol::new(role, bounds(within), defences).checker().finish_when(when);
    let checker = checker.spawn_bfs().join();
    checker.discovery(law.name()).is_some()
}

/// The conditions that a force rests on are no part of the request, which is all that its `test` looks at.
#[rstest]
#[case::a_minor_against_a_risk(Law::Accepted, REPLACE)]
#[case::a_force_that_nothing_calls_for_any_more(Law::Force, BRIDGE)]
fn without_the_resource_version_a_late_write_is_stale(#[case] law: Law, #[case] role: Role) {
    assert!(is_found(law, role, [2, 0, 0, 0], NO_VERSION));
}

/// Either of the two keeps a patch from a history that has changed, so the one can be missed where the other isn't.
#[test]
fn without_tests_and_resource_version_one_request_has_two_entries() {
    let is_found = |defences| is_found(Law::Entries, REPLACE, [1, 0, 0, 1], defences);
    assert_eq!([NEITHER, NO_TESTS, NO_VERSION].map(is_found), [true, false, false]);
}

#[test]
fn without_the_lease_a_former_leader_keeps_writing() {
    assert!(is_found(Law::Late, REPLACE, [1, 0, 0, 1], NO_LEASE));
}
