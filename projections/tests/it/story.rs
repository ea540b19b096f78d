//! Made-up lives of orders, as the log would hold them.

use aggregates::delivery::DeliveryEvent;
use aggregates::kakao::{Kind, MessageRequested};
use aggregates::money::Currency;
use aggregates::order::{Line, OrderEvent, Ordered, SealedContact, SealedPayment};
use aggregates::payment::PaymentEvent;
use aggregates::personal::Sealed;
use aggregates::saga::{SagaEvent, SagaStarted, StepDone, StepStarted};
use aggregates::{Event, ids};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use uuid::Uuid;

mod chapters;

/// What is in the sealed fields: must never be seen in a view.
pub(crate) const CANARY: &str = "canary-of-sealed-data";

/// How an order's life goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    Open,
    Declined,
    Delivered,
    CanceledBeforeShipping,
    CanceledAfterShipping,
    CancelRefused,
    CancelTakenBack,
    Parked,
    MessageFails,
}

impl Life {
    pub(crate) const ALL: [Self; 9] = [
        Self::Open,
        Self::Declined,
        Self::Delivered,
        Self::CanceledBeforeShipping,
        Self::CanceledAfterShipping,
        Self::CancelRefused,
        Self::Parked,
        Self::MessageFails,
        Self::CancelTakenBack,
    ];
}

/// Writes one order's life; each inner list is one append.
pub(crate) struct Story {
    pub(crate) order_id: Uuid,
    customer_id: String,
    clock: DateTime<Utc>,
    placed_at: Option<DateTime<Utc>>,
    pub(crate) appends: Vec<Vec<Event>>,
}

pub(crate) fn order_of(number: u64) -> Uuid {
    ids::order_id("shop", "33", &number.to_string())
}

pub(crate) fn life(number: u64, life: Life) -> Story {
    let start = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
    let clock = start + TimeDelta::seconds(i64::try_from(number).unwrap());
    let mut story = Story {
        order_id: order_of(number),
        customer_id: format!("{}", number % 5),
        clock,
        // Some come from a file, long after they were placed.
        placed_at: (number % 6 == 5).then(|| clock - EARLIER),
        appends: Vec::new(),
    };
    story.place();
    match life {
        Life::Open => story.pending(),
        Life::Declined => story.declined(),
        Life::Delivered => {
            story.pay();
            story.ship();
            story.notify(true);
            story.deliver();
        }
        Life::CanceledBeforeShipping => {
            story.pay();
            story.cancel(false);
        }
        Life::CanceledAfterShipping => {
            story.pay();
            story.ship();
            story.notify(true);
            story.cancel(true);
        }
        Life::CancelRefused => {
            story.pay();
            story.ship();
            story.refuse_cancel();
            story.deliver();
        }
        Life::CancelTakenBack => {
            story.pay();
            story.ship();
            story.take_cancel_back();
        }
        Life::Parked => story.park(),
        Life::MessageFails => {
            story.pay();
            story.ship();
            story.notify(false);
        }
    }
    story
}

/// A message that somebody sends by hand about an order.
pub(crate) fn late_message(number: u64) -> Event {
    let order_id = order_of(number).to_string();
    let message = MessageRequested {
        id: ids::message_id(&order_id, Kind::Direct, "late"),
        order_id,
        customer_id: format!("{}", number % 5),
        status: String::from("Note"),
        occurred_at: DateTime::from_timestamp(1_795_000_000, 0).unwrap(),
        kind: Kind::Direct,
        message: String::from("How was it?"),
    };
    Event::Kakao(message.into())
}

fn line() -> Line {
    Line {
        book_id: String::from("b-1"),
        qty: 2,
        unit_price: 15_000,
        title: Some(String::from("The Log")),
    }
}

const TOTAL: i64 = 33_000;

/// How long before we were told some orders had been placed.
pub(crate) const EARLIER: TimeDelta = TimeDelta::days(1);

impl Story {
    fn now(&mut self) -> DateTime<Utc> {
        self.clock += TimeDelta::milliseconds(7);
        self.clock
    }

    fn append(&mut self, events: Vec<Event>) {
        self.appends.push(events);
    }

    fn started(&mut self, step: &str, branch: bool) -> Event {
        let at = self.now();
        Event::Saga(SagaEvent::StepStarted(StepStarted {
            step: step.to_owned(),
            attempt: 1,
            key: format!("{}/{step}", self.order_id),
            owner: Uuid::nil(),
            deadline: at + TimeDelta::seconds(10),
            branch,
            asks: false,
            at,
        }))
    }

    fn done(&mut self, step: &str) -> Event {
        Event::Saga(SagaEvent::StepDone(StepDone {
            step: step.to_owned(),
            attempt: 1,
            output: json!({ "ref": step }),
            late: false,
            at: self.now(),
        }))
    }

    fn order<E: Into<OrderEvent>>(
        &mut self,
        make: impl FnOnce(Uuid, String, DateTime<Utc>) -> E,
    ) -> Event {
        let at = self.now();
        Event::Order(make(self.order_id, self.customer_id.clone(), at).into())
    }

    fn payment<E: Into<PaymentEvent>>(
        &mut self,
        make: impl FnOnce(Uuid, String, DateTime<Utc>) -> E,
    ) -> Event {
        let at = self.now();
        Event::Payment(make(self.order_id, self.customer_id.clone(), at).into())
    }

    fn delivery<E: Into<DeliveryEvent>>(
        &mut self,
        make: impl FnOnce(Uuid, String, DateTime<Utc>) -> E,
    ) -> Event {
        let at = self.now();
        Event::Delivery(make(self.order_id, self.customer_id.clone(), at).into())
    }

    fn place(&mut self) {
        let sealed = || Sealed::from_ciphertext(CANARY.to_owned());
        let placed_at = self.placed_at;
        let ordered = self.order(|order_id, customer_id, occurred_at| Ordered {
            order_id,
            customer_id,
            occurred_at,
            book_id: line().book_id,
            qty: line().qty,
            lines: vec![line()],
            shipping_fee: 3_000,
            currency: Currency::KRW,
            total: TOTAL,
            payment: Some(SealedPayment {
                method: String::from("card"),
                token: sealed(),
            }),
            contact: Some(SealedContact {
                name: sealed(),
                phone: sealed(),
            }),
            address: Some(sealed()),
            placed_at,
            external_id: None,
            principal: String::from("shop"),
            command_hash: String::from("0"),
            source: None,
        });
        let started = Event::Saga(SagaEvent::SagaStarted(SagaStarted {
            saga: String::from("fulfilment"),
            version: 1,
            input: json!({ "token": CANARY }),
            at: self.now(),
        }));
        let pay = self.started("pay", false);
        self.append(vec![ordered, started, pay]);
    }
}
