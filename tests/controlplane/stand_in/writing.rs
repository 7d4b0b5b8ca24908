//! How it writes: who it is, when it does, and what it does about others.

use std::time::Duration;

use rstest::rstest;
use serde_json::{Value, json};

use super::{BLOCKED, EVENTS_ONLY, PROFILES, request, said, settled, start, under_overrides};
use crate::support::cvo::{self, Params, Profile, lease};
use crate::support::{Cluster, condition, fixtures};

/// Somebody else changes the conditions.
async fn change_conditions(cluster: &Cluster, change: impl Fn(&mut Vec<Value>)) {
    cluster.put_status("someone", |status| change(status["conditions"].as_array_mut().unwrap())).await;
}

#[tokio::test]
async fn the_whole_status_is_put_by_the_cvo_s_user_and_manager() {
    let (cluster, cvo) = under_overrides(Profile::V4_21).await;
    let writes = cluster.writes().await;
    assert!(!writes.is_empty());
    for write in writes {
        assert_eq!(write.user, "system:serviceaccount:openshift-cluster-version:cluster-version-operator");
        assert_eq!((&*write.verb, &*write.resource, write.code), ("update", "clusterversions/status", 200));
        assert_eq!(write.manager.as_deref(), Some("cluster-version-operator"));
        assert_eq!(write.request["status"]["history"].as_array().unwrap().len(), 2, "the whole status");
    }
    let seen = cluster.cluster_version().await;
    let owners = seen["metadata"]["managedFields"].as_array().unwrap();
    let owners: Vec<_> = owners.iter().filter(|owner| owner["subresource"] == "status").collect();
    assert_eq!(owners.len(), 1);
    assert_eq!(
        (&owners[0]["manager"], &owners[0]["operation"]),
        (&json!("cluster-version-operator"), &json!("Update"))
    );
    drop(cvo);
}

#[tokio::test]
async fn an_idle_cvo_writes_nothing() {
    for profile in PROFILES {
        let params = Params {
            retry: Duration::from_millis(50),
            throttle: Duration::from_millis(50),
            resync: Some(Duration::from_millis(50)),
            lease: Some(Duration::from_secs(1)),
            ..EVENTS_ONLY
        };
        let (cluster, cvo) = start(fixtures::cluster_with_override(), profile, params).await;
        // A blocked request causes no write either, however often it is retried.
        request(&cluster, &cvo, "4.22.0").await;
        let before = cvo.writes(&cluster).await.len();
        cluster.assert_not_written_for(Duration::from_millis(600)).await;
        assert_eq!(cvo.writes(&cluster).await.len(), before, "{profile:?}");
    }
}

#[rstest]
#[case::changed("Upgradeable", json!({"status": "True", "reason": "AsExpected"}))]
#[case::changed_in_its_text_only("Upgradeable", json!({"message": "nothing to see here"}))]
#[case::removed("Upgradeable", json!({"type": "Removed"}))]
#[tokio::test]
async fn a_changed_upgradeable_is_restored_at_once(#[case] type_: &str, #[case] fields: Value) {
    for profile in PROFILES {
        let (cluster, cvo) = under_overrides(profile).await;
        let before = condition(&cluster.cluster_version().await, type_).clone();
        change_conditions(&cluster, |conditions| {
            let condition = conditions.iter_mut().find(|condition| condition["type"] == type_).unwrap();
            for (field, value) in fields.as_object().unwrap() {
                condition[field] = value.clone();
            }
        })
        .await;
        let after = settled(&cluster, &cvo).await;
        for field in ["status", "reason", "message"] {
            assert_eq!(condition(&after, type_)[field], before[field], "{profile:?}");
        }
    }
}

#[tokio::test]
async fn upgradeable_false_without_a_reason_is_removed() {
    for profile in PROFILES {
        let (cluster, cvo) = start(fixtures::cluster(), profile, EVENTS_ONLY).await;
        let foreign = fixtures::condition("Upgradeable", "False", "Because", "I say so");
        change_conditions(&cluster, |conditions| conditions.push(foreign.clone())).await;
        assert_eq!(said(&settled(&cluster, &cvo).await, "Upgradeable"), "", "{profile:?}");
    }
}

#[rstest]
#[case(Profile::V4_21, &["UpgradeGateX"])]
#[case(Profile::V4_22, &["UpgradeableByMe", "UpgradeGateX"])]
#[case(Profile::Main, &["UpgradeableByMe", "UpgradeGateX"])]
#[tokio::test]
async fn conditions_of_types_that_the_cvo_owns_are_removed(#[case] profile: Profile, #[case] stay: &[&str]) {
    let (cluster, cvo) = start(fixtures::cluster(), profile, EVENTS_ONLY).await;
    let foreign = [
        "UpgradeableAdminAckRequired",
        "UpgradeableByMe",
        "UpgradeableClusterOperators",
        "UpgradeableClusterVersionOverrides",
        "UpgradeableDeletesInProgress",
        "UpgradeableUpgradeInProgress",
        "UpgradeGateX",
    ];
    let add = |type_: &&str| fixtures::condition(type_, "False", "Because", "I say so");
    change_conditions(&cluster, |conditions| conditions.extend(foreign.iter().map(add))).await;
    let after = settled(&cluster, &cvo).await;
    let left: Vec<_> = foreign.into_iter().filter(|type_| !condition(&after, type_).is_null()).collect();
    assert_eq!(left, stay);
}

