//! Which events of a watch are older than one that came before.

use kube::runtime::watcher::Event;

use super::Wire;

/// The highest `resourceVersion` that a watch has brought. A watch brings them in order, so a lower one is from a watch cache
/// that lags. Without this filter, a ClusterOperator that has just set Upgradeable=False would seem not to have.
#[derive(Default)]
pub struct StaleEventFilter(u64);

impl StaleEventFilter {
    /// Whether the event is older than one before it. A list is never stale, whatever its versions are.
    pub fn has_passed<T>(&mut self, event: &Event<Wire<T>>) -> bool {
        let object = match event {
            Event::Init => {
                *self = Self::default();
                return false;
            }
            Event::InitDone => return false,
            Event::InitApply(object) | Event::Apply(object) | Event::Delete(object) => object,
        };
        let Some(version) = object.version() else { return false };
        let has_passed = version < self.0 && !matches!(event, Event::InitApply(_));
        self.0 = self.0.max(version);
        has_passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::watch::ConfigMap;

    #[test]
    fn what_a_watch_has_passed_it_does_not_go_back_to() {
        let object = |version: &str| {
            let text = format!(r#"{{"metadata": {{"name": "a", "resourceVersion": "{version}"}}}}"#);
            serde_json::from_str::<Wire<ConfigMap>>(&text).unwrap()
        };
        let mut newest = StaleEventFilter::default();
        let mut passed = |event| newest.has_passed(&event);
        assert!(
            !passed(Event::Init) && !passed(Event::InitApply(object("7"))) && !passed(Event::InitApply(object("5")))
        );
        assert!(!passed(Event::InitDone) && !passed(Event::Apply(object("8"))));
        assert!(passed(Event::Apply(object("6"))) && passed(Event::Delete(object("7"))));
        assert!(!passed(Event::Apply(object("8"))), "once more is no older");
        assert!(!passed(Event::Delete(object("9"))) && passed(Event::Apply(object("8"))));
        assert!(!passed(Event::Apply(object("opaque"))));
        assert!(!passed(Event::Init) && !passed(Event::InitApply(object("3"))) && !passed(Event::Apply(object("4"))));
    }
}
