//! What is on the cluster when a run ends before the update is over, and the commands that go on or undo it. Pure.

use crate::{
    api::{ClusterVersion, HistoryState},
    cli::update::{operator::Operator, request::Request, text::Commands},
    plan::role::owns_force,
};

/// How far this run is known to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reached {
    /// Nothing was written.
    Nothing,
    /// The request was written, or may have been.
    Asked,
    /// The force, or the policy that guards it, was written or may have been.
    Forced,
    /// The update has completed.
    Completed,
}

/// What was read of the cluster after the last write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    is_asked: bool,
    begun: Option<HistoryState>,
    is_forced: bool,
    has_policy: bool,
    operator: Operator,
}

impl Found {
    /// `has_policy`: one that this command has created.
    #[must_use]
    pub fn new(request: &Request, cluster_version: &ClusterVersion, has_policy: bool, operator: Operator) -> Self {
        let is_begun = request.is_in_front(cluster_version) && request.is_current(cluster_version);
        Self {
            is_asked: request.is_asked(cluster_version),
            begun: cluster_version.history().first().filter(|_| is_begun).map(|front| front.state),
            is_forced: owns_force(cluster_version),
            has_policy,
            operator,
        }
    }

    /// Whether it shows the last write of a run that has come so far.
    #[must_use]
    pub fn shows(self, reached: Reached) -> bool {
        match reached {
            Reached::Nothing | Reached::Completed => true,
            Reached::Asked => self.is_asked || self.begun.is_some(),
            Reached::Forced => self.is_forced || self.begun.is_some(),
        }
    }
}

/// What is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Nothing was written.
    Nothing,
    /// The cluster was read again.
    Found(Found),
    /// The cluster can't be read again, or the last write may still be on its way.
    NotKnown {
        /// As far as the run has come, or may have.
        reached: Reached,
        /// The request was seen on the cluster.
        is_asked: bool,
    },
}

/// In what state the cluster is left, and what goes on or undoes it.
#[must_use]
pub fn text(left: Left, name: &str, commands: &Commands) -> String {
    let Commands { again, clear, cleanup, shown, .. } = commands;
    match left {
        Left::Nothing | Left::NotKnown { reached: Reached::Nothing, .. } => "nothing was written".to_owned(),
        Left::Found(found) => found_text(found, name, commands),
        Left::NotKnown { reached: Reached::Asked, is_asked: true } => {
            format!("{name} is requested. `{again}` continues; `{clear}` withdraws the request until the update begins")
        }
        Left::NotKnown { reached: Reached::Asked, is_asked: false } => format!(
            "{name} may be requested, as there was no answer to that write. `{shown}` shows the request; `{again}` \
             continues; `{clear}` withdraws the request until the update begins"
        ),
        Left::NotKnown { reached: Reached::Forced, .. } => format!(
            "{name} is requested, and may be forced. `{again}` continues, and removes the force and the policy once the \
             update has completed; so does `{cleanup}` then"
        ),
        Left::NotKnown { reached: Reached::Completed, .. } => format!(
            "the update to {name} has completed. `{again}` or `{cleanup}` removes the force and the policy if they are left"
        ),
    }
}

