//! A table on standard output and a JSON file, of this run and of the last measurements of criterion.

use std::{fs, path::Path, time::Duration};

use serde_json::{Map, Value, json};

/// A figure with its unit, or the times of many rounds.
pub enum Figure {
    /// How long the operator took in each round, and the floor.
    Times { operator: Vec<Duration>, floor: Vec<Duration> },
    /// One number.
    Number { value: f64, unit: &'static str },
}

/// What was measured, in the order of the table.
pub type Figures = Vec<(String, Figure)>;

/// A quantile of what is sorted already.
fn quantile(sorted: &[Duration], part: f64) -> f64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index"
    )]
    let index = ((sorted.len().max(1) - 1) as f64 * part).round() as usize;
    sorted.get(index).map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
}

fn quantiles(times: &[Duration]) -> [f64; 3] {
    let mut sorted = times.to_vec();
    sorted.sort();
    [0.5, 0.95, 0.99].map(|part| quantile(&sorted, part))
}

/// Prints the table, and writes `target/bench.json`.
pub fn publish(figures: Figures) {
    let mut json = Map::new();
    println!("\n{:<58} {:>24} {:>24} {:>7}", "", "operator p50/p95/p99 ms", "floor p50/p95/p99 ms", "p50");
    for (name, figure) in figures {
        match figure {
            Figure::Times { operator, floor } => {
                let (ours, least) = (quantiles(&operator), quantiles(&floor));
                let columns = |of: [f64; 3]| of.map(|value| format!("{value:.2}")).join(" / ");
                let ratio = ours[0] / least[0];
                println!("{name:<58} {:>24} {:>24} {ratio:>7.3}", columns(ours), columns(least));
                let of = |[p50, p95, p99]: [f64; 3]| json!({"p50": p50, "p95": p95, "p99": p99});
                let rounds = operator.len();
                json.insert(
                    name,
                    json!({"unit": "ms", "rounds": rounds, "operator": of(ours), "floor": of(least), "ratio": ratio}),
                );
            }
            Figure::Number { value, unit } => {
                println!("{name:<58} {:>24}", format!("{value:.2} {unit}"));
                json.insert(name, json!({"unit": unit, "value": value}));
            }
        }
    }
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    for (name, nanoseconds) in criterion(&target.join("criterion")) {
        println!("{name:<58} {:>24}", format!("{:.2} µs", nanoseconds / 1000.0));
        json.insert(name, json!({"unit": "µs", "value": nanoseconds / 1000.0}));
    }
    let file = target.join("bench.json");
    let text = serde_json::to_string_pretty(&Value::Object(json)).expect("JSON");
    fs::write(&file, text + "\n").expect("write the figures");
    println!("\nwritten to {}", file.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap_or(&file).display());
}

/// The means that criterion has left behind, in nanoseconds.
fn criterion(folder: &Path) -> Vec<(String, f64)> {
    let mut found = Vec::new();
    for group in fs::read_dir(folder).into_iter().flatten().flatten() {
        for bench in fs::read_dir(group.path()).into_iter().flatten().flatten() {
            let Ok(text) = fs::read_to_string(bench.path().join("new/estimates.json")) else { continue };
            let estimates: Value = serde_json::from_str(&text).expect("criterion's JSON");
            let name = format!("{} {}", group.file_name().display(), bench.file_name().display());
            found.extend(estimates["mean"]["point_estimate"].as_f64().map(|mean| (name, mean)));
        }
    }
    found.sort_by(|one, other| one.0.cmp(&other.0));
    found
}
