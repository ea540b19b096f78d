//! What customers are told. The log keeps what operators, providers and we ourselves wrote down, and operators read all of
//! it. Whoever else reads an order gets what happened to it, in fixed words ([`words`]): no operator's name, nobody's reason but
//! the customer's own, and nothing of how books are compared. A shop's own backend is told the same, because what it reads it
//! may show to its customers.

mod events;
mod words;

use aggregates::delivery::Delivery;
use aggregates::kakao::{Message, Progress};
use aggregates::order::{Cancel, Order};
use aggregates::payment::Payment;
use projections::Page;
use projections::customer::{CancelFacts, CustomerRow};
use projections::message::{MessageRow, MessageState};

use super::auth::{Principal, Role};

pub(in crate::http) use events::{data, metadata};
pub(in crate::http) use words::{CANCEL_REFUSED, ORDER_REFUSED, of_refusal};
use words::{MESSAGE_FAILED, MESSAGE_NOT_WANTED, PARCEL_REFUSED, PAYMENT_REFUSED, Party};

/// Something that has two forms: as it is written down, and as customers are told.
pub(in crate::http) trait Told {
    /// Puts fixed words in the place of everybody's own.
    fn put_plainly(&mut self);
}

/// As this reader is told.
pub(in crate::http) fn told<T: Told>(reader: &Principal, mut what: T) -> T {
    if !reads_all(reader) {
        what.put_plainly();
    }
    what
}

/// Whether this reader is told everything that was written down.
pub(in crate::http) fn reads_all(reader: &Principal) -> bool {
    reader.role == Role::Operator
}

impl<R: Told> Told for Page<R> {
    fn put_plainly(&mut self) {
        self.rows.iter_mut().for_each(R::put_plainly);
    }
}

impl Told for CustomerRow {
    fn put_plainly(&mut self) {
        if let Some(no) = &mut self.rejected {
            no.reason = of_refusal(&no.code, ORDER_REFUSED);
        }
        if let Some(cancel) = &mut self.cancel {
            cancel.put_plainly();
        }
        if let Some(payment) = &mut self.payment {
            payment.mismatches.clear();
            if let Some(no) = &mut payment.refusal {
                no.reason = of_refusal(&no.code, PAYMENT_REFUSED);
            }
        }
        if let Some(parcel) = &mut self.delivery {
            if let Some(no) = &mut parcel.refusal {
                no.reason = of_refusal(&no.code, PARCEL_REFUSED);
            }
            if let Some(trouble) = &mut parcel.trouble {
                trouble.reason = words::of_trouble(&trouble.reason);
            }
        }
    }
}

impl Told for CancelFacts {
    fn put_plainly(&mut self) {
        (self.actor, self.reason) = Party::of(&self.actor).tell(&self.reason);
        if let Some(no) = &mut self.refused {
            no.reason = of_refusal(&no.code, CANCEL_REFUSED);
        }
    }
}

impl Told for MessageRow {
    fn put_plainly(&mut self) {
        if self.reason.is_none() {
            return;
        }
        self.reason = Some(match (self.state, &self.code) {
            (MessageState::Failed, Some(code)) => of_refusal(code, MESSAGE_FAILED),
            (MessageState::Failed, None) => MESSAGE_FAILED.to_owned(),
            _ => MESSAGE_NOT_WANTED.to_owned(),
        });
    }
}

impl Told for Order {
    fn put_plainly(&mut self) {
        let cancels = [&mut self.open_cancel, &mut self.canceled];
        for Cancel { actor, reason, .. } in cancels.into_iter().flatten() {
            (*actor, *reason) = Party::of(actor).tell(reason);
        }
        if let Some(no) = &mut self.cancel_refusal {
            no.reason = of_refusal(&no.code, CANCEL_REFUSED);
        }
    }
}

impl Told for Payment {
    fn put_plainly(&mut self) {
        self.mismatches.clear();
        let refusals = [&mut self.declined, &mut self.refund_refusal];
        for no in refusals.into_iter().flatten() {
            no.reason = of_refusal(&no.code, PAYMENT_REFUSED);
        }
    }
}

impl Told for Delivery {
    fn put_plainly(&mut self) {
        let exception = self.exception.as_mut().map(|it| &mut it.refusal);
        let refusals = [self.refusal.as_mut(), self.hold_refusal.as_mut(), exception];
        for no in refusals.into_iter().flatten() {
            no.reason = of_refusal(&no.code, PARCEL_REFUSED);
        }
        if let Some((_, reason)) = &mut self.scans.trouble {
            *reason = words::of_trouble(reason);
        }
    }
}

impl Told for Message {
    fn put_plainly(&mut self) {
        match &mut self.progress {
            Progress::Failed(no) => no.reason = of_refusal(&no.code, MESSAGE_FAILED),
            Progress::Suppressed { reason } => MESSAGE_NOT_WANTED.clone_into(reason),
            Progress::Requested | Progress::Sent { .. } => {}
        }
    }
}
