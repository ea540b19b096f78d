//! How long fulfilment waits for what.

use std::time::Duration;

/// Time limits of the sagas; the defaults are those of `serve`.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How long a customer waits for the payment before the order is answered as pending.
    pub payment_budget: Duration,
    /// From the order on: no charge is sent after it. Payment providers keep an authenticated payment open for 10 minutes.
    pub payment_deadline: Duration,
    /// How long we look for a charge that turns up after the order was rejected or canceled without one.
    pub late_charge_watch: Duration,
    /// How long a provider that denies a charge of ours is asked about it before a person is.
    pub denied_charge_watch: Duration,
    /// How long one call of a provider may take; the adapters' own limits are shorter.
    pub call: Duration,
    /// The pause after a failed attempt; it doubles up to [`Limits::retry_cap`].
    pub retry_first: Duration,
    /// The longest pause.
    pub retry_cap: Duration,
    /// How often a parcel is asked for at first when no hint comes; the distance doubles.
    pub look_first: Duration,
    /// The longest distance between looks: without any hint a customer learns of a scan within this time, and a carrier is asked
    /// some 30 times for a parcel that takes two days. For one that waits for weeks it is a hundredth of that.
    pub look_cap: Duration,
    /// How long a message is tried. After a day nobody wants to read it.
    pub message_budget: Duration,
    /// How long a parcel is tracked. Carriers close their cases after a month.
    pub tracking: Duration,
    /// How long a provider may answer without deciding anything before a person is told, beyond the step's own limits.
    pub undecided: Duration,
    /// How long a parcel may wait for its first scan before a person is told. It is looked for all the same.
    pub handover: Duration,
    /// Payments in flight in one process. Customers wait for them.
    pub payments: usize,
    /// Calls of any other step in flight in one process.
    pub steps: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            payment_budget: Duration::from_secs(5),
            payment_deadline: Duration::from_mins(10),
            late_charge_watch: Duration::from_hours(1),
            denied_charge_watch: Duration::from_mins(5),
            call: Duration::from_secs(5),
            retry_first: Duration::from_secs(1),
            retry_cap: Duration::from_mins(5),
            look_first: Duration::from_mins(10),
            look_cap: Duration::from_hours(2),
            message_budget: Duration::from_hours(24),
            tracking: Duration::from_hours(30 * 24),
            undecided: Duration::from_hours(6),
            handover: Duration::from_hours(14 * 24),
            payments: 256,
            steps: 256,
        }
    }
}
