//! The loop: looks at the cluster, decides, does one step, and looks again. Nothing that it does depends on what an earlier
//! run has done, other than through the cluster.

use std::{io::IsTerminal as _, time::Duration};

use kube::Client;
use tokio::{sync::oneshot, time::Instant};

use crate::{
    api::{ClusterVersion, ConditionStatus, HistoryState, UpdateRecord, names::condition},
    cli::{
        check::{Report, commands::Caller, render, terminal_width},
        update::{
            Ended,
            args::Args,
            cluster::{Cluster, Failure},
            policy::PolicyState,
            progress::{self, Display, Progress},
            request::{self, Allowed, Named, Refusal, Request},
            rights,
            steps::{self, Ending, Evidence, Goal, Memory, Step, Wait},
            text::{self, Commands, Plan, Reached},
        },
    },
    controller::Signals,
    gate::{
        Decision, Snapshot, Source, TargetVerdict, UpdateType, Verdict, evaluate, message,
        request::{Standing, standing, word},
    },
    plan::{
        bridge::skip_reason::SkipReason,
        front::Front,
        role::{CvoLease, owns_force},
    },
};

/// How soon to look again while something has just happened.
const SOON: Duration = Duration::from_millis(250);
/// How soon after a look at everything.
const AFTER_ALL: Duration = Duration::from_secs(1);
/// How soon while nothing happens.
const LATER: Duration = Duration::from_secs(2);
/// For how long something has just happened.
const RECENT: Duration = Duration::from_secs(5);
/// How often a write may fail because the object has changed, one after the other.
const CONFLICTS: u32 = 20;

/// What was judged and shown.
struct Judged {
    goal: Goal,
    resource_version: String,
    text: String,
    plan: Plan,
}

/// One run.
pub struct Flow<'a> {
    args: &'a Args,
    named: Named,
    cluster: Cluster,
    display: Display,
    memory: Memory,
    front: Front,
    reached: Reached,
    commands: Commands,
    /// What is being updated to, for messages.
    name: String,
    waits: Option<(Wait, Instant)>,
    failing_since: Option<Instant>,
    record_missing_since: Option<Instant>,
    /// The last write of a record has failed.
    record_failed: bool,
    lost_since: Option<Instant>,
    conflicts: u32,
    /// The last change of the ClusterVersion that was seen, and when.
    changed: (String, Instant),
}

impl<'a> Flow<'a> {
    pub fn new(args: &'a Args, named: Named, client: Client, server: String) -> Self {
        let name = if named.version.is_empty() { &named.image } else { &named.version };
        Self {
            args,
            commands: Commands::new(args),
            name: message::quote_name(name),
            named,
            cluster: Cluster::new(client, server),
            display: Display::new(),
            memory: Memory::default(),
            front: Front::default(),
            reached: Reached::Nothing,
            waits: None,
            failing_since: None,
            record_missing_since: None,
            record_failed: false,
            lost_since: None,
            conflicts: 0,
            changed: (String::new(), Instant::now()),
        }
    }

    /// Runs until it is done, or is told to stop.
    pub async fn run(mut self) -> Ended {
        let mut signals = match Signals::listen() {
            Ok(signals) => signals,
            Err(error) => return Ended::unknown(format!("cannot listen for Ctrl-C: {error}")),
        };
        let timeout = async {
            match self.args.timeout {
                Some(timeout) => tokio::time::sleep(timeout).await,
                None => std::future::pending().await,
            }
        };
        let stopped = tokio::select! {
            ended = self.work() => Ok(ended),
            () = signals.recv() => Err("interrupted".to_owned()),
            () = timeout => {
                Err(format!("not done within {}", text::span(self.args.timeout.unwrap_or_default())))
            }
        };
        self.display.clear();
        stopped.unwrap_or_else(|why| Ended::unknown(format!("{why}: {}", self.left())))
    }

    fn left(&self) -> String {
        text::left(self.reached, &self.name, &self.commands)
    }

    async fn work(&mut self) -> Ended {
        match self.try_work().await {
            Ok(ended) | Err(ended) => ended,
        }
    }

