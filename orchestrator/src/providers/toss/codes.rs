//! The error codes of Toss Payments and what each means for the money.
//!
//! The code decides and the HTTP status never does: `PROVIDER_ERROR` is a 400 and passes, `REFUND_REJECTED` is a 400 and
//! final. A code that is not listed here is a failure like others: looked after, then asked again with another key.

use crate::providers::ports::Refusal;

/// What a code means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// A decision. No money moved and none will under this key. Of a look-up: there is nothing.
    Declined,
    /// A decision, unless a look finds that it was done before: then the code complains about the repeat.
    DeclinedUnlessDone,
    /// A decision for this payment, whose reason may be the shop's own set-up: operators are told. Not [`Class::Locked`],
    /// because one customer's rubbish can cause it, and must not keep others from paying.
    SetUp,
    /// Our credentials are refused before anything is looked at: surely nothing happened, and only operators can mend it.
    Locked,
    /// It is under way, or looks so: look, and ask again with the same key.
    Open,
    /// Something behind the provider failed. It may have happened: look, and ask again with another key, because this one
    /// keeps the failure.
    Failed,
    /// The provider itself failed; otherwise as [`Class::Failed`].
    Faulty,
}

/// One code.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) code: &'static str,
    pub(super) class: Class,
    reason: &'static str,
}

const fn row(code: &'static str, class: Class, reason: &'static str) -> Row {
    Row {
        code,
        class,
        reason,
    }
}

impl Row {
    /// As a final no.
    pub(super) fn refusal(&self) -> Refusal {
        Refusal {
            code: kebab(self.code),
            reason: self.reason.to_owned(),
        }
    }

    /// As the reason of what is not final.
    pub(super) fn sentence(&self) -> String {
        format!("Toss Payments says {}: {}", self.code, self.reason)
    }
}

fn kebab(code: &str) -> String {
    code.to_ascii_lowercase().replace('_', "-")
}

/// The row of a code.
pub(super) fn row_of(table: &'static [Row], code: &str) -> Option<&'static Row> {
    table.iter().find(|row| row.code == code)
}

/// The sentence of what was decided with this code, in kebab case.
pub(in crate::providers) fn words(code: &str) -> Option<&'static str> {
    let decided = |row: &&Row| matches!(row.class, Class::Declined | Class::DeclinedUnlessDone);
    let mut rows = CONFIRM.iter().chain(CANCEL).filter(decided);
    rows.find(|row| kebab(row.code) == code)
        .map(|row| row.reason)
}

/// What a payment that failed is declined with, whatever class its code has otherwise: the payment is over.
pub(super) fn refusal_of_failure(code: Option<&str>) -> Refusal {
    let row = code.and_then(|code| row_of(CONFIRM, code));
    row.filter(|row| matches!(row.class, Class::Declined | Class::DeclinedUnlessDone))
        .map_or_else(
            || Refusal {
                code: "pay-process-aborted".to_owned(),
                reason: "The payment failed while it was made.".to_owned(),
            },
            Row::refusal,
        )
}

