//! One verb for many sagas: at a pace, a few first, each with an event and an account of what came of it.

use std::time::Duration;

use aggregates::saga::{SagaEvent, Status, Verdict};
use orchestrator::providers::simulator::Fault;
use orchestrator::providers::simulator::ledger::Op;
use orchestrator::saga::aftermath::End;
use orchestrator::saga::bulk::{Bulk, Fate, News, Stopped};
use orchestrator::saga::verbs::{Finding, Request, Selection, Verb, VerbError};
use orchestrator::saga::view::read;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::shop::{STUCK, Shop};

/// Orders that were canceled, and whose refund is refused for good.
async fn parked(shop: &Shop, count: usize) -> Vec<Uuid> {
    let mut orders = Vec::new();
    for number in 0..count {
        let order = shop.shipped(&number.to_string()).await;
        refuse(shop, order);
        shop.cancel(order).await;
        shop.at_rest(order).await;
        orders.push(order);
    }
    orders
}

fn refuse(shop: &Shop, order: Uuid) {
    shop.simulator
        .script(Op::Refund, order, Fault::Refuse("account-closed"));
}

fn retry() -> Bulk {
    Bulk {
        verb: Verb::Retry,
        step: None,
        only: Selection {
            status: Some(Status::Parked),
            step: Some("refund".to_owned()),
            reason: Some("account-closed".to_owned()),
            saga: None,
        },
        request: Request {
            actor: "kim".to_owned(),
            reason: "new account".to_owned(),
        },
        every: Duration::from_millis(1),
        canary: 0,
        patience: STUCK,
        dry_run: false,
    }
}

/// What was told, and how it ended.
async fn run(shop: &Shop, bulk: &Bulk, sagas: &[Uuid]) -> (Vec<News>, Result<(), Stopped>) {
    let (news, mut heard) = mpsc::channel(1_000);
    let stop = CancellationToken::new();
    let sagas = sagas.iter().copied();
    let ended = bulk
        .run(shop.fulfilment.engine(), sagas, &news, &stop)
        .await;
    drop(news);
    let mut told = Vec::new();
    while let Some(news) = heard.recv().await {
        told.push(news);
    }
    (told, ended)
}

/// What came of each, in the order of the sagas.
fn ends(told: &[News], sagas: &[Uuid]) -> Vec<Option<End>> {
    let of = |saga: &Uuid| {
        told.iter().find_map(|news| match news {
            News::Ended {
                id,
                fate: Fate::Went(aftermath),
                ..
            } if id == saga => Some(aftermath.end),
            _ => None,
        })
    };
    sagas.iter().map(of).collect()
}

