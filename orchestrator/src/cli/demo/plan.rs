//! What the demo orders: varied, and the same every time.

use serde_json::{Value, json};

/// What is to become of an order after it was placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// Nothing: it is delivered.
    Keep,
    /// The customer changes its mind at once.
    CancelAtOnce,
    /// The customer changes its mind when the parcel is with the carrier's paperwork, but has not left.
    CancelWhenShipped,
}

/// One order of the demo.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub(super) key: String,
    pub(super) body: Value,
    pub(super) then: Then,
}

/// Titles and prices in won.
const SHELF: [(&str, &str, i64); 8] = [
    ("9788937460449", "Demian", 8_000),
    ("9788936434267", "Please Look After Mom", 12_000),
    ("9788932917245", "The Little Prince", 11_800),
    ("9788954651135", "The Vegetarian", 15_000),
    ("9788937473135", "Kim Ji-young, Born 1982", 13_000),
    ("9791190090018", "Almond", 12_000),
    ("9788936433598", "Human Acts", 14_000),
    (
        "9788983920775",
        "Harry Potter and the Philosopher's Stone",
        9_000,
    ),
];

/// The orders: one in twelve is declined, one in ten is canceled at once, one in ten when it is shipped.
pub(super) fn of(orders: u32) -> Vec<Planned> {
    (0..orders).map(planned).collect()
}

fn planned(number: u32) -> Planned {
    let declined = number % 12 == 5;
    let then = match number % 10 {
        _ if declined => Then::Keep,
        3 => Then::CancelAtOnce,
        7 => Then::CancelWhenShipped,
        _ => Then::Keep,
    };
    let customer = format!("customer-{}", number % 97);
    let body = if number % 9 == 4 && !declined {
        // The old services' short form.
        json!({ "bookId": number % 8 + 1, "qty": number % 3 + 1, "customerId": number % 97 })
    } else {
        let token = if declined { "decline" } else { "tok_demo" };
        json!({
            "customerId": customer,
            "lines": lines(number),
            "shippingFee": if number.is_multiple_of(2) { 3_000 } else { 0 },
            "payment": { "method": "card", "token": token },
            "contact": { "name": format!("Customer {}", number % 97), "phone": format!("+82-10-0000-{:04}", number % 97) },
            "address": { "street": format!("{} Sejong-daero", number % 200 + 1), "city": "Seoul", "country": "KR" },
        })
    };
    Planned {
        key: format!("demo-{number}"),
        body,
        then,
    }
}

fn lines(number: u32) -> Vec<Value> {
    let count = number % 4 + 1;
    let line = |nth: u32| {
        let (book_id, title, price) = SHELF[((number * 3 + nth) % 8) as usize];
        json!({ "bookId": book_id, "title": title, "qty": (number + nth) % 3 + 1, "unitPrice": price })
    };
    (0..count).map(line).collect()
}
