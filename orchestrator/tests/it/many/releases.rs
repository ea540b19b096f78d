//! One process after another changes to this release and back, while orders come in: what a deploy and a roll-back are.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use super::clients::Clients;
use super::crew::{
    Crew, Member, NOBODY_IS_AWAY, all_told, at_most_once, lost, more_than_once, setup,
};
use super::deploys::replace;
use crate::broker::nats::Release;
use crate::soak;
use crate::storm::judged;
use crate::town::{Process, Setup, THIS_BUILD};

/// Names the binary of the release before.
const BEFORE: &str = "TEST_BOOKMARKET_BEFORE";

/// Who changes, in this order.
const PARTS: [&str; 4] = ["api", "worker", "projector", "relay"];

/// Who changes back and forth once more, where not all do: it goes on with what the newer release has begun.
const PUT_BACK: &str = "worker";

/// The release before this one.
struct Before {
    binary: PathBuf,
    called: String,
}

impl Before {
    /// The one that is named; otherwise this build stands in for it.
    fn found() -> Self {
        let named = std::env::var_os(BEFORE).filter(|binary| !binary.is_empty());
        let Some(binary) = named.map(PathBuf::from) else {
            return Self {
                binary: THIS_BUILD.into(),
                called: "this build".to_owned(),
            };
        };
        let said = Command::new(&binary).arg("--version").output();
        let said = said.unwrap_or_else(|error| panic!("{BEFORE} {}: {error}", binary.display()));
        assert!(said.status.success(), "{said:?}");
        let called = String::from_utf8_lossy(&said.stdout).trim().to_owned();
        Self { binary, called }
    }
}

/// A shop of one process for each part, which takes orders at an address that outlives each of them.
struct Shop {
    crew: Crew,
    door: Arc<TcpListener>,
    changes: usize,
}

impl Shop {
    /// Begun by that release.
    async fn begun(broker: Release, release: &Path) -> Self {
        let setup = setup().shop(&NOBODY_IS_AWAY).shop(&["--log", "info"]);
        let setup = Setup {
            release: Some(release.to_owned()),
            ..setup
        };
        let mut crew = Crew::with_nats(broker, setup).await;
        let door = Arc::new(TcpListener::bind("127.0.0.1:0").expect("an address"));
        // It has made the tables and the key; from here on every process is one that is replaced.
        crew.town.shop.kill();
        let mut shop = Self {
            crew,
            door,
            changes: 0,
        };
        let http = shop.crew.town.http.clone();
        shop.crew.town.shop = shop.next("api", release);
        shop.crew.town.shop.start(&http).await;
        for roles in PARTS.into_iter().filter(|roles| *roles != "api") {
            let mut process = shop.next(roles, release);
            process.start(&http).await;
            shop.crew.members.push(Member { roles, process });
        }
        shop
    }

    /// One of that release for this part, not started.
    fn next(&self, part: &str, release: &Path) -> Process {
        let mut process = self.crew.process(part).of(release);
        if part == "api" {
            process = process.inheriting(&self.door);
        }
        // No customer asks the others.
        if part == "api" || soak::is_on() {
            process = process.argument("--drain-delay", "1s");
        }
        process
    }

    /// One of that release takes over this part.
    async fn change(&mut self, part: &str, release: &Path) {
        let http = self.crew.town.http.clone();
        let next = self.next(part, release);
        let member = self.crew.members.iter_mut().find(|it| it.roles == part);
        match member {
            Some(member) => replace(&mut member.process, next, &http).await,
            None => replace(&mut self.crew.town.shop, next, &http).await,
        }
        self.changes += 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_process_changes_to_this_release_and_back_while_orders_come_in_and_nobody_notices() {
    for broker in soak::brokers(Release::New) {
        changes_and_back(broker).await;
    }
}

#[expect(clippy::print_stdout, reason = "a figure of the long run")]
async fn changes_and_back(broker: Release) {
    let (before, this) = (Before::found(), Path::new(THIS_BUILD));
    let mut shop = Shop::begun(broker, &before.binary).await;
    let clients = Clients::come(&shop.crew.town.http, &shop.crew.town.shop.url);
    clients.business().await;
    for part in PARTS {
        shop.change(part, this).await;
        clients.business().await;
        if part == PUT_BACK || soak::is_on() {
            shop.change(part, &before.binary).await;
            clients.business().await;
            shop.change(part, this).await;
            clients.business().await;
        }
    }
    let (replies, heard) = clients.leave().await;
    let orders = replies.len();
    let Shop { crew, changes, .. } = shop;
    all_told(&crew, orders).await;
    let evidence = judged(&crew.town, replies).await;
    let stream = crew.published().await;
    let double = at_most_once(&evidence.ledger) + more_than_once(&evidence.ledger, "send");
    println!(
        "figure: releases before={:?} broker={broker:?} changes={changes} {heard} lost={} double={double} stream-missing={}",
        before.called,
        lost(orders, &evidence.ledger),
        stream.missing,
    );
    assert_eq!(heard.failed, 0);
    assert_eq!(lost(orders, &evidence.ledger), 0);
    assert_eq!(double, 0);
}
