//! Places the planned orders through the API, and does what their customers do next.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::plan::{Planned, Then};
use crate::cli::client::{Client, ClientError};

/// Orders in flight at once.
const IN_FLIGHT: usize = 32;

/// How long a parcel may take to be accepted by the carrier; the demo's leave later than that.
const SHIPPED_WITHIN: Duration = Duration::from_secs(8);

/// Between two looks at an order.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What the API answered.
#[derive(Debug, Default)]
pub(super) struct Told(Mutex<Answers>);

/// The orders by what the API said about them.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers {
    /// Orders that exist, as we were told.
    pub(super) accepted: Vec<Uuid>,
    /// Orders whose payment was declined.
    pub(super) declined: u64,
    /// Orders that were canceled, or will be, without ever being shipped or before they left.
    pub(super) canceled: u64,
    /// Cancellations that came too late.
    pub(super) too_late: u64,
}

impl Told {
    fn note(&self, change: impl FnOnce(&mut Answers)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Everything so far.
    pub(super) fn answers(&self) -> Answers {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Places all orders, many at once.
pub(super) async fn all(client: &Client, plan: &[Planned], told: &Told) -> anyhow::Result<()> {
    let style = ProgressStyle::with_template("ordering {wide_bar} {pos}/{len}  {per_sec}")?;
    let bar = ProgressBar::new(plan.len() as u64).with_style(style);
    futures_util::stream::iter(plan)
        .map(Ok)
        .try_for_each_concurrent(IN_FLIGHT, async |planned| {
            one(client, planned, told)
                .await
                .with_context(|| format!("order {}", planned.key))?;
            bar.inc(1);
            anyhow::Ok(())
        })
        .await?;
    bar.finish_and_clear();
    Ok(())
}

async fn one(client: &Client, planned: &Planned, told: &Told) -> anyhow::Result<()> {
    let request = client
        .request(Method::POST, "/orders")
        .header("Idempotency-Key", &planned.key)
        .json(&planned.body);
    let answer = match client.send(request).await {
        Ok(answer) => answer,
        Err(ClientError::Refused(refusal)) if refusal.is("payment-declined") => {
            told.note(|answers| answers.declined += 1);
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let order: Uuid = answer
        .body
        .get("orderId")
        .and_then(Value::as_str)
        .context("the answer names no order")?
        .parse()?;
    told.note(|answers| answers.accepted.push(order));
    match planned.then {
        Then::Keep => Ok(()),
        Then::CancelAtOnce => cancel(client, order, told).await,
        Then::CancelWhenShipped => {
            wait_until_shipped(client, order).await?;
            cancel(client, order, told).await
        }
    }
}

async fn wait_until_shipped(client: &Client, order: Uuid) -> anyhow::Result<()> {
    let deadline = Instant::now() + SHIPPED_WITHIN;
    while Instant::now() < deadline {
        let status = client.get(&format!("/orders/{order}")).await?.body;
        if status.get("status").and_then(Value::as_str) != Some("Paid") {
            break;
        }
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}

async fn cancel(client: &Client, order: Uuid, told: &Told) -> anyhow::Result<()> {
    match client
        .send(client.request(Method::DELETE, &format!("/orders/{order}")))
        .await
    {
        Ok(answer) => {
            debug_assert!(answer.status == StatusCode::OK || answer.status == StatusCode::ACCEPTED);
            told.note(|answers| answers.canceled += 1);
            Ok(())
        }
        Err(ClientError::Refused(refusal)) if refusal.is("past-point-of-no-return") => {
            told.note(|answers| answers.too_late += 1);
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}
