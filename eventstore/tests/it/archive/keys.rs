//! Personal data in a copy: readable with the keys, sealed for ever without.

use eventstore::testing::{TestLog, each_backend};
use eventstore::{EventStore, MasterKeyFile, Vault, VaultError};

use super::shelf::{Shelf, export_with, fill, import, text};

const NAME: &str = "Hong Gil-dong";

/// More than are read at once.
const CUSTOMERS: usize = 1_003;

/// A log of a few events whose customers have keys, and what was sealed for two of them.
async fn origin(key: &MasterKeyFile) -> (TestLog, EventStore, Vault, [String; 2]) {
    let log = TestLog::sqlite();
    let store = log.open().await;
    fill(&store, 5).await;
    let vault = Vault::open(&store, key).await.expect("opened");
    let sealed = [
        vault.seal("customer-1", NAME).await.expect("sealed"),
        vault.seal("customer-2", NAME).await.expect("sealed"),
    ];
    (log, store, vault, sealed)
}

#[tokio::test(flavor = "multi_thread")]
async fn with_keys_a_copy_can_be_read_by_whoever_has_the_master_key_and_by_nobody_else() {
    let shelf = Shelf::new();
    let key = shelf.master_key("master.key");
    let (_log, store, vault, sealed) = origin(&key).await;
    for nth in 3..=CUSTOMERS {
        vault
            .seal(&format!("customer-{nth}"), NAME)
            .await
            .expect("sealed");
    }
    vault.erase("customer-2").await.expect("erased");
    let path = shelf.path("with keys");
    let exported = export_with(&store, &path, true).await;
    // One of them is the vault's own.
    assert_eq!(exported.keys, CUSTOMERS as u64);
    assert!(!text(&path).contains(NAME));
    let other = shelf.master_key("other.key");
    let _elsewhere = origin(&other).await;
    each_backend(async |copy: TestLog| {
        assert_eq!(
            import(&path, &copy).await.expect("imported").keys,
            exported.keys
        );
        let copied = copy.open().await;
        let vault = Vault::open(&copied, &key).await.expect("opened");
        assert_eq!(
            vault
                .unseal("customer-1", &sealed[0])
                .await
                .expect("read")
                .as_deref(),
            Some(NAME)
        );
        assert_eq!(
            vault.unseal("customer-2", &sealed[1]).await.expect("read"),
            None,
            "erased before"
        );
        let wrong = Vault::open(&copied, &other).await.expect_err("wrong");
        assert!(matches!(wrong, VaultError::WrongMasterKey), "{wrong}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_personal_data_in_a_copy_stays_sealed_for_ever() {
    let shelf = Shelf::new();
    let key = shelf.master_key("master.key");
    let (_log, store, _vault, sealed) = origin(&key).await;
    let path = shelf.path("without keys");
    assert_eq!(export_with(&store, &path, false).await.keys, 0);
    assert!(!text(&path).contains("customer-1"));
    for key in [key, shelf.master_key("fresh.key")] {
        each_backend(async |copy: TestLog| {
            import(&path, &copy).await.expect("imported");
            let copied = copy.open().await;
            let vault = Vault::open(&copied, &key).await.expect("opened");
            let read = vault.unseal("customer-1", &sealed[0]).await;
            assert_eq!(read.expect("looked"), None);
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_brought_up_forgets_whom_the_origin_has_forgotten() {
    let shelf = Shelf::new();
    let key = shelf.master_key("master.key");
    let (_log, store, vault, sealed) = origin(&key).await;
    let [early, late, bare] = ["early", "late", "bare"].map(|name| shelf.path(name));
    export_with(&store, &bare, false).await;
    export_with(&store, &early, true).await;
    vault.erase("customer-1").await.expect("erased");
    fill(&store, 3).await;
    export_with(&store, &late, true).await;
    each_backend(async |copy: TestLog| {
        let read = async |sealed: &str, subject: &str| {
            let copied = copy.open().await;
            let vault = Vault::open(&copied, &key).await.expect("opened");
            vault.unseal(subject, sealed).await.expect("looked")
        };
        import(&bare, &copy).await.expect("imported");
        assert_eq!(read(&sealed[0], "customer-1").await, None);
        import(&early, &copy).await.expect("the keys come later");
        assert_eq!(read(&sealed[0], "customer-1").await.as_deref(), Some(NAME));
        import(&late, &copy).await.expect("brought up");
        assert_eq!(read(&sealed[0], "customer-1").await, None);
        assert_eq!(read(&sealed[1], "customer-2").await.as_deref(), Some(NAME));
    })
    .await;
}