fn found_text(found: Found, name: &str, Commands { again, clear, cleanup, .. }: &Commands) -> String {
    let rest = match (found.is_forced, found.has_policy) {
        (true, true) => "the force and the policy",
        (true, false) => "the force",
        (false, true) => "the policy",
        (false, false) => "",
    };
    let is_left = !rest.is_empty();
    let is_completed = found.begun == Some(HistoryState::Completed);
    if found.operator == Operator::Forces && (found.is_asked || found.begun.is_some()) {
        return if is_completed {
            let removes = if found.is_forced { ". The operator of upgrade-gate removes the force" } else { "" };
            format!("the update to {name} has completed{removes}")
        } else {
            let removes = if found.is_forced { ", and removes the force once the update has completed" } else { "" };
            let clears =
                if found.begun.is_none() { format!("; `{clear}` withdraws the request") } else { String::new() };
            format!(
                "{name} is requested. The operator of upgrade-gate goes on with it{removes}; `{again}` shows the \
                 progress{clears}"
            )
        };
    }
    match found.begun {
        Some(HistoryState::Completed) if is_left => {
            format!("the update to {name} has completed. `{again}` or `{cleanup}` removes {rest}")
        }
        Some(HistoryState::Completed) => format!("the update to {name} has completed, and nothing is left to remove"),
        Some(HistoryState::Partial) | None if found.is_forced && (found.is_asked || found.begun.is_some()) => format!(
            "{name} is requested and forced. `{again}` continues, and removes {rest} once the update has completed; so \
             does `{cleanup}` then"
        ),
        Some(HistoryState::Partial) if is_left => {
            format!("the update to {name} is running, without a force. `{again}` continues, and removes {rest}")
        }
        Some(HistoryState::Partial) => {
            format!("the update to {name} is running, without a force. `{again}` shows its progress")
        }
        None if found.is_asked => {
            let removes = if is_left { format!(", and `{cleanup}` removes {rest}") } else { String::new() };
            format!("{name} is requested and not forced. `{again}` continues; `{clear}` withdraws the request{removes}")
        }
        None if is_left => format!("{name} is not requested. `{cleanup}` removes {rest}"),
        None => format!("{name} is not requested, and nothing is left to remove. `{again}` starts again"),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::cli::update::text::tests::commands;

    const AGAIN: &str = "upgrade-gate update --to 4.21.2 --context prod";
    const CLEAR: &str = "oc adm upgrade --clear --context prod";
    const CLEANUP: &str = "upgrade-gate cleanup --yes --context prod";
    const SHOWN: &str = "oc get clusterversion version -o jsonpath={.spec.desiredUpdate} --context prod";

    const NONE: Found =
        Found { is_asked: false, begun: None, is_forced: false, has_policy: false, operator: Operator::Absent };
    const ASKED: Found = Found { is_asked: true, ..NONE };
    const FORCED: Found = Found { is_forced: true, ..ASKED };
    const RUNNING: Found = Found { begun: Some(HistoryState::Partial), ..ASKED };
    const COMPLETED: Found = Found { begun: Some(HistoryState::Completed), ..ASKED };

    fn found(found: Found, has_policy: bool) -> Left {
        Left::Found(Found { has_policy, ..found })
    }

    fn unread(reached: Reached, is_asked: bool) -> Left {
        Left::NotKnown { reached, is_asked }
    }

    #[rstest]
    #[case::nothing(Left::Nothing, "nothing was written", &[])]
    #[case::nothing_unread(unread(Reached::Nothing, false), "nothing was written", &[])]
    #[case::the_write_was_lost(found(NONE, false), "4.21.2 is not requested", &[AGAIN])]
    #[case::only_the_policy(found(NONE, true), "4.21.2 is not requested", &[CLEANUP])]
    #[case::asked(found(ASKED, false), "4.21.2 is requested and not forced", &[AGAIN, CLEAR])]
    #[case::guarded(found(ASKED, true), "4.21.2 is requested and not forced", &[AGAIN, CLEAR, CLEANUP])]
    #[case::forced(found(FORCED, true), "4.21.2 is requested and forced", &[AGAIN, CLEANUP])]
    #[case::runs_forced(found(Found { is_forced: true, ..RUNNING }, true), "4.21.2 is requested and forced", &[AGAIN, CLEANUP])]
    #[case::runs(found(RUNNING, false), "the update to 4.21.2 is running, without a force", &[AGAIN])]
    #[case::runs_guarded(found(RUNNING, true), "the update to 4.21.2 is running, without a force", &[AGAIN])]
    #[case::completed(found(COMPLETED, false), "the update to 4.21.2 has completed, and nothing is left", &[])]
    #[case::completed_guarded(found(COMPLETED, true), "the update to 4.21.2 has completed", &[AGAIN, CLEANUP])]
    #[case::unread_asked(unread(Reached::Asked, true), "4.21.2 is requested.", &[AGAIN, CLEAR])]
    #[case::unread_maybe_asked(unread(Reached::Asked, false), "4.21.2 may be requested", &[SHOWN, AGAIN, CLEAR])]
    #[case::unread_forced(unread(Reached::Forced, true), "4.21.2 is requested, and may be forced", &[AGAIN, CLEANUP])]
    #[case::unread_completed(unread(Reached::Completed, true), "the update to 4.21.2 has completed", &[AGAIN, CLEANUP])]
    fn what_is_left_and_the_commands_that_go_on(#[case] left: Left, #[case] begins: &str, #[case] expected: &[&str]) {
        let text = text(left, "4.21.2", &commands());
        let named: Vec<&str> = text.split('`').skip(1).step_by(2).collect();
        assert_eq!(named, expected, "{text}");
        assert!(text.starts_with(begins), "{text}");
    }

    #[rstest]
    #[case::asked(ASKED, &[AGAIN, CLEAR])]
    #[case::running(Found { is_forced: true, ..RUNNING }, &[AGAIN])]
    #[case::completed(Found { is_forced: true, ..COMPLETED }, &[])]
    fn a_running_operator_goes_on_by_itself(#[case] left: Found, #[case] expected: &[&str]) {
        let text = text(Left::Found(Found { operator: Operator::Forces, ..left }), "4.21.2", &commands());
        let named: Vec<&str> = text.split('`').skip(1).step_by(2).collect();
        assert_eq!(named, expected, "{text}");
        assert!(text.contains("operator of upgrade-gate"), "{text}");
    }

    #[rstest]
    #[case::nothing(NONE, false, false)]
    #[case::asked(ASKED, true, false)]
    #[case::forced(FORCED, true, true)]
    #[case::running(RUNNING, true, true)]
    fn a_write_that_is_seen_has_landed(#[case] found: Found, #[case] asked: bool, #[case] forced: bool) {
        assert_eq!((found.shows(Reached::Asked), found.shows(Reached::Forced)), (asked, forced));
    }
}
