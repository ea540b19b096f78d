//! Commands in any order, from small alphabets, so that repeats, contradictions and races are
//! common.

mod saga;

use std::collections::BTreeMap;

use aggregates::kakao::{self, Kind, Notice};
use aggregates::money::{Currency, Money};
use aggregates::order::{
    self, Address, Contact, DraftLine, OrderDraft, Payment, SealedContact, SealedDetails,
    SealedPayment,
};
use aggregates::personal::{Personal, Sealed};
use aggregates::subject::Erase;
use aggregates::{delivery, ids, payment, projection};
use chrono::{DateTime, Utc};
use proptest::option;
use proptest::prelude::*;
use uuid::Uuid;

pub(crate) use saga::saga_events;

/// The order of every command here.
const ORDER: Uuid = Uuid::from_u128(7);

/// Any time that four digits of a year can say, finer than an event keeps.
fn time() -> impl Strategy<Value = DateTime<Utc>> {
    const YEAR_9999: i64 = 253_402_300_799;
    (0..=YEAR_9999, 0..1_000_000_000_u32).prop_map(|(seconds, nanos)| {
        DateTime::from_timestamp(seconds, nanos).expect("a time in range")
    })
}

/// Any text at all, quotes, emoji and line separators among it.
fn words() -> impl Strategy<Value = String> {
    any::<String>()
}

/// One of three references.
fn reference() -> impl Strategy<Value = String> {
    (1..=3).prop_map(|n| format!("ref-{n}"))
}

/// One of three findings.
fn finding() -> impl Strategy<Value = Uuid> {
    (1..=3_u128).prop_map(Uuid::from_u128)
}

fn money() -> impl Strategy<Value = Money> {
    let currency = prop_oneof![9 => Just(Currency::KRW), 1 => Just(Currency::USD)];
    (
        prop_oneof![8 => Just(33_000), 1 => 32_999..=33_001_i64, 1 => any::<i64>()],
        currency,
    )
        .prop_map(|(amount, currency)| Money::new(amount, currency))
}

/// Drafts that are mostly good, and bad in any way.
pub(crate) fn drafts() -> impl Strategy<Value = OrderDraft> {
    let good = || "[a-z가-힣0-9]{1,20}";
    let any_text = || prop_oneof![19 => good().prop_map(String::from), 1 => any::<String>()];
    let amount = |usual: std::ops::RangeInclusive<i64>| prop_oneof![19 => usual, 1 => any::<i64>()];
    let line = (
        any_text(),
        amount(1..=100_000),
        amount(0..=50_000),
        option::of(any_text()),
    )
        .prop_map(|(book_id, qty, unit_price, title)| DraftLine {
            book_id,
            qty,
            unit_price,
            title,
        });
    let payment = (any_text(), any_text()).prop_map(|(method, token)| Payment {
        method,
        token: Personal::from(token),
    });
    let contact = (any_text(), any_text()).prop_map(|(name, phone)| Contact {
        name: Personal::from(name),
        phone: Personal::from(phone),
    });
    let address = prop::collection::btree_map(any_text(), any_text(), 0..4)
        .prop_map(|map: BTreeMap<_, _>| Address(map));
    let currency = prop_oneof![19 => Just("KRW".to_owned()), 1 => any::<String>()];
    let who = (
        any_text(),
        prop::collection::vec(line, 0..5),
        amount(0..=5_000),
        currency,
    );
    let details = (
        option::of(payment),
        option::of(contact),
        option::of(address),
    );
    let origin = (option::of(time()), option::of(any_text()), any::<bool>());
    (who, details, origin).prop_map(
        |(
            (customer_id, lines, shipping_fee, currency),
            (payment, contact, address),
            (placed_at, external_id, short_form),
        )| {
            OrderDraft {
                customer_id,
                lines,
                shipping_fee,
                currency,
                payment,
                contact,
                address,
                placed_at,
                external_id,
                short_form,
            }
        },
    )
}

