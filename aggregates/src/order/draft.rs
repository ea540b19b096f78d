//! An order as somebody wants it, and what makes it acceptable.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

use chrono::{DateTime, Datelike, Utc};

use super::event::Line;
use crate::field::{FieldError, TextRule, pointer_token};
use crate::money::{Currency, Money};
use crate::personal::Personal;

/// Lines of one order. Real orders of wholesale buyers reach 300.
pub const LINES_MAX: usize = 500;
/// Of one line. Real ones reach five digits.
pub const QTY_MAX: i64 = 100_000;
/// Minor units of one book, or of postage: far above any price, far below an overflow.
pub const PRICE_MAX: i64 = 1_000_000_000_000;
/// Minor units of one order: below 2^53, so that every JSON reader gets it exactly.
pub const TOTAL_MAX: i64 = 1_000_000_000_000_000;
/// Bytes of all book codes and titles of one order. They are repeated when it is paid and when it
/// is cancelled, and each of these events has to fit into one append together with the saga's.
pub const ORDER_TEXT_BYTES_MAX: usize = 256 * 1024;
/// Entries of an address.
pub const ADDRESS_ENTRIES_MAX: usize = 20;
/// Years a customer can have ordered in: what four digits of a time stamp can say, from the first
/// second of Unix time on.
pub const PLACED_AT_YEARS: RangeInclusive<i32> = 1970..=9999;

/// Customer ids; the old services' were integers, others use e-mail addresses or UUIDs.
pub const CUSTOMER_ID: TextRule = TextRule::line("The customer id", 200);
/// Numbers of orders in other systems.
pub const EXTERNAL_ID: TextRule = TextRule::line("The external id", 200);
const BOOK_ID: TextRule = TextRule::line("The book id", 100);
const TITLE: TextRule = TextRule::line("The title", 500);
const METHOD: TextRule = TextRule::line("The payment method", 50);
const TOKEN: TextRule = TextRule::line("The payment token", 1000);
const NAME: TextRule = TextRule::line("The name", 200);
const PHONE: TextRule = TextRule::line("The phone number", 50);
const ADDRESS_KEY: TextRule = TextRule::line("The name of an address entry", 50);
const ADDRESS_VALUE: TextRule = TextRule::lines("An address entry", 500);

/// An order before anybody has looked at it. Amounts are wider than what is accepted, so that a
/// refusal can name them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderDraft {
    /// Who orders.
    pub customer_id: String,
    /// What is ordered.
    pub lines: Vec<DraftLine>,
    /// Postage, in minor units.
    pub shipping_fee: i64,
    /// Code of the currency.
    pub currency: String,
    /// How to pay.
    pub payment: Option<Payment>,
    /// Whom to tell.
    pub contact: Option<Contact>,
    /// Where to send it.
    pub address: Option<Address>,
    /// When it was ordered, if that was earlier and elsewhere.
    pub placed_at: Option<DateTime<Utc>>,
    /// Its number in the system that it comes from.
    pub external_id: Option<String>,
    /// It came in the old services' form `{bookId, qty, customerId}`: pointers say `/qty`, not
    /// `/lines/0/qty`, and the price is the shop's own, so that it is no part of the command.
    pub short_form: bool,
}

/// One line of a draft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftLine {
    /// The shop's code of the book.
    pub book_id: String,
    /// How many.
    pub qty: i64,
    /// Price of one, in minor units.
    pub unit_price: i64,
    /// The title.
    pub title: Option<String>,
}

/// How the customer pays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// The provider's word for the method.
    pub method: String,
    /// What the provider is asked to charge.
    pub token: Personal,
}

/// Whom to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// The recipient's name.
    pub name: Personal,
    /// The recipient's phone number.
    pub phone: Personal,
}

/// Where a parcel goes: the shop's own entries, such as `street` or `country`. It does not show in
/// debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(pub BTreeMap<String, String>);

impl Address {
    /// One JSON object with its names in order: what is sealed.
    pub fn to_json(&self) -> String {
        serde_json::to_string(&self.0).expect("a map from text to text is JSON")
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[personal]")
    }
}

/// An order that can be placed. Only [`OrderDraft::check`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckedOrder {
    /// Who orders.
    pub customer_id: String,
    /// At least one line.
    pub lines: Vec<Line>,
    /// Postage, in minor units of the total's currency.
    pub shipping_fee: i64,
    /// Lines and postage together; more than zero.
    pub total: Money,
    /// How to pay.
    pub payment: Option<Payment>,
    /// Whom to tell.
    pub contact: Option<Contact>,
    /// Where to send it.
    pub address: Option<Address>,
    /// When it was ordered, if that was earlier and elsewhere.
    pub placed_at: Option<DateTime<Utc>>,
    /// Its number in the system that it comes from.
    pub external_id: Option<String>,
    /// It came in the old services' form.
    pub short_form: bool,
}

impl OrderDraft {
    /// The order, or everything that is wrong with it, field by field in the order of the command.
    pub fn check(self) -> Result<CheckedOrder, Vec<FieldError>> {
        let mut errors = Vec::new();
        errors.extend(CUSTOMER_ID.check("/customerId", &self.customer_id));
        self.check_lines(&mut errors);
        check_range(
            "The shipping fee",
            "/shippingFee",
            self.shipping_fee,
            0..=PRICE_MAX,
            &mut errors,
        );
        let currency = self.currency.parse::<Currency>();
        if currency.is_err() {
            let detail = "The currency must be a code of ISO 4217 in capital letters, such as KRW.";
            errors.push(FieldError::new("/currency", detail));
        }
        self.check_details(&mut errors);
        let total = if errors.is_empty() {
            self.total(&mut errors)
        } else {
            0
        };
        match currency {
            Ok(currency) if errors.is_empty() => Ok(self.accept(Money::new(total, currency))),
            _ => Err(errors),
        }
    }

