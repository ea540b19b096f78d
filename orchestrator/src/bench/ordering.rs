//! Customers that order from a server again and again.

use std::time::Duration;

use anyhow::Context;
use eventstore::{EventStore, Position};

use super::closed_loop::closed_loop;
use super::figures::{Latencies, Run};
use super::raw;
use super::scratch::{Scratch, connect};
use super::server_cpu::ServerCpu;
use super::shop::{Customer, Shop};

/// Of one order up to its message: the order, its payment, its parcel, its message, and what its saga says of each.
const EVENTS_PER_ORDER: u64 = 14;

/// A server that is ordered from, and what it works on.
pub(super) struct Bench<'a> {
    pub(super) scratch: &'a Scratch,
    pub(super) store: &'a EventStore,
    pub(super) shop: &'a Shop,
    pub(super) customers: usize,
}

impl Bench<'_> {
    /// Orders in a closed loop; with the run come the latencies of the answers to `POST /orders` alone.
    pub(super) async fn order_for(&self, length: Duration) -> anyhow::Result<(Run, Latencies)> {
        let mut customers = Vec::with_capacity(self.customers);
        for _ in 0..self.customers {
            customers.push(Customer::new(self.shop.clone()).await?);
        }
        let admin = connect(&self.scratch.url).await?;
        raw::settle(&admin).await?;
        let cpu = ServerCpu::find(&admin).await?;
        let head = self.head().await?;
        let before = cpu.map(ServerCpu::sample);
        let rounds = closed_loop(customers, length).await?;
        let postgres_cpu = cpu
            .zip(before)
            .map(|(cpu, before)| cpu.sample().since(&before));
        let stored = self.head().await?.0 - head.0;
        let mut answered = Latencies::default();
        for customer in rounds.callers {
            answered.merge(customer.answered);
        }
        let done = rounds.latencies.len() as u64;
        let events = u64::try_from(stored).context("the log became shorter")?;
        anyhow::ensure!(
            events >= EVENTS_PER_ORDER * done,
            "{done} orders were announced, and only {events} events are stored"
        );
        let run = Run {
            done,
            events,
            elapsed: rounds.elapsed,
            latencies: rounds.latencies,
            postgres_cpu,
        };
        Ok((run, answered))
    }

    pub(super) async fn head(&self) -> anyhow::Result<Position> {
        self.store.head().await.context("reading the head")
    }
}
