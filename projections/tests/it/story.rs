//! Made-up lives of orders, as the log would hold them.

use aggregates::delivery::{
    Delivered, DeliveryCanceled, DeliveryEvent, DeliveryHeld, HandedOver, Shipped,
};
use aggregates::kakao::{KakaoEvent, Kind, MessageFailed, MessageRequested, SentMessage};
use aggregates::money::Currency;
use aggregates::order::{
    Line, OrderCancelRefused, OrderCancelRequested, OrderCanceled, OrderDelivered, OrderEvent,
    OrderHandedOver, OrderPaid, OrderPending, OrderRejected, OrderShipped, Ordered, SealedContact,
    SealedPayment,
};
use aggregates::payment::{Paid, PayCanceled, PaymentDeclined, PaymentEvent};
use aggregates::personal::Sealed;
use aggregates::saga::{
    AttemptEnded, AttemptResult, Cause, CauseKind, SagaCompleted, SagaEvent, SagaStarted,
    SagaUnwound, Stake, StepDone, StepParked, StepStarted, UnwindStarted,
};
use aggregates::{Event, ids};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use uuid::Uuid;

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
    Parked,
    MessageFails,
}

impl Life {
    pub(crate) const ALL: [Self; 8] = [
        Self::Open,
        Self::Declined,
        Self::Delivered,
        Self::CanceledBeforeShipping,
        Self::CanceledAfterShipping,
        Self::CancelRefused,
        Self::Parked,
        Self::MessageFails,
    ];
}

/// Writes one order's life; each inner list is one append.
pub(crate) struct Story {
    pub(crate) order_id: Uuid,
    customer_id: String,
    clock: DateTime<Utc>,
    pub(crate) appends: Vec<Vec<Event>>,
}

pub(crate) fn order_of(number: u64) -> Uuid {
    ids::order_id("shop", "33", &number.to_string())
}

