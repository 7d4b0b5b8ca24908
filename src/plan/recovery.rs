//! What follows a write that has failed: pure.

use crate::plan::write::Kind;

/// How often in a row a write is planned again at once after a conflict: the other writer has usually finished by then.
const STALE: u32 = 4;

/// Why a write wasn't made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "snake_case")]
pub enum WriteError {
    /// The object has moved on since it was read (409).
    #[error("the object has changed since it was read: {0}")]
    Stale(String),
    /// The object isn't what the patch tests for, or wouldn't be valid afterwards (422).
    #[error("the object is not of the expected form: {0}")]
    Invalid(String),
    /// Another manager owns the field, and the write was not forced.
    #[error("another field manager owns what was to be written: {0}; end the other writer, or use another mode")]
    Owned(String),
    /// The object is gone.
    #[error("there is no such object to write to")]
    Gone,
    /// The server refuses, and will again.
    #[error("the API server refuses the write: {0}; compare the permissions with deploy/base")]
    Refused(String),
    /// Any write would make the object larger than the server can store.
    #[error("the object is too large for the API server: {0}; remove from it what is not needed")]
    TooLarge(String),
    /// The server has a problem or cannot be reached; the write may have been made.
    #[error("the API server didn't answer the write: {0}")]
    Unanswered(String),
}

impl WriteError {
    /// The label in metrics.
    #[must_use]
    pub fn category(&self) -> &'static str {
        self.into()
    }
}

/// What follows a write that has failed; of several writes, the last of this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Recovery {
    /// That kind of write waits, the others go on.
    Skip,
    /// The ClusterVersion is read again, and everything is planned again.
    Read,
    /// The watch reports what has happened to the object.
    Await,
    /// That kind of write waits, and so do the others for now: they depend on this one.
    Stop,
}

/// What follows after `failures` in a row, this one included. A write that the server refuses must not delay the
/// others.
#[must_use]
pub fn after(error: &WriteError, kind: Kind, failures: u32) -> Recovery {
    if !kind.is_on_cluster_version() {
        // A write that is not part of the gate must not delay it.
        return Recovery::Skip;
    }
    match error {
        WriteError::Stale(_) if failures <= STALE => Recovery::Read,
        WriteError::Invalid(_) if failures <= 1 => Recovery::Read,
        WriteError::Gone => Recovery::Await,
        WriteError::Unanswered(_) => Recovery::Stop,
        WriteError::Stale(_)
        | WriteError::Invalid(_)
        | WriteError::Owned(_)
        | WriteError::Refused(_)
        | WriteError::TooLarge(_) => Recovery::Skip,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::somebody_was_faster(WriteError::Stale(String::new()), Kind::Conditions, 4, Recovery::Read)]
    #[case::again_and_again(WriteError::Stale(String::new()), Kind::Conditions, 5, Recovery::Skip)]
    #[case::not_what_it_is_taken_for(WriteError::Invalid(String::new()), Kind::History, 1, Recovery::Read)]
    #[case::nor_is_it_at_the_second_look(WriteError::Invalid(String::new()), Kind::History, 2, Recovery::Skip)]
    #[case::the_cluster_version_is_gone(WriteError::Gone, Kind::Force, 1, Recovery::Await)]
    #[case::a_record_is_gone(WriteError::Gone, Kind::Record, 1, Recovery::Skip)]
    #[case::a_record_is_there_already(WriteError::Stale(String::new()), Kind::Record, 1, Recovery::Skip)]
    #[case::our_operator_has_changed(WriteError::Stale(String::new()), Kind::Operator, 1, Recovery::Skip)]
    #[case::refused(WriteError::Refused(String::new()), Kind::Withdraw, 1, Recovery::Skip)]
    #[case::owned(WriteError::Owned(String::new()), Kind::Conditions, 1, Recovery::Skip)]
    #[case::no_answer(WriteError::Unanswered(String::new()), Kind::Restore, 1, Recovery::Stop)]
    #[case::no_answer_on_a_record_holds_nothing_up(
        WriteError::Unanswered(String::new()),
        Kind::Record,
        1,
        Recovery::Skip
    )]
    fn what_follows_a_failure(
        #[case] error: WriteError,
        #[case] kind: Kind,
        #[case] failures: u32,
        #[case] expected: Recovery,
    ) {
        assert_eq!(after(&error, kind, failures), expected);
    }
}
