//! Every documented code of Solapi has a row: what it means for an answer, and what it means where it is found later.

use orchestrator::providers::ports::{Answer, Found, KakaoPort};
use serde_json::json;
use wiremock::MockServer;

use super::server::*;
use super::solapi::{LIST, SEND, sent, stored};
use super::tables::{all_of, table};

const TABLES: &str = include_str!("../../../src/providers/solapi/codes.rs");

/// Codes with the outcome of a send and of a look-up.
type Group = (&'static [&'static str], &'static str, &'static str);

#[rustfmt::skip]
const STATUS: &[Group] = &[
    (&["2000", "3000", "4000"], "done", "done"),
    // It cannot reach this receiver, or cannot be sent as it is.
    (&["1010", "1011", "1013", "1014", "1021", "1022", "1023", "1025", "1026", "1027", "1028", "1029", "1031", "1032", "1033", "1034", "1044", "1045", "1046", "1047", "1048", "1049", "1050", "1051", "1052", "1053", "1060", "1061", "1064", "2011", "2060", "2061", "2064", "2254", "3010", "3011", "3032", "3047", "3050", "3051", "3054", "3055", "3060", "3102", "3104", "3107"], "refused", "refused"),
    // Operators have to mend something; it did not go out.
    (&["1020", "1030", "1041", "1042", "1043", "1058", "1062", "2062", "2063", "2230", "3013", "3058", "3059", "3101", "3103", "3105", "3106"], "not sent", "nothing"),
    // It was not delivered, and may be sent again once that is certain.
    (&["1024", "2024", "3012", "3024", "3031", "3040", "3041", "3042", "3043", "3044", "3045", "3046", "3052", "3053", "3056", "3057", "3108"], "unknown", "nothing"),
    (&["3014", "3048", "9999", "TEST1000"], "unknown", "unknown"),
];

const ERRORS: &[Group] = &[
    (
        &[
            "InvalidAPIKey",
            "SignatureDoesNotMatch",
            "RequestTimeTooSkewed",
            "Unauthorized",
            "Forbidden",
            "InvalidAccountId",
            "NotEnoughBalance",
            "BalanceInsufficient",
        ],
        "not sent",
        "unknown",
    ),
    (
        &[
            "DuplicatedSignature",
            "TooManyRequests",
            "InternalServerError",
            "SomethingNew",
        ],
        "unknown",
        "unknown",
    ),
    (
        &[
            "ValidationError",
            "InvalidCountryId",
            "RecipientsTooMany",
            "ImageNotFound",
        ],
        "refused",
        "unknown",
    ),
];

#[test]
fn every_row_of_the_tables_is_in_a_test() {
    let codes = |groups: &[Group]| -> Vec<&str> {
        let codes = groups.iter().flat_map(|(codes, _, _)| codes.iter());
        codes.copied().collect()
    };
    all_of(
        table(TABLES, "STATUS"),
        &codes(STATUS),
        &["9999", "TEST1000"],
    );
    all_of(table(TABLES, "ERRORS"), &codes(ERRORS), &["SomethingNew"]);
}

fn sent_word<T>(answer: &Answer<T>) -> &'static str {
    match answer {
        Answer::Done(_) => "done",
        Answer::Refused(_) => "refused",
        Answer::Unknown(_) => "unknown",
        Answer::Undecided(_) => "undecided",
        Answer::Spent { .. } => "spent",
        Answer::NotSent(_) => "not sent",
    }
}

fn found_word<T>(found: &Found<T>) -> &'static str {
    match found {
        Found::Done(_) => "done",
        Found::Refused(_) => "refused",
        Found::Nothing => "nothing",
        Found::Undecided(_) => "undecided",
        Found::Unknown(_) => "unknown",
    }
}

#[tokio::test]
async fn every_documented_status_of_a_message_has_its_outcome() {
    let groups = STATUS.iter();
    for (code, send, look) in
        groups.flat_map(|(codes, send, look)| codes.iter().map(move |code| (code, send, look)))
    {
        let server = MockServer::start().await;
        on(&server, "POST", SEND, 200, sent(code)).await;
        let found = json!({ "messageList": { "m": stored("m", code, "2026-11-22T01:00:00Z") } });
        on(&server, "GET", LIST, 200, found).await;
        let solapi = solapi_at(&server.uri(), PATIENCE);
        assert_eq!(sent_word(&solapi.send(message()).await), *send, "{code}");
        let found = solapi.lookup(message().message_id, Some(PHONE)).await;
        assert_eq!(found_word(&found), *look, "{code}");
    }
}

#[tokio::test]
async fn every_documented_error_of_a_request_has_its_outcome_whatever_the_status() {
    let groups = ERRORS.iter();
    for (code, send, look) in
        groups.flat_map(|(codes, send, look)| codes.iter().map(move |code| (code, send, look)))
    {
        for status in [400, 403, 500] {
            let server = MockServer::start().await;
            let body = json!({ "errorCode": code, "errorMessage": "no" });
            on(&server, "POST", SEND, status, body.clone()).await;
            on(&server, "GET", LIST, status, body).await;
            let solapi = solapi_at(&server.uri(), PATIENCE);
            assert_eq!(sent_word(&solapi.send(message()).await), *send, "{code}");
            let found = solapi.lookup(message().message_id, Some(PHONE)).await;
            assert_eq!(found_word(&found), *look, "{code}");
        }
    }
}
