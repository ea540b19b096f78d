//! Shows the orders moving until each has come to rest.

use std::collections::BTreeMap;
use std::time::Duration;

use aggregates::codec;
use aggregates::{Event, order::OrderEvent};
use anyhow::Context;
use eventstore::{EventStore, Position};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;
use uuid::Uuid;

use super::place::Told;
use crate::app::App;

/// Parcels leave and arrive within a quarter of a minute; beyond this something is wrong.
const SETTLED_WITHIN: Duration = Duration::from_secs(40);

/// Events read at once.
const PAGE: usize = 2_000;

/// Longest wait for news before the picture is drawn again.
const REDRAW: Duration = Duration::from_millis(500);

/// Where every order stands.
#[derive(Default)]
struct Picture {
    position: Position,
    status: BTreeMap<Uuid, &'static str>,
}

/// Follows the log until no order moves any more, or time is up.
pub(super) async fn until_settled(app: &App, told: &Told) -> anyhow::Result<()> {
    let expected = told.answers().accepted.len();
    let bar = ProgressBar::new(expected as u64)
        .with_style(ProgressStyle::with_template("{wide_bar} {msg}")?);
    let store = &app.edge().store;
    let deadline = Instant::now() + SETTLED_WITHIN;
    let mut picture = Picture::default();
    while Instant::now() < deadline {
        picture.catch_up(store).await?;
        let at_rest = picture.count(&["Delivered", "Canceled"]);
        bar.set_position(at_rest as u64);
        bar.set_message(picture.sentence());
        if at_rest >= expected {
            break;
        }
        store.wait_past(picture.position, REDRAW).await?;
    }
    bar.finish_and_clear();
    Ok(())
}

impl Picture {
    async fn catch_up(&mut self, store: &EventStore) -> anyhow::Result<()> {
        loop {
            let page = store
                .read_all(self.position, PAGE, None)
                .await
                .context("reading the log")?;
            if page.next == self.position {
                return Ok(());
            }
            for event in &page.events {
                if let Ok(Event::Order(order)) =
                    codec::decode(&event.event_type, event.schema_version, &event.data)
                {
                    self.observe(event.stream.id, &order);
                }
            }
            self.position = page.next;
        }
    }

    fn observe(&mut self, order: Uuid, event: &OrderEvent) {
        let status = match event {
            OrderEvent::Ordered(_) | OrderEvent::OrderPending(_) => "Pending",
            OrderEvent::OrderPaid(_) => "Paid",
            OrderEvent::OrderRejected(_) => "Rejected",
            OrderEvent::OrderShipped(_) => "Shipped",
            OrderEvent::OrderHandedOver(_) | OrderEvent::OrderCancelTakenBack(_) => "HandedOver",
            OrderEvent::OrderDelivered(_) => "Delivered",
            OrderEvent::OrderCanceled(_) => "Canceled",
            OrderEvent::OrderCancelRequested(_) | OrderEvent::OrderCancelRefused(_) => return,
        };
        self.status.insert(order, status);
    }

    fn count(&self, statuses: &[&str]) -> usize {
        self.status
            .values()
            .filter(|status| statuses.contains(status))
            .count()
    }

    fn sentence(&self) -> String {
        let on_the_way = ["Paid", "Shipped", "HandedOver", "Delivered", "Canceled"];
        let parts =
            on_the_way.map(|status| format!("{} {}", self.count(&[status]), spoken(status)));
        parts.join("  ")
    }
}

fn spoken(status: &str) -> String {
    match status {
        "HandedOver" => "on the way".to_owned(),
        other => other.to_lowercase(),
    }
}