#[tokio::test]
async fn a_write_that_conflicts_is_dropped_until_the_next_sync() {
    let (cluster, cvo) = under_overrides(Profile::V4_21).await;
    let before = cvo.writes(&cluster).await.len();
    cvo.pause().await;
    // It is to see both, one after the other, and the first one when it is past.
    for text in ["mine", "still mine"] {
        cluster
            .put_status("someone", |status| {
                for condition in status["conditions"].as_array_mut().unwrap() {
                    condition["message"] = json!(text);
                }
            })
            .await;
    }
    cvo.resume().await;
    let after = settled(&cluster, &cvo).await;
    let codes: Vec<_> = cvo.writes(&cluster).await[before..].iter().map(|write| write.code).collect();
    assert_eq!(codes, [409, 200]);
    assert_ne!(condition(&after, "Upgradeable")["message"], "still mine");
}

#[tokio::test]
async fn unknown_fields_are_kept() {
    let mut before = fixtures::cluster();
    before["status"]["capabilities"] = json!({"enabledCapabilities": ["marketplace"]});
    before["status"]["desired"]["url"] = json!("https://example.com/errata");
    let (cluster, cvo) = start(before, Profile::V4_21, EVENTS_ONLY).await;
    let after = request(&cluster, &cvo, "4.30.0").await;
    assert_eq!(after["status"]["capabilities"], json!({"enabledCapabilities": ["marketplace"]}));
    assert_eq!(after["status"]["desired"]["url"], "https://example.com/errata");
}

#[tokio::test]
async fn the_lease_is_renewed_while_it_runs_and_released_when_it_stops() {
    let params = Params { lease: Some(Duration::from_secs(1)), ..EVENTS_ONLY };
    let (cluster, cvo) = start(fixtures::cluster(), Profile::V4_21, params).await;
    let renewed = async || {
        let spec = lease(&cluster).await.and_then(|lease| lease.spec).expect("a Lease");
        (spec.renew_time.unwrap().0, spec.lease_duration_seconds.unwrap(), spec.holder_identity.unwrap())
    };
    let first = renewed().await;
    assert_eq!((first.1, &*first.2), (1, "stand-in"));
    crate::support::eventually("a renewed Lease", async || match renewed().await.0 {
        later if later > first.0 => Ok(()),
        same => Err(same.to_string()),
    })
    .await;
    cvo.stop().await;
    assert_eq!(renewed().await.2, "");
}

#[tokio::test]
async fn a_cvo_that_is_scaled_to_zero_leaves_a_lease_that_expires() {
    let params = Params { lease: Some(Duration::from_secs(137)), ..EVENTS_ONLY };
    let (cluster, stand_in) = start(fixtures::cluster(), Profile::V4_21, params).await;
    stand_in.scale_to_zero();
    let left = lease(&cluster).await.unwrap().spec.unwrap();
    assert_eq!(left.holder_identity.as_deref(), Some("stand-in"));
    let hour = Duration::from_hours(1);
    cvo::leave_lease(&cluster, Duration::from_secs(137), hour).await;
    let aged = lease(&cluster).await.unwrap().spec.unwrap();
    let age = left.renew_time.unwrap().0.duration_since(aged.renew_time.unwrap().0);
    assert!(age.as_secs() > 3500, "{age:?}");
}

#[tokio::test]
async fn without_a_lease_duration_no_lease_is_created() {
    let (cluster, cvo) = start(fixtures::cluster(), Profile::V4_21, EVENTS_ONLY).await;
    assert!(lease(&cluster).await.is_none());
    cvo.stop().await;
    assert!(lease(&cluster).await.is_none());
}

#[tokio::test]
async fn a_paused_cvo_writes_nothing_and_a_killed_one_ends() {
    let (cluster, cvo) = under_overrides(Profile::V4_21).await;
    cvo.pause().await;
    cluster.request("4.22.0", &fixtures::image("4.22.0")).await;
    cluster.assert_not_written_for(Duration::from_millis(300)).await;
    cvo.resume().await;
    assert_eq!(said(&settled(&cluster, &cvo).await, "ReleaseAccepted"), BLOCKED);
    drop(cvo);
    cluster.request("4.21.1", &fixtures::image("4.21.1")).await;
    cluster.assert_not_written_for(Duration::from_millis(300)).await;
}
