//! The aggregates of the book market as pure deciders.
//!
//! An order, its payment, its parcel and each message about it are state machines of the same
//! shape: [`Decider::decide`] turns a command into events, [`Decider::evolve`] folds an event into
//! the state. There is no I/O, clock or randomness here; time and ids arrive inside commands. A
//! command whose effect is recorded already gives no events, so that everything may run twice.
//!
//! - [`order`], [`payment`], [`delivery`], [`kakao`], [`subject`]: events, state and rules of each;
//! - [`projection`]: what operators do about a view;
//! - [`webhook`]: what providers told of their own accord, which is believed by nobody;
//! - [`saga`]: the log of a saga, which knows nothing of the others;
//! - [`codec`]: events to and from JSON, in every version that was ever written;
//! - [`ids`], [`money`], [`personal`], [`field`], [`instant`]: the words they are made of.
//!
//! ```
//! use aggregates::money::{Currency, Money};
//! use aggregates::payment::{Action, Command, Payment, Rejection};
//! use aggregates::{Decider, codec};
//!
//! let price = Money::new(33_000, Currency::KRW);
//! let command = |action| Command {
//!     order_id: aggregates::ids::order_id("shop", "33", "key-1"),
//!     customer_id: "33".to_owned(),
//!     at: "2026-11-22T09:30:00Z".parse().unwrap(),
//!     action,
//! };
//! let charge = command(Action::RecordCharge { money: price, provider_ref: "pay_1".to_owned() });
//!
//! let events = Payment::decide(&None, &charge).unwrap();
//! assert_eq!(codec::encode(&events[0].clone().into()).event_type, "Paid");
//!
//! let payment = Payment::fold(None, &events).unwrap();
//! assert_eq!(payment.as_ref().unwrap().charged(), 33_000);
//! assert_eq!(Payment::decide(&payment, &charge), Ok(vec![]));
//!
//! let second = command(Action::RecordCharge { money: price, provider_ref: "pay_2".to_owned() });
//! let kept = "pay_1".to_owned();
//! assert_eq!(Payment::decide(&payment, &second), Err(Rejection::AnotherChargeKept { kept }));
//! ```

pub mod codec;
pub mod decider;
pub mod delivery;
pub mod event;
pub mod field;
pub mod ids;
pub mod instant;
pub mod kakao;
pub mod money;
pub mod order;
pub mod payment;
pub mod personal;
pub mod projection;
pub mod refusal;
pub mod saga;
pub mod subject;
#[cfg(test)]
mod testing;
pub mod webhook;

pub use decider::{Decider, IllegalTransition};
pub use event::{Event, category_of};
pub use refusal::Refusal;