/// Of a confirmation.
#[rustfmt::skip]
pub(super) const CONFIRM: &[Row] = &[
    row("REJECT_CARD_PAYMENT", Class::Declined, "The card's limit or balance does not cover the amount."),
    row("REJECT_CARD_COMPANY", Class::Declined, "The card company declined the payment."),
    row("REJECT_ACCOUNT_PAYMENT", Class::Declined, "The account's balance does not cover the amount."),
    row("REJECT_TOSSPAY_INVALID_ACCOUNT", Class::Declined, "The account is not registered for withdrawals."),
    row("INVALID_REJECT_CARD", Class::Declined, "The card company declined the card."),
    row("INVALID_CARD_NUMBER", Class::Declined, "The card number is wrong."),
    row("INVALID_STOPPED_CARD", Class::Declined, "The card is suspended."),
    row("INVALID_CARD_EXPIRATION", Class::Declined, "The card's expiry date is wrong or over."),
    row("INVALID_CARD_LOST_OR_STOLEN", Class::Declined, "The card was reported lost or stolen."),
    row("INVALID_CARD_PASSWORD", Class::Declined, "The card's password is wrong."),
    row("INVALID_CARD_IDENTITY", Class::Declined, "The identity does not belong to the card."),
    row("INVALID_CARD_COMPANY", Class::Declined, "The card company is not supported."),
    row("INVALID_PASSWORD", Class::Declined, "The payment password is wrong."),
    row("INVALID_ACCOUNT_INFO_RE_REGISTER", Class::Declined, "The account has to be registered again."),
    row("NOT_SUPPORTED_CARD_TYPE", Class::Declined, "This kind of card is not supported."),
    row("NOT_REGISTERED_CARD_COMPANY", Class::Declined, "The card has to be registered with its company first."),
    row("EXCEED_MAX_AMOUNT", Class::Declined, "The amount is over the limit."),
    row("EXCEED_MAX_PAYMENT_AMOUNT", Class::Declined, "The amount is over the limit of the day."),
    row("EXCEED_MAX_ONE_DAY_AMOUNT", Class::Declined, "The amount is over the limit of the day."),
    row("EXCEED_MAX_MONTHLY_PAYMENT_AMOUNT", Class::Declined, "The amount is over the limit of the month."),
    row("EXCEED_MAX_DAILY_PAYMENT_COUNT", Class::Declined, "There were too many payments today."),
    row("EXCEED_MAX_ONE_DAY_WITHDRAW_AMOUNT", Class::Declined, "The amount is over the account's limit of the day."),
    row("EXCEED_MAX_ONE_TIME_WITHDRAW_AMOUNT", Class::Declined, "The amount is over the account's limit for one payment."),
    row("EXCEED_MAX_AUTH_COUNT", Class::Declined, "The payment was authenticated too often."),
    row("EXCEED_MAX_CARD_INSTALLMENT_PLAN", Class::Declined, "There are too many instalments."),
    row("NOT_SUPPORTED_INSTALLMENT_PLAN_CARD_OR_MERCHANT", Class::Declined, "The card or the shop takes no instalments."),
    row("NOT_SUPPORTED_MONTHLY_INSTALLMENT_PLAN", Class::Declined, "The card takes no instalments."),
    row("NOT_SUPPORTED_MONTHLY_INSTALLMENT_PLAN_BELOW_AMOUNT", Class::Declined, "The amount is too small for instalments."),
    row("INVALID_CARD_INSTALLMENT_PLAN", Class::Declined, "The number of instalments is wrong."),
    row("NOT_ALLOWED_POINT_USE", Class::Declined, "The card's points cannot be used."),
    row("BELOW_MINIMUM_AMOUNT", Class::Declined, "The amount is too small to be charged."),
    row("RESTRICTED_TRANSFER_ACCOUNT", Class::Declined, "The account was registered too short a time ago."),
    row("NOT_AVAILABLE_PAYMENT", Class::Declined, "Payments of this kind are not possible at this hour."),
    row("NOT_AVAILABLE_BANK", Class::Declined, "The bank is closed at this hour."),
    row("FDS_ERROR", Class::Declined, "The payment looks like fraud and was stopped."),
    row("PAY_PROCESS_CANCELED", Class::Declined, "The customer gave up the payment."),
    row("PAY_PROCESS_ABORTED", Class::Declined, "The payment failed while it was made."),
    row("NOT_FOUND_PAYMENT_SESSION", Class::DeclinedUnlessDone, "The payment was not confirmed within its time."),
    row("NOT_FOUND_PAYMENT", Class::DeclinedUnlessDone, "The payment provider does not know the payment."),
    row("INVALID_REQUEST", Class::SetUp, "The payment provider cannot read the request."),
    row("FORBIDDEN_REQUEST", Class::SetUp, "The payment does not belong to this shop or to this order."),
    row("NOT_FOUND_TERMINAL_ID", Class::SetUp, "The shop has no terminal for this way of paying."),
    row("INVALID_AUTHORIZE_AUTH", Class::SetUp, "The shop has no contract for this way of authentication."),
    row("INVALID_UNREGISTERED_SUBMALL", Class::SetUp, "The shop is not registered for this way of paying."),
    row("NOT_REGISTERED_BUSINESS", Class::SetUp, "The shop's business number is not registered."),
    row("UNAUTHORIZED_KEY", Class::Locked, "it does not accept our secret key"),
    row("INVALID_API_KEY", Class::Locked, "it does not accept our secret key"),
    row("INCORRECT_BASIC_AUTH_FORMAT", Class::Locked, "it cannot read our secret key"),
    row("INVALID_IDEMPOTENCY_KEY", Class::Locked, "it does not accept our idempotency key"),
    row("ALREADY_PROCESSED_PAYMENT", Class::Failed, "the payment was processed before"),
    row("UNAPPROVED_ORDER_ID", Class::Failed, "the order is not approved yet"),
    row("DUPLICATED_ORDER_ID", Class::Failed, "the order was processed before"),
    row("IDEMPOTENT_REQUEST_PROCESSING", Class::Open, "the same request is still being processed"),
    row("FORBIDDEN_CONSECUTIVE_REQUEST", Class::Faulty, "requests come too fast"),
    row("PROVIDER_ERROR", Class::Failed, "the card company or the bank has a passing fault"),
    row("CARD_PROCESSING_ERROR", Class::Failed, "the card company has a fault"),
    row("FAILED_CARD_COMPANY_RESPONSE", Class::Failed, "the card company has a fault"),
    row("FAILED_DB_PROCESSING", Class::Faulty, "it has a fault"),
    row("FAILED_INTERNAL_SYSTEM_PROCESSING", Class::Faulty, "it has a fault"),
    row("FAILED_PAYMENT_INTERNAL_SYSTEM_PROCESSING", Class::Faulty, "the payment is not complete"),
    row("UNKNOWN_PAYMENT_ERROR", Class::Faulty, "the payment failed for a reason it does not know"),
    row("COMMON_ERROR", Class::Faulty, "it has a passing fault"),
];

