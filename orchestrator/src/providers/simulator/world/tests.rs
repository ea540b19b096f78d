//! What was forgotten comes back, and what is held does not grow.

use chrono::TimeDelta;
use tempfile::TempDir;

use super::*;
use crate::providers::simulator::names::seq_of;

fn world(dir: &TempDir, name: &str, window: usize) -> World {
    let archive = Archive::beside(&dir.path().join(name));
    let hour = Duration::from_hours(1);
    let mut world = World::new(hour, hour, window, archive);
    world.opened();
    world
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
}

fn order(number: u64) -> String {
    match number % 5 {
        // Not every order is named by a UUID.
        0 => format!("order-{number}"),
        _ => Uuid::from_u128(number.into()).to_string(),
    }
}

/// The call that an order gets at one of its steps.
fn ask(number: u64, step: u32) -> Ask {
    let order_id = order(number);
    let ask =
        |port, op, key: &str| Ask::new(port, op, format!("{order_id}:{key}"), order_id.clone());
    let won = |amount| Some((amount, "KRW".to_owned()));
    match step {
        0 => Ask {
            money: won(1_000),
            refusal: number.is_multiple_of(7).then(|| "card-declined".to_owned()),
            detail: Some(Detail::Payment {
                payment_key: format!("pay-{number}"),
            }),
            ..ask(Port::Payment, Op::Charge, "pay")
        },
        1 => ask(Port::Carrier, Op::Ship, "ship"),
        2 => Ask {
            kind: Some("shipped".into()),
            key: Uuid::from_u128(u128::from(number) << 64).to_string(),
            ..ask(Port::Kakao, Op::Send, "")
        },
        3 => ask(Port::Carrier, Op::Hold, "hold"),
        4 => Ask {
            money: won(if number.is_multiple_of(2) { 1_000 } else { 300 }),
            ..ask(Port::Payment, Op::Refund, "refund")
        },
        _ => Ask {
            money: won(1_000),
            detail: Some(Detail::Payment {
                payment_key: format!("pay-{number}"),
            }),
            ..ask(Port::Payment, Op::Charge, "another-pay")
        },
    }
}

#[test]
fn a_world_that_forgets_answers_like_one_that_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let mut flat = world(&dir, "flat", 100);
    let mut whole = world(&dir, "whole", usize::MAX / 2);
    fastrand::seed(7);
    for round in 0..6_000 {
        // Most calls are about new orders, some about old ones, and some are repeats.
        let newest = 1 + round / 4;
        let number = if fastrand::u8(..) < 200 {
            newest
        } else {
            fastrand::u64(1..=newest)
        };
        let now = at(round.cast_signed());
        if fastrand::u8(..) < 20 {
            let id = order_key(&order(number));
            let scan = if fastrand::bool() {
                Scan::HandOver
            } else {
                Scan::Deliver
            };
            assert_eq!(
                flat.scan(id, scan, false, now),
                whole.scan(id, scan, false, now)
            );
            continue;
        }
        let ask = ask(number, fastrand::u32(0..6));
        assert_eq!(flat.ask(&ask, now), whole.ask(&ask, now), "{ask:?}");
        let probed = fastrand::u64(1..=newest);
        let pay = format!("{}:pay", order(probed));
        assert_eq!(
            flat.lookup(Op::Charge, &order(probed), &pay),
            whole.lookup(Op::Charge, &order(probed), &pay)
        );
        assert_eq!(
            flat.lookup_anywhere(Op::Charge, &pay),
            whole.lookup_anywhere(Op::Charge, &pay)
        );
        assert_eq!(
            flat.order_of_payment(&format!("pay-{probed}")),
            whole.order_of_payment(&format!("pay-{probed}"))
        );
    }
}

#[test]
fn what_is_held_does_not_grow_with_what_has_happened() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = world(&dir, "ledger", 1_000);
    let mut most = [0; 4];
    for number in 1..=10_000 {
        for step in 0..6 {
            world.ask(&ask(number, step), at(number.cast_signed()));
        }
        let held = world.held();
        if number == 1_000 {
            most = held.map(|held| held + held / 5 + 200);
        }
        if number > 1_000 {
            assert!(
                held.iter().zip(most).all(|(held, most)| *held <= most),
                "{held:?} of {most:?}"
            );
        }
    }
    // The first order is long gone, and still known.
    let reply = world.ask(&ask(1, 0), at(0)).1;
    assert!(reply.is_repeat());
    assert_eq!(seq_of(Op::Charge, &reply.result.unwrap()), Some(1));
    let account = world.account(order_key(&order(1))).unwrap();
    assert_eq!(account.charges.len(), 1);
}

#[test]
fn a_forgotten_key_is_a_new_call_and_a_paid_order_stays_paid() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = world(&dir, "ledger", 1_000);
    let charge = ask(1, 0);
    assert!(world.ask(&charge, at(0)).1.result.is_ok());
    assert!(world.ask(&charge, at(1)).1.is_repeat());
    world.forget(Op::Charge, &charge.order_id, &charge.key);
    let (line, reply) = world.ask(&charge, at(2));
    assert_eq!(line.result, Verdict::Refused);
    assert_eq!(reply.result, Err(ALREADY_PROCESSED.to_owned()));
    let account = world.account(order_key(&charge.order_id)).unwrap();
    assert_eq!((account.charges.len(), account.declined.clone()), (1, None));
}
