//! Opening and migrating: which schemas of the views this build works with.

use eventstore::testing::{TestLog, each_backend};
use projections::{OpenError, Projections};

use crate::world::{World, tamper};

#[tokio::test]
async fn views_without_tables_ask_for_the_migrations_and_are_not_made_by_looking() {
    each_backend(async |at: TestLog| {
        let log = at.open().await;
        let looked = Projections::schema(&at.location()).await.unwrap_err();
        assert!(matches!(looked, OpenError::NotMigrated { applied: 0, .. }));
        if let Some(dir) = at.dir() {
            assert!(!dir.join("views.db").exists());
        }
        let opened = Projections::open(&at.location(), log).await.unwrap_err();
        assert!(matches!(opened, OpenError::NotMigrated { applied: 0, .. }));
    })
    .await;
}

#[tokio::test]
async fn a_schema_that_needs_a_newer_build_is_refused_and_left_alone() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        tamper(&world.at, "UPDATE projection_schema SET oldest_binary = 7");
        let location = world.at.location();
        let refusals = [
            Projections::open(&location, world.log.clone())
                .await
                .unwrap_err(),
            Projections::schema(&location).await.unwrap_err(),
            Projections::migrate(&location).await.unwrap_err(),
        ];
        for refused in refusals {
            assert!(
                matches!(
                    refused,
                    OpenError::BinaryTooOld {
                        required: 7,
                        this: 1
                    }
                ),
                "{refused}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_newer_schema_that_still_allows_this_build_is_migrated_and_opened() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        let newer = "INSERT INTO projection_migrations (version, name, applied_on, checksum)
                     VALUES (9, 'expand', '2026-11-22T00:00:00Z', '1')";
        tamper(&world.at, newer);
        let location = world.at.location();
        let report = Projections::migrate(&location).await.unwrap();
        assert_eq!((report.applied, report.version), (vec![], 9));
        assert_eq!(Projections::schema(&location).await.unwrap().version, 9);
        world.second().await;
    })
    .await;
}
