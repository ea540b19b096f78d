//! The error codes of Toss Payments that the simulator can give, as its documents list them.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use crate::providers::simulator::fold::ALREADY_PROCESSED;
use crate::providers::simulator::wire::reply::{Manner, json};

/// Code, status, message, and whether it is the provider's last word on what was asked for, whatever key asks again.
const CODES: &[(&str, u16, &str, bool)] = &[
    (
        "REJECT_CARD_PAYMENT",
        403,
        "The card limit is exceeded or the balance is too low.",
        true,
    ),
    (
        "REJECT_CARD_COMPANY",
        403,
        "The card company refused the payment.",
        true,
    ),
    (
        "REJECT_ACCOUNT_PAYMENT",
        403,
        "The balance is too low.",
        true,
    ),
    (
        "REJECT_TOSSPAY_INVALID_ACCOUNT",
        403,
        "The withdrawal from the account is not registered.",
        true,
    ),
    ("INVALID_STOPPED_CARD", 400, "The card is stopped.", true),
    (
        "INVALID_CARD_EXPIRATION",
        400,
        "The card's expiry date is wrong.",
        true,
    ),
    (
        "INVALID_CARD_LOST_OR_STOLEN",
        400,
        "The card was reported lost or stolen.",
        true,
    ),
    (
        "INVALID_REJECT_CARD",
        400,
        "The card is refused; ask the card company.",
        true,
    ),
    (
        "EXCEED_MAX_AMOUNT",
        400,
        "The amount exceeds what may be paid.",
        true,
    ),
    (
        "EXCEED_MAX_DAILY_PAYMENT_COUNT",
        400,
        "The daily number of payments is exceeded.",
        true,
    ),
    (
        "EXCEED_MAX_PAYMENT_AMOUNT",
        400,
        "The daily payment amount is exceeded.",
        true,
    ),
    (
        "BELOW_MINIMUM_AMOUNT",
        400,
        "The amount is below the least that may be paid.",
        true,
    ),
    (
        "FDS_ERROR",
        403,
        "The payment was stopped because it looks like fraud.",
        true,
    ),
    ("PAY_PROCESS_ABORTED", 400, "The payment was aborted.", true),
    (
        "NOT_FOUND_PAYMENT_SESSION",
        404,
        "The payment's time is over and there is no session for it.",
        true,
    ),
    ("REFUND_REJECTED", 400, "The refund was refused.", true),
    (
        "NOT_CANCELABLE_PAYMENT",
        403,
        "The payment cannot be canceled.",
        true,
    ),
    (
        "NOT_CANCELABLE_AMOUNT",
        403,
        "The amount cannot be canceled.",
        true,
    ),
    (
        "EXCEED_MAX_REFUND_DUE",
        403,
        "The time for refunds is over.",
        true,
    ),
    (
        "NOT_ALLOWED_PARTIAL_REFUND",
        403,
        "The payment cannot be refunded in part.",
        true,
    ),
    (
        "NOT_ALLOWED_PARTIAL_REFUND_WAITING_DEPOSIT",
        403,
        "A deposit that is awaited cannot be refunded in part.",
        true,
    ),
    (
        "EXCEED_CANCEL_AMOUNT_DISCOUNT_AMOUNT",
        400,
        "The instant discount exceeds the amount.",
        true,
    ),
    (
        "INVALID_REFUND_ACCOUNT_INFO",
        400,
        "The refund account's number and holder do not match.",
        true,
    ),
    (
        "INVALID_REFUND_ACCOUNT_NUMBER",
        400,
        "The refund account's number is wrong.",
        true,
    ),
    ("INVALID_BANK", 400, "The bank is not valid.", true),
    (
        "FORBIDDEN_BANK_REFUND_REQUEST",
        400,
        "The bank takes no refunds now.",
        true,
    ),
    (
        "ALREADY_PROCESSED_PAYMENT",
        400,
        "The payment was processed before.",
        true,
    ),
    (
        "ALREADY_CANCELED_PAYMENT",
        400,
        "The payment was canceled before.",
        true,
    ),
    (
        "ALREADY_REFUND_PAYMENT",
        400,
        "The payment was refunded before.",
        true,
    ),
    (
        "NOT_MATCHES_REFUNDABLE_AMOUNT",
        400,
        "The refundable amount does not match.",
        false,
    ),
    (
        "PROVIDER_ERROR",
        400,
        "A passing error; try again in a moment.",
        false,
    ),
    (
        "IDEMPOTENT_REQUEST_PROCESSING",
        409,
        "The first request with this key is still in process.",
        false,
    ),
    (
        "FORBIDDEN_CONSECUTIVE_REQUEST",
        403,
        "Repeated requests are not allowed; try again in a moment.",
        false,
    ),
    (
        "NOT_AVAILABLE_BANK",
        403,
        "The bank is not open at this time.",
        false,
    ),
    (
        "FAILED_INTERNAL_SYSTEM_PROCESSING",
        500,
        "Internal processing failed; try again in a moment.",
        false,
    ),
    (
        "FAILED_PAYMENT_INTERNAL_SYSTEM_PROCESSING",
        500,
        "The payment was not completed; try again.",
        false,
    ),
    (
        "FAILED_REFUND_PROCESS",
        500,
        "The bank did not answer the refund.",
        false,
    ),
    (
        "FAILED_METHOD_HANDLING_CANCEL",
        500,
        "The payment method failed while it was canceled.",
        false,
    ),
    (
        "FAILED_PARTIAL_REFUND",
        500,
        "The partial refund failed.",
        false,
    ),
    (
        "UNKNOWN_PAYMENT_ERROR",
        500,
        "The payment failed; ask the card company or bank.",
        false,
    ),
    (
        "CARD_PROCESSING_ERROR",
        500,
        "The card company made an error.",
        false,
    ),
    (
        "COMMON_ERROR",
        500,
        "A passing error; try again in a moment.",
        false,
    ),
    (
        "UNAUTHORIZED_KEY",
        401,
        "The secret key or client key is not authenticated.",
        false,
    ),
    ("INVALID_API_KEY", 400, "The secret key is wrong.", false),
    (
        "INCORRECT_BASIC_AUTH_FORMAT",
        403,
        "The authorization is wrong: encode the secret key and a colon.",
        false,
    ),
    (
        "FORBIDDEN_REQUEST",
        403,
        "The request is not allowed.",
        false,
    ),
    ("INVALID_REQUEST", 400, "The request is wrong.", false),
    (
        "INVALID_IDEMPOTENCY_KEY",
        400,
        "The idempotency key is longer than 300 characters.",
        false,
    ),
    ("NOT_FOUND_PAYMENT", 404, "There is no such payment.", false),
];

