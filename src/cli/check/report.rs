//! From a verdict to what is shown of it: the shape that JSON and YAML have, and that the texts are rendered from.

use serde::Serialize;

use crate::{
    api::{
        ClusterVersion, Condition, ConditionStatus,
        names::{condition, precondition},
    },
    cli::check::{
        commands::{
            Caller,
            risk::{self, RiskCommand},
            update::{REPOSITORY, UnderOverrides, command},
        },
        force::{ForceReport, force},
        gate::GateReport,
        targets::{Row, shown},
    },
    gate::{
        Decision, Finding, Origin, Risk, Snapshot, Target, TargetVerdict, UpdateType, Verdict,
        availability::availability,
        evaluate_target, message, oc,
        publication::{COMMANDS, behind},
        release,
        request::{Standing, standing, word},
    },
};

/// The answer of `check`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// What the cluster is.
    pub cluster: Cluster,
    /// Whether it may leave its minor.
    pub upgradeable: UpgradeableReport,
    /// Why it offers no update; null if it offers some and no lookup has failed.
    pub availability: Option<AvailabilityReport>,
    /// What the cluster reports about `spec.desiredUpdate`; null if nothing is requested.
    pub request: Option<RequestReport>,
    /// The force that is set in `spec.desiredUpdate`.
    pub force: Option<ForceReport>,
    /// One entry for each target: what is asked for, then by minor, the newest first.
    pub targets: Vec<TargetReport>,
    /// Sources that the input does not contain.
    pub not_evaluated: Vec<&'static str>,
    /// What happens to a requested update while a CVO refuses it.
    #[serde(skip)]
    pub now: Option<String>,
    /// The conditions because of which `oc` asks for `--allow-upgrade-with-warnings`.
    #[serde(skip)]
    pub warnings: Vec<Warning>,
    /// Who decides about updates; only for a live cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate: Option<GateReport>,
}

/// A condition because of which `oc` refuses every update without a flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The condition, as in `Failing=True`.
    pub condition: String,
    /// What it says, unless the report shows that elsewhere.
    pub message: Option<String>,
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
    /// The status of the condition that the cluster has now; null if it has none.
    pub published: Option<&'static str>,
    /// If that one is behind the overrides: what this causes, and the commands that end it.
    pub behind: Option<BehindReport>,
    /// Every reason not to leave this minor.
    pub risks: Vec<RiskReport>,
}

/// The published condition is behind the overrides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BehindReport {
    /// What follows.
    pub message: &'static str,
    /// What makes the CVO publish at once.
    pub commands: [String; 2],
}

/// Why no update is offered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AvailabilityReport {
    /// One word for programs, where there is one.
    pub reason: Option<String>,
    /// Sentences for people.
    pub message: String,
    /// Updates are listed all the same.
    #[serde(skip)]
    pub lists_updates: bool,
}

/// What the cluster reports about the request; all null if no condition is about the current request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RequestReport {
    /// Whether the cluster accepts it; null while it is deciding.
    pub accepted: Option<bool>,
    /// The condition's reason.
    pub reason: Option<String>,
    /// The condition's message.
    pub message: Option<String>,
    /// The condition, as in `ReleaseAccepted=False`.
    #[serde(skip)]
    pub condition: String,
}

/// A reason not to leave this minor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RiskReport {
    /// Unique among the risks.
    pub name: String,
    /// What is wrong and what to do.
    pub message: String,
    /// A link to documentation.
    pub url: Option<String>,
    /// Commands that end or explain it.
    pub commands: Vec<RiskCommand>,
}

