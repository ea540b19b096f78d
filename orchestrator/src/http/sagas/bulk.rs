//! `POST /sagas/bulk`: one verb for many sagas, with an account of what came of each, line by line.

use std::sync::Arc;

use aggregates::saga::Status;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use projections::{PageRequest, SagaFilter};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::account::Account;
use super::order::{Order, order};
use crate::http::auth::Operator;
use crate::http::catalogue;
use crate::http::docs::Refusals;
use crate::http::extract::JsonBody;
use crate::http::hal;
use crate::http::problem::{Problem, ProblemDocument};
use crate::http::state::Edge;
use crate::http::views::query_failed;

/// Rows of the view that one request looks at; with a filter that few of them fit, a request must still end.
const EXAMINED_MAX: usize = 50_000;

/// Lines that may wait for a slow reader before the sagas wait for it too.
const LINES_AHEAD: usize = 64;

/// Media type of one JSON document per line.
const LINES: &str = "application/x-ndjson";

/// Intervene in many sagas
///
/// Does to every saga that `where` holds for what the verb says: at most `rate`, the first `canary` before all others, and
/// the others only if all of these went well. Each saga gets an event of its own; one that has moved meanwhile is left as
/// it is. The answer is one JSON object per line, as things happen: `selected`, then per saga `begun` and `saga` (what came
/// of it), and `summary` at the end, whose `consistencyToken` makes views show all of it. Hanging up stops it: what is begun is in the log, the rest is untouched.
#[utoipa::path(post, path = "/sagas/bulk", tag = "sagas",
    request_body(content = Object, example = json!({
        "verb": "retry", "where": {"status": "parked", "step": "refund", "reason": "account-closed", "saga": "fulfilment"},
        "reason": "the bank is back", "rate": "5/s", "canary": 3, "limit": 1000, "waitSeconds": 30, "dryRun": false
    })),
    responses((status = 200, description = "What happened, line by line", body = String, content_type = "application/x-ndjson"),
        (status = 409, description = "Another one is going on", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "invalid-request", body = ProblemDocument, content_type = "application/problem+json"),
        Refusals))]
pub async fn bulk(
    State(edge): State<Edge>,
    Operator(principal): Operator,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let order = order(&body, &principal.name)?;
    let seat = Arc::clone(&edge.bulk).try_acquire_owned().map_err(|_| {
        Problem::new(
            &catalogue::CONFLICT,
            "This server is at work on another one; two at once would outrun both their rates.",
        )
    })?;
    let (sagas, more) = select(&edge, &order).await?;
    tracing::info!(
        sagas = sagas.len(), verb = order.bulk.verb.name(), dry_run = order.bulk.dry_run, by = %principal.name,
        "an operator intervenes in many sagas"
    );
    let (lines, received) = mpsc::channel(LINES_AHEAD);
    let this = edge.clone();
    edge.tasks.spawn(async move {
        let account = Account::new(lines, sagas.len(), more);
        account.keep(&order.bulk, &this, sagas).await;
        drop(seat);
    });
    let lines = futures_util::stream::unfold(received, async |mut received| {
        let line: Bytes = received.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(line), received))
    });
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static(LINES))];
    Ok((StatusCode::OK, kind, Body::from_stream(lines)).into_response())
}

/// Who is meant as the view knows it, and whether there are more; each is asked itself when its turn comes.
async fn select(edge: &Edge, order: &Order) -> Result<(Vec<Uuid>, bool), Problem> {
    let only = &order.bulk.only;
    let filter = SagaFilter {
        status: only.status.map(|status: Status| status.as_str().to_owned()),
        step: only.step.clone(),
        due_by: None,
    };
    let (mut sagas, mut examined) = (Vec::new(), 0);
    let mut page = PageRequest {
        size: hal::MAX_SIZE,
        cursor: None,
    };
    loop {
        let found = edge.projections.saga_rows(&filter, &page).await;
        let found = found.map_err(|error| query_failed(&error))?;
        examined += found.rows.len();
        for row in found.rows {
            let named = only.saga.as_ref().is_none_or(|saga| *saga == row.saga);
            if !(named && only.is_the_reason(row.code.as_deref(), row.reason.as_deref())) {
                continue;
            }
            if sagas.len() == order.limit {
                return Ok((sagas, true));
            }
            sagas.push(row.saga_id);
        }
        page.cursor = found.next;
        if page.cursor.is_none() || examined >= EXAMINED_MAX {
            return Ok((sagas, page.cursor.is_some()));
        }
    }
}
