//! The memory of one process of the CVO, and the status that it writes, given this memory and the ClusterVersion. No I/O. A
//! restart is a new [`Process`], so it loses the memory.

use semver::Version;
use serde_json::{Value, json};

use crate::Profile;
use crate::payload::{Loaded, Registry, Request, load, same_digest};
use crate::status::{Condition, Progress, Release, desired, merge_history, remove_conditions, set_condition, text};
use crate::upgradeable::is_ours;

/// The last payload that it tried to load, which `ReleaseAccepted` and `acceptedRisks` report.
struct Tried {
    /// `PayloadLoaded`, or the step that failed.
    step: &'static str,
    message: String,
    risks: String,
    request: Request,
    /// Whether it is the image of this process, which is not verified and has no accepted risks.
    local: bool,
}

impl Tried {
    fn loaded(request: &Request, risks: String, local: bool) -> Self {
        let message = format!("Payload loaded version={:?} image={:?}", request.version, request.image);
        Self { step: "PayloadLoaded", message, risks, request: request.clone(), local }
    }
}

/// The request that it applies.
struct Work {
    request: Request,
    overrides: Value,
    verified: bool,
}

/// One process of the CVO.
pub(crate) struct Process {
    profile: Profile,
    registry: Registry,
    /// The release whose image it runs from.
    release: Release,
    memory: Option<Memory>,
}

struct Memory {
    work: Work,
    tried: Tried,
    /// The release that it applies: that of `work`, once begun.
    actual: Release,
    completed: bool,
    generation: Value,
}

impl Memory {
    /// Reports the loaded payload again, if another one was tried since.
    fn reset_tried(&mut self) {
        if !same_digest(&self.tried.request.image, &self.work.request.image) {
            self.tried = Tried::loaded(&self.work.request, String::new(), false);
        }
    }
}

/// The result of a sync.
pub(crate) struct Outcome {
    pub(crate) status: Value,
    /// Whether to sync again, even if the status does not change.
    pub(crate) again: bool,
}

impl Process {
    pub(crate) fn new(profile: Profile, registry: Registry, release: Release) -> Self {
        Self { profile, registry, release, memory: None }
    }

    /// The release whose image it runs from.
    pub(crate) fn release(&self) -> &Release {
        &self.release
    }

    /// The release that it applies, unless it runs from it.
    pub(crate) fn to_hand_over(&self) -> Option<Release> {
        let actual = &self.memory.as_ref()?.actual;
        (actual.image != self.release.image).then(|| actual.clone())
    }

    /// Whether it still applies a payload.
    pub(crate) fn is_updating(&self) -> bool {
        self.memory.as_ref().is_some_and(|memory| !memory.completed)
    }

    /// Marks the payload as applied.
    pub(crate) fn complete(&mut self) {
        self.memory.as_mut().expect("a process that has begun").completed = true;
    }

    /// Whether loading the last payload failed, so that it is retried.
    pub(crate) fn is_failing(&self) -> bool {
        self.memory.as_ref().is_some_and(|memory| memory.tried.step != "PayloadLoaded")
    }

    /// Computes the status for the ClusterVersion `seen`.
    pub(crate) fn sync(&mut self, seen: &Value, upgradeable: &[Condition], now: &str) -> Outcome {
        let resolved = resolve(seen, self.own_release());
        let request = match &resolved {
            Ok(request) => request.clone(),
            Err(_) => self.own_release(),
        };
        let began = self.memory.is_none();
        let mut memory = self.memory.take().unwrap_or_else(|| self.begin(seen));
        let again = began || self.update(&mut memory, seen, &request);
        let status = self.status(&memory, seen, upgradeable, resolved.err(), now);
        self.memory = Some(memory);
        Outcome { status, again }
    }

    fn own_release(&self) -> Request {
        let Release { version, image } = self.release.clone();
        Request { version, image, force: false }
    }

    /// A process starts with its own release and without force, regardless of the request.
    fn begin(&self, seen: &Value) -> Memory {
        let own = self.own_release();
        let front = &seen["status"]["history"][0];
        Memory {
            completed: front["state"] == "Completed" && front["image"] == *self.release.image,
            actual: self.release.clone(),
            generation: seen["metadata"]["generation"].clone(),
            tried: Tried::loaded(&own, String::new(), true),
            work: Work { request: own, overrides: seen["spec"]["overrides"].clone(), verified: false },
        }
    }