    async fn try_work(&mut self) -> Result<Ended, Ended> {
        let evidence = self.cluster.look(now()).await.map_err(|failure| self.unreachable(failure))?;
        let mut judged = self.judge(&evidence)?;
        self.remember(&evidence.snapshot.cluster_version, Some(&evidence.records));
        self.memory.old_word = word(&evidence.snapshot.cluster_version).cloned();
        self.display.line(&judged.text);
        if judged.plan.is_empty() && !self.is_watched(&judged.goal, &evidence) {
            return Ok(self.nothing_to_do(&judged.goal, &evidence));
        }
        self.check_rights(&judged.plan, &evidence).await?;
        if self.args.dry_run {
            self.display.line("\nNothing was written (--dry-run).");
            return Ok(Ended::done());
        }
        self.confirm(&judged.plan).await?;
        loop {
            let cluster_version = match self.cluster.cluster_version().await {
                Ok(cluster_version) => cluster_version,
                Err(failure) => {
                    self.lost(failure).await?;
                    continue;
                }
            };
            self.lost_since = None;
            self.remember(&cluster_version, None);
            let step = steps::next(&judged.goal, &self.memory, &cluster_version, None);
            if let Step::Wait(wait) = &step {
                self.wait(wait, &cluster_version, false).await;
                continue;
            }
            let evidence = match self.cluster.look(now()).await {
                Ok(evidence) => evidence,
                Err(failure) => {
                    self.lost(failure).await?;
                    continue;
                }
            };
            let cluster_version = &evidence.snapshot.cluster_version;
            self.remember(cluster_version, Some(&evidence.records));
            match steps::next(&judged.goal, &self.memory, cluster_version, Some(&evidence)) {
                Step::Ask => self.ask(&mut judged, &evidence).await?,
                Step::Wait(wait) => self.wait(&wait, cluster_version, true).await,
                Step::End(ending) => return Ok(self.end(ending, cluster_version)),
                step => {
                    let answer = self.perform(&step, &evidence).await;
                    self.note(&step, answer).await?;
                }
            }
        }
    }

    /// The verdict, and what will be written.
    fn judge(&mut self, evidence: &Evidence) -> Result<Judged, Ended> {
        let cluster_version = &evidence.snapshot.cluster_version;
        let allowed = Allowed::from(self.args);
        let refused = |refusal| match refusal {
            Refusal::Usage(text) => Ended::unknown(text),
            Refusal::Cluster(text) => Ended::no(text),
        };
        let request = request::request(cluster_version, &self.named, allowed).map_err(refused)?;
        let is_going_on =
            request.is_current(cluster_version) || (request.is_asked(cluster_version) && owns_force(cluster_version));
        let warnings =
            if is_going_on { Vec::new() } else { request::warnings(cluster_version, allowed).map_err(refused)? };
        let snapshot = Snapshot { targets: vec![request.target()], ..evidence.snapshot.clone() };
        let verdict = evaluate(&snapshot);
        let Some(target_verdict) = verdict.targets.first() else { return Err(Ended::unknown("nothing was judged")) };
        if !target_verdict.release.version.is_empty() {
            self.name = message::quote_name(&target_verdict.release.version);
        }
        let mut text = report(self.args, &snapshot, &verdict);
        if target_verdict.decision() == Decision::Blocked {
            self.display.line(text.trim_end());
            return Err(Ended::no(self.blocked(target_verdict)));
        }
        for warning in request
            .warnings
            .iter()
            .map(|warning| format!("Warning: {warning}."))
            .chain(warnings.iter().map(|warning| format!("Warning: --allow-upgrade-with-warnings: {warning}")))
        {
            render::paragraph(&mut text, "", &warning, terminal_width());
        }
        let plan = self.plan(&request, target_verdict, evidence);
        let goal = Goal {
            request,
            wait: self.args.wait.unwrap_or_else(|| std::io::stdout().is_terminal()),
            without_policy: self.args.without_policy,
        };
        if !plan.is_empty() {
            text += &text::plan(&plan, &goal, self.cluster.server(), terminal_width());
        }
        let resource_version = cluster_version.metadata.resource_version.clone();
        Ok(Judged { goal, resource_version, text: text.trim_end().to_owned(), plan })
    }

    fn blocked(&self, target_verdict: &TargetVerdict) -> String {
        let hint = match target_verdict.update_type {
            UpdateType::Unknown if self.named.version.is_empty() => {
                "; nothing on this cluster knows which version that image is: name it with --to VERSION as well"
            }
            _ => "",
        };
        format!("{} is blocked, as said above{hint}; nothing was written", self.name)
    }