/// The verdict on one target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetReport {
    /// As it was given, else as far as the cluster knows it.
    pub version: Option<String>,
    /// As it was given, else as far as the cluster knows it.
    pub image: Option<String>,
    /// Where it comes from.
    #[serde(skip)]
    pub origin: Origin,
    /// It is what the cluster runs, or is being updated to.
    #[serde(skip)]
    pub current: Option<Current>,
    /// How it relates to the current release.
    pub update_type: &'static str,
    /// `allowed` or `blocked`.
    pub decision: &'static str,
    /// What blocks.
    pub failures: Vec<FindingReport>,
    /// What only warns, or was skipped by `force`.
    pub accepted_risks: Vec<FindingReport>,
    /// What gets it to go ahead; null where nothing does, where nothing has to be typed, and where a repository has to be
    /// filled in.
    pub command: Option<String>,
    /// The same for an image whose repository is not known; else null.
    pub template: Option<Template>,
    /// A list of the cluster has it.
    #[serde(skip)]
    pub offered: bool,
    /// Whether table and markdown show it.
    #[serde(skip)]
    pub shown: bool,
}

/// A command with [`REPOSITORY`] in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Template {
    /// What to fill in.
    pub message: String,
    /// The command.
    pub command: String,
}

/// How far the cluster is with what it reconciles towards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Current {
    /// It runs it.
    Runs,
    /// The update to it is in progress.
    Updating,
}

impl Current {
    /// What a reader makes of a request for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Runs => "what the cluster runs",
            Self::Updating => "the update in progress",
        }
    }
}

/// The finding of a precondition.
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
    pub fn new(
        snapshot: &Snapshot,
        verdict: &Verdict,
        not_evaluated: Vec<&'static str>,
        gate: Option<GateReport>,
        caller: &Caller,
    ) -> Self {
        let cluster_version = &snapshot.cluster_version;
        let upgradeable = &verdict.upgradeable;
        let under_overrides = UnderOverrides::new(snapshot, verdict, gate.as_ref());
        let is_refused = Target::requested(cluster_version)
            .map(|request| evaluate_target(snapshot, &request))
            .is_some_and(|request| request.decision() == Decision::Blocked && !request.is_current);
        let risk_report = |risk: &Risk| RiskReport::new(risk, risk::commands(caller, cluster_version, risk));
        let target_report = |target_verdict: &TargetVerdict| {
            let command = command(caller, cluster_version, target_verdict, under_overrides);
            let report = TargetReport::new(cluster_version, target_verdict);
            match target_verdict.release.image.strip_prefix('@') {
                None => TargetReport { command, ..report },
                Some(digest) => {
                    let template = command.map(|command| Template::new(cluster_version, digest, command));
                    TargetReport { template, ..report }
                }
            }
        };
        Self {
            cluster: Cluster {
                version: given(&cluster_version.desired().version),
                channel: given(&cluster_version.spec.channel),
            },
            upgradeable: UpgradeableReport {
                status: ConditionStatus::from(upgradeable.holds()).as_str(),
                reason: upgradeable.reason().to_owned(),
                message: upgradeable.message().to_owned(),
                published: cluster_version.condition(condition::UPGRADEABLE).map(|found| found.status.as_str()),
                behind: behind(cluster_version).map(|behind| BehindReport {
                    message: behind.message(),
                    commands: COMMANDS.map(|words| caller.oc(words)),
                }),
                risks: verdict.risks.iter().map(risk_report).collect(),
            },
            availability: availability(cluster_version).map(|found| AvailabilityReport {
                reason: found.reason,
                message: found.message,
                lists_updates: found.lists_updates,
            }),
            request: Target::requested(cluster_version)
                .map(|_| word(cluster_version).map(RequestReport::new).unwrap_or_default()),
            force: force(cluster_version, is_refused, gate.as_ref(), caller),
            targets: verdict.targets.iter().map(target_report).collect(),
            not_evaluated,
            now: None,
            warnings: oc::warnings(cluster_version).map(|found| Warning::new(cluster_version, found)).collect(),
            gate,
        }
    }
}

