//! The loop: reads the cluster, decides, does one step, and repeats. What an earlier run has done is read from the
//! cluster; nothing else is kept between runs.

mod write;

use std::{io::IsTerminal as _, time::Duration};

use kube::Client;
use tokio::sync::oneshot;

use crate::{
    api::ClusterVersion,
    cli::{
        check::terminal_width,
        now,
        update::{
            Ended,
            args::Args,
            cluster::{Cluster, Failure},
            ending::{Run, gave_up, no_answer},
            judge::{Judged, judge, obstacle},
            left::{self, Found, Left, Reached},
            operator::Operator,
            policy,
            progress::{self, Display},
            request::{Named, Request},
            rights,
            steps::{self, Ending, Evidence, Goal, Memory, Step, Wait},
            text::{self, Commands, Plan},
            timing::{Repeats, Timing},
        },
    },
    controller::Signals,
    gate::{message, request::word},
    plan::role::owns_force,
};

/// How long the first look is tried again. Nothing was written, so ending costs nothing.
const FIRST_LOOK: Duration = Duration::from_secs(10);

/// How long reading the cluster may take once the run has ended.
const LAST_LOOK: Duration = Duration::from_secs(3);

/// One run.
pub struct Flow<'a> {
    args: &'a Args,
    named: Named,
    cluster: Cluster,
    display: Display,
    memory: Memory,
    reached: Reached,
    /// What is asked for, once it is known.
    request: Option<Request>,
    /// The operator, as it was seen last.
    operator: Operator,
    /// A write was sent, and its answer has not come.
    is_writing: bool,
    commands: Commands,
    /// What is being updated to, for messages.
    name: String,
    timing: Timing,
    conflicts: u32,
    repeats: Repeats,
}

impl<'a> Flow<'a> {
    pub fn new(args: &'a Args, named: Named, client: Client, server: String) -> Self {
        let name = if named.version.is_empty() { &named.image } else { &named.version };
        Self {
            args,
            commands: Commands::new(args),
            name: message::sanitize_name(name),
            named,
            cluster: Cluster::new(client, server),
            display: Display::default(),
            memory: Memory::default(),
            reached: Reached::Nothing,
            request: None,
            operator: Operator::Absent,
            is_writing: false,
            timing: Timing::new(),
            conflicts: 0,
            repeats: Repeats::default(),
        }
    }