    fn plan(&self, request: &Request, target_verdict: &TargetVerdict, evidence: &Evidence) -> Plan {
        let cluster_version = &evidence.snapshot.cluster_version;
        let is_begun = request.is_in_front(cluster_version) && request.is_current(cluster_version);
        let is_asked = request.is_asked(cluster_version);
        let is_forced = is_asked && owns_force(cluster_version);
        let stays_within = matches!(target_verdict.update_type, UpdateType::Patch | UpdateType::Rollback);
        let may_force = !is_begun
            && !(is_asked && cluster_version.spec.desired_update.as_ref().is_some_and(|request| request.force))
            && stays_within
            && cluster_version.unmanaged_overrides().next().is_some()
            && (refuses_patches(cluster_version) || is_refused(cluster_version));
        let is_missing = matches!(evidence.policy, PolicyState::Missing { .. });
        let is_in_force = matches!(evidence.policy, PolicyState::InForce { .. });
        let forces = may_force && !evidence.operator;
        Plan {
            asks: !is_begun && !is_asked,
            may_force,
            is_forced,
            operator: evidence.operator,
            records: evidence.records != Source::NotServed,
            installs_policy: forces && is_missing && !self.args.without_policy,
            removes_policy: evidence.policy.is_created_here(),
            is_unguarded: forces && !is_in_force && self.args.without_policy,
        }
    }

    /// Whether there is something to watch, though nothing is written.
    fn is_watched(&self, goal: &Goal, evidence: &Evidence) -> bool {
        let cluster_version = &evidence.snapshot.cluster_version;
        match steps::next(goal, &self.memory, cluster_version, Some(evidence)) {
            Step::End(_) => false,
            Step::Close | Step::Record(_) | Step::Show(_) => false,
            _ => true,
        }
    }

    fn nothing_to_do(&self, goal: &Goal, evidence: &Evidence) -> Ended {
        let cluster_version = &evidence.snapshot.cluster_version;
        match steps::next(goal, &self.memory, cluster_version, Some(evidence)) {
            Step::End(Ending::Completed) | Step::Close | Step::Record(_) | Step::Show(_) => {
                self.display.line(&format!("\nThe cluster runs {} already; nothing was written.", self.name));
                Ended::done()
            }
            Step::End(ending) => self.end(ending, cluster_version),
            _ => Ended::done(),
        }
    }

    /// What is missing is said before anything is written.
    async fn check_rights(&self, plan: &Plan, evidence: &Evidence) -> Result<(), Ended> {
        let forces = plan.may_force && !plan.operator;
        if plan.asks && evidence.cvo != CvoLease::Fresh && !plan.operator && evidence.cvo != CvoLease::Unknown {
            return Err(Ended::unknown(format!("{} Nothing was written.", SkipReason::NoCvo.message())));
        }
        let mut needed = Vec::new();
        if plan.asks || forces || plan.is_forced {
            needed.extend(rights::ASK);
        }
        if forces || plan.is_forced {
            needed.extend(rights::FORCE);
            if plan.records {
                needed.extend(rights::RECORD);
            }
        }
        let missing = rights::missing(self.cluster.client(), &needed).await;
        if !missing.is_empty() {
            return Err(Ended::unknown(text::missing_rights(&missing, false)));
        }
        if !forces || self.args.without_policy {
            return Ok(());
        }
        if plan.installs_policy || matches!(evidence.policy, PolicyState::Unreadable(_)) {
            let missing = rights::missing(self.cluster.client(), &rights::POLICY).await;
            if !missing.is_empty() {
                return Err(Ended::unknown(text::missing_rights(&missing, true)));
            }
        }
        match &evidence.policy {
            PolicyState::Foreign | PolicyState::Unreadable(_) => Err(Ended::unknown(text::no_policy(&evidence.policy))),
            PolicyState::InForce { .. } | PolicyState::Settling | PolicyState::Missing { .. } => Ok(()),
        }
    }

    /// Asks, where a person can answer.
    async fn confirm(&mut self, plan: &Plan) -> Result<(), Ended> {
        if self.args.yes || plan.is_empty() {
            return Ok(());
        }
        if !std::io::stdin().is_terminal() {
            return Err(Ended::unknown(
                "standard input is not a terminal, so nobody can be asked: add --yes to write this; nothing was written",
            ));
        }
        if self.display.ask(text::QUESTION, answer()).await {
            Ok(())
        } else {
            Err(Ended::no("not confirmed; nothing was written"))
        }
    }

