//! The body of `POST /orders`, from JSON to a checked order, or everything that is wrong with it.

use aggregates::field::FieldError;
use aggregates::order::{Address, CheckedOrder, Contact, DraftLine, OrderDraft, Payment};
use aggregates::personal::Personal;
use serde_json::Value;

use crate::http::fields::Fields;

/// What an order without a price or a currency means at this shop.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// Price of any book in the old services' short form, in minor units.
    pub unit_price: i64,
    /// Code of the currency.
    pub currency: String,
}

/// Stands in for an amount that could not be read, so that the rest of the order is still checked.
const STAND_IN_NUMBER: i64 = 1;

/// Stands in for a text that could not be read.
const STAND_IN_TEXT: &str = "-";

/// Reads and checks an order.
pub(super) fn read(body: &Value, defaults: &Defaults) -> Result<CheckedOrder, Vec<FieldError>> {
    let mut errors = Vec::new();
    let Some(fields) = Fields::root(body, &mut errors) else {
        return Err(errors);
    };
    let checked = draft(fields, defaults).check();
    if errors.is_empty() {
        return checked;
    }
    // Stand-ins can break no rule of their own, so what the check adds is real. It may complain about the same
    // place twice (no lines were readable, so there are none); the first complaint is the better one.
    for error in checked.err().unwrap_or_default() {
        if errors.iter().all(|known| known.pointer != error.pointer) {
            errors.push(error);
        }
    }
    Err(errors)
}

fn draft(mut fields: Fields<'_>, defaults: &Defaults) -> OrderDraft {
    // The old services' order was one book without a price. Half of one is told what its other half lacks.
    let short_form = !fields.has("lines") && (fields.has("bookId") || fields.has("qty"));
    let customer_id = fields
        .required_id("customerId")
        .unwrap_or_else(|| STAND_IN_TEXT.to_owned());
    let lines = if short_form {
        vec![short_line(&mut fields, defaults)]
    } else {
        lines(&mut fields)
    };
    let shipping_fee = fields.integer("shippingFee").unwrap_or_default();
    let currency = fields
        .text("currency")
        .unwrap_or_else(|| defaults.currency.clone());
    let payment = fields.object("payment", payment);
    let contact = fields.object("contact", contact);
    let address = fields.texts("address").map(Address);
    let placed_at = fields.moment("placedAt");
    let external_id = fields.text("externalId");
    fields.finish();
    OrderDraft {
        customer_id,
        lines,
        shipping_fee,
        currency,
        payment,
        contact,
        address,
        placed_at,
        external_id,
        short_form,
    }
}

fn short_line(fields: &mut Fields<'_>, defaults: &Defaults) -> DraftLine {
    DraftLine {
        book_id: text(fields.required_id("bookId")),
        qty: fields.required_integer("qty").unwrap_or(STAND_IN_NUMBER),
        unit_price: defaults.unit_price,
        title: None,
    }
}

fn lines(fields: &mut Fields<'_>) -> Vec<DraftLine> {
    if !fields.has("lines") {
        fields.refuse("lines", "lines is missing.");
    }
    let line = |mut fields: Fields<'_>| {
        let line = DraftLine {
            book_id: text(fields.required_id("bookId")),
            qty: fields.required_integer("qty").unwrap_or(STAND_IN_NUMBER),
            unit_price: fields
                .required_integer("unitPrice")
                .unwrap_or(STAND_IN_NUMBER),
            title: fields.text("title"),
        };
        fields.finish();
        line
    };
    fields.list("lines", line).unwrap_or_default()
}

fn payment(mut fields: Fields<'_>) -> Payment {
    let method = text(fields.required_text("method"));
    let token = personal(fields.required_text("token"));
    fields.finish();
    Payment { method, token }
}

fn contact(mut fields: Fields<'_>) -> Contact {
    let name = personal(fields.required_text("name"));
    let phone = personal(fields.required_text("phone"));
    fields.finish();
    Contact { name, phone }
}

fn text(value: Option<String>) -> String {
    value.unwrap_or_else(|| STAND_IN_TEXT.to_owned())
}

fn personal(value: Option<String>) -> Personal {
    Personal::from(text(value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn defaults() -> Defaults {
        Defaults {
            unit_price: 15_000,
            currency: "KRW".to_owned(),
        }
    }

    fn refused(body: &Value) -> Vec<String> {
        let errors = read(body, &defaults()).expect_err("a bad order");
        errors.into_iter().map(|error| error.pointer).collect()
    }

    #[test]
    fn the_seeds_short_form_is_an_order_of_one_line_at_the_shops_price() {
        let order = read(
            &json!({"bookId": 1, "qty": 2, "customerId": 33}),
            &defaults(),
        )
        .expect("a good order");
        assert_eq!(
            (order.customer_id.as_str(), order.total.amount),
            ("33", 30_000)
        );
        assert_eq!(
            (order.lines[0].book_id.as_str(), order.short_form),
            ("1", true)
        );
    }

    #[test]
    fn a_full_order_keeps_everything() {
        let body = json!({
            "customerId": "c", "currency": "USD", "shippingFee": 250,
            "lines": [{"bookId": "b", "qty": 2, "unitPrice": 1000, "title": "T"}],
            "payment": {"method": "card", "token": "tok"}, "contact": {"name": "N", "phone": "1"},
            "address": {"country": "KR"}, "placedAt": "2018-01-01T00:00:00Z", "externalId": "x/1",
        });
        let order = read(&body, &defaults()).expect("a good order");
        assert_eq!(order.total.to_string(), "22.50 USD");
        assert!(order.payment.is_some() && order.contact.is_some() && order.address.is_some());
    }

    #[test]
    fn wrong_types_missing_fields_and_broken_rules_are_all_reported_at_once() {
        let body = json!({
            "lines": [{"bookId": "b", "qty": "three", "unitPrice": -1}, {"qty": 1, "unitPrice": 1, "prize": 1}],
            "currency": "won", "contact": {"name": "N"}, "address": {"street": 7}, "extra": true,
        });
        let expected = [
            "/customerId",
            "/lines/0/qty",
            "/lines/1/bookId",
            "/lines/1/prize",
            "/contact/phone",
            "/address/street",
            "/extra",
            "/lines/0/unitPrice",
            "/currency",
        ];
        let refused = refused(&body);
        for pointer in expected {
            assert!(
                refused.iter().any(|found| found == pointer),
                "{pointer} is not in {refused:?}"
            );
        }
    }

    #[test]
    fn a_body_that_is_no_order_at_all_is_refused() {
        assert_eq!(refused(&json!([])), [""]);
        assert_eq!(refused(&json!({})), ["/customerId", "/lines"]);
        assert_eq!(
            refused(&json!({"customerId": "c", "qty": 0})),
            ["/bookId", "/qty"]
        );
        assert_eq!(
            refused(&json!({"customerId": "c", "lines": []})),
            ["/lines"]
        );
    }
}
