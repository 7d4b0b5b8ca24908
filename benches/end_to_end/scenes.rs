//! What is played to the operator and to the floor, turn by turn.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use kube::{
    Api,
    api::{DynamicObject, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::{
    answers::Answers,
    floor,
    observer::Observer,
    process,
    report::{Figure, Figures},
    sizes::{self, REAL},
    support::{self, Cluster, Operator, Options},
};

/// The pause between two rounds, after which all clients are idle and the operator's event of the last round is sent.
const PAUSE: Duration = Duration::from_millis(30);
/// Until what a start or a crowd of objects has set off has settled.
const SETTLE: Duration = Duration::from_secs(12);
/// ClusterOperators of a large cluster.
const MANY: usize = 300;
/// As large as ClusterOperators are.
const OPERATOR_BYTES: usize = 4096;

/// The floor as a process; killed when dropped.
struct Floor(Child);

impl Floor {
    fn start(kubeconfig: &PathBuf, plural: &str) -> Self {
        let program = std::env::current_exe().expect("this program");
        let child = Command::new(program).arg("floor").arg(kubeconfig).arg(plural).stdin(Stdio::null()).spawn();
        Self(child.expect("start the floor"))
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Everything, in the order of the table.
pub async fn play() -> Figures {
    let rounds = std::env::var("ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(200);
    let cluster = support::cluster(sizes::cluster_version(REAL)).await;
    let stage = Stage::set(&cluster).await;
    let mut figures = Figures::new();
    if std::env::var("SCENES").is_ok_and(|scenes| scenes == "start") {
        stage.crowd(REAL.operators, MANY).await;
        stage.start(rounds, MANY, &mut figures).await;
        stage.memory(MANY, &mut figures).await;
        return figures;
    }
    stage.start(rounds.min(20), REAL.operators, &mut figures).await;

    let mut operator = Operator::start(&cluster, Options::mode("replace")).await;
    operator.ready().await;
    let bare = Floor::start(&stage.kubeconfig, "clusterversions");
    tokio::time::sleep(SETTLE).await;
    stage.toggles(rounds, &operator, &bare, &mut figures).await;
    stage.accepted(rounds, &mut figures).await;
    let floor_of_operators = Floor::start(&stage.kubeconfig, "clusteroperators");
    tokio::time::sleep(Duration::from_secs(1)).await;
    stage.operators(rounds, &mut figures).await;
    drop(floor_of_operators);
    stage.cost_of_events(&operator, &mut figures).await;
    drop(operator);
    drop(bare); // it would answer in place of the floors that are started below
    stage.memory(MANY, &mut figures).await;
    stage.start(rounds.min(20), MANY, &mut figures).await;
    stage.memory(1000, &mut figures).await;
    let binary = std::fs::metadata(support::binary()).expect("the binary").len();
    figures.push(number("release binary", megabytes(binary), "MB"));
    figures
}

fn number(name: &str, value: f64, unit: &'static str) -> (String, Figure) {
    (name.to_owned(), Figure::Number { value, unit })
}

#[expect(clippy::cast_precision_loss, reason = "bytes for people")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

struct Stage<'a> {
    cluster: &'a Cluster,
    versions: Api<DynamicObject>,
    operators: Api<DynamicObject>,
    observer: Observer,
    kubeconfig: PathBuf,
}

fn upgradeable(object: &DynamicObject) -> Option<&str> {
    let conditions = object.data["status"]["conditions"].as_array()?;
    conditions.iter().find(|condition| condition["type"] == "Upgradeable")?["status"].as_str()
}

fn said(object: &DynamicObject) -> Option<&str> {
    object.data["status"]["conditions"][0]["reason"].as_str()
}

impl<'a> Stage<'a> {
    async fn set(cluster: &'a Cluster) -> Self {
        let kubeconfig = cluster.control_plane.kubeconfig();
        let stage = Self {
            cluster,
            versions: cluster.cluster_versions(),
            operators: cluster.cluster_operators(),
            observer: Observer::start(kubeconfig.clone()),
            kubeconfig,
        };
        let mut object = sizes::cluster_version(REAL);
        let status = object["status"].take();
        object["apiVersion"] = json!("config.openshift.io/v1");
        object["kind"] = json!("ClusterVersion");
        object["metadata"] = json!({"name": floor::NAME});
        let object = serde_json::from_value(object).expect("a ClusterVersion");
        let mut made =
            stage.versions.create(&PostParams::default(), &object).await.expect("the floor's ClusterVersion");
        made.data["status"] = status;
        stage.versions.replace_status(floor::NAME, &PostParams::default(), &made).await.expect("its status");
        stage.crowd(0, REAL.operators).await;
        let mut own = sizes::cluster_operator(0, OPERATOR_BYTES);
        own["metadata"]["name"] = json!(floor::OPERATOR);
        stage.add(own).await;
        stage
    }

    async fn add(&self, mut operator: Value) {
        let status = operator["status"].take();
        let object = serde_json::from_value(operator).expect("a ClusterOperator");
        let mut made = self.operators.create(&PostParams::default(), &object).await.expect("create a ClusterOperator");
        made.data["status"] = status;
        let name = made.metadata.name.clone().expect("a name");
        self.operators.replace_status(&name, &PostParams::default(), &made).await.expect("a ClusterOperator's status");
    }

    async fn crowd(&self, from: usize, to: usize) {
        for number in from..to {
            self.add(sizes::cluster_operator(number, OPERATOR_BYTES)).await;
        }
    }

    async fn spec(&self, name: &str, spec: Value) {
        let patch = Patch::Merge(json!({"spec": spec}));
        self.versions.patch(name, &PatchParams::default(), &patch).await.expect("patch a ClusterVersion");
    }

    /// Sets condition Upgradeable to `Unknown`, and waits until that is seen: a process that starts on a right status writes
    /// nothing.
    async fn set_unknown(&self, name: &str) {
        let mut object = self.versions.get(name).await.expect("a ClusterVersion");
        let conditions = object.data["status"]["conditions"].as_array_mut().expect("conditions");
        conditions.retain(|condition| condition["type"] != "Upgradeable");
        let unknown = json!({"type": "Upgradeable", "status": "Unknown", "reason": "None", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"});
        conditions.insert(0, unknown); // where the floor writes
        self.versions.replace_status(name, &PostParams::default(), &object).await.expect("its status");
        self.observer.until(name, "the unknown status", |object| upgradeable(object) == Some("Unknown"));
    }

    /// Sets the status of a ClusterOperator's condition, and returns when the PUT began, and the resourceVersion.
    async fn set_condition(&self, name: &str, kind: &str, status: &str) -> (Instant, String) {
        let mut object = self.operators.get(name).await.expect("a ClusterOperator");
        let conditions = object.data["status"]["conditions"].as_array_mut().expect("conditions");
        let condition = conditions.iter_mut().find(|condition| condition["type"] == kind).expect("the condition");
        condition["status"] = json!(status);
        let began = Instant::now();
        let put = self.operators.replace_status(name, &PostParams::default(), &object).await;
        (began, put.expect("PUT a ClusterOperator").metadata.resource_version.unwrap_or_default())
    }

    /// Both, each first in every other round.
    fn turns(round: usize) -> [&'static str; 2] {
        if round.is_multiple_of(2) { ["version", floor::NAME] } else { [floor::NAME, "version"] }
    }

    /// From a start to the first right status.
    async fn start(&self, rounds: usize, operators: usize, figures: &mut Figures) {
        let (mut operator, mut floor, mut beyond) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..rounds {
            for name in Self::turns(round) {
                self.set_unknown(name).await;
                self.spec(
                    name,
                    json!({"overrides": if round.is_multiple_of(2) { Value::Null } else { json!([sizes::policy_override()]) }}),
                )
                .await;
                let expected = if round.is_multiple_of(2) { "True" } else { "False" };
                let options = Options::mode("replace").identity(if round.is_multiple_of(2) { "even" } else { "odd" });
                let began = Instant::now();
                let right = |object: &DynamicObject| upgradeable(object) == Some(expected);
                if name == "version" {
                    let answers = Answers::from_now(self.cluster.control_plane.audit_log());
                    let process = Operator::start(self.cluster, options).await;
                    let began = process.started();
                    let time = self.observer.until(name, "the right status", right) - began;
                    operator.push(time);
                    process.terminate().await;
                    beyond.push(time.saturating_sub(answers.until_first_write()));
                } else {
                    let process = Floor::start(&self.kubeconfig, "clusterversions");
                    floor.push(self.observer.until(name, "the right status", right) - began);
                    drop(process);
                }
            }
        }
        let name = format!("start to first right status, {operators} ClusterOperators");
        figures.push((name, Figure::Times { operator, floor }));
        beyond.sort();
        let median = beyond[beyond.len() / 2].as_secs_f64() * 1000.0;
        figures.push(number("of it while no answer of the API server was awaited, p50", median, "ms"));
    }

    /// An override comes and goes.
    async fn toggles(&self, rounds: usize, process: &Operator, bare: &Floor, figures: &mut Figures) {
        let (mut operator, mut floor) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
        let busy = || (process::busy(process.id()), process::busy(bare.0.id()));
        let before = busy();
        for round in 0..rounds {
            let overridden = round.is_multiple_of(2);
            let expected = if overridden { "False" } else { "True" };
            // Both start from the other state.
            for name in Self::turns(round) {
                if round == 0 {
                    self.spec(name, json!({"overrides": null})).await;
                    tokio::time::sleep(PAUSE * 10).await;
                }
                tokio::time::sleep(PAUSE).await;
                self.observer.forget();
                let overrides = if overridden { json!([sizes::policy_override()]) } else { Value::Null };
                let began = Instant::now();
                self.spec(name, json!({"overrides": overrides})).await;
                let is_asked = |object: &DynamicObject| object.data["spec"]["overrides"].is_array() == overridden;
                let asked = self.observer.until(name, "the spec", is_asked);
                let answered = self.observer.until(name, "the status", |object| upgradeable(object) == Some(expected));
                let times = if name == "version" { &mut operator } else { &mut floor };
                times.0.push(answered - began);
                times.1.push(answered - asked);
            }
        }
        let after = busy();
        let (reaction, event) = ("override set to Upgradeable seen", "the spec's event to the status's");
        figures.push((reaction.to_owned(), Figure::Times { operator: operator.0, floor: floor.0 }));
        figures.push((event.to_owned(), Figure::Times { operator: operator.1, floor: floor.1 }));
        #[expect(clippy::cast_precision_loss, reason = "a number of rounds")]
        let per_thousand = |busy: Duration| busy.as_secs_f64() * 1000.0 / rounds as f64;
        figures.push(number("CPU per 1,000 toggles, operator", per_thousand(after.0.saturating_sub(before.0)), "s"));
        figures.push(number("CPU per 1,000 toggles, floor", per_thousand(after.1.saturating_sub(before.1)), "s"));
    }

    /// A patch update is asked for under an override.
    async fn accepted(&self, rounds: usize, figures: &mut Figures) {
        let (mut operator, mut floor) = (Vec::new(), Vec::new());
        for name in ["version", floor::NAME] {
            self.spec(name, json!({"overrides": [sizes::policy_override()]})).await;
        }
        for round in 0..rounds {
            let version = format!("4.21.{}", 2 + round % 17);
            for name in Self::turns(round) {
                tokio::time::sleep(PAUSE).await;
                self.observer.forget();
                let began = Instant::now();
                self.spec(
                    name,
                    json!({"desiredUpdate": {"version": version, "image": "", "force": false, "architecture": ""}}),
                )
                .await;
                if name == "version" {
                    let recorded = |object: &DynamicObject| {
                        let entry = &object.data["status"]["history"][0];
                        entry["version"] == version.as_str() && entry["acceptedRisks"].is_string()
                    };
                    operator.push(self.observer.until(name, "the accepted risk", recorded) - began);
                } else {
                    let generation = self.versions.get(name).await.expect("the floor's").metadata.generation;
                    let generation = generation.unwrap_or_default().to_string();
                    let answered = |object: &DynamicObject| said(object) == Some(&generation);
                    floor.push(self.observer.until(name, "the floor's answer", answered) - began);
                }
            }
            self.forget_update().await;
        }
        figures.push(("desiredUpdate set to risk recorded".to_owned(), Figure::Times { operator, floor }));
        for name in ["version", floor::NAME] {
            self.spec(name, json!({"desiredUpdate": null, "overrides": null})).await;
        }
    }

    /// Takes the request and its traces back.
    async fn forget_update(&self) {
        self.spec("version", json!({"desiredUpdate": null})).await;
        tokio::time::sleep(PAUSE).await;
        let history = sizes::cluster_version(REAL)["status"]["history"].take();
        self.cluster.put_status("bench", |status| status["history"] = history.clone()).await;
    }

    /// A ClusterOperator stops minor updates, and no longer.
    async fn operators(&self, rounds: usize, figures: &mut Figures) {
        let (mut operator, mut floor) = (Vec::new(), Vec::new());
        let name_of = |name: &str| if name == "version" { "operator-0001" } else { floor::OPERATOR };
        for round in 0..rounds {
            let blocks = round.is_multiple_of(2);
            let expected = if blocks { "False" } else { "True" };
            for name in Self::turns(round) {
                tokio::time::sleep(PAUSE).await;
                let kind = if name == "version" { "Upgradeable" } else { "Degraded" };
                let status = if (name == "version") == blocks { "False" } else { "True" };
                self.observer.forget();
                let (began, version) = self.set_condition(name_of(name), kind, status).await;
                if name == "version" {
                    let right = |object: &DynamicObject| upgradeable(object) == Some(expected);
                    operator.push(self.observer.until(name, "the right status", right) - began);
                } else {
                    floor.push(
                        self.observer.until(name, "the floor's answer", |object| said(object) == Some(&version))
                            - began,
                    );
                }
            }
        }
        self.set_condition(name_of("version"), "Upgradeable", "True").await; // also after an odd number of rounds
        figures.push(("ClusterOperator flipped to Upgradeable seen".to_owned(), Figure::Times { operator, floor }));
    }

    /// What a thousand events that change no verdict take.
    async fn cost_of_events(&self, process: &Operator, figures: &mut Figures) {
        let before = process::busy(process.id());
        for round in 0..1000 {
            let name = format!("operator-{:04}", round % REAL.operators);
            let patch = Patch::Merge(
                json!({"status": {"versions": [{"name": "operator", "version": format!("4.21.{round}")}]}}),
            );
            self.operators.patch_status(&name, &PatchParams::default(), &patch).await.expect("patch a ClusterOperator");
        }
        tokio::time::sleep(PAUSE * 10).await;
        let busy = process::busy(process.id()).saturating_sub(before);
        figures.push(number("CPU per 1,000 events of ClusterOperators", busy.as_secs_f64(), "s"));
    }

    /// What it holds once it has seen so many ClusterOperators.
    async fn memory(&self, operators: usize, figures: &mut Figures) {
        let there = self.operators.list(&kube::api::ListParams::default()).await.expect("list").items.len() - 1;
        self.crowd(there, operators).await;
        let mut process = Operator::start(self.cluster, Options::mode("replace")).await;
        process.ready().await;
        tokio::time::sleep(SETTLE).await;
        let (resident, peak) = (process::resident(process.id()), process::peak(process.id()));
        let anonymous = process::anonymous(process.id());
        figures.push(number(
            &format!("resident when idle, {operators} ClusterOperators of 4 kB"),
            megabytes(resident),
            "MB",
        ));
        figures.push(number(&format!("of it anonymous, {operators} ClusterOperators"), megabytes(anonymous), "MB"));
        figures.push(number(&format!("the most it was, {operators} ClusterOperators"), megabytes(peak), "MB"));
        process.terminate().await;
    }
}