    /// Applies a change of the request. Returns whether to sync again at once.
    fn update(&self, memory: &mut Memory, seen: &Value, request: &Request) -> bool {
        let overrides = seen["spec"]["overrides"].clone();
        let generation = seen["metadata"]["generation"].clone();
        let same_image = memory.work.request.image == request.image;
        if same_image && memory.work.request.force == request.force {
            let Request { version, image, .. } = memory.work.request.clone();
            memory.actual = Release { version, image };
            memory.reset_tried();
            if memory.work.overrides != overrides {
                memory.generation = generation;
                memory.work.overrides = overrides;
            }
            return false;
        }
        if same_image {
            // Only `force` changed: the payload is applied again. Nothing is verified or checked again, and the accepted
            // risks are kept unless another target was tried in between.
            memory.work.request.force = request.force;
            memory.reset_tried();
            (memory.completed, memory.generation) = (false, generation);
            return true;
        }
        let local = request.image == self.release.image;
        let loaded = if local {
            Ok(Loaded { version: self.release.version.clone(), verified: false, risks: String::new() })
        } else {
            load(self.profile, &self.registry, seen, request)
        };
        memory.work.overrides = overrides.clone();
        match loaded {
            Ok(Loaded { version, verified, risks }) => {
                let request = Request { version, ..request.clone() };
                memory.tried = Tried::loaded(&request, risks, local);
                memory.work = Work { request, overrides, verified };
                (memory.completed, memory.generation) = (false, generation);
                true
            }
            Err(failure) => {
                let (step, message) = (failure.step, failure.message);
                memory.tried = Tried { step, message, risks: String::new(), request: request.clone(), local };
                false
            }
        }
    }

    fn status(
        &self,
        memory: &Memory,
        seen: &Value,
        upgradeable: &[Condition],
        invalid: Option<String>,
        now: &str,
    ) -> Value {
        let Memory { work, tried, actual, completed, generation } = memory;
        let mut status = if seen["status"].is_object() { seen["status"].clone() } else { json!({}) };
        for (field, value) in [("availableUpdates", Value::Null), ("versionHash", json!(""))] {
            status.as_object_mut().map(|status| status.entry(field).or_insert(value));
        }
        status["observedGeneration"] = generation.clone();
        let begun = actual.image == work.request.image;
        let completed = *completed && begun;
        let about_actual = tried.request.image == actual.image;
        let risks = if about_actual { &*tried.risks } else { "" };
        let risks = (!tried.local).then_some(risks);
        let progress = Progress { actual, verified: begun && work.verified, completed, risks };
        merge_history(&mut status, &progress, now);
        status["desired"] = desired(&status, actual);

        let version = &actual.version;
        let accepted = if tried.step == "PayloadLoaded" { "True" } else { "False" };
        let mut conditions = vec![
            Condition::new("ReleaseAccepted", accepted, tried.step, &tried.message),
            Condition::new("Failing", "False", "", ""),
        ];
        if completed {
            conditions.push(Condition::new("Available", "True", "", &format!("Done applying {version}")));
            conditions.push(Condition::new("Progressing", "False", "", &format!("Cluster version is {version}")));
        } else if begun {
            conditions.push(Condition::new("Progressing", "True", "", &format!("Working towards {version}")));
        }
        let is_invalid = invalid.is_some();
        conditions.extend(invalid.map(|why| Condition::new("Invalid", "True", "InvalidClusterVersion", &why)));
        conditions.extend_from_slice(upgradeable);
        for condition in &conditions {
            set_condition(&mut status, condition, now);
        }
        remove_conditions(&mut status, |type_| {
            let stale = is_ours(self.profile, type_) && !upgradeable.iter().any(|ours| ours.type_ == type_);
            stale || (type_ == "Invalid" && !is_invalid)
        });
        status
    }
}

/// The request with its image, or the message of `Invalid`. A version without an image is looked up in `availableUpdates`;
/// one that is only in the history is valid, and ignored.
fn resolve(seen: &Value, own: Request) -> Result<Request, String> {
    let asked = &seen["spec"]["desiredUpdate"];
    if asked.is_null() {
        return Ok(own);
    }
    let request = Request {
        version: text(&asked["version"]).to_owned(),
        image: text(&asked["image"]).to_owned(),
        force: asked["force"] == true,
    };
    let Request { version, image, .. } = &request;
    if !version.is_empty() && Version::parse(version).is_err() {
        return Err(format!("spec.desiredUpdate.version: {version:?} is not a semantic version."));
    }
    if !image.is_empty() {
        return Ok(request);
    }
    let list = |name: &str| seen["status"][name].as_array().into_iter().flatten().map(Release::of);
    let is_meant = |known: &Release| known.version == *version && !known.image.is_empty() && !version.is_empty();
    let available: Vec<Release> = list("availableUpdates").filter(is_meant).collect();
    match &available[..] {
        [one] => Ok(Request { image: one.image.clone(), ..request }),
        [] if list("history").any(|known| is_meant(&known)) => Ok(own),
        [] => Err(format!("spec.desiredUpdate.version: {version:?} is not available, and no image is given.")),
        several => {
            Err(format!("spec.desiredUpdate.version: {} releases are {version:?}. Name the image.", several.len()))
        }
    }
}
