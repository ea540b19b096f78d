//! Sealing and erasing.

use eventstore::testing::{TestLog, each_backend};
use eventstore::{MasterKeyFile, Vault, VaultError};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sealed_is_unsealed_until_its_subject_is_erased() {
    each_backend(async |log| {
        let dir = tempfile::tempdir().expect("a directory");
        let file = MasterKeyFile::CreateIfMissing(dir.path().join("master.key"));
        let store = log.open().await;
        let vault = Vault::open(&store, &file).await.expect("opened");
        let sealed = vault
            .seal("customer-1", "1 Main Street")
            .await
            .expect("sealed");
        assert!(!sealed.contains("Main"));
        assert_eq!(
            vault
                .unseal("customer-1", &sealed)
                .await
                .expect("unsealed")
                .as_deref(),
            Some("1 Main Street")
        );
        assert!(
            matches!(vault.unseal("customer-2", &sealed).await, Ok(None)),
            "no key, as if erased"
        );
        vault.seal("customer-2", "x").await.expect("sealed");

        let other = Vault::open(&store, &file).await.expect("opened again");
        assert_eq!(
            other
                .unseal("customer-1", &sealed)
                .await
                .expect("unsealed")
                .as_deref(),
            Some("1 Main Street")
        );

        assert!(vault.erase("customer-1").await.expect("erased"));
        assert!(
            !vault
                .erase("customer-1")
                .await
                .expect("nothing left to erase")
        );
        assert_eq!(
            vault.unseal("customer-1", &sealed).await.expect("erased"),
            None
        );
        let again = vault
            .seal("customer-1", "2 Main Street")
            .await
            .expect("sealed under a new key");
        assert_eq!(
            vault
                .unseal("customer-1", &again)
                .await
                .expect("unsealed")
                .as_deref(),
            Some("2 Main Street")
        );
        assert_eq!(
            vault
                .unseal("customer-1", &sealed)
                .await
                .expect("still erased"),
            None
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_text_and_a_wrong_master_key_are_refused() {
    each_backend(async |log| {
        let dir = tempfile::tempdir().expect("a directory");
        let file = MasterKeyFile::CreateIfMissing(dir.path().join("master.key"));
        let store = log.open().await;
        let vault = Vault::open(&store, &file).await.expect("opened");
        let sealed = vault
            .seal("customer-1", "1 Main Street")
            .await
            .expect("sealed");
        let last = if sealed.ends_with('A') { 'E' } else { 'A' };
        let changed = format!("{}{last}", &sealed[..sealed.len() - 1]);
        assert!(matches!(
            vault.unseal("customer-1", &changed).await,
            Err(VaultError::Tampered | VaultError::Malformed)
        ));
        assert!(matches!(
            vault.unseal("customer-1", "1 Main Street").await,
            Err(VaultError::Malformed)
        ));
        assert!(matches!(
            vault.seal("", "x").await,
            Err(VaultError::Subject)
        ));

        let another = MasterKeyFile::CreateIfMissing(dir.path().join("another.key"));
        let other_log = TestLog::sqlite();
        let elsewhere = other_log.open().await;
        Vault::open(&elsewhere, &another).await.expect("made");
        assert!(matches!(
            Vault::open(&store, &another).await,
            Err(VaultError::WrongMasterKey)
        ));
        let missing = MasterKeyFile::Existing(dir.path().join("missing.key"));
        assert!(matches!(
            Vault::open(&store, &missing).await,
            Err(VaultError::MasterKeyFile { .. })
        ));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_master_key_is_made_for_a_store_that_was_begun_with_one() {
    each_backend(async |log| {
        let dir = tempfile::tempdir().expect("a directory");
        let made = |name: &str| MasterKeyFile::CreateIfMissing(dir.path().join(name));
        let store = log.open().await;
        Vault::open(&store, &made("first.key"))
            .await
            .expect("begun");
        let refused = Vault::open(&store, &made("second.key")).await;
        let told = refused.expect_err("another key").to_string();
        assert!(
            told.contains("second.key") && told.contains("same key"),
            "{told}"
        );
        assert!(!dir.path().join("second.key").exists());
        Vault::open(&store, &made("first.key"))
            .await
            .expect("the same key");
    })
    .await;
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_master_key_that_is_made_is_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("keys").join("master.key");
    let log = TestLog::sqlite();
    let store = log.open().await;
    Vault::open(&store, &MasterKeyFile::CreateIfMissing(path.clone()))
        .await
        .expect("opened");
    let mode = std::fs::metadata(&path).expect("made").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let files = std::fs::read_dir(dir.path().join("keys"))
        .expect("listed")
        .count();
    assert_eq!(files, 1, "no draft is left behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fingerprint_stays_the_same_for_one_master_key_and_is_another_for_another() {
    let log = TestLog::sqlite();
    let dir = tempfile::tempdir().expect("a directory");
    let file = MasterKeyFile::CreateIfMissing(dir.path().join("master.key"));
    let store = log.open().await;
    let vault = Vault::open(&store, &file).await.expect("opened");
    let print = vault.fingerprint(b"an order");
    assert_eq!(print.len(), 64);
    assert_ne!(print, vault.fingerprint(b"another order"));
    let again = Vault::open(&store, &file).await.expect("opened again");
    assert_eq!(print, again.fingerprint(b"an order"));

    let other = TestLog::sqlite();
    let file = MasterKeyFile::CreateIfMissing(dir.path().join("other.key"));
    let other = Vault::open(&other.open().await, &file).await;
    assert_ne!(print, other.expect("opened").fingerprint(b"an order"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_is_known_from_its_first_text_until_it_is_erased() {
    each_backend(async |log| {
        let dir = tempfile::tempdir().expect("a directory");
        let file = MasterKeyFile::CreateIfMissing(dir.path().join("master.key"));
        let vault = Vault::open(&log.open().await, &file).await.expect("opened");
        let knows = async || vault.knows("customer-1").await.expect("an answer");
        assert!(!knows().await);
        vault.seal("customer-1", "x").await.expect("sealed");
        assert!(knows().await);
        vault.erase("customer-1").await.expect("erased");
        assert!(!knows().await);
        assert!(matches!(vault.knows("").await, Err(VaultError::Subject)));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sealed_under_a_key_that_was_erased_elsewhere() {
    each_backend(async |log| {
        let dir = tempfile::tempdir().expect("a directory");
        let file = MasterKeyFile::CreateIfMissing(dir.path().join("master.key"));
        let store = log.open().await;
        let here = Vault::open(&store, &file).await.expect("opened");
        let elsewhere = Vault::open(&store, &file).await.expect("opened");
        here.seal("customer-1", "x").await.expect("sealed");
        assert!(elsewhere.erase("customer-1").await.expect("erased"));
        assert!(!here.knows("customer-1").await.expect("an answer"));
        let later = here.seal("customer-1", "y").await.expect("sealed");
        let read = elsewhere.unseal("customer-1", &later).await;
        assert_eq!(read.expect("unsealed").as_deref(), Some("y"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_may_have_two_hundred_characters_of_any_script() {
    each_backend(async |log| {
        let dir = tempfile::tempdir().expect("a directory");
        let file = MasterKeyFile::CreateIfMissing(dir.path().join("master.key"));
        let vault = Vault::open(&log.open().await, &file).await.expect("opened");
        let longest = "\u{1d11e}".repeat(200);
        let sealed = vault.seal(&longest, "x").await.expect("sealed");
        let read = vault.unseal(&longest, &sealed).await;
        assert_eq!(read.expect("unsealed").as_deref(), Some("x"));
        let longer = vault.seal(&format!("{longest}!"), "x").await;
        assert!(matches!(longer, Err(VaultError::Subject)));
    })
    .await;
}
