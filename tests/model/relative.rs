//! The text of a memory, the key by which the model compares two.

use upgrade_gate::plan::moment::Moment;

/// Fields that make no difference in this model, each between these two texts: a CVO always runs, there is no
/// ClusterOperator, failures in a row only make a wait longer, nobody reverts the status of a record, and no turn is long.
const IGNORED: [(&str, &str); 6] = [
    ("cvo_lease: ", ", newest_entry: "),
    ("lasting: ", ", cache_is_fresh: "),
    ("record_statuses: ", ", contended: "),
    ("failures: ", ", until: "),
    ("evaluations: ", ", recovery: "),
    ("reads_for: ", ", contended: "),
];

/// The text of a memory, the key by which two are compared. A moment counts only as past, now or future, since nothing
/// waits for as long as [`super::tables::WAIT`].
pub fn relative(text: &str, now: Moment) -> String {
    let text = IGNORED.iter().fold(text.to_owned(), |text, (from, to)| without(&text, from, to));
    let mut parts = text.split("Moment(");
    let mut relative = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (moment, rest) = part.split_once("s)").unwrap();
        let seconds: f64 = moment.parse().unwrap();
        let distance = seconds - now.0.as_secs_f64();
        relative += if distance < 0.0 {
            "over"
        } else if distance > 0.0 {
            "to come"
        } else {
            "now"
        };
        relative += rest;
    }
    relative
}

fn without(text: &str, from: &str, to: &str) -> String {
    let mut parts = text.split(from);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |kept, part| match part.split_once(to) {
        Some((_, rest)) => kept + to + rest,
        None => kept + from + part,
    })
}
