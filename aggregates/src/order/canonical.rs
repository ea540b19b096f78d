//! The bytes that two sendings of one command have in common.

use super::draft::CheckedOrder;

/// Names the layout below. A new layout gets a new name, and repeats across the change are then
/// taken for other commands.
const LAYOUT: &str = "book-market/place-order/1";

impl CheckedOrder {
    /// The command as bytes: equal for equal commands whatever their JSON looked like, different
    /// for different ones. The caller hashes them; they hold personal data in clear and must not be
    /// kept.
    ///
    /// The shop's own price is left out of the old services' short form, since it was not sent: a repeat
    /// stays a repeat when it changes.
    pub fn canonical_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        text(&mut out, LAYOUT);
        out.push(u8::from(self.short_form));
        text(&mut out, &self.customer_id);
        number(&mut out, self.lines.len() as i64);
        for line in &self.lines {
            text(&mut out, &line.book_id);
            number(&mut out, i64::from(line.qty));
            if !self.short_form {
                number(&mut out, line.unit_price);
            }
            option(&mut out, line.title.as_deref());
        }
        number(&mut out, self.shipping_fee);
        text(&mut out, self.total.currency.as_str());
        let payment = self.payment.as_ref();
        option(&mut out, payment.map(|payment| payment.method.as_str()));
        option(&mut out, payment.map(|payment| payment.token.expose()));
        let contact = self.contact.as_ref();
        option(&mut out, contact.map(|contact| contact.name.expose()));
        option(&mut out, contact.map(|contact| contact.phone.expose()));
        option(
            &mut out,
            self.address
                .as_ref()
                .map(|address| address.to_json())
                .as_deref(),
        );
        option(
            &mut out,
            self.placed_at.map(|at| at.to_rfc3339()).as_deref(),
        );
        option(&mut out, self.external_id.as_deref());
        out
    }
}

fn number(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(&value.to_be_bytes());
}

fn text(out: &mut Vec<u8>, value: &str) {
    out.extend_from_slice(&(value.len() as u64).to_be_bytes());
    out.extend_from_slice(value.as_bytes());
}

fn option(out: &mut Vec<u8>, value: Option<&str>) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        text(out, value);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::draft::{Address, Contact, DraftLine, OrderDraft, Payment};
    use crate::personal::Personal;

    fn draft() -> OrderDraft {
        OrderDraft {
            customer_id: "33".to_owned(),
            lines: vec![DraftLine {
                book_id: "b".to_owned(),
                qty: 1,
                unit_price: 500,
                title: None,
            }],
            shipping_fee: 0,
            currency: "KRW".to_owned(),
            payment: None,
            contact: None,
            address: None,
            placed_at: None,
            external_id: None,
            short_form: false,
        }
    }

    fn bytes(change: impl FnOnce(&mut OrderDraft)) -> Vec<u8> {
        let mut draft = draft();
        change(&mut draft);
        draft.check().expect("a good order").canonical_bytes()
    }

    #[test]
    fn every_field_makes_another_command() {
        let entry = [("country".to_owned(), "KR".to_owned())];
        let payment = |token| {
            Some(Payment {
                method: "card".to_owned(),
                token: Personal::from(token),
            })
        };
        let contact = |phone| {
            Some(Contact {
                name: Personal::from("Kim"),
                phone: Personal::from(phone),
            })
        };
        let variants = [
            bytes(|_| {}),
            bytes(|draft| draft.customer_id = "34".to_owned()),
            bytes(|draft| draft.lines[0].book_id = "c".to_owned()),
            bytes(|draft| draft.lines[0].qty = 2),
            bytes(|draft| draft.lines[0].unit_price = 501),
            bytes(|draft| draft.lines[0].title = Some("b".to_owned())),
            bytes(|draft| draft.lines.push(draft.lines[0].clone())),
            bytes(|draft| draft.shipping_fee = 1),
            bytes(|draft| draft.currency = "USD".to_owned()),
            bytes(|draft| draft.payment = payment("1")),
            bytes(|draft| draft.payment = payment("2")),
            bytes(|draft| draft.contact = contact("1")),
            bytes(|draft| draft.contact = contact("2")),
            bytes(|draft| draft.address = Some(Address(entry.into()))),
            bytes(|draft| draft.placed_at = chrono::DateTime::from_timestamp(0, 0)),
            bytes(|draft| draft.external_id = Some("33".to_owned())),
            bytes(|draft| draft.short_form = true),
        ];
        let count = variants.len();
        assert_eq!(variants.into_iter().collect::<HashSet<_>>().len(), count);
    }

    #[test]
    fn the_shops_own_price_is_no_part_of_a_short_command() {
        let price = |unit_price| {
            bytes(|draft| {
                draft.short_form = true;
                draft.lines[0].unit_price = unit_price;
            })
        };
        assert_eq!(price(500), price(700));
    }
}
