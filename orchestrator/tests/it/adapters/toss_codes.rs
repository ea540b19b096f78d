//! Every documented code of Toss Payments has a row, and the row says what the money needs.

use orchestrator::providers::ports::{Answer, Found, MoneyMoved, PaymentPort};
use serde_json::json;
use wiremock::MockServer;

use super::server::*;
use super::tables::{all_of, table};
use super::toss::by_order;

const TABLES: &str = include_str!("../../../src/providers/toss/codes.rs");

/// What is expected of a code when a look finds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// Final, with the code in kebab case.
    Refused,
    /// It may be under way.
    Undecided,
    /// The key keeps the failure; somebody behind the provider failed.
    Spent,
    /// The same, and the provider itself failed.
    Faulty,
    NotSent,
}
use Expected::{Faulty, NotSent, Refused, Spent, Undecided};

/// Status, code, expectation. The status is the documented one and must not matter.
const CONFIRM: &[(u16, &str, Expected)] = &[
    (400, "ALREADY_PROCESSED_PAYMENT", Spent),
    (400, "PROVIDER_ERROR", Spent),
    (400, "EXCEED_MAX_CARD_INSTALLMENT_PLAN", Refused),
    (400, "INVALID_REQUEST", Refused),
    (400, "NOT_ALLOWED_POINT_USE", Refused),
    (400, "INVALID_API_KEY", NotSent),
    (400, "INVALID_REJECT_CARD", Refused),
    (400, "BELOW_MINIMUM_AMOUNT", Refused),
    (400, "INVALID_CARD_EXPIRATION", Refused),
    (400, "INVALID_STOPPED_CARD", Refused),
    (400, "EXCEED_MAX_DAILY_PAYMENT_COUNT", Refused),
    (
        400,
        "NOT_SUPPORTED_INSTALLMENT_PLAN_CARD_OR_MERCHANT",
        Refused,
    ),
    (400, "INVALID_CARD_INSTALLMENT_PLAN", Refused),
    (400, "NOT_SUPPORTED_MONTHLY_INSTALLMENT_PLAN", Refused),
    (400, "EXCEED_MAX_PAYMENT_AMOUNT", Refused),
    (400, "NOT_FOUND_TERMINAL_ID", Refused),
    (400, "INVALID_AUTHORIZE_AUTH", Refused),
    (400, "INVALID_CARD_LOST_OR_STOLEN", Refused),
    (400, "RESTRICTED_TRANSFER_ACCOUNT", Refused),
    (400, "INVALID_CARD_NUMBER", Refused),
    (400, "INVALID_UNREGISTERED_SUBMALL", Refused),
    (400, "NOT_REGISTERED_BUSINESS", Refused),
    (400, "EXCEED_MAX_ONE_DAY_WITHDRAW_AMOUNT", Refused),
    (400, "EXCEED_MAX_ONE_TIME_WITHDRAW_AMOUNT", Refused),
    (400, "CARD_PROCESSING_ERROR", Spent),
    (400, "EXCEED_MAX_AMOUNT", Refused),
    (400, "INVALID_ACCOUNT_INFO_RE_REGISTER", Refused),
    (400, "NOT_AVAILABLE_PAYMENT", Refused),
    (400, "UNAPPROVED_ORDER_ID", Spent),
    (400, "EXCEED_MAX_MONTHLY_PAYMENT_AMOUNT", Refused),
    (400, "INVALID_IDEMPOTENCY_KEY", NotSent),
    (400, "PAY_PROCESS_ABORTED", Refused),
    (400, "PAY_PROCESS_CANCELED", Refused),
    (401, "UNAUTHORIZED_KEY", NotSent),
    (403, "REJECT_ACCOUNT_PAYMENT", Refused),
    (403, "REJECT_CARD_PAYMENT", Refused),
    (403, "REJECT_CARD_COMPANY", Refused),
    (403, "FORBIDDEN_REQUEST", Refused),
    (403, "REJECT_TOSSPAY_INVALID_ACCOUNT", Refused),
    (403, "EXCEED_MAX_AUTH_COUNT", Refused),
    (403, "EXCEED_MAX_ONE_DAY_AMOUNT", Refused),
    (403, "NOT_AVAILABLE_BANK", Refused),
    (403, "INVALID_PASSWORD", Refused),
    (403, "INCORRECT_BASIC_AUTH_FORMAT", NotSent),
    (403, "FDS_ERROR", Refused),
    (404, "NOT_FOUND_PAYMENT", Refused),
    (404, "NOT_FOUND_PAYMENT_SESSION", Refused),
    (409, "IDEMPOTENT_REQUEST_PROCESSING", Undecided),
    (500, "FAILED_PAYMENT_INTERNAL_SYSTEM_PROCESSING", Faulty),
    (500, "FAILED_INTERNAL_SYSTEM_PROCESSING", Faulty),
    (500, "UNKNOWN_PAYMENT_ERROR", Faulty),
    (500, "COMMON_ERROR", Faulty),
    (400, "DUPLICATED_ORDER_ID", Spent),
    (400, "INVALID_CARD_COMPANY", Refused),
    (400, "INVALID_CARD_IDENTITY", Refused),
    (400, "INVALID_CARD_PASSWORD", Refused),
    (400, "NOT_REGISTERED_CARD_COMPANY", Refused),
    (400, "NOT_SUPPORTED_CARD_TYPE", Refused),
    (
        400,
        "NOT_SUPPORTED_MONTHLY_INSTALLMENT_PLAN_BELOW_AMOUNT",
        Refused,
    ),
    (403, "FORBIDDEN_CONSECUTIVE_REQUEST", Faulty),
    (500, "FAILED_CARD_COMPANY_RESPONSE", Spent),
    (500, "FAILED_DB_PROCESSING", Faulty),
    (403, "A_CODE_OF_NEXT_YEAR", Spent),
    (400, "reject_card_payment", Spent),
];