pub(crate) fn life(number: u64, life: Life) -> Story {
    let start = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
    let mut story = Story {
        order_id: order_of(number),
        customer_id: format!("{}", number % 5),
        clock: start + TimeDelta::seconds(i64::try_from(number).unwrap()),
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
        Life::Parked => story.park(),
        Life::MessageFails => {
            story.pay();
            story.ship();
            story.notify(false);
        }
    }
    story
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
            placed_at: None,
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

    fn pending(&mut self) {
        let pending = self.order(|order_id, customer_id, occurred_at| OrderPending {
            order_id,
            customer_id,
            occurred_at,
        });
        let at = self.now();
        let ended = Event::Saga(SagaEvent::AttemptEnded(AttemptEnded {
            step: String::from("pay"),
            attempt: 1,
            result: AttemptResult::Unknown,
            reason: String::from("no answer in time"),
            next_at: at + TimeDelta::seconds(5),
            at,
        }));
        self.append(vec![pending, ended]);
    }

    fn declined(&mut self) {
        let declined = self.payment(|order_id, customer_id, occurred_at| PaymentDeclined {
            order_id,
            customer_id,
            occurred_at,
            code: String::from("declined"),
            reason: String::from("The card was declined."),
        });
        let rejected = self.order(|order_id, customer_id, occurred_at| OrderRejected {
            order_id,
            customer_id,
            occurred_at,
            code: String::from("payment-declined"),
            reason: String::from("The card was declined."),
        });
        self.append(vec![declined, rejected]);
    }

    fn pay(&mut self) {
        let paid = self.payment(|order_id, customer_id, occurred_at| Paid {
            order_id,
            customer_id,
            occurred_at,
            amount: TOTAL,
            currency: Currency::KRW,
            provider_ref: String::from("ch-1"),
        });
        let order_paid = self.order(|order_id, customer_id, occurred_at| OrderPaid {
            order_id,
            customer_id,
            occurred_at,
            lines: vec![line()],
            total: TOTAL,
            currency: Currency::KRW,
            payment_ref: String::from("ch-1"),
        });
        let done = self.done("pay");
        let ship = self.started("ship", false);
        self.append(vec![paid, order_paid, done, ship]);
    }

    fn ship(&mut self) {
        let shipped = self.delivery(|order_id, customer_id, occurred_at| Shipped {
            order_id,
            customer_id,
            occurred_at,
            carrier: String::from("CJ"),
            waybill: String::from("6001"),
        });
        let order_shipped = self.order(|order_id, customer_id, occurred_at| OrderShipped {
            order_id,
            customer_id,
            occurred_at,
            carrier: String::from("CJ"),
            waybill: String::from("6001"),
        });
        let done = self.done("ship");
        let notify = self.started("notify", true);
        self.append(vec![shipped, order_shipped, done, notify]);
    }

    fn notify(&mut self, sent: bool) {
        let order_id = self.order_id.to_string();
        let id = ids::message_id(&order_id, Kind::Shipped, "1");
        let message = format!("{order_id} {} Shipped...", self.customer_id);
        let (customer_id, status) = (self.customer_id.clone(), String::from("Shipped"));
        let requested = KakaoEvent::from(MessageRequested {
            id,
            order_id: order_id.clone(),
            customer_id: customer_id.clone(),
            status: status.clone(),
            occurred_at: self.now(),
            kind: Kind::Shipped,
            message: message.clone(),
        });
        let occurred_at = self.now();
        let outcome: KakaoEvent = if sent {
            SentMessage {
                id,
                order_id,
                customer_id,
                status,
                occurred_at,
                kind: Kind::Shipped,
                message,
                channel: String::from("alimtalk"),
                provider_ref: Some(String::from("k-1")),
            }
            .into()
        } else {
            MessageFailed {
                id,
                order_id,
                customer_id,
                status,
                occurred_at,
                kind: Kind::Shipped,
                code: String::from("no-such-number"),
                reason: String::from("Nobody has this number."),
            }
            .into()
        };
        let done = self.done("notify");
        self.append(vec![Event::Kakao(requested), Event::Kakao(outcome), done]);
    }

    fn deliver(&mut self) {
        let handed = self.delivery(|order_id, customer_id, occurred_at| HandedOver {
            order_id,
            customer_id,
            occurred_at,
        });
        let order_handed = self.order(|order_id, customer_id, occurred_at| OrderHandedOver {
            order_id,
            customer_id,
            occurred_at,
        });
        let delivered = self.delivery(|order_id, customer_id, occurred_at| Delivered {
            order_id,
            customer_id,
            occurred_at,
        });
        let order_delivered = self.order(|order_id, customer_id, occurred_at| OrderDelivered {
            order_id,
            customer_id,
            occurred_at,
        });
        let completed = Event::Saga(SagaEvent::SagaCompleted(SagaCompleted { at: self.now() }));
        self.append(vec![handed, order_handed]);
        self.append(vec![delivered, order_delivered, completed]);
    }

    fn request_cancel(&mut self) {
        let requested = self.order(|order_id, customer_id, occurred_at| OrderCancelRequested {
            order_id,
            customer_id,
            occurred_at,
            reason: String::from("changed my mind"),
            actor: String::from("customer"),
        });
        self.append(vec![requested]);
    }

    fn refuse_cancel(&mut self) {
        self.request_cancel();
        let refused = self.order(|order_id, customer_id, occurred_at| OrderCancelRefused {
            order_id,
            customer_id,
            occurred_at,
            code: String::from("past-point-of-no-return"),
            reason: String::from("The parcel has left."),
        });
        self.append(vec![refused]);
    }

    fn cancel(&mut self, shipped: bool) {
        self.request_cancel();
        if shipped {
            let held = self.delivery(|order_id, customer_id, occurred_at| DeliveryHeld {
                order_id,
                customer_id,
                occurred_at,
            });
            self.append(vec![held]);
        }
        let unwind = Event::Saga(SagaEvent::UnwindStarted(UnwindStarted {
            cause: Cause {
                kind: CauseKind::Cancel,
                step: None,
                code: String::from("canceled"),
                reason: String::from("changed my mind"),
            },
            actor: String::from("customer"),
            at: self.now(),
        }));
        let canceled = self.order(|order_id, customer_id, occurred_at| OrderCanceled {
            order_id,
            customer_id,
            occurred_at,
            book_id: line().book_id,
            qty: line().qty,
            lines: vec![line()],
            total: TOTAL,
            currency: Currency::KRW,
            reason: String::from("changed my mind"),
            actor: String::from("customer"),
        });
        let refunded = self.payment(|order_id, customer_id, occurred_at| PayCanceled {
            order_id,
            customer_id,
            occurred_at,
            amount: TOTAL,
            currency: Currency::KRW,
            provider_ref: String::from("ch-1"),
            refund_ref: String::from("rf-1"),
        });
        self.append(vec![unwind, canceled]);
        self.append(vec![refunded]);
        if shipped {
            let off = self.delivery(|order_id, customer_id, occurred_at| DeliveryCanceled {
                order_id,
                customer_id,
                occurred_at,
            });
            self.append(vec![off]);
        }
        let unwound = Event::Saga(SagaEvent::SagaUnwound(SagaUnwound { at: self.now() }));
        self.append(vec![unwound]);
    }

    fn park(&mut self) {
        let parked = Event::Saga(SagaEvent::StepParked(StepParked {
            step: String::from("pay"),
            code: String::from("gone"),
            reason: String::from("The provider knows nothing of it."),
            at_stake: Some(Stake {
                amount: TOTAL,
                currency: String::from("KRW"),
            }),
            suggestion: String::from("Ask the provider."),
            at: self.now(),
        }));
        self.append(vec![parked]);
    }
}
