use super::*;
use crate::ids;
use crate::testing::{Given, now, now_in_events};

fn given(events: Vec<KakaoEvent>) -> Given<Message> {
    crate::testing::given(events)
}

fn notice() -> Notice {
    Notice::shipped(
        ids::message_id("1", Kind::Shipped, "1"),
        "1".to_owned(),
        "33".to_owned(),
    )
}

fn command(action: Action) -> Command {
    Command {
        notice: notice(),
        at: now(),
        action,
    }
}

fn send() -> Command {
    command(Action::RecordSent(Dispatch {
        channel: "alimtalk".to_owned(),
        provider_ref: Some("k-1".to_owned()),
        template: Some("KA01TP-shipped".to_owned()),
        fallback: Some("sms".to_owned()),
        attempts: Some(2),
    }))
}

fn fail() -> Command {
    command(Action::RecordFailure {
        code: "blocked".to_owned(),
        reason: "The customer blocks us.".to_owned(),
        attempts: Some(1),
    })
}

fn suppress() -> Command {
    command(Action::Suppress {
        reason: "The order is canceled.".to_owned(),
    })
}

/// An event of this message with the fields that matter to a test.
macro_rules! event {
    ($event:ident { $($field:ident: $value:expr),* $(,)? }) => {
        KakaoEvent::from($event {
            id: notice().id,
            order_id: "1".to_owned(),
            customer_id: "33".to_owned(),
            status: "Shipped".to_owned(),
            occurred_at: now_in_events(),
            kind: Kind::Shipped,
            $($field: $value),*
        })
    };
}

fn requested() -> KakaoEvent {
    event!(MessageRequested {
        message: "1 33 Shipped...".to_owned()
    })
}

fn sent() -> KakaoEvent {
    event!(SentMessage {
        message: "1 33 Shipped...".to_owned(),
        channel: "alimtalk".to_owned(),
        provider_ref: Some("k-1".to_owned()),
        template: Some("KA01TP-shipped".to_owned()),
        fallback: Some("sms".to_owned()),
        attempts: Some(2),
    })
}

fn failed() -> KakaoEvent {
    event!(MessageFailed {
        code: "blocked".to_owned(),
        reason: "The customer blocks us.".to_owned(),
        attempts: Some(1),
    })
}

fn suppressed() -> KakaoEvent {
    event!(MessageSuppressed {
        reason: "The order is canceled.".to_owned()
    })
}

#[test]
fn a_shipping_notice_says_what_the_seeds_does() {
    assert_eq!(notice().text, "1 33 Shipped...");
}

#[test]
fn a_cancel_notice_says_what_goes_back() {
    let text = |refund| Notice::canceled(notice().id, "1".to_owned(), "33".to_owned(), refund).text;
    assert_eq!(
        text(Some("33000 KRW")),
        "1 33 Canceled. 33000 KRW refunded."
    );
    assert_eq!(text(None), "1 33 Canceled.");
}

#[test]
fn a_message_is_requested_once() {
    given(vec![])
        .when(command(Action::Request))
        .then(vec![requested()]);
    given(vec![requested(), sent()])
        .when(command(Action::Request))
        .then_nothing();
}

#[test]
fn another_text_under_the_same_id_is_refused() {
    let mut other = command(Action::Request);
    other.notice.text = "Buy more".to_owned();
    given(vec![requested()])
        .when(other)
        .then_refused(Rejection::Different);
}

#[test]
fn a_message_is_sent_once_asked_for_or_not() {
    given(vec![requested()]).when(send()).then(vec![sent()]);
    given(vec![]).when(send()).then(vec![sent()]);
}

#[test]
fn a_sent_message_neither_fails_nor_is_taken_back() {
    given(vec![sent()])
        .when(fail())
        .then_refused(Rejection::AlreadySent);
    given(vec![sent()])
        .when(suppress())
        .then_refused(Rejection::AlreadySent);
}

#[test]
fn a_message_ends_in_one_way() {
    given(vec![requested()]).when(fail()).then(vec![failed()]);
    given(vec![]).when(suppress()).then(vec![suppressed()]);
    given(vec![failed()])
        .when(suppress())
        .then_refused(Rejection::AlreadyEnded);
    given(vec![suppressed()])
        .when(fail())
        .then_refused(Rejection::AlreadyEnded);
}

#[test]
fn a_suppressed_message_may_be_wanted_again_and_no_other() {
    let again = || command(Action::RequestAgain);
    given(vec![requested(), suppressed()])
        .when(again())
        .then(vec![requested()]);
    for (ends, event) in [
        (fail(), failed()),
        (suppress(), suppressed()),
        (send(), sent()),
    ] {
        given(vec![suppressed(), requested()])
            .when(ends)
            .then(vec![event]);
    }
    given(vec![requested()]).when(again()).then_nothing();
    given(vec![failed()])
        .when(again())
        .then_refused(Rejection::AlreadyEnded);
    given(vec![sent()])
        .when(again())
        .then_refused(Rejection::AlreadySent);
}

#[test]
fn a_send_that_was_under_way_when_the_message_ended_is_a_fact() {
    given(vec![suppressed()]).when(send()).then(vec![sent()]);
    given(vec![requested(), failed()])
        .when(send())
        .then(vec![sent()]);
}

#[test]
fn a_message_that_others_had_given_up_may_be_tried_again_and_end_in_any_way() {
    for given_up in [failed(), suppressed()] {
        for end in [sent(), failed(), suppressed()] {
            for events in [
                vec![requested(), given_up.clone(), requested(), end.clone()],
                // As older builds wrote it.
                vec![given_up.clone(), end.clone()],
            ] {
                let message = given(events).state().expect("a message");
                assert_eq!(message.progress.as_str(), end.name());
            }
        }
    }
    let after_the_send = Message::evolve(given(vec![sent()]).state(), &failed());
    assert!(after_the_send.is_err(), "{after_the_send:?}");
}

#[test]
fn a_failed_message_keeps_the_text_it_was_asked_with() {
    let message = given(vec![requested(), failed()])
        .state()
        .expect("a message");
    assert_eq!(message.text.as_deref(), Some("1 33 Shipped..."));
    assert_eq!(message.progress.as_str(), "MessageFailed");
}

#[test]
fn a_draft_is_refused_field_by_field() {
    let draft = MessageDraft {
        order_id: "가".repeat(67),
        customer_id: String::new(),
        status: "Shipped\0".to_owned(),
        message: "x".repeat(1001),
    };
    let refused: Vec<String> = draft
        .check()
        .expect_err("nothing is right")
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        refused,
        [
            "/orderId: The order id must have at most 200 bytes, not 201.",
            "/customerId: The customer id must not be empty.",
            "/status: The status must not contain the control character U+0000.",
            "/message: The message must have at most 1000 characters, not 1001.",
        ]
    );
}

#[test]
fn the_seeds_own_message_is_accepted() {
    let [order_id, customer_id, status, message] =
        ["111", "33", "Shipped", "sss"].map(str::to_owned);
    assert!(
        MessageDraft {
            order_id,
            customer_id,
            status,
            message
        }
        .check()
        .is_ok()
    );
}