const CANCEL: &[(u16, &str, Expected)] = &[
    (400, "ALREADY_CANCELED_PAYMENT", Spent),
    (400, "INVALID_REFUND_ACCOUNT_INFO", Refused),
    (400, "EXCEED_CANCEL_AMOUNT_DISCOUNT_AMOUNT", Refused),
    (400, "INVALID_REQUEST", Refused),
    (400, "INVALID_REFUND_ACCOUNT_NUMBER", Refused),
    (400, "INVALID_BANK", Refused),
    (400, "NOT_MATCHES_REFUNDABLE_AMOUNT", Spent),
    (400, "PROVIDER_ERROR", Spent),
    (400, "REFUND_REJECTED", Refused),
    (400, "ALREADY_REFUND_PAYMENT", Spent),
    (400, "FORBIDDEN_BANK_REFUND_REQUEST", Refused),
    (400, "INVALID_API_KEY", Undecided),
    (400, "INVALID_IDEMPOTENCY_KEY", Undecided),
    (401, "UNAUTHORIZED_KEY", Undecided),
    (403, "NOT_CANCELABLE_AMOUNT", Refused),
    (403, "FORBIDDEN_CONSECUTIVE_REQUEST", Faulty),
    (403, "FORBIDDEN_REQUEST", Refused),
    (403, "NOT_CANCELABLE_PAYMENT", Refused),
    (403, "EXCEED_MAX_REFUND_DUE", Refused),
    (403, "EXCEED_CANCEL_LIMIT", Refused),
    (403, "NOT_ALLOWED_PARTIAL_REFUND_WAITING_DEPOSIT", Refused),
    (403, "NOT_ALLOWED_PARTIAL_REFUND", Refused),
    (403, "NOT_ALLOWED_REFUND_BANK", Refused),
    (403, "NOT_AVAILABLE_BANK", Spent),
    (403, "INCORRECT_BASIC_AUTH_FORMAT", Undecided),
    (403, "NOT_CANCELABLE_PAYMENT_FOR_DORMANT_USER", Refused),
    (404, "NOT_FOUND_PAYMENT", Refused),
    (409, "IDEMPOTENT_REQUEST_PROCESSING", Undecided),
    (500, "FAILED_INTERNAL_SYSTEM_PROCESSING", Faulty),
    (500, "FAILED_REFUND_PROCESS", Spent),
    (500, "FAILED_METHOD_HANDLING_CANCEL", Spent),
    (500, "FAILED_PARTIAL_REFUND", Spent),
    (500, "COMMON_ERROR", Faulty),
    (500, "FAILED_PAYMENT_INTERNAL_SYSTEM_PROCESSING", Faulty),
    (400, "A_CODE_OF_NEXT_YEAR", Spent),
];

