//! The stable problem types: what a client may branch on.

use axum::http::StatusCode;

/// One stable kind of problem. Its name is part of the API and never changes its meaning.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// Last segment of the `type` URI.
    pub name: &'static str,
    /// The HTTP status it comes with.
    pub status: StatusCode,
    /// Short and the same for every occurrence.
    pub title: &'static str,
    /// What the client should do about it.
    pub advice: &'static str,
}

/// Declares the kinds and the list of all of them together, so that none is missing from the documentation.
macro_rules! catalogue {
    ($($ident:ident $name:literal $status:ident $title:literal $advice:literal)*) => {
        $(#[doc = $title] pub const $ident: Kind = Kind {
            name: $name, status: StatusCode::$status, title: $title, advice: $advice,
        };)*
        /// Every kind, in the order of the documentation.
        pub const ALL: &[&Kind] = &[$(&$ident),*];
    };
}

catalogue! {
    INVALID_ORDER "invalid-order" UNPROCESSABLE_ENTITY "The order cannot be accepted as it is"
        "Correct the fields that `errors` points to and send it again."
    INVALID_MESSAGE "invalid-message" UNPROCESSABLE_ENTITY "The message cannot be accepted as it is"
        "Correct the fields that `errors` points to and send it again."
    INVALID_REQUEST "invalid-request" UNPROCESSABLE_ENTITY "The request cannot be accepted as it is"
        "Correct the fields that `errors` points to and send it again."
    INVALID_JSON "invalid-json" BAD_REQUEST "The body is not JSON"
        "Send one JSON document; `detail` says where reading it failed."
    INVALID_QUERY "invalid-query" BAD_REQUEST "A query parameter cannot be used"
        "Correct or remove the parameter that `detail` names."
    INVALID_HEADER "invalid-header" BAD_REQUEST "A request header cannot be used"
        "Correct, add or remove the header that `detail` names."
    INVALID_WEBHOOK "invalid-webhook" BAD_REQUEST "The webhook says nothing that this provider's webhooks say"
        "Send it as the provider documents it; `detail` says what is missing."
    BAD_REQUEST "bad-request" BAD_REQUEST "The request cannot be understood"
        "See `detail`."
    PAYMENT_DECLINED "payment-declined" PAYMENT_REQUIRED "The payment was declined"
        "Nothing was charged and nothing will be shipped. Order again with another means of payment and a new Idempotency-Key."
    UNAUTHORIZED "unauthorized" UNAUTHORIZED "A valid API token is needed"
        "Send `Authorization: Bearer <token>`."
    WEBHOOK_NOT_SIGNED "webhook-not-signed" UNAUTHORIZED "The webhook is not signed, or not with our key"
        "Send it to the address with the secret in it, or sign it with the key that the provider gave out."
    FORBIDDEN "forbidden" FORBIDDEN "This token may not do that"
        "Use a token with another role."
    NOT_FOUND "not-found" NOT_FOUND "There is nothing here"
        "Check the address and the id."
    METHOD_NOT_ALLOWED "method-not-allowed" METHOD_NOT_ALLOWED "This address does not know that method"
        "The `Allow` header lists the methods it knows."
    REQUEST_TIMEOUT "request-timeout" REQUEST_TIMEOUT "The request did not arrive in time"
        "Nothing was stored. Send it again, without a pause between its parts."
    KEY_IN_PROGRESS "idempotency-key-in-progress" CONFLICT "The first request with this key is still in work"
        "Send the same request again a little later."
    ORDER_IN_DOUBT "order-in-doubt" CONFLICT "The store has not said whether the order is placed"
        "Look at the order before you send it again: it may be stored and paid."
    COMMAND_IN_DOUBT "command-in-doubt" CONFLICT "The command has not come to an answer in time"
        "Look before you send it again: it may be done, or still be in work. With the same Idempotency-Key it may be sent again at once."
    MESSAGE_IN_DOUBT "message-in-doubt" CONFLICT "The store has not said whether the message is recorded"
        "Look at the message that `detail` names before you send it again: it may be recorded, and is sent then."
    PAST_POINT_OF_NO_RETURN "past-point-of-no-return" CONFLICT "The parcel has left; the order cannot be canceled any more"
        "Accept the parcel and send it back as a return."
    ALREADY_REJECTED "already-rejected" CONFLICT "The order was rejected; there is nothing to cancel"
        "Nothing was charged. Place a new order."
    CONFLICT "conflict" CONFLICT "The current state does not allow that"
        "Read the current state and decide again."
    RECONCILING "reconciling" CONFLICT "The books are being compared already"
        "Read GET /reconcile until `running` is false, then ask again."
    OTHER_LOG "token-of-another-log" CONFLICT "The consistency token was given out by another log"
        "Forget the token and read again: the log was replaced, or this is another server's."
    VIEW_PARKED "view-parked" CONFLICT "This row of the view stands still before what you asked for"
        "Read it without the consistency token to get it as it was before; an operator sees in GET /projections why it stands still."
    KEY_REUSED "idempotency-key-reused" UNPROCESSABLE_ENTITY "This key was used for another request"
        "Use a new Idempotency-Key for a new order."
    CONTENT_TOO_LARGE "content-too-large" PAYLOAD_TOO_LARGE "The body is too large"
        "Send less; `detail` names the limit."
    UNSUPPORTED_MEDIA_TYPE "unsupported-media-type" UNSUPPORTED_MEDIA_TYPE "The body must be JSON"
        "Send `Content-Type: application/json`."
    HEADERS_TOO_LARGE "headers-too-large" REQUEST_HEADER_FIELDS_TOO_LARGE "The request's headers are too large"
        "Send fewer or shorter headers."
    TOO_MANY_SUBSCRIBERS "too-many-subscribers" SERVICE_UNAVAILABLE "All event streams are taken"
        "Connect again later, or page through /events."
    FOLLOWED_TOO_OFTEN "followed-too-often" TOO_MANY_REQUESTS "This customer's orders are followed as often as they may be"
        "Close a stream that nobody looks at, and connect again after `Retry-After` seconds."
    PAYMENT_UNAVAILABLE "payment-unavailable" SERVICE_UNAVAILABLE "Payments cannot be taken at the moment"
        "Nothing was stored or charged. Send the same request again after `Retry-After` seconds."
    OVERLOADED "overloaded" SERVICE_UNAVAILABLE "More is asked than can be done at the moment"
        "Nothing was stored or charged. Send the same request again after `Retry-After` seconds."
    STORE_UNAVAILABLE "store-unavailable" SERVICE_UNAVAILABLE "The log cannot be written or read at the moment"
        "Send the same request again, with the same Idempotency-Key, after `Retry-After` seconds."
    VIEW_BEHIND "view-behind" SERVICE_UNAVAILABLE "The view has not caught up with what you asked for"
        "Ask again, with a longer `Prefer: wait`, or without the consistency token."
    VIEW_REBUILDING "view-rebuilding" SERVICE_UNAVAILABLE "The view is being rebuilt and cannot answer this yet"
        "Ask again after `Retry-After` seconds."
    INTERNAL "internal-error" INTERNAL_SERVER_ERROR "Something went wrong on our side"
        "Send the same request again with the same Idempotency-Key; report the X-Request-Id if it stays."
}

/// The kind that stands for a bare status of the framework, which names no reason of its own.
#[must_use]
pub fn for_status(status: StatusCode) -> &'static Kind {
    match status {
        StatusCode::UNAUTHORIZED => &UNAUTHORIZED,
        StatusCode::FORBIDDEN => &FORBIDDEN,
        StatusCode::NOT_FOUND => &NOT_FOUND,
        StatusCode::METHOD_NOT_ALLOWED => &METHOD_NOT_ALLOWED,
        StatusCode::REQUEST_TIMEOUT => &REQUEST_TIMEOUT,
        StatusCode::PAYLOAD_TOO_LARGE => &CONTENT_TOO_LARGE,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => &UNSUPPORTED_MEDIA_TYPE,
        StatusCode::UNPROCESSABLE_ENTITY => &INVALID_REQUEST,
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => &HEADERS_TOO_LARGE,
        StatusCode::SERVICE_UNAVAILABLE => &OVERLOADED,
        status if status.is_client_error() => &BAD_REQUEST,
        _ => &INTERNAL,
    }
}
