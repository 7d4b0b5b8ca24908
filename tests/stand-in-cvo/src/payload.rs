//! Release images: the registry, and how the stand-in loads an image. It checks the signature, the download, the version and
//! the preconditions, in this order; the message names the first failure.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use crate::Profile;
use crate::preconditions::{self, summarize};

/// The release images that can be pulled, by digest, or by pullspec for a tag.
#[derive(Clone, Default)]
pub struct Registry(Arc<Mutex<BTreeMap<String, Payload>>>);

#[derive(Clone)]
struct Payload {
    version: String,
    verifiable: bool,
}

impl Registry {
    /// Publishes a signed release image. A tag is never verifiable.
    pub fn publish(&self, image: &str, version: &str) {
        let payload = Payload { version: version.to_owned(), verifiable: digest(image).is_some() };
        self.lock().insert(key(image), payload);
    }

    /// Removes a release image.
    pub fn withdraw(&self, image: &str) {
        self.lock().remove(&key(image));
    }

    /// Makes the signature of a published image (un)verifiable.
    pub fn set_verifiable(&self, image: &str, verifiable: bool) {
        let mut payloads = self.lock();
        payloads.get_mut(&key(image)).expect("a published image").verifiable = verifiable;
    }

    fn get(&self, image: &str) -> Option<Payload> {
        self.lock().get(&key(image)).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Payload>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The key of an image: its digest, which is the same at a mirror.
fn key(image: &str) -> String {
    digest(image).unwrap_or(image).to_owned()
}

/// Whether both are the same image, by digest, or else by pullspec.
pub(crate) fn same_digest(one: &str, other: &str) -> bool {
    key(one) == key(other)
}

fn digest(image: &str) -> Option<&str> {
    image.split_once('@').map(|(_, digest)| digest)
}

/// A requested release.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Request {
    pub(crate) version: String,
    pub(crate) image: String,
    pub(crate) force: bool,
}

/// A loaded release.
pub(crate) struct Loaded {
    pub(crate) version: String,
    pub(crate) verified: bool,
    pub(crate) risks: String,
}

/// Why a release was not loaded: reason and message of `ReleaseAccepted`.
pub(crate) struct Failure {
    pub(crate) step: &'static str,
    pub(crate) message: String,
}

/// Loads the requested release, given the ClusterVersion `seen` and the registry.
pub(crate) fn load(profile: Profile, registry: &Registry, seen: &Value, request: &Request) -> Result<Loaded, Failure> {
    let Request { version, image, force } = request;
    let retrieval = |why: &str| Failure {
        step: "RetrievePayload",
        message: format!("Retrieving payload failed version={version:?} image={image:?} failure={why}"),
    };
    let payload = registry.get(image);
    let verified = payload.as_ref().is_some_and(|payload| payload.verifiable);
    if !verified && !force {
        return Err(retrieval("no trusted signature was found for this image"));
    }
    let payload = payload.ok_or_else(|| retrieval("the registry does not have this image"))?;

    if !version.is_empty() && *version != payload.version {
        let why = format!("the image holds {}", payload.version);
        let message = format!("Verifying payload failed version={version:?} image={image:?} failure={why}");
        return Err(Failure { step: "VerifyPayloadVersion", message });
    }

    let items = preconditions::run(profile, seen, &payload.version);
    let blocked = items.iter().any(|item| item.blocks);
    let mut risks = Vec::new();
    if !verified {
        risks.push(format!("No trusted signature was found for image={image:?}, which was forced."));
    }
    if let Some(summary) = summarize(&items) {
        if blocked && !force {
            let payload = format!("version={:?} image={image:?}", payload.version);
            let message = format!("Preconditions failed for payload loaded {payload}: {summary}");
            return Err(Failure { step: "PreconditionChecks", message });
        }
        risks.push(if blocked { format!("Forced through blocking failures: {summary}") } else { summary });
    }
    Ok(Loaded { version: payload.version, verified, risks: risks.join("\n") })
}
