//! What Toss Payments sends, as far as we read it.

use aggregates::money::{Currency, Money};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Number;
use sha2::{Digest, Sha256};

/// A payment.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Payment {
    pub(super) payment_key: String,
    pub(super) order_id: String,
    pub(super) status: String,
    pub(super) currency: String,
    pub(super) total_amount: Number,
    /// What is left to give back. Zero is the one sign that all went back; the status is none.
    pub(super) balance_amount: Number,
    #[serde(default)]
    pub(super) cancels: Option<Vec<CancelEntry>>,
    #[serde(default)]
    pub(super) failure: Option<ErrorBody>,
}

/// Money that went back, or is on its way.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CancelEntry {
    /// What is not through yet has none.
    #[serde(default)]
    pub(super) transaction_key: Option<String>,
    pub(super) cancel_amount: Number,
    #[serde(default)]
    pub(super) cancel_reason: Option<String>,
    /// `DONE`, `IN_PROGRESS` or `ABORTED`; older entries have none and are done.
    #[serde(default)]
    pub(super) cancel_status: Option<String>,
}

/// Why not.
#[derive(Debug, Deserialize)]
pub(super) struct ErrorBody {
    pub(super) code: String,
}

/// One movement of money in the list of them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Transaction {
    pub(super) transaction_key: String,
    pub(super) payment_key: String,
    pub(super) order_id: String,
    pub(super) currency: String,
    pub(super) amount: Number,
    pub(super) status: String,
    pub(super) transaction_at: DateTime<Utc>,
}

impl Payment {
    /// The reference of the charge in our books.
    pub(super) fn reference(&self) -> String {
        reference(&self.payment_key)
    }

    pub(super) fn total(&self) -> Option<Money> {
        Amount::read(&self.total_amount, &self.currency)
    }

    pub(super) fn balance(&self) -> Option<Money> {
        Amount::read(&self.balance_amount, &self.currency)
    }
}

/// A name for the payment that does not give away its key: the key is what the customer pays with.
pub(super) fn reference(payment_key: &str) -> String {
    let digest = Sha256::digest(payment_key.as_bytes());
    let hex: String = digest[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("toss-{hex}")
}

/// Amounts travel as numbers of whole units: 33000 won, 12.99 dollars.
#[derive(Debug, Clone, Copy)]
pub(super) struct Amount(Money);

/// Beyond this a number with decimals is not exact any more.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl Amount {
    pub(super) fn of(money: Money) -> Self {
        Self(money)
    }

    pub(super) fn to_wire(self) -> Option<Number> {
        let Money { amount, currency } = self.0;
        match currency.minor_digits() {
            0 => Some(Number::from(amount)),
            digits => {
                let minor = amount as f64;
                (minor.abs() < EXACT)
                    .then(|| Number::from_f64(minor / unit(digits)))
                    .flatten()
            }
        }
    }

    /// Nothing if it is not an amount of that currency, down to its smallest coin.
    pub(super) fn read(number: &Number, currency: &str) -> Option<Money> {
        let currency: Currency = currency.parse().ok()?;
        let digits = currency.minor_digits();
        if let (0, Some(whole)) = (digits, number.as_i64()) {
            return Some(Money::new(whole, currency));
        }
        let minor = number.as_f64()? * unit(digits);
        let rounded = minor.round();
        let exact = (minor - rounded).abs() < 1e-3 && rounded.abs() < EXACT;
        exact.then(|| Money::new(rounded as i64, currency))
    }
}

fn unit(digits: u32) -> f64 {
    f64::from(10_u32.pow(digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_whole_units_on_the_wire_and_minor_units_in_our_books() {
        for (minor, currency, wire) in [
            (33_000, "KRW", "33000"),
            (1_299, "USD", "12.99"),
            (1_005, "USD", "10.05"),
            (-500, "KRW", "-500"),
        ] {
            let money = Money::new(minor, currency.parse().unwrap());
            let number = Amount::of(money).to_wire().unwrap();
            assert_eq!(number.to_string(), wire);
            assert_eq!(Amount::read(&number, currency), Some(money));
        }
    }

    #[test]
    fn an_amount_that_its_currency_does_not_have_is_none() {
        let half = Number::from_f64(100.5).unwrap();
        assert_eq!(Amount::read(&half, "KRW"), None);
        assert_eq!(Amount::read(&Number::from(1), "XXX"), None);
        let whole = Number::from_f64(100.0).unwrap();
        assert_eq!(
            Amount::read(&whole, "KRW"),
            Some(Money::new(100, Currency::KRW))
        );
    }

    #[test]
    fn a_reference_is_stable_and_does_not_show_the_key() {
        let one = reference("5EnNZRJGvaBX7zk2yd8ydw26XvwXkLrx9POLqKQjmAw4b0e1");
        assert_eq!(
            one,
            reference("5EnNZRJGvaBX7zk2yd8ydw26XvwXkLrx9POLqKQjmAw4b0e1")
        );
        assert_eq!(one.len(), "toss-".len() + 32);
        assert_ne!(one, reference("another"));
    }
}
