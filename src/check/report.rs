//! From a verdict to what is shown of it: the shape that JSON and YAML have, and that the texts are rendered from.

use serde::Serialize;

use super::gate::GateReport;
use crate::{
    api::{ClusterVersion, ConditionStatus},
    gate::{Decision, Finding, Judgement, Origin, Risk, Verdict, message},
};

/// The answer of `check`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// What the cluster is.
    pub cluster: Cluster,
    /// Whether it may leave its minor.
    pub upgradeable: UpgradeableReport,
    /// One entry for each target.
    pub targets: Vec<TargetReport>,
    /// Sources that the input doesn't hold.
    pub not_evaluated: Vec<&'static str>,
    /// Who gates the cluster, where that was looked for: on a live one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate: Option<GateReport>,
}

/// What the cluster is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cluster {
    /// The release that it reconciles towards.
    pub version: Option<String>,
    /// Its update channel.
    pub channel: Option<String>,
}

/// The condition `Upgradeable`, and what it is the union of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UpgradeableReport {
    /// `True` or `False`.
    pub status: &'static str,
    /// The condition's reason.
    pub reason: String,
    /// The condition's message.
    pub message: String,
    /// Every reason not to leave this minor.
    pub risks: Vec<RiskReport>,
}

/// A reason not to leave this minor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RiskReport {
    /// Unique among the risks.
    pub name: String,
    /// What is wrong and what to do.
    pub message: String,
    /// Where to read on.
    pub url: Option<String>,
}

/// What the gate says of one target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetReport {
    /// As it was given, else as far as the cluster knows it.
    pub version: Option<String>,
    /// As it was given, else as far as the cluster knows it.
    pub image: Option<String>,
    /// It is what `spec.desiredUpdate` asks for.
    #[serde(skip)]
    pub requested: bool,
    /// How it relates to the current release.
    pub update_type: &'static str,
    /// `allowed` or `blocked`.
    pub decision: &'static str,
    /// What blocks.
    pub failures: Vec<FindingReport>,
    /// What only warns, or was forced past.
    pub accepted_risks: Vec<FindingReport>,
}

/// What a precondition has against a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FindingReport {
    /// The precondition.
    pub name: &'static str,
    /// One word for programs.
    pub reason: String,
    /// Sentences for people.
    pub message: String,
}

impl Report {
    /// What is shown of a verdict.
    #[must_use]
    pub fn new(cluster_version: &ClusterVersion, verdict: &Verdict, not_evaluated: Vec<&'static str>) -> Self {
        let upgradeable = &verdict.upgradeable;
        Self {
            cluster: Cluster {
                version: given(&cluster_version.desired().version),
                channel: given(&cluster_version.spec.channel),
            },
            upgradeable: UpgradeableReport {
                status: ConditionStatus::from(upgradeable.holds()).as_str(),
                reason: upgradeable.reason().to_owned(),
                message: upgradeable.message().to_owned(),
                risks: verdict.risks.iter().map(RiskReport::new).collect(),
            },
            targets: verdict.targets.iter().map(TargetReport::new).collect(),
            not_evaluated,
            gate: None,
        }
    }
}

impl RiskReport {
    fn new(risk: &Risk) -> Self {
        Self { name: risk.name.clone(), message: risk.message.clone(), url: risk.url.clone() }
    }

    /// A link that says more about this risk, other than where all documentation starts and the end of its message.
    #[must_use]
    pub fn own_url(&self) -> Option<&str> {
        let url = self.url.as_deref()?;
        (url != message::DOCUMENTATION && !self.message.ends_with(url)).then_some(url)
    }
}

impl TargetReport {
    fn new(judgement: &Judgement) -> Self {
        let version = given(&judgement.target.version).or_else(|| given(&judgement.release.version));
        Self {
            version,
            image: given(&judgement.release.image),
            requested: judgement.target.origin == Origin::Requested,
            update_type: judgement.update_type.as_str(),
            decision: judgement.decision().as_str(),
            failures: judgement.failures.iter().map(FindingReport::new).collect(),
            accepted_risks: judgement.accepted_risks.iter().map(FindingReport::new).collect(),
        }
    }
}

impl FindingReport {
    fn new(finding: &Finding) -> Self {
        let forced = if finding.forced { message::FORCED } else { "" };
        Self { name: finding.name, reason: finding.reason.clone(), message: format!("{forced}{}", finding.message) }
    }
}

/// Whether something that was asked for is blocked; what is merely available doesn't count.
#[must_use]
pub fn blocks_a_request(verdict: &Verdict) -> bool {
    verdict
        .targets
        .iter()
        .any(|judgement| judgement.target.origin != Origin::Listed && judgement.decision() == Decision::Blocked)
}

fn given(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
