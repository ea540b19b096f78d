//! The documents of Toss Payments: a payment, its cancellations, a transaction.

use serde_json::{Value, json};
use uuid::Uuid;

use super::errors::{code_of, message};
use crate::providers::simulator::account::{Account, Charged, Declined, Returned};
use crate::providers::simulator::ledger::Op;
use crate::providers::simulator::names::reference;
use crate::providers::simulator::notes::Pending;
use crate::providers::simulator::wire::clock::kst;

/// The shop's id at the provider.
const SHOP: &str = "bookmarket";

/// A charge with all that hangs on it.
#[derive(Debug)]
pub(super) struct Payment {
    pub(super) order_id: String,
    pub(super) charge: Charged,
    pub(super) returns: Vec<Returned>,
    pub(super) pending: Vec<Pending>,
}

impl Payment {
    /// As it stood after line `upto`.
    pub(super) fn of(
        id: Uuid,
        account: &Account,
        charge: &Charged,
        pending: impl Iterator<Item = Pending>,
        upto: u64,
    ) -> Self {
        let own = |it: &&Returned| it.charge == charge.seq && it.seq <= upto;
        Self {
            order_id: account.order_id(id),
            charge: charge.clone(),
            returns: account.returns.iter().filter(own).cloned().collect(),
            pending: pending.filter(|it| it.charge == charge.seq).collect(),
        }
    }

    /// The provider's name for it.
    pub(super) fn key(&self) -> String {
        key_of(&self.charge)
    }

    pub(super) fn balance(&self) -> i64 {
        let back: i64 = self.returns.iter().map(|it| it.amount).sum();
        let under_way: i64 = self.pending.iter().map(|it| it.amount).sum();
        self.charge.amount - back - under_way
    }

    pub(super) fn status(&self) -> &'static str {
        let back: i64 = self.returns.iter().map(|it| it.amount).sum();
        match back {
            0 => "DONE",
            back if back == self.charge.amount => "CANCELED",
            _ => "PARTIAL_CANCELED",
        }
    }

    /// The document.
    pub(super) fn document(&self) -> Value {
        let last = self.returns.last().map_or_else(
            || reference(Op::Charge, self.charge.seq),
            |it| reference(Op::Refund, it.seq),
        );
        let mut document = skeleton(
            &self.key(),
            &self.order_id,
            self.charge.amount,
            &currency(&self.charge),
        );
        let cancels = self.cancels();
        set(&mut document, "status", json!(self.status()));
        set(&mut document, "lastTransactionKey", json!(last));
        set(&mut document, "requestedAt", json!(kst(self.charge.at)));
        set(&mut document, "approvedAt", json!(kst(self.charge.at)));
        set(&mut document, "balanceAmount", json!(self.balance()));
        if !cancels.is_empty() {
            set(&mut document, "cancels", Value::Array(cancels));
        }
        document
    }

    fn cancels(&self) -> Vec<Value> {
        let mut left = self.charge.amount;
        let done = self.returns.iter().map(|it| {
            left -= it.amount;
            json!({
                "transactionKey": reference(Op::Refund, it.seq),
                "cancelReason": it.reason,
                "taxExemptionAmount": 0,
                "canceledAt": kst(it.at),
                "easyPayDiscountAmount": 0,
                "receiptKey": null,
                "cancelAmount": it.amount,
                "taxFreeAmount": 0,
                "refundableAmount": left,
                "cancelStatus": "DONE",
                "cancelRequestId": null,
            })
        });
        let mut cancels: Vec<_> = done.collect();
        cancels.extend(
            self.pending
                .iter()
                .map(|it| pending_cancel(it, "IN_PROGRESS")),
        );
        cancels
    }
}

/// A cancellation that is not through, or came to nothing.
pub(in super::super) fn pending_cancel(pending: &Pending, status: &str) -> Value {
    json!({
        "transactionKey": null,
        "cancelReason": pending.reason,
        "taxExemptionAmount": 0,
        "canceledAt": kst(pending.asked_at),
        "easyPayDiscountAmount": 0,
        "receiptKey": null,
        "cancelAmount": pending.amount,
        "taxFreeAmount": 0,
        "refundableAmount": 0,
        "cancelStatus": status,
        "cancelRequestId": Uuid::new_v5(&Uuid::NAMESPACE_OID, pending.key.as_bytes()),
    })
}

/// A payment that was refused.
pub(super) fn aborted(order_id: &str, declined: &Declined, payment_key: &str) -> Value {
    let code = code_of(&declined.code);
    let mut document = skeleton(payment_key, order_id, declined.amount, "KRW");
    set(&mut document, "status", json!("ABORTED"));
    set(&mut document, "requestedAt", json!(kst(declined.at)));
    set(&mut document, "balanceAmount", json!(declined.amount));
    let failure = json!({ "code": code, "message": message(code) });
    set(&mut document, "failure", failure);
    document
}

/// The provider's name for a charge: the one that the shop confirmed, or its own.
pub(super) fn key_of(charge: &Charged) -> String {
    charge
        .payment_key
        .as_deref()
        .map_or_else(|| reference(Op::Charge, charge.seq), str::to_owned)
}

pub(super) fn currency(charge: &Charged) -> String {
    String::from_utf8_lossy(&charge.currency).into_owned()
}

fn skeleton(payment_key: &str, order_id: &str, amount: i64, currency: &str) -> Value {
    let supplied = amount - amount / 11;
    json!({
        "mId": SHOP,
        "lastTransactionKey": null,
        "paymentKey": payment_key,
        "orderId": order_id,
        "orderName": "Books",
        "taxExemptionAmount": 0,
        "status": null,
        "requestedAt": null,
        "approvedAt": null,
        "useEscrow": false,
        "cultureExpense": false,
        "card": {
            "issuerCode": "71", "acquirerCode": "71", "number": "12345678****000*", "installmentPlanMonths": 0,
            "isInterestFree": false, "interestPayer": null, "approveNo": "00000000", "useCardPoint": false,
            "cardType": "신용", "ownerType": "개인", "acquireStatus": "READY", "amount": amount,
        },
        "virtualAccount": null,
        "transfer": null,
        "mobilePhone": null,
        "giftCertificate": null,
        "cashReceipt": null,
        "cashReceipts": null,
        "discount": null,
        "cancels": null,
        "secret": null,
        "type": "NORMAL",
        "easyPay": null,
        "country": "KR",
        "failure": null,
        "isPartialCancelable": true,
        "receipt": null,
        "checkout": null,
        "currency": currency,
        "totalAmount": amount,
        "balanceAmount": amount,
        "suppliedAmount": supplied,
        "vat": amount - supplied,
        "taxFreeAmount": 0,
        "method": "카드",
        "version": "2022-11-16",
        "metadata": null,
    })
}

fn set(document: &mut Value, field: &str, value: Value) {
    document[field] = value;
}