    /// Writes the request, if what was shown still is so; else shows it anew.
    async fn ask(&mut self, judged: &mut Judged, evidence: &Evidence) -> Result<(), Ended> {
        let again = self.judge(evidence)?;
        let is_as_shown = again.text == judged.text;
        *judged = again;
        if !is_as_shown {
            self.display.line("\nThe cluster has changed meanwhile.");
            self.display.line(&judged.text);
            self.check_rights(&judged.plan, evidence).await?;
            self.confirm(&judged.plan).await?;
        }
        let before = self.reached;
        self.reached = self.reached.max(Reached::Asked);
        let answer = self.cluster.ask(&judged.goal.request.value, &judged.resource_version).await;
        if let Err(Failure::Conflict(_) | Failure::Refused { .. }) = &answer {
            self.reached = before;
        }
        if answer.is_ok() {
            self.display.line(&format!("\nAsked for {}.", self.name));
        }
        self.note(&Step::Ask, answer).await
    }

    async fn perform(&mut self, step: &Step, evidence: &Evidence) -> Result<(), Failure> {
        let done = |text: &str| self.display.line(text);
        match step {
            Step::InstallPolicy => {
                self.reached = self.reached.max(Reached::Forced);
                self.cluster.install_policy().await?;
                done("Created ValidatingAdmissionPolicy upgrade-gate and its binding, until the update is over.");
            }
            Step::Record(record) => {
                self.cluster.record(record).await?;
                let name = record.metadata.name.as_deref().unwrap_or_default();
                done(&format!("Created UpdateRecord {name}."));
            }
            Step::Show(record) => {
                self.memory.shown = true;
                show(&self.display, record);
            }
            Step::Close => {
                self.cluster.close(&evidence.endings).await?;
                done("Wrote the outcome into the UpdateRecord.");
            }
            Step::Force(force) => {
                self.reached = self.reached.max(Reached::Forced);
                self.cluster.force(force.patch()).await?;
                done(&format!(
                    "The cluster-version operator refuses {} for overrides alone: set spec.desiredUpdate.force.",
                    self.name
                ));
            }
            Step::Unforce(removal) => {
                self.cluster.force(removal.patch()).await?;
                done("Removed spec.desiredUpdate.force. The cluster-version operator applies the release once more.");
            }
            Step::RemovePolicy => {
                self.cluster.remove_policy().await?;
                done("Removed ValidatingAdmissionPolicy upgrade-gate and its binding.");
            }
            Step::Ask | Step::Look | Step::Wait(_) | Step::End(_) => {}
        }
        Ok(())
    }

    /// What follows from the answer to a write. The next look shows what came of it.
    async fn note(&mut self, step: &Step, answer: Result<(), Failure>) -> Result<(), Ended> {
        if matches!(step, Step::Record(_) | Step::Close) {
            self.record_failed = answer.is_err();
            self.memory.record_fails = self.record_failed;
            if answer.is_ok() {
                self.record_missing_since = None;
            } else {
                self.record_missing_since.get_or_insert_with(Instant::now);
            }
        }
        match answer {
            Ok(()) => {
                self.conflicts = 0;
                self.lost_since = None;
                self.waits = None;
                Ok(())
            }
            Err(Failure::Conflict(problem)) => {
                self.conflicts += 1;
                if self.conflicts > CONFLICTS {
                    return Err(self.failed(step, &problem));
                }
                tokio::time::sleep(SOON).await;
                Ok(())
            }
            // A record that can't be written holds the update back for a minute, and no longer.
            Err(Failure::Refused { .. } | Failure::Lost(_)) if matches!(step, Step::Record(_) | Step::Close) => {
                tokio::time::sleep(AFTER_ALL).await;
                Ok(())
            }
            Err(Failure::Refused { problem, .. }) => Err(self.failed(step, &problem)),
            Err(failure @ Failure::Lost(_)) => self.lost(failure).await,
        }
    }

    fn failed(&self, step: &Step, problem: &str) -> Ended {
        let what = match step {
            Step::Ask => "asking for the update",
            Step::InstallPolicy => "creating the ValidatingAdmissionPolicy upgrade-gate",
            Step::Record(_) | Step::Close | Step::Show(_) => "writing the UpdateRecord",
            Step::Force(_) => "setting the force",
            Step::Unforce(_) => "removing the force",
            Step::RemovePolicy => "removing the ValidatingAdmissionPolicy upgrade-gate",
            Step::Look | Step::Wait(_) | Step::End(_) => "reading the cluster",
        };
        let is_denied = problem.contains("ValidatingAdmissionPolicy") || problem.contains("admission webhook");
        let error = format!("{}: {what}: {}; {}", self.cluster.server(), message::quote(problem), self.left());
        if is_denied { Ended::no(error) } else { Ended::unknown(error) }
    }