/// A new order; the sealed parts are what a vault might return.
fn places() -> impl Strategy<Value = order::Action> {
    let checked = drafts().prop_filter_map("a good order", |draft| draft.check().ok());
    (checked, words(), reference(), option::of(words())).prop_map(
        |(order, principal, command_hash, source)| {
            let seal = |clear: &str| {
                Sealed::from_ciphertext(clear.bytes().map(|byte| format!("{byte:02x}")).collect())
            };
            let sealed = SealedDetails {
                payment: order.payment.as_ref().map(|payment| SealedPayment {
                    method: payment.method.clone(),
                    token: seal(payment.token.expose()),
                }),
                contact: order.contact.as_ref().map(|contact| SealedContact {
                    name: seal(contact.name.expose()),
                    phone: seal(contact.phone.expose()),
                }),
                address: order
                    .address
                    .as_ref()
                    .map(|address| seal(&address.to_json())),
            };
            order::Action::Place(Box::new(order::Place {
                order_id: ORDER,
                order,
                sealed,
                principal,
                command_hash,
                source,
            }))
        },
    )
}

pub(crate) fn order_commands() -> impl Strategy<Value = Vec<order::Command>> {
    use order::Action;
    let action = prop_oneof![
        1 => places(),
        1 => Just(Action::MarkPending),
        3 => reference().prop_map(|payment_ref| Action::ConfirmPayment { payment_ref }),
        1 => (words(), words()).prop_map(|(code, reason)| Action::Reject { code, reason }),
        3 => reference().prop_map(|waybill| {
            Action::RecordShipment { carrier: "CJ".to_owned(), waybill }
        }),
        1 => Just(Action::RecordHandover),
        1 => Just(Action::RecordDelivery),
        2 => (words(), words()).prop_map(|(reason, actor)| Action::RequestCancel { reason, actor }),
        2 => (words(), words()).prop_map(|(code, reason)| Action::RefuseCancel { code, reason }),
        1 => (words(), words()).prop_map(|(code, reason)| Action::TakeCancelBack { code, reason }),
        1 => (words(), words()).prop_map(|(reason, actor)| Action::Cancel { reason, actor }),
    ];
    let command = |at, action| order::Command { at, action };
    let first = (time(), places()).prop_map(move |(at, action)| command(at, action));
    let rest = prop::collection::vec(
        (time(), action).prop_map(move |(at, action)| command(at, action)),
        0..20,
    );
    (first, rest).prop_map(|(first, rest)| [vec![first], rest].concat())
}

pub(crate) fn payment_commands() -> impl Strategy<Value = Vec<payment::Command>> {
    use payment::Action;
    let action = prop_oneof![
        4 => (money(), reference()).prop_map(|(money, provider_ref)| {
            Action::RecordCharge { money, provider_ref }
        }),
        1 => (words(), words()).prop_map(|(code, reason)| Action::RecordDecline { code, reason }),
        4 => (money(), reference(), reference()).prop_map(|(money, provider_ref, refund_ref)| {
            Action::RecordRefund { money, provider_ref, refund_ref }
        }),
        2 => (reference(), words()).prop_map(|(code, reason)| {
            Action::RecordRefundRefusal { code, reason }
        }),
        2 => (money(), reference()).prop_map(|(money, provider_ref)| {
            Action::RecordExcess { money, provider_ref }
        }),
        2 => (reference(), reference()).prop_map(|(provider_ref, refund_ref)| {
            Action::RecordExcessReturn { provider_ref, refund_ref }
        }),
        1 => (finding(), words(), words(), money()).prop_map(|(finding, code, reason, at_stake)| {
            Action::RecordMismatch { finding, code, reason, at_stake }
        }),
        1 => (finding(), words()).prop_map(|(finding, reason)| {
            Action::SettleMismatch { finding, reason }
        }),
    ];
    let command = |(at, customer_id, action)| payment::Command {
        order_id: ORDER,
        customer_id,
        at,
        action,
    };
    prop::collection::vec((time(), words(), action).prop_map(command), 0..20)
}

