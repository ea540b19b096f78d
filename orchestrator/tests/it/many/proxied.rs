//! Two processes that take orders behind HAProxy, with the rules of docker-compose.yml, and every process restarted in its turn.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};

use reqwest::Client;
use rustix::process::Signal;
use tempfile::TempDir;

use super::clients::Clients;
use super::crew::{Crew, Member, NOBODY_IS_AWAY, counted, setup};
use crate::broker::nats::Release;
use crate::ports::free_port;
use crate::soak::{self, size};
use crate::storm::judged;
use crate::town::{Process, STUCK, until};

/// What the proxy of docker-compose.yml is given.
const RULES: &str = include_str!("../../../../deploy/proxy/haproxy.cfg");

/// Also from there. Only those who take orders are given it here: the proxy asks nobody else.
const DRAIN_DELAY: &str = "5s";

/// HAProxy, gone when dropped.
struct Door {
    url: String,
    dir: TempDir,
    child: Child,
}

impl Door {
    /// In front of processes at these addresses.
    async fn open(http: &Client, nodes: &[String]) -> Self {
        let program = std::env::var_os("TEST_HAPROXY").expect(
            "TEST_HAPROXY is not set: run scripts/test.sh, or export TEST_HAPROXY=$(scripts/haproxy.sh)",
        );
        let (dir, address) = (
            tempfile::tempdir().expect("a directory"),
            format!("127.0.0.1:{}", free_port()),
        );
        let file = dir.path().join("haproxy.cfg");
        fs::write(&file, rules(&address, nodes)).expect("written");
        let lines = File::create(dir.path().join("lines")).expect("a file");
        let child = Command::new(program)
            .arg("-db")
            .arg("-f")
            .arg(&file)
            .stdin(Stdio::null())
            .stderr(lines.try_clone().expect("a second handle"))
            .stdout(lines)
            .spawn()
            .expect("it starts");
        let url = format!("http://{address}");
        let mut door = Self { url, dir, child };
        until("an open door", STUCK, async || {
            let ended = door.child.try_wait().expect("its status");
            assert!(ended.is_none(), "{}", door.lines());
            let ready = http.get(format!("{}/readyz", door.url)).send().await;
            ready.ok().filter(|ready| ready.status() == 200).map(drop)
        })
        .await;
        door
    }

    /// What it has noticed.
    fn lines(&self) -> String {
        fs::read_to_string(self.dir.path().join("lines")).unwrap_or_default()
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The rules word for word, but that here addresses are known and there Docker finds them by a name.
fn rules(door: &str, nodes: &[String]) -> String {
    let servers: Vec<_> = nodes
        .iter()
        .enumerate()
        .map(|(nth, url)| format!("server api{nth} {}", url.replace("http://", "")))
        .collect();
    let changes = [
        ("bind :8088", format!("bind {door}")),
        (" resolvers containers init-addr none", String::new()),
        ("server-template api 2 api:8088", servers.join("\n    ")),
    ];
    changes.iter().fold(RULES.to_owned(), |rules, (was, is)| {
        assert_eq!(rules.matches(was).count(), 1, "{was}");
        rules.replace(was, is)
    })
}

/// Tells it to go, starts it again, and waits until one that takes orders has taken some: nobody else goes before.
async fn restart(process: &mut Process, takes_orders: bool, http: &Client) {
    process.signal(Signal::TERM);
    assert_eq!(process.ended().await, Some(0), "{}", process.lines());
    process.start(http).await;
    if takes_orders {
        until("orders at the new process", STUCK, async || {
            let taken = counted(http, &process.url, "saga_started_total", &[]).await;
            (taken > 0.0).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_notices_that_every_process_behind_the_proxy_is_restarted_in_its_turn() {
    for release in soak::brokers(Release::Old) {
        restarted_in_turn(release).await;
    }
}

#[expect(clippy::print_stdout, reason = "a figure of the long run")]
async fn restarted_in_turn(release: Release) {
    let rounds = size(5).max(1);
    let setup = setup()
        .shop(&NOBODY_IS_AWAY)
        .shop(&["--shutdown-grace", "30s"]);
    let mut crew = Crew::with_nats(release, setup).await;
    for roles in ["worker", "worker", "projector", "relay"] {
        crew.hire(roles).await;
    }
    let http = crew.town.http.clone();
    // The town's own process has made the key that all share.
    crew.town.shop.kill();
    let drains = |crew: &Crew| {
        let process = crew.process("api");
        process.argument("--drain-delay", DRAIN_DELAY)
    };
    let (first, second) = (drains(&crew), drains(&crew));
    let nodes = [first.url.clone(), second.url.clone()];
    crew.town.shop = first;
    crew.town.shop.start(&http).await;
    let (roles, mut process) = ("api", second);
    process.start(&http).await;
    crew.members.push(Member { roles, process });
    let door = Door::open(&http, &nodes).await;
    let clients = Clients::come(&http, &door.url);
    for _ in 0..rounds {
        clients.business().await;
        restart(&mut crew.town.shop, true, &http).await;
        for member in &mut crew.members {
            restart(&mut member.process, member.roles == "api", &http).await;
        }
    }
    clients.business().await;
    let (replies, heard) = clients.leave().await;
    judged(&crew.town, replies).await;
    let stream = crew.published().await;
    println!(
        "figure: rolling-restart-behind-proxy broker={release} rounds={rounds} processes={} {heard} stream-missing={}",
        crew.members.len() + 1,
        stream.missing,
    );
    assert_eq!(heard.failed, 0, "{}", door.lines());
}