    fn unreachable(&self, failure: Failure) -> Ended {
        let server = self.cluster.server();
        Ended::unknown(match failure {
            Failure::Lost(problem) => {
                format!(
                    "{server} can't be reached: {problem}; check the network and the kubeconfig; nothing was written"
                )
            }
            Failure::Conflict(problem) | Failure::Refused { code: 0, problem } => {
                format!("{server}: {problem}; nothing was written")
            }
            Failure::Refused { code: 401, problem } => format!("{server}: {problem}; log in to it again"),
            Failure::Refused { code: 404, problem } => format!(
                "{server} has no ClusterVersion: {problem}; name the context of an OpenShift cluster with --context"
            ),
            Failure::Refused { problem, .. } => {
                format!(
                    "{server} refuses to get clusterversions.config.openshift.io \"version\": {problem}; ask for a role that may get it"
                )
            }
        })
    }

    /// Tries again for as long as the arguments say: while a cluster updates, its API servers restart.
    async fn lost(&mut self, failure: Failure) -> Result<(), Ended> {
        let problem = match failure {
            Failure::Lost(problem) | Failure::Conflict(problem) => problem,
            Failure::Refused { problem, .. } => {
                let server = self.cluster.server();
                return Err(Ended::unknown(format!("{server}: {}; {}", message::quote(&problem), self.left())));
            }
        };
        let since = *self.lost_since.get_or_insert_with(Instant::now);
        if since.elapsed() >= self.args.retry_for {
            return Err(Ended::unknown(format!(
                "{}: no answer for {}: {}; {}",
                self.cluster.server(),
                text::span(since.elapsed()),
                message::quote(&problem),
                self.left()
            )));
        }
        let message = format!("The API server does not answer, trying again: {}", message::quote_name(&problem));
        self.display.update(&Progress { percent: None, message });
        tokio::time::sleep(AFTER_ALL).await;
        Ok(())
    }

    /// What a look shows that the next decision needs.
    fn remember(&mut self, cluster_version: &ClusterVersion, records: Option<&Source<Vec<UpdateRecord>>>) {
        self.memory.began = self.front.look(cluster_version, records.unwrap_or(&Source::NotGiven));
        let is_failing =
            cluster_version.condition(condition::FAILING).is_some_and(|found| found.status == ConditionStatus::True);
        self.failing_since = is_failing.then(|| self.failing_since.unwrap_or_else(Instant::now));
        if matches!(records, Some(Source::Unreadable(_))) {
            self.record_missing_since.get_or_insert_with(Instant::now);
        } else if records.is_some() && !self.record_failed {
            self.record_missing_since = None;
        }
        let elapsed = |since: Option<Instant>| since.map_or(Duration::ZERO, |since| since.elapsed());
        self.memory.failing_for = elapsed(self.failing_since);
        self.memory.record_missing_for = elapsed(self.record_missing_since);
        self.memory.waited = elapsed(self.waits.as_ref().map(|(_, since)| *since));
        self.memory.asked |= self.reached >= Reached::Asked;
        let version = &cluster_version.metadata.resource_version;
        if self.changed.0 != *version {
            self.changed = (version.clone(), Instant::now());
        }
    }

    /// Shows what is waited for, and waits.
    async fn wait(&mut self, wait: &Wait, cluster_version: &ClusterVersion, looked_at_all: bool) {
        let since = match self.waits.take() {
            Some((before, since)) if before == *wait => since,
            _ => Instant::now(),
        };
        self.waits = Some((wait.clone(), since));
        if matches!(wait, Wait::Unforce(_)) {
            self.reached = self.reached.max(Reached::Completed);
        }
        self.memory.asked = true;
        self.display.update(&progress_of(wait, &self.name, cluster_version));
        let is_recent = self.changed.1.elapsed() < RECENT;
        let pause = match (looked_at_all, is_recent) {
            (false, true) => SOON,
            (true, true) => AFTER_ALL,
            (_, false) => LATER,
        };
        tokio::time::sleep(pause).await;
        if *wait == Wait::Record {
            // The next look tries again to write it.
            self.memory.record_fails = false;
        }
    }