/// Status, code, and whether it says that there is nothing.
const LOOK: &[(u16, &str, bool)] = &[
    (404, "NOT_FOUND_PAYMENT", true),
    (404, "NOT_FOUND", true),
    (401, "UNAUTHORIZED_KEY", false),
    (400, "INVALID_API_KEY", false),
    (403, "INCORRECT_BASIC_AUTH_FORMAT", false),
    (403, "FORBIDDEN_REQUEST", false),
    (403, "FORBIDDEN_CONSECUTIVE_REQUEST", false),
    (
        400,
        "NOT_SUPPORTED_MONTHLY_INSTALLMENT_PLAN_BELOW_AMOUNT",
        false,
    ),
    (400, "PROVIDER_ERROR", false),
    (400, "INVALID_TRANSACTION_KEY", false),
    (500, "FAILED_INTERNAL_SYSTEM_PROCESSING", false),
    (500, "FAILED_PAYMENT_INTERNAL_SYSTEM_PROCESSING", false),
    (500, "COMMON_ERROR", false),
    (404, "A_CODE_OF_NEXT_YEAR", false),
];

#[track_caller]
fn check(code: &str, expected: Expected, answer: &Answer<MoneyMoved>) {
    let as_expected = match answer {
        Answer::Refused(refusal) => {
            let kebab = code.to_lowercase().replace('_', "-");
            expected == Refused && refusal.code == kebab && refusal.reason.ends_with('.')
        }
        Answer::Undecided(_) => expected == Undecided,
        Answer::Spent { faulty, .. } => expected == if *faulty { Faulty } else { Spent },
        Answer::Unknown(_) => false,
        Answer::NotSent(_) => expected == NotSent,
        Answer::Done(_) => false,
    };
    assert!(as_expected, "{code}: expected {expected:?}, got {answer:?}");
}

