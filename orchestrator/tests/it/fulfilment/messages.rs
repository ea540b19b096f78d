//! Messages to customers: direct ones, and what becomes of them when the dealer is away.

use std::sync::Arc;
use std::time::Duration;

use aggregates::ids;
use aggregates::kakao::{CheckedMessage, Kind, MessageDraft, Progress};
use aggregates::saga::{SagaEvent, Standing};
use futures_util::future::BoxFuture;
use orchestrator::fulfilment::cancel::CancelAnswer;
use orchestrator::fulfilment::limits::Limits;
use orchestrator::fulfilment::messages::{SendAnswer, SendMessage};
use orchestrator::providers::simulator::Fault;
use orchestrator::providers::simulator::ledger::{Op, Port};
use orchestrator::saga::engine;
use orchestrator::saga::observer::{Observer, Point};
use orchestrator::saga::view::Snapshot;
use tokio::sync::Notify;
use uuid::Uuid;

use super::shop::{PRINCIPAL, STUCK, Setup, Shop, command, order as ordered};

fn message(text: &str) -> CheckedMessage {
    let draft = MessageDraft {
        order_id: "111".into(),
        customer_id: "33".into(),
        status: "Shipped".into(),
        message: text.into(),
    };
    draft.check().unwrap()
}

fn send(key: Option<&str>, text: &str) -> SendMessage {
    let key = key.map(str::to_owned);
    SendMessage {
        message: message(text),
        principal: PRINCIPAL.into(),
        key,
        trace: None,
    }
}

fn recorded(answer: SendAnswer) -> uuid::Uuid {
    match answer {
        SendAnswer::Recorded(message) => message.value.id,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_direct_message_is_recorded_and_sent_once() {
    let shop = Shop::open().await;
    let id = recorded(
        shop.fulfilment
            .send_message(send(Some("k"), "hello"))
            .await
            .unwrap(),
    );
    shop.at_rest(id).await;
    let again = recorded(
        shop.fulfilment
            .send_message(send(Some("k"), "hello"))
            .await
            .unwrap(),
    );
    assert_eq!(again, id);
    let other = shop
        .fulfilment
        .send_message(send(Some("k"), "bye"))
        .await
        .unwrap();
    assert_eq!(other, SendAnswer::KeyReused { message_id: id });
    let report = shop.close().await;
    assert_eq!(
        (report.counts.messages_sent, report.counts.messages_doubled),
        (1, 0)
    );
}

/// What their keys and customers add up to is the same text.
#[tokio::test]
async fn two_customers_whose_keys_look_alike_are_not_told_the_same() {
    let shop = Shop::open().await;
    let to = |customer: &str, key: &str| {
        let draft = MessageDraft {
            order_id: "111".into(),
            customer_id: customer.into(),
            status: "Shipped".into(),
            message: "hello".into(),
        };
        SendMessage {
            message: draft.check().unwrap(),
            ..send(Some(key), "hello")
        }
    };
    let first = shop.fulfilment.send_message(to("a:b", "c")).await.unwrap();
    let id = recorded(first);
    let other = shop.fulfilment.send_message(to("a", "b:c")).await.unwrap();
    assert_eq!(other, SendAnswer::KeyReused { message_id: id });
    let again = shop.fulfilment.send_message(to("a:b", "c")).await.unwrap();
    assert_eq!(recorded(again), id);
    shop.at_rest(id).await;
    shop.close().await;
}

#[tokio::test]
async fn a_message_whose_answer_was_lost_is_looked_up_and_not_sent_again() {
    let shop = Shop::open().await;
    shop.simulator.set_outage(Port::Kakao, true);
    let id = recorded(
        shop.fulfilment
            .send_message(send(None, "hello"))
            .await
            .unwrap(),
    );
    shop.simulator.script(Op::Send, id, Fault::LoseReply);
    shop.simulator.set_outage(Port::Kakao, false);
    shop.at_rest(id).await;
    let report = shop.close().await;
    assert_eq!(
        (report.counts.messages_sent, report.counts.messages_doubled),
        (1, 0)
    );
}

#[tokio::test]
async fn a_message_that_cannot_be_sent_in_its_time_fails_and_the_order_does_not() {
    let setup = Setup::default();
    let limits = Limits {
        message_budget: Duration::from_millis(100),
        ..setup.limits
    };
    let shop = Shop::with(Setup { limits, ..setup }).await;
    shop.simulator.set_outage(Port::Kakao, true);
    let id = recorded(
        shop.fulfilment
            .send_message(send(None, "hello"))
            .await
            .unwrap(),
    );
    shop.at_rest(id).await;
    let failed = shop.fulfilment.message(id).await.unwrap().unwrap().value;
    assert!(matches!(failed.progress, Progress::Failed(_)), "{failed:?}");

    let order = shop.paid("a").await;
    shop.until(order, |saga| {
        saga.state
            .step("notify")
            .is_some_and(|step| step.is_settled())
    })
    .await;
    let report = shop.close().await;
    assert_eq!(report.counts.messages_failed, 2);
    assert_eq!(report.counts.by_status["Shipped"], 1);
}

#[tokio::test]
async fn orders_are_taken_and_paid_while_carrier_and_dealer_are_away() {
    let shop = Shop::open().await;
    shop.simulator.set_outage(Port::Carrier, true);
    shop.simulator.set_outage(Port::Kakao, true);
    let order = shop.paid("a").await;
    shop.simulator.set_outage(Port::Carrier, false);
    shop.until(order, |saga| saga.state.is_done("ship")).await;
    shop.simulator.set_outage(Port::Kakao, false);
    shop.until(order, |saga| saga.state.is_done("notify")).await;
    shop.close().await;
}

/// A parcel on its way whose customer could not be told, and a cancel that the carrier refuses.
async fn refused_while_the_dealer_is_away(shop: &Shop) -> Uuid {
    shop.simulator.set_outage(Port::Kakao, true);
    let order = shop.paid("a").await;
    shop.until(order, |saga| {
        let tried = saga
            .state
            .step("notify")
            .is_some_and(|step| step.attempt > 1);
        saga.state.is_done("ship") && tried
    })
    .await;
    shop.simulator
        .script(Op::Hold, order, Fault::Refuse("handed-over"));
    let answer = shop.cancel(order).await;
    assert!(
        matches!(answer, CancelAnswer::PastPointOfNoReturn(_)),
        "{answer:?}"
    );
    order
}

/// The story of an order's message about its parcel.
async fn told(shop: &Shop, order: Uuid) -> Vec<String> {
    let id = ids::message_id(&order.to_string(), Kind::Shipped, "1");
    let events = shop.store.read_related(id).await.unwrap();
    events
        .iter()
        .map(|event| event.event_type.to_string())
        .collect()
}

#[tokio::test]
async fn a_message_that_a_cancel_suppressed_is_sent_when_the_cancel_is_refused() {
    let shop = Shop::open().await;
    let order = refused_while_the_dealer_is_away(&shop).await;
    shop.simulator.set_outage(Port::Kakao, false);
    shop.until(order, |saga| saga.state.is_done("notify")).await;
    let story = [
        "MessageRequested",
        "MessageSuppressed",
        "MessageRequested",
        "SentMessage",
    ];
    assert_eq!(told(&shop, order).await, story);
    let report = shop.close().await;
    assert_eq!(
        (report.counts.messages_sent, report.counts.messages_doubled),
        (1, 0)
    );
}

#[tokio::test]
async fn a_message_that_is_wanted_again_may_be_suppressed_or_fail_like_any_other() {
    let setup = Setup::default();
    let limits = Limits {
        message_budget: Duration::from_millis(1_500),
        ..setup.limits
    };
    let shop = Shop::with(Setup { limits, ..setup }).await;
    let order = refused_while_the_dealer_is_away(&shop).await;
    shop.until(order, |saga| {
        let notify = saga.state.step("notify");
        notify.is_some_and(aggregates::saga::Step::is_settled)
    })
    .await;
    let story = [
        "MessageRequested",
        "MessageSuppressed",
        "MessageRequested",
        "MessageFailed",
    ];
    assert_eq!(told(&shop, order).await, story);
    let id = ids::message_id(&order.to_string(), Kind::Shipped, "1");
    let message = shop.fulfilment.message(id).await.unwrap().unwrap().value;
    assert_eq!(message.progress.as_str(), "MessageFailed");
    shop.close().await;
}

/// Holds an engine when it is about to write down what the first attempt at a message came to.
#[derive(Default)]
struct Freeze {
    frozen: Notify,
    thaw: Notify,
}

impl Observer for Freeze {
    fn reached<'a>(&'a self, _: Uuid, point: Point) -> BoxFuture<'a, ()> {
        let first = |event: &SagaEvent| matches!(event, SagaEvent::AttemptEnded(ended) if ended.step == "notify" && !ended.late);
        let at_it = matches!(&point, Point::Appending(events) if events.iter().any(first));
        Box::pin(async move {
            if at_it {
                self.frozen.notify_one();
                self.thaw.notified().await;
            }
        })
    }
}

