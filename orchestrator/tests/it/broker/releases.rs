//! Which servers are tested on: those that `scripts/nats.sh` says, and what it says is so.

use std::env::consts::ARCH;
use std::fs;
use std::path::Path;

use super::nats::{NatsServer, Release};
use super::{connect, eventually};

/// What the script says in a line of its own about a version.
fn pinned(name: &str) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/nats.sh");
    let script = fs::read_to_string(script).expect("a script");
    let start = format!("readonly {name}=");
    let mut said = script.lines().filter_map(|line| line.strip_prefix(&start));
    let said = said.next().and_then(|said| said.split(' ').next());
    said.expect("a version").to_owned()
}

/// The numbers before and after the first dot, which tell what a server can do.
fn numbers(version: &str) -> [u32; 2] {
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().ok());
    [(); 2].map(|()| {
        let number = numbers.next().flatten();
        number.unwrap_or_else(|| panic!("not a version: {version}"))
    })
}

/// The distribution whose own server is the oldest that is supported. Others have newer ones, and are tested on those.
fn is_debian_12() -> bool {
    let about = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let has = |wanted: &str| about.lines().any(|line| line == wanted);
    has("ID=debian") && has("VERSION_ID=\"12\"")
}

#[tokio::test]
async fn the_brokers_are_the_oldest_that_is_supported_and_the_one_that_is_pinned() {
    for release in Release::EACH {
        let server = NatsServer::start(release);
        let broker = connect(&server.url()).await;
        eventually("it is connected", async || broker.is_connected()).await;
        // What the figures say is what was there.
        assert_eq!(broker.server_version(), Some(release.to_string()));
    }
    let (old, new) = (Release::Old.version(), Release::New.version());
    let (oldest, newest) = (pinned("OLD_VERSION"), pinned("NEW_VERSION"));
    assert!(
        numbers(&old) >= numbers(&oldest) && numbers(&old) < numbers(&new),
        "the old server is {old} and the new one {new}: set TEST_NATS_OLD to a nats-server {oldest} and TEST_NATS_NEW to a newer one"
    );
    assert!(
        !is_debian_12() || numbers(&old) == numbers(&oldest),
        "the old server is {old}: set TEST_NATS_OLD to a nats-server {oldest}, which Debian 12 has as its own"
    );
    // Elsewhere none is pinned, and everybody brings their own.
    assert!(
        ARCH != "x86_64" || new == newest,
        "the new server is {new}: set TEST_NATS_NEW to what `scripts/nats.sh new` prints, a nats-server {newest}"
    );
}