pub(crate) fn delivery_commands() -> impl Strategy<Value = Vec<delivery::Command>> {
    use delivery::Action;
    let action = prop_oneof![
        4 => reference().prop_map(|waybill| {
            Action::RecordShipment { carrier: "CJ".to_owned(), waybill }
        }),
        1 => (words(), words()).prop_map(|(code, reason)| Action::RecordRefusal { code, reason }),
        1 => Just(Action::RecordHold),
        1 => (reference(), words()).prop_map(|(code, reason)| {
            Action::RecordHoldRefusal { code, reason }
        }),
        1 => Just(Action::RecordHandover),
        1 => Just(Action::RecordDelivery),
        1 => Just(Action::RecordCancel),
        1 => (reference(), words(), money()).prop_map(|(code, reason, at_stake)| {
            Action::RecordException { code, reason, at_stake }
        }),
        1 => Just(Action::RecordTrackingLost),
        1 => (option::of(time()), option::of(time()), option::of((time(), words()))).prop_map(
            |(in_transit_at, out_for_delivery_at, trouble)| {
                Action::RecordScans(delivery::Scans { in_transit_at, out_for_delivery_at, trouble })
            }
        ),
    ];
    let command = |(at, customer_id, action)| delivery::Command {
        order_id: ORDER,
        customer_id,
        at,
        action,
    };
    prop::collection::vec((time(), words(), action).prop_map(command), 0..20)
}

pub(crate) fn kakao_commands() -> impl Strategy<Value = Vec<kakao::Command>> {
    use kakao::Action;
    let action = prop_oneof![
        Just(Action::Request),
        Just(Action::RequestAgain),
        (
            words(),
            option::of(words()),
            option::of(words()),
            option::of(0..9_u32)
        )
            .prop_map(|(channel, provider_ref, template, attempts)| {
                Action::RecordSent(kakao::Dispatch {
                    channel,
                    provider_ref,
                    fallback: template.clone(),
                    template,
                    attempts,
                })
            }),
        (words(), words(), option::of(0..9_u32)).prop_map(|(code, reason, attempts)| {
            Action::RecordFailure {
                code,
                reason,
                attempts,
            }
        }),
        words().prop_map(|reason| Action::Suppress { reason }),
    ];
    let kind = prop::sample::select(Kind::ALL.to_vec());
    let notice = (
        words(),
        words(),
        words(),
        prop_oneof![reference(), words()],
        kind,
    )
        .prop_map(|(order_id, customer_id, topic, text, kind)| Notice {
            id: ids::message_id("1", kind, "1"),
            order_id,
            customer_id,
            kind,
            topic,
            text,
        });
    let command = |(at, notice, action)| kakao::Command { notice, at, action };
    prop::collection::vec((time(), notice, action).prop_map(command), 0..10)
}

pub(crate) fn erasures() -> impl Strategy<Value = Vec<Erase>> {
    let erase =
        (reference(), words(), words(), time()).prop_map(|(customer_id, reason, actor, at)| {
            Erase {
                customer_id,
                reason,
                actor,
                key_exists: false,
                at,
            }
        });
    prop::collection::vec(erase, 0..4)
}

pub(crate) fn projection_commands() -> impl Strategy<Value = Vec<projection::Command>> {
    use projection::Action;
    let key = || (1..=2_u128).prop_map(Uuid::from_u128);
    let action = prop_oneof![
        (option::of(key()), any::<bool>()).prop_map(|(key, parked)| Action::Retry { key, parked }),
        (key(), 1..4_i64, option::of(1..4_i64)).prop_map(|(key, position, first)| Action::Skip {
            key,
            position,
            first
        }),
        Just(Action::Pause),
        Just(Action::Resume),
    ];
    let command = (words(), words(), time(), action).prop_map(|(reason, actor, at, action)| {
        projection::Command {
            view: "customer".to_owned(),
            reason,
            actor,
            at,
            action,
        }
    });
    prop::collection::vec(command, 0..12)
}