/// Of a cancellation. What is declined for good parks the order's saga, with the money at stake.
#[rustfmt::skip]
pub(super) const CANCEL: &[Row] = &[
    row("REFUND_REJECTED", Class::Declined, "The refund was declined."),
    row("NOT_CANCELABLE_PAYMENT_FOR_DORMANT_USER", Class::Declined, "The payment of a dormant customer cannot be given back."),
    row("EXCEED_MAX_REFUND_DUE", Class::Declined, "It is too late to give the payment back."),
    row("EXCEED_CANCEL_LIMIT", Class::Declined, "The refund is over the shop's limit."),
    row("EXCEED_CANCEL_AMOUNT_DISCOUNT_AMOUNT", Class::Declined, "The refund is smaller than the discount."),
    row("NOT_ALLOWED_PARTIAL_REFUND", Class::Declined, "The payment can only be given back as a whole."),
    row("NOT_ALLOWED_PARTIAL_REFUND_WAITING_DEPOSIT", Class::Declined, "A payment that waits for its deposit can only be given back as a whole."),
    row("NOT_ALLOWED_REFUND_BANK", Class::Declined, "The bank takes no refunds."),
    row("INVALID_REFUND_ACCOUNT_INFO", Class::Declined, "The refund's account belongs to somebody else."),
    row("INVALID_REFUND_ACCOUNT_NUMBER", Class::Declined, "The refund's account number is wrong."),
    row("INVALID_BANK", Class::Declined, "The refund's bank is wrong."),
    row("FORBIDDEN_BANK_REFUND_REQUEST", Class::Declined, "The customer's account takes no deposits."),
    row("NOT_CANCELABLE_PAYMENT", Class::DeclinedUnlessDone, "The payment cannot be given back."),
    row("NOT_CANCELABLE_AMOUNT", Class::DeclinedUnlessDone, "The payment has less left than is to go back."),
    row("INVALID_REQUEST", Class::SetUp, "The payment provider cannot read the request."),
    row("NOT_FOUND_PAYMENT", Class::SetUp, "The payment provider does not know the payment that is to be given back."),
    row("FORBIDDEN_REQUEST", Class::SetUp, "The payment provider does not let the shop's secret key give the payment back."),
    row("UNAUTHORIZED_KEY", Class::Locked, "it does not accept our secret key"),
    row("INVALID_API_KEY", Class::Locked, "it does not accept our secret key"),
    row("INCORRECT_BASIC_AUTH_FORMAT", Class::Locked, "it cannot read our secret key"),
    row("INVALID_IDEMPOTENCY_KEY", Class::Locked, "it does not accept our idempotency key"),
    row("ALREADY_CANCELED_PAYMENT", Class::Failed, "the payment was given back before"),
    row("ALREADY_REFUND_PAYMENT", Class::Failed, "the payment was given back before"),
    row("NOT_MATCHES_REFUNDABLE_AMOUNT", Class::Failed, "the payment has another balance than was said"),
    row("IDEMPOTENT_REQUEST_PROCESSING", Class::Open, "the same request is still being processed"),
    row("FORBIDDEN_CONSECUTIVE_REQUEST", Class::Faulty, "requests come too fast"),
    row("NOT_AVAILABLE_BANK", Class::Failed, "the bank is closed at this hour"),
    row("PROVIDER_ERROR", Class::Failed, "the card company or the bank has a passing fault"),
    row("FAILED_REFUND_PROCESS", Class::Failed, "the bank has a passing fault"),
    row("FAILED_METHOD_HANDLING_CANCEL", Class::Failed, "the way of paying has a passing fault"),
    row("FAILED_PARTIAL_REFUND", Class::Failed, "the bank cannot give a part back now"),
    row("FAILED_INTERNAL_SYSTEM_PROCESSING", Class::Faulty, "it has a fault"),
    row("FAILED_PAYMENT_INTERNAL_SYSTEM_PROCESSING", Class::Faulty, "the refund is not complete"),
    row("COMMON_ERROR", Class::Faulty, "it has a passing fault"),
];

