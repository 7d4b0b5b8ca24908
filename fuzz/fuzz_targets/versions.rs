//! Any texts as versions and image references: comparing them keeps the rules of an order, and a target that they make is judged
//! on the safe side.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::json;
use upgrade_gate::{
    api::{ClusterVersion, ReleaseId},
    gate::{
        Authority, Target, UpdateType, evaluate,
        release::{digest, same_image, same_release},
        update::classify,
    },
};
use upgrade_gate_fuzz::{assert_safe, snapshot};

fuzz_target!(|texts: (&str, &str, &str, &str)| {
    let (current, target, image, other) = texts;
    let parse = |text: &str| semver::Version::parse(text).ok();
    let forth = classify(current, target, None);
    let back = classify(target, current, None);
    match forth {
        UpdateType::Patch | UpdateType::Minor | UpdateType::Major => assert_eq!(back, UpdateType::Downgrade),
        UpdateType::Same => assert_eq!(back, UpdateType::Same),
        UpdateType::Unknown => {
            assert_eq!(back, UpdateType::Unknown);
            assert!(parse(current).is_none() || parse(target).is_none());
        }
        UpdateType::Downgrade => assert!(!matches!(back, UpdateType::Same | UpdateType::Unknown)),
        UpdateType::Rollback => panic!("a rollback without a previous version"),
    }
    assert_eq!(same_image(image, other), same_image(other, image));
    assert!(same_image(image, image));
    if let Some(digest) = digest(image) {
        assert!(same_image(image, &format!("mirror.example.com/release@{digest}")), "{digest}");
    }
    let [one, two] = [(current, image), (target, other)].map(|(version, image)| ReleaseId { version, image });
    assert_eq!(same_release(one, two), same_release(two, one));

    let object = json!({
        "spec": {"overrides": [{"kind": "Deployment", "name": other, "unmanaged": true}],
                 "desiredUpdate": {"version": target, "image": other}},
        "status": {
            "desired": {"version": current, "image": "current"},
            "availableUpdates": [{"version": target, "image": image}],
            "history": [{"state": "Completed", "version": current, "image": "current"}],
        },
    });
    let cluster_version = ClusterVersion::from_value(object).expect("a ClusterVersion");
    let targets = [current, target, image, other].map(Target::named);
    for authority in [Authority::Sole, Authority::Shared] {
        let snapshot = snapshot(cluster_version.clone(), authority, &targets);
        assert_safe(&snapshot, &evaluate(&snapshot));
    }
});