    fn check_lines(&self, errors: &mut Vec<FieldError>) {
        let count = self.lines.len();
        if !(1..=LINES_MAX).contains(&count) {
            let detail = format!("An order must have 1 to {LINES_MAX} lines, not {count}.");
            errors.push(FieldError::new("/lines", detail));
            return;
        }
        for (index, line) in self.lines.iter().enumerate() {
            let place = if self.short_form {
                String::new()
            } else {
                format!("/lines/{index}")
            };
            errors.extend(BOOK_ID.check(&format!("{place}/bookId"), &line.book_id));
            check_range(
                "The quantity",
                &format!("{place}/qty"),
                line.qty,
                1..=QTY_MAX,
                errors,
            );
            let price = 0..=PRICE_MAX;
            check_range(
                "The unit price",
                &format!("{place}/unitPrice"),
                line.unit_price,
                price,
                errors,
            );
            if let Some(title) = &line.title {
                errors.extend(TITLE.check(&format!("{place}/title"), title));
            }
        }
        let text =
            |line: &DraftLine| line.book_id.len() + line.title.as_ref().map_or(0, String::len);
        let bytes: usize = self.lines.iter().map(text).sum();
        if bytes > ORDER_TEXT_BYTES_MAX {
            let max = ORDER_TEXT_BYTES_MAX;
            let detail =
                format!("Book ids and titles together must have at most {max} bytes, not {bytes}.");
            errors.push(FieldError::new("/lines", detail));
        }
    }

    fn check_details(&self, errors: &mut Vec<FieldError>) {
        if let Some(payment) = &self.payment {
            errors.extend(METHOD.check("/payment/method", &payment.method));
            errors.extend(TOKEN.check("/payment/token", payment.token.expose()));
        }
        if let Some(contact) = &self.contact {
            errors.extend(NAME.check("/contact/name", contact.name.expose()));
            errors.extend(PHONE.check("/contact/phone", contact.phone.expose()));
        }
        if let Some(Address(entries)) = &self.address {
            check_address(entries, errors);
        }
        if self
            .placed_at
            .is_some_and(|at| !PLACED_AT_YEARS.contains(&at.year()))
        {
            let (first, last) = (PLACED_AT_YEARS.start(), PLACED_AT_YEARS.end());
            let detail = format!("The time of ordering must lie in the years {first} to {last}.");
            errors.push(FieldError::new("/placedAt", detail));
        }
        if let Some(external_id) = &self.external_id {
            errors.extend(EXTERNAL_ID.check("/externalId", external_id));
        }
    }

    /// The sum, once every amount is within its range; it cannot overflow 128 bits.
    fn total(&self, errors: &mut Vec<FieldError>) -> i64 {
        let lines = self
            .lines
            .iter()
            .map(|line| i128::from(line.qty) * i128::from(line.unit_price));
        let total = lines.sum::<i128>() + i128::from(self.shipping_fee);
        let place = if self.short_form {
            "/unitPrice"
        } else {
            "/lines"
        };
        match i64::try_from(total) {
            Ok(total @ 1..=TOTAL_MAX) => total,
            _ => {
                let detail = format!(
                    "The total must be between 1 and {TOTAL_MAX} minor units, not {total}."
                );
                errors.push(FieldError::new(place, detail));
                0
            }
        }
    }

    fn accept(self, total: Money) -> CheckedOrder {
        let line = |line: DraftLine| Line {
            book_id: line.book_id,
            qty: u32::try_from(line.qty).expect("the quantity was found in its range"),
            unit_price: line.unit_price,
            title: line.title,
        };
        CheckedOrder {
            customer_id: self.customer_id,
            lines: self.lines.into_iter().map(line).collect(),
            shipping_fee: self.shipping_fee,
            total,
            payment: self.payment,
            contact: self.contact,
            address: self.address,
            placed_at: self.placed_at,
            external_id: self.external_id,
            short_form: self.short_form,
        }
    }
}

fn check_range(
    name: &str,
    pointer: &str,
    value: i64,
    range: RangeInclusive<i64>,
    errors: &mut Vec<FieldError>,
) {
    if !range.contains(&value) {
        let (min, max) = (range.start(), range.end());
        let detail = format!("{name} must be between {min} and {max}, not {value}.");
        errors.push(FieldError::new(pointer, detail));
    }
}

fn check_address(entries: &BTreeMap<String, String>, errors: &mut Vec<FieldError>) {
    let count = entries.len();
    if !(1..=ADDRESS_ENTRIES_MAX).contains(&count) {
        let detail =
            format!("An address must have 1 to {ADDRESS_ENTRIES_MAX} entries, not {count}.");
        errors.push(FieldError::new("/address", detail));
        return;
    }
    for (name, value) in entries {
        errors.extend(ADDRESS_KEY.check("/address", name));
        errors.extend(ADDRESS_VALUE.check(&format!("/address/{}", pointer_token(name)), value));
    }
}