/// How Toss words what any provider may have to say.
pub(super) const MANNER: Manner = Manner {
    in_progress: || error("IDEMPOTENT_REQUEST_PROCESSING"),
    broken: || error("FAILED_INTERNAL_SYSTEM_PROCESSING"),
};

/// An error document. A code that is in no list is a new one, as a provider may have any day.
pub(super) fn error(code: &str) -> Response {
    let known = CODES.iter().find(|(known, ..)| *known == code);
    let (status, message) = known
        .map_or((400, "The request failed."), |(_, status, message, _)| {
            (*status, *message)
        });
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    json(status, &json!({ "code": code, "message": message }))
}

/// The message of a code.
pub(super) fn message(code: &str) -> &'static str {
    let known = CODES.iter().find(|(known, ..)| *known == code);
    known.map_or("The request failed.", |(_, _, message, _)| message)
}

/// Whether a failure with this code, which is not the last word, is kept as the answer under its key all the same. That the
/// first request is under way is said of the second one.
pub(super) fn is_kept(code: &str) -> bool {
    code != "IDEMPOTENT_REQUEST_PROCESSING"
}

/// Whether a refusal with this code is the provider's last word: the refusal stands in the ledger.
pub(super) fn is_final(code: &str) -> bool {
    CODES
        .iter()
        .any(|(known, _, _, last)| *known == code && *last)
}

/// What Toss calls a refusal that the world words in its own way.
pub(super) fn code_of(refusal: &str) -> &str {
    match refusal {
        "card-declined" => "REJECT_CARD_PAYMENT",
        "payment-window-closed" => "NOT_FOUND_PAYMENT_SESSION",
        "another-amount-authenticated" | "another-order-authenticated" => "FORBIDDEN_REQUEST",
        "not-cancelable-amount" => "NOT_CANCELABLE_AMOUNT",
        ALREADY_PROCESSED => "ALREADY_PROCESSED_PAYMENT",
        own => own,
    }
}