impl Report {
    /// Hides all but the most relevant updates in table and markdown: a cluster may offer a hundred.
    #[must_use]
    pub fn shortened(mut self) -> Self {
        let is_recommended =
            |target: &TargetReport| target.accepted_risks.iter().all(|risk| risk.name != precondition::RECOMMENDED);
        let rows: Vec<Row<'_>> = self
            .targets
            .iter()
            .map(|target| Row {
                version: target.version.as_deref().unwrap_or_default(),
                is_wanted: target.origin != Origin::Listed,
                is_offered: target.offered || target.failures.is_empty(),
                is_recommended: is_recommended(target),
            })
            .collect();
        let shown = shown(&rows);
        for (target, shown) in self.targets.iter_mut().zip(shown) {
            target.shown = shown;
        }
        self
    }
}

impl Warning {
    fn new(cluster_version: &ClusterVersion, found: &Condition) -> Self {
        // A risk repeats the message of Progressing, and what is said of the request that of Invalid.
        let is_shown = found.kind == condition::PROGRESSING || word(cluster_version).is_some_and(|word| word == found);
        Self {
            condition: format!("{}={}", found.kind, found.status.as_str()),
            message: (!is_shown).then(|| message::reason_and_message(found)),
        }
    }
}

impl RiskReport {
    fn new(risk: &Risk, commands: Vec<RiskCommand>) -> Self {
        Self { name: risk.name.clone(), message: risk.message.clone(), url: risk.url.clone(), commands }
    }

    /// A link to documentation of this risk, unless the message has it or it is the general one.
    #[must_use]
    pub fn own_url(&self) -> Option<&str> {
        let url = self.url.as_deref()?;
        (url != message::DOCUMENTATION && !self.message.contains(url)).then_some(url)
    }
}

impl RequestReport {
    fn new(word: &Condition) -> Self {
        let accepted = match standing(word) {
            Standing::Accepted => Some(true),
            Standing::Undecided => None,
            Standing::RefusedForOverrides | Standing::Refused(_) => Some(false),
        };
        Self {
            accepted,
            reason: given(&word.reason).or_else(|| given(&word.kind)),
            message: given(&word.message),
            condition: format!("{}={}", word.kind, word.status.as_str()),
        }
    }
}

impl TargetReport {
    fn new(cluster_version: &ClusterVersion, target_verdict: &TargetVerdict) -> Self {
        let current = target_verdict
            .is_current
            .then(|| if release::is_unfinished(cluster_version) { Current::Updating } else { Current::Runs });
        let version = given(&target_verdict.target.version).or_else(|| given(&target_verdict.release.version));
        Self {
            version,
            image: given(target_verdict.release.image.trim_start_matches('@')),
            origin: target_verdict.target.origin,
            current,
            // The current release has type Same, even if its version is not SemVer.
            update_type: if target_verdict.is_current { UpdateType::Same } else { target_verdict.update_type }.as_str(),
            decision: target_verdict.decision().as_str(),
            failures: target_verdict.failures.iter().map(FindingReport::new).collect(),
            accepted_risks: target_verdict.accepted_risks.iter().map(FindingReport::new).collect(),
            command: None,
            template: None,
            offered: release::updates(cluster_version)
                .any(|listed| release::same_release(listed.id(), target_verdict.release.id())),
            shown: true,
        }
    }
}

impl Template {
    fn new(cluster_version: &ClusterVersion, digest: &str, command: String) -> Self {
        let current = cluster_version.desired().image.split_once('@').map(|(repository, _)| repository);
        let current = current.filter(|repository| !repository.is_empty()).map_or_else(String::new, |repository| {
            format!("; the current release is in {}", message::sanitize_name(repository))
        });
        let message = format!(
            "This cluster does not know the repository of {}. Put it in place of {REPOSITORY}{current}:",
            message::sanitize_name(digest)
        );
        Self { message, command }
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
    verdict.targets.iter().any(|target_verdict| {
        target_verdict.target.origin != Origin::Listed && target_verdict.decision() == Decision::Blocked
    })
}

fn given(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