    fn end(&self, ending: Ending, cluster_version: &ClusterVersion) -> Ended {
        let (name, clear) = (&self.name, &self.commands.clear);
        match ending {
            Ending::Completed => {
                let verified = cluster_version.history().first().is_none_or(|front| front.verified);
                if !verified && self.reached >= Reached::Forced {
                    self.display.line(
                        "Warning: the signature of the release could not be verified when it was applied \
                         (status.history[0].verified is false).",
                    );
                }
                self.display.line(&format!("Done: the cluster runs {name}."));
                Ended::done()
            }
            Ending::Kept(reason) => Ended::no(format!(
                "the update to {name} has completed, but spec.desiredUpdate.force stays. {}",
                reason.message()
            )),
            Ending::Left { forced } => {
                self.display.line(&text::left_running(name, forced, &self.commands));
                Ended::done()
            }
            Ending::Refused(found) => {
                self.display.line(&format!("\n{}", text::condition(&found, terminal_width()).trim_end()));
                Ended::no(format!(
                    "the cluster-version operator refuses {name}, as said above. The request stays; \
                     `{clear}` withdraws it"
                ))
            }
            Ending::NotForced(reason) => Ended::no(format!(
                "the cluster-version operator refuses {name}, and it is not forced: {} The request stays; \
                 `{clear}` withdraws it",
                reason.message()
            )),
            Ending::OperatorIdle => Ended::unknown(format!(
                "the upgrade-gate operator is running, and has not let {name} through within {}; its log says why \
                 (oc -n openshift-upgrade-gate logs deployment/upgrade-gate). The request stays; \
                 `{clear}` withdraws it",
                text::span(steps::OPERATOR)
            )),
            Ending::Overtaken => Ended::no(format!(
                "somebody else has changed spec.desiredUpdate: it doesn't ask for {name} any more. `oc adm upgrade` shows \
                 what the cluster does"
            )),
            Ending::Failing(why) => Ended::no(format!(
                "the update to {name} has been failing for {}: {}. Fix that; {}",
                text::span(steps::FAILING),
                message::quote(&why),
                self.left()
            )),
        }
    }
}

/// A CVO up to 4.21 refuses patch updates while overrides are set.
fn refuses_patches(cluster_version: &ClusterVersion) -> bool {
    semver::Version::parse(&cluster_version.desired().version)
        .is_ok_and(|current| (current.major, current.minor) <= (4, 21))
}

fn is_refused(cluster_version: &ClusterVersion) -> bool {
    word(cluster_version).is_some_and(|word| standing(word) == Standing::RefusedForOverrides)
}

/// The verdict, as `check` shows it.
fn report(args: &Args, snapshot: &Snapshot, verdict: &Verdict) -> String {
    let caller = Caller::new(&args.program, Some(&args.cluster));
    let mut report = Report::new(snapshot, verdict, Vec::new(), None, &caller);
    // The command to type is this one.
    report.targets.iter_mut().for_each(|target| target.named = false);
    render::table(&report, terminal_width())
}

fn show(display: &Display, record: &UpdateRecord) {
    match render::yaml(record) {
        Ok(yaml) => display.line(text::record(&yaml, record).trim_end()),
        Err(error) => display.line(&format!("Warning: the UpdateRecord cannot be printed: {error}")),
    }
}

fn progress_of(wait: &Wait, name: &str, cluster_version: &ClusterVersion) -> Progress {
    let plain = Progress { percent: None, message: text::wait(wait, name) };
    let is_running = matches!(wait, Wait::Begin | Wait::Complete)
        && cluster_version.history().first().is_some_and(|front| front.state == HistoryState::Partial);
    if !is_running {
        return plain;
    }
    let condition = |kind| cluster_version.condition(kind).filter(|found| found.status == ConditionStatus::True);
    let mut shown = condition(condition::PROGRESSING)
        .filter(|found| !found.message.is_empty())
        .map_or(plain, |found| progress::parse(&found.message));
    if let Some(failing) = condition(condition::FAILING) {
        shown.message = format!("{} (Failing: {})", shown.message, message::quote_name(&failing.message));
    }
    shown
}

/// A line that a person types. The thread that waits for it ends with the process.
fn answer() -> oneshot::Receiver<String> {
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        if std::io::stdin().read_line(&mut line).is_ok() {
            let _ = sender.send(line);
        }
    });
    receiver
}

#[expect(clippy::disallowed_methods, reason = "the shell reads the clock, and hands the time on")]
fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
