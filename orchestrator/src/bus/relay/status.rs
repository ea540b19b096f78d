//! What the relay of this process does: for `/readyz`, metrics and log lines.

use std::sync::{Arc, Mutex, PoisonError};

use async_nats::jetstream::stream::Info;
use eventstore::Position;
use serde::Serialize;
use utoipa::ToSchema;

use super::trouble::Trouble;

/// From this share of the stream's room on somebody should know.
const ALMOST_FULL: f64 = 0.7;

/// Where the relay stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Another process relays, or none can
    #[default]
    Standby,
    /// This process publishes
    Active,
    /// It is this process's turn, and something is in the way, or was until now
    Troubled,
}

/// What the relay of this process does
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RelayReport {
    /// Where it stands
    pub phase: Phase,
    /// Position of the last event that the broker has acknowledged to this process
    pub position: i64,
    /// Name of what was last in the way
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<&'static str>,
    /// The same in words, with what to do
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Settings of the stream that the broker did not take
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<String>,
    /// How many times the broker turned out to hold less than it had acknowledged
    pub rewinds: u64,
}

impl RelayReport {
    fn go_on(&mut self, phase: Phase) {
        self.phase = phase;
        // Standing by, what was in the way may still be.
        if phase == Phase::Active {
            (self.trouble, self.detail) = (None, None);
        }
    }
}

/// The report as it is now; clones share it.
#[derive(Clone, Debug, Default)]
pub struct RelayStatus(Arc<Mutex<RelayReport>>);

impl RelayStatus {
    /// What it does now.
    #[must_use]
    pub fn report(&self) -> RelayReport {
        self.change(|report| report.clone())
    }

    fn change<T>(&self, change: impl FnOnce(&mut RelayReport) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn enter(&self, phase: Phase) {
        let active = u8::from(phase == Phase::Active);
        metrics::gauge!("bookmarket_relay_active").set(f64::from(active));
        self.change(|report| report.go_on(phase));
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a gauge is a float; positions stay far below 2^53"
    )]
    pub(super) fn published(&self, position: Position, duplicate: bool) {
        let name = if duplicate {
            "bookmarket_relay_duplicates_total"
        } else {
            "bookmarket_relay_published_total"
        };
        metrics::counter!(name).increment(1);
        metrics::gauge!("bookmarket_relay_position").set(position.0 as f64);
        metrics::gauge!("bookmarket_relay_active").set(1.0);
        self.change(|report| {
            report.position = position.0;
            // Only now is it known that nothing is in the way.
            report.go_on(Phase::Active);
        });
    }

    /// Something is in the way. What lasts is told once.
    pub(super) fn trouble(&self, trouble: &Trouble) {
        metrics::counter!("bookmarket_relay_troubles_total", "trouble" => trouble.code())
            .increment(1);
        metrics::gauge!("bookmarket_relay_active").set(0.0);
        let detail = trouble.to_string();
        let known = self.change(|report| {
            let known = report.detail.as_ref() == Some(&detail);
            report.phase = Phase::Troubled;
            report.trouble = Some(trouble.code());
            report.detail = Some(detail.clone());
            known
        });
        match (trouble.is_ordinary(), known) {
            (true, _) => tracing::info!(trouble = trouble.code(), detail, "the relay starts over"),
            (false, false) => tracing::error!(
                trouble = trouble.code(),
                detail,
                "the relay does not get on"
            ),
            (false, true) => tracing::debug!(
                trouble = trouble.code(),
                detail,
                "the relay still does not get on"
            ),
        }
    }

    /// The broker did not take these settings.
    pub(super) fn differences(&self, lines: &[String]) {
        let news = self.change(|report| {
            let news = report.differences != lines;
            report.differences = lines.to_vec();
            news
        });
        if news {
            for line in lines {
                tracing::warn!(setting = line, "the stream is not as configured");
            }
        }
    }

    /// The broker holds less than it had acknowledged.
    pub(super) fn forgotten(&self, found: Position, acknowledged: Position) {
        let lost = acknowledged.0.saturating_sub(found.0).unsigned_abs();
        metrics::counter!("bookmarket_relay_rewinds_total").increment(1);
        metrics::counter!("bookmarket_relay_forgotten_total").increment(lost);
        tracing::warn!(
            %found, %acknowledged,
            "the broker has forgotten events that it had acknowledged; they are published again"
        );
        self.change(|report| report.rewinds += 1);
    }

    /// How full the stream is.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a share needs no more digits than a float has"
    )]
    pub(super) fn fill(&self, info: &Info) {
        if info.config.max_bytes <= 0 {
            return;
        }
        let share = info.state.bytes as f64 / info.config.max_bytes as f64;
        metrics::gauge!("bookmarket_relay_stream_fill_ratio").set(share);
        if share >= ALMOST_FULL {
            tracing::warn!(share, "the stream is almost full");
        }
    }
}
