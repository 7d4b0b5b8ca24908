//! Hours of a busy cluster, one operator: `make soak`. Its memory stays flat and every step comes out right, from the
//! first to the last. Minutes and seed are the environment's: `UPGRADE_GATE_SOAK_MINUTES` (60), `UPGRADE_GATE_SEED`.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{self, Cluster, Operator, Options, Steps, fixtures};

/// Until caches and connections have grown to what they need.
const WARM_UP: Duration = Duration::from_mins(5);
/// What memory may grow by after that: pages that the allocator keeps here and there.
const TOLERANCE: u64 = 1 << 20;
/// Between two steps.
const PAUSE: Duration = Duration::from_millis(200);

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

#[tokio::test]
#[ignore = "takes an hour: make soak"]
async fn memory_does_not_grow_on_a_busy_cluster() {
    let minutes = number("UPGRADE_GATE_SOAK_MINUTES", 60);
    let mut steps = Steps::seeded(number("UPGRADE_GATE_SEED", 1));
    let cluster = support::cluster(fixtures::cluster()).await;
    let mut operator = Operator::start(&cluster, Options::mode("replace")).await;
    operator.ready().await;

    let began = Instant::now();
    let mut table =
        String::from("| minute | steps | resident kB | CPU s | writes |\n| ---: | ---: | ---: | ---: | ---: |\n");
    let (mut done, mut settled, mut last) = (0_u64, None, 0);
    let mut busy_cluster = Busy::default();
    for minute in 0..=minutes {
        while began.elapsed() < Duration::from_mins(minute) {
            busy_cluster.step(&cluster, steps.below(8)).await;
            done += 1;
            tokio::time::sleep(PAUSE).await;
        }
        last = operator.resident();
        let writes: f64 = operator.metrics().lines().filter_map(written).sum();
        let busy = operator.busy().unwrap_or_default().as_secs_f64();
        writeln!(table, "| {minute} | {done} | {} | {busy:.1} | {writes} |", last / 1024).unwrap();
        println!("{}", table.lines().last().unwrap_or_default());
        if settled.is_none() && began.elapsed() >= WARM_UP.min(Duration::from_mins(minutes)) {
            settled = Some(last);
        }
    }
    std::fs::write(support::repository("target/soak.md"), &table).unwrap();
    let settled = settled.unwrap();
    assert!(last <= settled + TOLERANCE, "from {settled} to {last} bytes after {done} steps:\n{table}");
}

/// The value of a series of `writes_total`.
fn written(line: &str) -> Option<f64> {
    line.strip_prefix("upgrade_gate_writes_total{")?.rsplit(' ').next()?.parse().ok()
}

/// What has been set, and so what must come out.
#[derive(Default)]
struct Busy {
    overridden: bool,
    operator_blocks: bool,
    gated: bool,
}

impl Busy {
    async fn step(&mut self, cluster: &Cluster, step: u64) {
        match step {
            0 | 1 => {
                self.overridden = !self.overridden;
                let overrides = if self.overridden { json!([fixtures::policy_override()]) } else { json!([]) };
                cluster.set_overrides(overrides).await;
            }
            2 | 3 => {
                self.operator_blocks = !self.operator_blocks;
                let status = if self.operator_blocks { "False" } else { "True" };
                let upgradeable = fixtures::condition("Upgradeable", status, "Why", "so");
                cluster.put_cluster_operator("network", json!([upgradeable])).await;
            }
            4 => {
                self.gated = !self.gated;
                cluster.set_admin_gates(if self.gated { json!({"ack-4.21-api": "Read it."}) } else { json!({}) }).await;
            }
            5 => {
                cluster.request_accepted("4.21.2").await;
            }
            6 => {
                cluster.request("4.22.0", &fixtures::image("4.22.0")).await;
                cluster
                    .wait_for("an answer about 4.22.0", |cv| {
                        let answer = support::condition(cv, "ReleaseAccepted");
                        answer["message"].to_string().contains("4.22.0") && (answer["status"] == "True") != self.holds()
                    })
                    .await;
            }
            _ => {
                cluster.patch(json!({"spec": {"desiredUpdate": null}})).await;
            }
        }
        let expected = if self.holds() { "False" } else { "True" };
        cluster
            .wait_for("Upgradeable to follow", |cv| support::condition(cv, "Upgradeable")["status"] == expected)
            .await;
    }

    fn holds(&self) -> bool {
        self.overridden || self.operator_blocks || self.gated
    }
}