/// Who asked for refunds to be tried again, and why.
async fn asked(shop: &Shop) -> Vec<(Uuid, String, String)> {
    let log = shop.log().await;
    let of_sagas = log
        .iter()
        .filter(|event| event.stream.category.as_str() == "saga");
    of_sagas
        .filter_map(|event| match read(event) {
            Ok(SagaEvent::RetryRequested(asked)) => {
                Some((event.stream.id, asked.actor, asked.reason))
            }
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn every_saga_gets_an_event_of_its_own_and_is_followed_to_its_end() {
    let shop = Shop::open().await;
    let orders = parked(&shop, 5).await;
    let started = Instant::now();
    let bulk = Bulk {
        every: Duration::from_millis(20),
        ..retry()
    };
    let (told, ended) = run(&shop, &bulk, &orders).await;
    assert_eq!(ended, Ok(()));
    assert_eq!(ends(&told, &orders), [Some(End::Unwound); 5]);
    assert!(started.elapsed() >= Duration::from_millis(4 * 20));
    let mut asked = asked(&shop).await;
    asked.sort();
    let mut expected: Vec<_> = orders
        .iter()
        .map(|order| (*order, "kim".to_owned(), "new account".to_owned()))
        .collect();
    expected.sort();
    assert_eq!(asked, expected);
    shop.close().await;
}

#[tokio::test]
async fn the_others_are_left_alone_when_one_of_the_first_is_parked_again() {
    let shop = Shop::open().await;
    let orders = parked(&shop, 6).await;
    refuse(&shop, orders[1]);
    let bulk = Bulk {
        canary: 3,
        ..retry()
    };
    let (told, ended) = run(&shop, &bulk, &orders).await;
    assert_eq!(ended, Err(Stopped::Canary));
    let first = [End::Unwound, End::Parked, End::Unwound].map(Some);
    assert_eq!(ends(&told, &orders[..3]), first);
    assert_eq!(ends(&told, &orders[3..]), [None; 3]);
    assert_eq!(asked(&shop).await.len(), 3);
    // Once that one is dealt with, the same request takes up the rest, and leaves alone what is done.
    let (told, ended) = run(&shop, &bulk, &orders).await;
    assert_eq!(ended, Ok(()));
    let moved = told.iter().filter(|news| {
        matches!(
            news,
            News::Ended {
                fate: Fate::Not(VerbError::Moved),
                ..
            }
        )
    });
    assert_eq!(moved.count(), 2);
    assert_eq!(asked(&shop).await.len(), 7);
    shop.close().await;
}

#[tokio::test]
async fn a_rehearsal_says_what_would_be_done_and_writes_nothing() {
    let shop = Shop::open().await;
    let orders = parked(&shop, 2).await;
    let before = shop.log().await.len();
    let bulk = Bulk {
        dry_run: true,
        ..retry()
    };
    let (told, _) = run(&shop, &bulk, &orders).await;
    let would = Fate::Would(Some("refund".to_owned()));
    let as_expected = told
        .iter()
        .filter(|news| matches!(news, News::Ended { fate, .. } if *fate == would));
    assert_eq!(as_expected.count(), 2);
    // A claim that the provider does not confirm is refused in a rehearsal too.
    let claim = Finding {
        outcome: Verdict::Done,
        evidence: json!({ "ref": "x" }),
        force: false,
    };
    let bulk = Bulk {
        verb: Verb::Resolve(claim),
        ..bulk
    };
    let (told, _) = run(&shop, &bulk, &orders[..1]).await;
    assert!(
        told.iter().any(|news| matches!(
            news,
            News::Ended {
                fate: Fate::Not(VerbError::NotConfirmed(_)),
                ..
            }
        )),
        "{told:?}"
    );
    assert_eq!(shop.log().await.len(), before);
    shop.close().await;
}

#[tokio::test]
async fn nobody_listening_stops_it_before_the_next_one() {
    let shop = Shop::open().await;
    let orders = parked(&shop, 3).await;
    let (news, mut heard) = mpsc::channel(1);
    let stop = CancellationToken::new();
    let bulk = Bulk {
        every: Duration::from_mins(10),
        ..retry()
    };
    let engine = shop.fulfilment.engine().clone();
    let sagas = orders.clone().into_iter();
    let running = tokio::spawn(async move { bulk.run(&engine, sagas, &news, &stop).await });
    let begun = heard.recv().await;
    assert_eq!(begun, Some(News::Begun(orders[0])));
    drop(heard);
    let ended = tokio::time::timeout(STUCK, running).await.unwrap().unwrap();
    assert_eq!(ended, Err(Stopped::Told));
    // What was begun is done; the others are as they were.
    shop.until(orders[0], |saga| saga.state.is_finished()).await;
    assert_eq!(asked(&shop).await.len(), 1);
    shop.close().await;
}

#[tokio::test]
async fn a_saga_that_goes_on_trying_is_said_to_be_and_until_when() {
    let shop = Shop::open().await;
    let orders = parked(&shop, 1).await;
    for _ in 0..100 {
        shop.simulator
            .script(Op::Refund, orders[0], Fault::LoseRequest);
    }
    let bulk = Bulk {
        patience: Duration::from_millis(300),
        ..retry()
    };
    let (told, _) = run(&shop, &bulk, &orders).await;
    let aftermath = told.iter().find_map(|news| match news {
        News::Ended {
            fate: Fate::Went(aftermath),
            ..
        } => Some(aftermath),
        _ => None,
    });
    let aftermath = aftermath.unwrap();
    assert_eq!(
        (aftermath.end, aftermath.step.as_deref()),
        (End::Trying, Some("refund"))
    );
    assert!(aftermath.until.is_some());
    shop.fulfilment.engine().halt();
}
