//! What is known of one watched kind: built from a list, then kept current by the changes that follow it.
//!
//! kube's `reflector` isn't used: its store keeps whole objects, and has no state for a source that isn't served or can't
//! be read, which is evidence here.

use std::collections::BTreeMap;

use crate::{
    api::{ClusterOperator, OwnOperator, ResourceVersion, Uid, UpdateRecord},
    controller::watch::{Failure, WatchEvent},
    gate::Source,
};

/// Failures in a row, with nothing read before, after which a source counts as unreadable.
pub(super) const PATIENCE: u32 = 3;

/// Which state of which object it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObjectVersion {
    /// Of the object.
    pub uid: Uid,
    /// Of the state.
    pub resource_version: ResourceVersion,
}

impl ObjectVersion {
    /// Whether it is a state of the same object before that one, which a write of ours may have returned.
    pub fn is_older_than(&self, known: &Self) -> bool {
        let numbers = self.resource_version.number().zip(known.resource_version.number());
        self.uid == known.uid && numbers.is_some_and(|(seen, known)| seen < known)
    }
}

/// An object as it is cached.
pub trait Object: PartialEq {
    /// Its name; empty where only one of its kind is cached.
    fn name(&self) -> &str;

    /// Its version, where that is kept.
    fn version(&self) -> ObjectVersion {
        ObjectVersion::default()
    }
}

/// All objects of a kind, or the one that is watched.
pub trait Objects: Default + PartialEq {
    /// One of them.
    type Object: Object;

    /// The object of that name.
    fn get_mut(&mut self, name: &str) -> Option<&mut Self::Object>;
    /// Adds an object whose name is new.
    fn add(&mut self, object: Self::Object);
    /// Removes the object of that name; `false` where there is none.
    fn remove(&mut self, name: &str) -> bool;
}

impl<T: Object> Objects for Vec<T> {
    type Object = T;

    fn get_mut(&mut self, name: &str) -> Option<&mut T> {
        self.iter_mut().find(|object| object.name() == name)
    }

    fn add(&mut self, object: T) {
        self.push(object);
    }

    fn remove(&mut self, name: &str) -> bool {
        let before = self.len();
        self.retain(|object| object.name() != name);
        self.len() != before
    }
}

impl<T: Object> Objects for Option<T> {
    type Object = T;

    fn get_mut(&mut self, _: &str) -> Option<&mut T> {
        self.as_mut()
    }

    fn add(&mut self, object: T) {
        *self = Some(object);
    }

    fn remove(&mut self, _: &str) -> bool {
        self.take().is_some()
    }
}

/// The list that is coming in, and whether the source has been seen, one way or another. What is known is kept by the
/// owner, as a [`Source`].
#[derive(Debug, Default)]
pub struct Cache<O> {
    listed: O,
    seen: bool,
    failures: u32,
}

impl<O: Objects> Cache<O> {
    /// Whether the source was read, or found to be unreadable or not served. Until then nothing is evaluated.
    pub fn is_settled(&self) -> bool {
        self.seen
    }

    /// Applies an event of a watch; `false` where nothing differs.
    pub fn take(&mut self, known: &mut Source<O>, event: WatchEvent<O::Object>) -> bool {
        match event {
            WatchEvent::Restarted => {
                self.listed = O::default();
                false
            }
            WatchEvent::Listed(object) => {
                self.listed.add(object);
                false
            }
            WatchEvent::Complete => {
                (self.seen, self.failures) = (true, 0);
                replace(known, Source::Read(std::mem::take(&mut self.listed)))
            }
            WatchEvent::Changed(object) => {
                // Changes follow a list; without one, the next list has them.
                let Source::Read(objects) = known else { return false };
                match objects.get_mut(object.name()) {
                    Some(known) if object.version().is_older_than(&known.version()) => false,
                    Some(known) => replace(known, object),
                    None => {
                        objects.add(object);
                        true
                    }
                }
            }
            WatchEvent::Gone(name) => match known {
                Source::Read(objects) => objects.remove(&name),
                Source::NotServed | Source::Unreadable(_) | Source::NotGiven => false,
            },
            WatchEvent::Failed(failure) => self.failed(known, failure),
        }
    }

    /// What was read stays while the server is only in trouble; a refusal makes the source unreadable at once.
    fn failed(&mut self, known: &mut Source<O>, failure: Failure) -> bool {
        let source = match failure {
            Failure::NotServed => Source::NotServed,
            Failure::Refused(why) => Source::Unreadable(why),
            Failure::Passing(why) => {
                self.failures += 1;
                if self.seen || self.failures < PATIENCE {
                    return false;
                }
                Source::Unreadable(why)
            }
        };
        self.seen = true;
        replace(known, source)
    }
}

impl Object for ClusterOperator {
    fn name(&self) -> &str {
        &self.name
    }
}

impl Object for UpdateRecord {
    fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    fn version(&self) -> ObjectVersion {
        ObjectVersion {
            uid: self.metadata.uid.clone().unwrap_or_default().into(),
            resource_version: self.metadata.resource_version.clone().unwrap_or_default().into(),
        }
    }
}

/// The data of a ConfigMap.
impl Object for BTreeMap<String, String> {
    fn name(&self) -> &'static str {
        ""
    }
}

impl Object for OwnOperator {
    fn name(&self) -> &'static str {
        ""
    }

    fn version(&self) -> ObjectVersion {
        ObjectVersion { uid: self.uid.clone(), resource_version: self.resource_version.clone() }
    }
}

/// Puts a value in place of another; `false` where they are equal.
pub fn replace<T: PartialEq>(place: &mut T, value: T) -> bool {
    if *place == value {
        return false;
    }
    *place = value;
    true
}