/// Of look-ups and lists.
#[rustfmt::skip]
pub(super) const QUERY: &[Row] = &[
    row("NOT_FOUND_PAYMENT", Class::Declined, "it does not know the payment"),
    row("NOT_FOUND", Class::Declined, "it does not know the payment"),
    row("UNAUTHORIZED_KEY", Class::Locked, "it does not accept our secret key"),
    row("INVALID_API_KEY", Class::Locked, "it does not accept our secret key"),
    row("INCORRECT_BASIC_AUTH_FORMAT", Class::Locked, "it cannot read our secret key"),
    row("FORBIDDEN_REQUEST", Class::SetUp, "it does not let this secret key look"),
    row("FORBIDDEN_CONSECUTIVE_REQUEST", Class::Faulty, "requests come too fast"),
    row("NOT_SUPPORTED_MONTHLY_INSTALLMENT_PLAN_BELOW_AMOUNT", Class::Failed, "the payment failed"),
    row("PROVIDER_ERROR", Class::Failed, "the card company or the bank has a passing fault"),
    row("FAILED_INTERNAL_SYSTEM_PROCESSING", Class::Faulty, "it has a fault"),
    row("FAILED_PAYMENT_INTERNAL_SYSTEM_PROCESSING", Class::Faulty, "the payment is not complete"),
    row("INVALID_TRANSACTION_KEY", Class::Failed, "the list cannot be read on from there"),
    row("COMMON_ERROR", Class::Faulty, "it has a passing fault"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_is_listed_twice() {
        for table in [CONFIRM, CANCEL, QUERY] {
            let mut codes: Vec<_> = table.iter().map(|row| row.code).collect();
            codes.sort_unstable();
            let listed = codes.len();
            codes.dedup();
            assert_eq!(codes.len(), listed);
        }
    }
}