    /// Runs until it is done, interrupted, or out of time.
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
        match stopped {
            Ok(ended) => ended,
            Err(why) => Ended::unknown(format!("{why}: {}", self.left().await)),
        }
    }

    /// In what state the cluster is left. Reads it again: a write without an answer may have landed.
    async fn left(&self) -> String {
        let left = match &self.request {
            Some(request) if self.reached > Reached::Nothing => self.last_look(request).await,
            Some(_) | None => Left::Nothing,
        };
        left::text(left, &self.name, &self.commands)
    }

    async fn last_look(&self, request: &Request) -> Left {
        let not_known = Left::NotKnown { reached: self.reached, is_asked: self.memory.asked };
        let both = futures::future::join(self.cluster.cluster_version(), policy::is_left(self.cluster.client()));
        let Ok((Ok(cluster_version), has_policy)) = tokio::time::timeout(LAST_LOOK, both).await else {
            return not_known;
        };
        let has_policy = has_policy.unwrap_or(self.reached >= Reached::Forced);
        let found = Found::new(request, &cluster_version, has_policy, self.operator);
        if self.is_writing && !found.shows(self.reached) { not_known } else { Left::Found(found) }
    }

    fn run_so_far(&self, left: String) -> Run<'_> {
        let server = self.cluster.server();
        let (name, commands) = (&self.name, &self.commands);
        Run { name, server, operator: self.operator, reached: self.reached, commands, left }
    }

    fn end(&self, ending: Ending, goal: &Goal, evidence: &Evidence) -> Ended {
        let cluster_version = &evidence.snapshot.cluster_version;
        let has_policy = evidence.policy.is_created_here();
        let found = Found::new(&goal.request, cluster_version, has_policy, evidence.operator);
        let left = left::text(Left::Found(found), &self.name, &self.commands);
        let (text, ended) = self.run_so_far(left).end(ending, cluster_version, terminal_width());
        if !text.is_empty() {
            self.display.say(&text);
        }
        ended
    }

    async fn judge(&mut self, evidence: &Evidence) -> Result<Judged, Ended> {
        self.operator = evidence.operator;
        let left = self.left().await;
        match judge(self.args, &self.named, evidence, &self.run_so_far(left)) {
            Ok(judged) => {
                self.name.clone_from(&judged.name);
                self.request = Some(judged.goal.request.clone());
                Ok(judged)
            }
            Err(stop) => {
                if !stop.text.is_empty() {
                    self.display.line(&stop.text);
                }
                Err(stop.ended)
            }
        }
    }

    async fn obstacle(&self, plan: &Plan, evidence: &Evidence) -> Result<(), Ended> {
        let left = self.left().await;
        obstacle(self.args, plan, evidence, self.cluster.client(), &self.run_so_far(left)).await
    }

    async fn work(&mut self) -> Ended {
        match Box::pin(self.try_work()).await {
            Ok(ended) | Err(ended) => ended,
        }
    }

    async fn try_work(&mut self) -> Result<Ended, Ended> {
        let evidence = self.first_look().await?;
        let mut judged = self.judge(&evidence).await?;
        self.timing.seen(&mut self.memory, &evidence.snapshot.cluster_version, Some(&evidence.records));
        self.memory.old_word = word(&evidence.snapshot.cluster_version).cloned();
        self.reached = reached_before(&judged.goal, &evidence);
        self.display.line(&judged.text);
        if judged.plan.is_empty() && !self.is_watched(&judged.goal, &evidence) {
            return Ok(self.nothing_to_do(&judged.goal, &evidence));
        }
        self.obstacle(&judged.plan, &evidence).await?;
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
            self.timing.seen(&mut self.memory, &cluster_version, None);
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
            self.timing.seen(&mut self.memory, cluster_version, Some(&evidence.records));
            self.operator = evidence.operator;
            match steps::next(&judged.goal, &self.memory, cluster_version, Some(&evidence)) {
                Step::Ask => self.ask(&mut judged, &evidence).await?,
                Step::Wait(wait) => self.wait(&wait, cluster_version, true).await,
                Step::End(ending) => return Ok(self.end(ending, &judged.goal, &evidence)),
                // Who has only watched has confirmed no write.
                Step::Record(_) | Step::Show(_) | Step::Close
                    if judged.plan.is_empty() && judged.goal.request.is_current(cluster_version) =>
                {
                    return Ok(self.end(Ending::Completed, &judged.goal, &evidence));
                }
                step if !judged.plan.covers(&step) => self.show_again(&mut judged, &evidence, &step).await?,
                step => {
                    self.is_writing = true;
                    let answer = self.perform(&step, &evidence).await;
                    self.is_writing = false;
                    self.note(&step, answer).await?;
                }
            }
        }
    }

    /// Reads the cluster before anything is written. Without a ClusterVersion there is nothing to wait for; what is read
    /// beside it may fail for a moment.
    async fn first_look(&mut self) -> Result<Evidence, Ended> {
        let no_answer = |failure| no_answer(self.cluster.server(), failure);
        let cluster_version = self.cluster.cluster_version().await.map_err(no_answer)?;
        let mut found = self.cluster.look_beside(cluster_version, now()).await;
        loop {
            let failure = match found {
                Ok(evidence) => {
                    self.timing.done();
                    return Ok(evidence);
                }
                Err(failure) => failure,
            };
            if matches!(failure, Failure::Refused { .. }) {
                let needed = [rights::ASK.as_slice(), &rights::FORCE].concat();
                let missing = rights::missing(self.cluster.client(), &needed).await;
                if !missing.is_empty() {
                    return Err(Ended::unknown(text::missing_rights(&missing, false, &self.left().await)));
                }
            }
            let lost_for = self.timing.lost_for();
            if lost_for >= self.args.retry_for.min(FIRST_LOOK) {
                return Err(gave_up(self.cluster.server(), &failure, lost_for, &self.left().await));
            }
            self.try_again(&failure).await;
            found = self.cluster.look(now()).await;
        }
    }

    /// Whether to wait for an update although nothing is written.
    fn is_watched(&self, goal: &Goal, evidence: &Evidence) -> bool {
        let cluster_version = &evidence.snapshot.cluster_version;
        let step = steps::next(goal, &self.memory, cluster_version, Some(evidence));
        !matches!(step, Step::End(_) | Step::Close | Step::Record(_) | Step::Show(_))
    }

    fn nothing_to_do(&self, goal: &Goal, evidence: &Evidence) -> Ended {
        let cluster_version = &evidence.snapshot.cluster_version;
        match steps::next(goal, &self.memory, cluster_version, Some(evidence)) {
            Step::End(Ending::Completed) | Step::Close | Step::Record(_) | Step::Show(_) => {
                self.display.line(&format!("\nThe cluster runs {} already; nothing was written.", self.name));
                Ended::done()
            }
            Step::End(ending) => self.end(ending, goal, evidence),
            _ => Ended::done(),
        }
    }

    /// Asks for confirmation.
    async fn confirm(&mut self, plan: &Plan) -> Result<(), Ended> {
        if self.args.yes || plan.is_empty() {
            self.display.line("");
            return Ok(());
        }
        if !std::io::stdin().is_terminal() {
            return Err(Ended::unknown(format!(
                "standard input is not a terminal, so the question cannot be asked: add --yes to write this; {}",
                self.left().await
            )));
        }
        if self.display.ask(text::QUESTION, answer()).await {
            self.display.line("");
            Ok(())
        } else {
            Err(Ended::no(format!("not confirmed; {}", self.left().await)))
        }
    }

    /// Writes the request if verdict and writes are as shown; otherwise shows them and asks again.
    async fn ask(&mut self, judged: &mut Judged, evidence: &Evidence) -> Result<(), Ended> {
        self.judge_again(judged, evidence).await?;
        let before = self.reached;
        self.reached = self.reached.max(Reached::Asked);
        self.is_writing = true;
        let answer = self.cluster.ask(&judged.goal.request.value, &judged.resource_version).await;
        self.is_writing = false;
        if let Err(Failure::Conflict(_) | Failure::Refused { .. }) = &answer {
            self.reached = before;
        }
        if answer.is_ok() {
            self.memory.asked = true;
            self.display.say(&format!("Asked for {}.", self.name));
        }
        self.note(&Step::Ask, answer).await
    }

    /// Shows verdict and writes again, and asks again, if they are not as shown.
    async fn judge_again(&mut self, judged: &mut Judged, evidence: &Evidence) -> Result<(), Ended> {
        let again = self.judge(evidence).await?;
        let is_as_shown = again.text == judged.text;
        *judged = again;
        if !is_as_shown {
            self.display.line("\nThe cluster has changed meanwhile.");
            self.display.line(&judged.text);
            self.obstacle(&judged.plan, evidence).await?;
            self.confirm(&judged.plan).await?;
        }
        Ok(())
    }

    /// Before a step that was not shown. The next look decides whether it is still due.
    async fn show_again(&mut self, judged: &mut Judged, evidence: &Evidence, step: &Step) -> Result<(), Ended> {
        self.judge_again(judged, evidence).await?;
        if judged.plan.covers(step) {
            return Ok(());
        }
        Err(Ended::unknown(format!(
            "the cluster has changed, and the next write is not among those that were confirmed; {}",
            self.left().await
        )))
    }

    /// Shows what is waited for, and waits.
    async fn wait(&mut self, wait: &Wait, cluster_version: &ClusterVersion, looked_at_all: bool) {
        if matches!(wait, Wait::Unforce(_)) {
            self.reached = self.reached.max(Reached::Completed);
        }
        self.memory.asked = true;
        // Why a record cannot be written is shown already.
        if !(*wait == Wait::Record && self.memory.record_fails) {
            self.display.update(&progress::of(wait, &self.name, cluster_version));
        }
        let pause = self.timing.pause(wait, looked_at_all);
        tokio::time::sleep(pause).await;
        if wait.is_for_record() {
            // The next turn tries to write it again.
            self.memory.record_fails = false;
        }
    }
}

/// What is on the cluster already, from an earlier run or another user.
fn reached_before(goal: &Goal, evidence: &Evidence) -> Reached {
    let cluster_version = &evidence.snapshot.cluster_version;
    let is_asked = goal.request.is_asked(cluster_version);
    if is_asked && (evidence.policy.is_created_here() || owns_force(cluster_version)) {
        Reached::Forced
    } else if is_asked {
        Reached::Asked
    } else {
        Reached::Nothing
    }
}

/// One line of standard input. The thread that reads it ends with the process.
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
