//! What can happen to an order after it was placed.

use aggregates::delivery::{
    Delivered, DeliveryCanceled, DeliveryException, DeliveryHeld, HandedOver, Shipped,
};
use aggregates::kakao::{KakaoEvent, Kind, MessageFailed, MessageRequested, SentMessage};
use aggregates::money::Currency;
use aggregates::order::{
    OrderCancelRefused, OrderCancelRequested, OrderCancelTakenBack, OrderCanceled, OrderDelivered,
    OrderHandedOver, OrderPaid, OrderPending, OrderRejected, OrderShipped,
};
use aggregates::payment::{Paid, PayCanceled, PaymentDeclined};
use aggregates::saga::{
    AttemptEnded, AttemptResult, Cause, CauseKind, SagaCompleted, SagaEvent, SagaUnwound, Stake,
    StepParked, UnwindStarted,
};
use aggregates::{Event, ids};
use chrono::TimeDelta;

use super::{Story, TOTAL, line};

impl Story {
    pub(super) fn pending(&mut self) {
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
            late: false,
            at,
        }));
        self.append(vec![pending, ended]);
    }

    pub(super) fn declined(&mut self) {
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

    pub(super) fn pay(&mut self) {
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

    pub(super) fn ship(&mut self) {
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

    pub(super) fn notify(&mut self, sent: bool) {
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
                template: Some(String::from("KA01TP-shipped")),
                fallback: Some(String::from("sms")),
                attempts: Some(2),
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
                attempts: Some(1),
            }
            .into()
        };
        let done = self.done("notify");
        self.append(vec![Event::Kakao(requested), Event::Kakao(outcome), done]);
    }

    pub(super) fn deliver(&mut self) {
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

    pub(super) fn request_cancel(&mut self) {
        let requested = self.order(|order_id, customer_id, occurred_at| OrderCancelRequested {
            order_id,
            customer_id,
            occurred_at,
            reason: String::from("changed my mind"),
            actor: String::from("customer"),
        });
        self.append(vec![requested]);
    }

    pub(super) fn refuse_cancel(&mut self) {
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

    pub(super) fn cancel(&mut self, shipped: bool) {
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
        let canceled = self.canceled();
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

    /// Canceled, taken along all the same, and kept.
    pub(super) fn take_cancel_back(&mut self) {
        self.request_cancel();
        let held = self.delivery(|order_id, customer_id, occurred_at| DeliveryHeld {
            order_id,
            customer_id,
            occurred_at,
        });
        let canceled = self.canceled();
        self.append(vec![held, canceled]);
        let exception = self.delivery(|order_id, customer_id, occurred_at| DeliveryException {
            order_id,
            customer_id,
            occurred_at,
            code: String::from("scan-after-hold"),
            reason: String::from("The carrier took it along."),
            amount: TOTAL,
            currency: Currency::KRW,
        });
        self.append(vec![exception]);
        let handed = self.delivery(|order_id, customer_id, occurred_at| HandedOver {
            order_id,
            customer_id,
            occurred_at,
        });
        let back = self.order(|order_id, customer_id, occurred_at| OrderCancelTakenBack {
            order_id,
            customer_id,
            occurred_at,
            code: String::from("scan-after-hold"),
            reason: String::from("The customer has it."),
        });
        self.append(vec![handed, back]);
    }

    fn canceled(&mut self) -> Event {
        self.order(|order_id, customer_id, occurred_at| OrderCanceled {
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
        })
    }

    pub(super) fn park(&mut self) {
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