#[tokio::test]
async fn a_message_that_a_frozen_sender_may_have_sent_is_tried_again_and_can_be_read() {
    let setup = Setup::default();
    let limits = Limits {
        call: Duration::from_millis(300),
        ..setup.limits
    };
    let shop = Shop::with(Setup { limits, ..setup }).await;
    let (order, freeze) = (Shop::id("a"), Arc::new(Freeze::default()));
    let id = ids::message_id(&order.to_string(), Kind::Shipped, "1");
    for fault in [
        Fault::LoseRequest,
        Fault::Refuse("blocked"),
        Fault::Refuse("blocked"),
    ] {
        shop.simulator.script(Op::Send, id, fault);
    }
    let sender = shop.another(engine::Options {
        observer: Some(Arc::clone(&freeze) as _),
        ..engine::Options::default()
    });
    sender.place(command("a", ordered("ok"))).await.unwrap();
    freeze.frozen.notified().await;
    // Another process takes over, finds nothing and is refused.
    shop.until(order, |saga| refused(saga, 2)).await;
    freeze.thaw.notify_one();
    let mut woken = sender.engine().follow(order).await.unwrap();
    let again = tokio::time::timeout(STUCK, woken.wait_for(|saga| refused(saga, 3)));
    again.await.expect("it is tried again");
    let story = ["MessageFailed", "MessageRequested", "MessageFailed"];
    assert_eq!(told(&shop, order).await, story);
    let message = shop.fulfilment.message(id).await.unwrap().unwrap().value;
    assert_eq!(message.progress.as_str(), "MessageFailed");
    assert!(sender.engine().drain(STUCK).await);
    shop.close().await;
}

/// Whether the message was refused at that attempt, or a later one.
fn refused(saga: &Snapshot, attempt: u32) -> bool {
    saga.state.step("notify").is_some_and(|step| {
        matches!(step.standing, Standing::Refused { .. }) && step.attempt >= attempt
    })
}