fn codes(list: &[(u16, &'static str, Expected)]) -> Vec<&'static str> {
    list.iter().map(|(_, code, _)| *code).collect()
}

#[test]
fn every_row_of_the_tables_is_in_a_test() {
    let made_up = "A_CODE_OF_NEXT_YEAR";
    all_of(
        table(TABLES, "CONFIRM"),
        &codes(CONFIRM),
        &[made_up, "reject_card_payment"],
    );
    all_of(table(TABLES, "CANCEL"), &codes(CANCEL), &[made_up]);
    let looks: Vec<_> = LOOK.iter().map(|(_, code, _)| *code).collect();
    all_of(table(TABLES, "QUERY"), &looks, &[made_up]);
}

#[tokio::test]
async fn every_documented_code_of_a_confirmation_has_its_outcome_whatever_the_status() {
    for (status, code, expected) in CONFIRM {
        for status in [*status, 400, 500] {
            let server = MockServer::start().await;
            on(&server, "POST", "/v1/payments/confirm", status, error(code)).await;
            on(
                &server,
                "GET",
                &format!("/v1/payments/{TOKEN}"),
                200,
                payment("IN_PROGRESS"),
            )
            .await;
            check(
                code,
                *expected,
                &toss_at(&server.uri(), PATIENCE).charge(charge()).await,
            );
        }
    }
}

#[tokio::test]
async fn every_documented_code_of_a_cancellation_has_its_outcome_whatever_the_status() {
    let reference = reference().await;
    let cancel = format!("/v1/payments/{TOKEN}/cancel");
    for (status, code, expected) in CANCEL {
        for status in [*status, 400, 500] {
            let server = MockServer::start().await;
            on(&server, "GET", &by_order(), 200, payment("DONE")).await;
            on(
                &server,
                "GET",
                &format!("/v1/payments/{TOKEN}"),
                200,
                payment("DONE"),
            )
            .await;
            on(&server, "POST", &cancel, status, error(code)).await;
            let answer = toss_at(&server.uri(), PATIENCE)
                .refund(refund(&reference))
                .await;
            check(code, *expected, &answer);
        }
    }
}

#[tokio::test]
async fn a_decline_that_cannot_be_checked_is_not_believed() {
    for code in ["NOT_FOUND_PAYMENT_SESSION", "NOT_FOUND_PAYMENT"] {
        let server = MockServer::start().await;
        on(&server, "POST", "/v1/payments/confirm", 404, error(code)).await;
        on(
            &server,
            "GET",
            &format!("/v1/payments/{TOKEN}"),
            500,
            error("COMMON_ERROR"),
        )
        .await;
        let answer = toss_at(&server.uri(), PATIENCE).charge(charge()).await;
        assert!(matches!(answer, Answer::Unknown(_)), "{code}: {answer:?}");
    }
}

#[tokio::test]
async fn a_key_is_spent_only_after_a_look_that_showed_nothing() {
    let reference = reference().await;
    let cancel = format!("/v1/payments/{TOKEN}/cancel");
    let shown = format!("/v1/payments/{TOKEN}");
    let server = MockServer::start().await;
    on(&server, "GET", &by_order(), 200, payment("DONE")).await;
    on(
        &server,
        "POST",
        &cancel,
        500,
        error("FAILED_REFUND_PROCESS"),
    )
    .await;
    on(&server, "GET", &shown, 500, error("COMMON_ERROR")).await;
    let toss = toss_at(&server.uri(), PATIENCE);
    let answer = toss.refund(refund(&reference)).await;
    assert!(matches!(answer, Answer::Unknown(_)), "{answer:?}");
}

#[tokio::test]
async fn every_documented_code_of_a_look_says_that_there_is_nothing_or_that_nobody_knows() {
    let reference = reference().await;
    for (status, code, nothing) in LOOK.iter().copied() {
        let server = MockServer::start().await;
        on(&server, "GET", &by_order(), status, error(code)).await;
        on(&server, "GET", "/v1/transactions", 200, json!([])).await;
        let toss = toss_at(&server.uri(), PATIENCE);
        for found in [
            toss.probe(ORDER, "k").await,
            toss.probe_refund(refund(&reference)).await,
        ] {
            let as_expected = match found {
                Found::Nothing => nothing,
                Found::Undecided(_) | Found::Unknown(_) => !nothing,
                _ => false,
            };
            assert!(as_expected, "{code}");
        }
    }
}

/// The first look of a refund is answered like this already.
#[tokio::test]
async fn a_refund_under_a_key_that_is_not_accepted_ends_with_a_person() {
    let server = MockServer::start().await;
    let locked = error("UNAUTHORIZED_KEY");
    on(&server, "GET", &by_order(), 401, locked).await;
    let toss = toss_at(&server.uri(), PATIENCE);
    let reference = reference().await;
    let answer = toss.refund(refund(&reference)).await;
    assert!(matches!(answer, Answer::Undecided(_)), "{answer:?}");
    let found = toss.probe_refund(refund(&reference)).await;
    assert!(matches!(found, Found::Undecided(_)), "{found:?}");
}

/// The reference that our books have of the payment.
pub(super) async fn reference() -> String {
    let server = MockServer::start().await;
    on(&server, "GET", &by_order(), 200, payment("DONE")).await;
    match toss_at(&server.uri(), PATIENCE).probe(ORDER, "k").await {
        Found::Done(moved) => moved.reference,
        other => panic!("{other:?}"),
    }
}
