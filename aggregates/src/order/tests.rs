//! Orders in every stage, for the tests below.

mod cancel;
mod life;

use uuid::Uuid;

use super::*;
use crate::personal::{Personal, Sealed};
use crate::testing::{Given, now, now_in_events};

const ID: Uuid = Uuid::from_u128(7);

fn given(events: Vec<OrderEvent>) -> Given<Order> {
    crate::testing::given(events)
}

fn command(action: Action) -> Command {
    Command { at: now(), action }
}

fn place(command_hash: &str) -> Command {
    let line = |book_id: &str, qty, unit_price| DraftLine {
        book_id: book_id.to_owned(),
        qty,
        unit_price,
        title: None,
    };
    let draft = OrderDraft {
        customer_id: "33".to_owned(),
        lines: vec![line("9788937460449", 2, 15_000), line("gift", 1, 0)],
        shipping_fee: 3_000,
        currency: "KRW".to_owned(),
        payment: Some(super::Payment {
            method: "card".to_owned(),
            token: Personal::from("tok_1"),
        }),
        contact: None,
        address: None,
        placed_at: None,
        external_id: Some("A-1".to_owned()),
        short_form: false,
    };
    let token = Sealed::from_ciphertext("c2VhbGVk".to_owned());
    let payment = Some(SealedPayment {
        method: "card".to_owned(),
        token,
    });
    command(Action::Place(Box::new(Place {
        order_id: ID,
        order: draft.check().expect("a good order"),
        sealed: SealedDetails {
            payment,
            ..SealedDetails::default()
        },
        principal: "shop".to_owned(),
        command_hash: command_hash.to_owned(),
        source: None,
    })))
}

fn lines() -> Vec<Line> {
    vec![
        Line {
            book_id: "9788937460449".to_owned(),
            qty: 2,
            unit_price: 15_000,
            title: None,
        },
        Line {
            book_id: "gift".to_owned(),
            qty: 1,
            unit_price: 0,
            title: None,
        },
    ]
}

fn ordered() -> OrderEvent {
    Ordered {
        order_id: ID,
        customer_id: "33".to_owned(),
        occurred_at: now_in_events(),
        book_id: "9788937460449".to_owned(),
        qty: 2,
        lines: lines(),
        shipping_fee: 3_000,
        currency: crate::money::Currency::KRW,
        total: 33_000,
        payment: Some(SealedPayment {
            method: "card".to_owned(),
            token: Sealed::from_ciphertext("c2VhbGVk".to_owned()),
        }),
        contact: None,
        address: None,
        placed_at: None,
        external_id: Some("A-1".to_owned()),
        principal: "shop".to_owned(),
        command_hash: "hash".to_owned(),
        source: None,
    }
    .into()
}

/// An event of this order with the fields that matter to a test.
macro_rules! event {
    ($event:ident { $($field:ident: $value:expr),* $(,)? }) => {
        OrderEvent::from($event {
            order_id: ID,
            customer_id: "33".to_owned(),
            occurred_at: now_in_events(),
            $($field: $value),*
        })
    };
}

fn pending() -> OrderEvent {
    event!(OrderPending {})
}

fn paid() -> OrderEvent {
    let currency = crate::money::Currency::KRW;
    event!(OrderPaid {
        lines: lines(),
        total: 33_000,
        currency: currency,
        payment_ref: "pay_1".to_owned()
    })
}

fn rejected() -> OrderEvent {
    event!(OrderRejected {
        code: "payment-declined".to_owned(),
        reason: "The card was declined.".to_owned()
    })
}

fn shipped() -> OrderEvent {
    event!(OrderShipped {
        carrier: "CJ".to_owned(),
        waybill: "1234".to_owned()
    })
}

fn handed_over() -> OrderEvent {
    event!(OrderHandedOver {})
}

fn delivered() -> OrderEvent {
    event!(OrderDelivered {})
}

fn cancel_requested() -> OrderEvent {
    event!(OrderCancelRequested {
        reason: "changed my mind".to_owned(),
        actor: "33".to_owned()
    })
}

fn cancel_refused() -> OrderEvent {
    event!(OrderCancelRefused {
        code: "handed-over".to_owned(),
        reason: "It has left.".to_owned()
    })
}

fn canceled() -> OrderEvent {
    event!(OrderCanceled {
        book_id: "9788937460449".to_owned(),
        qty: 2,
        lines: lines(),
        total: 33_000,
        currency: crate::money::Currency::KRW,
        reason: "changed my mind".to_owned(),
        actor: "33".to_owned(),
    })
}

fn cancel_taken_back() -> OrderEvent {
    event!(OrderCancelTakenBack {
        code: "scan-after-hold".to_owned(),
        reason: "The customer has it.".to_owned()
    })
}

fn confirm_payment() -> Command {
    command(Action::ConfirmPayment {
        payment_ref: "pay_1".to_owned(),
    })
}

fn reject() -> Command {
    let (code, reason) = (
        "payment-declined".to_owned(),
        "The card was declined.".to_owned(),
    );
    command(Action::Reject { code, reason })
}

fn ship() -> Command {
    command(Action::RecordShipment {
        carrier: "CJ".to_owned(),
        waybill: "1234".to_owned(),
    })
}

fn request_cancel() -> Command {
    command(Action::RequestCancel {
        reason: "changed my mind".to_owned(),
        actor: "33".to_owned(),
    })
}

fn refuse_cancel() -> Command {
    let (code, reason) = ("handed-over".to_owned(), "It has left.".to_owned());
    command(Action::RefuseCancel { code, reason })
}

fn take_cancel_back() -> Command {
    let code = "scan-after-hold".to_owned();
    let reason = "The customer has it.".to_owned();
    command(Action::TakeCancelBack { code, reason })
}

fn cancel() -> Command {
    command(Action::Cancel {
        reason: "changed my mind".to_owned(),
        actor: "33".to_owned(),
    })
}
