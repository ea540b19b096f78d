//! The event that `append` stores and its baseline inserts: the same bytes on both sides.

use uuid::Uuid;

pub(super) const METADATA: &str = r#"{"actor":"bench"}"#;

/// An `Ordered` of about 350 bytes.
pub(super) fn data(order: Uuid) -> String {
    format!(
        concat!(
            r#"{{"eventType":"Ordered","timestamp":"20260101120000","id":"{order}","orderId":"{order}","#,
            r#""customerId":"customer-000417","status":"Ordered","bookId":"9781501124020","qty":1,"#,
            r#""lines":[{{"bookId":"9781501124020","qty":1,"unitPrice":33000}}],"shippingFee":3000,"#,
            r#""currency":"KRW","total":36000,"principal":"bench"}}"#
        ),
        order = order
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_event_is_json_of_about_350_bytes() {
        let data = data(Uuid::nil());
        assert!((330..=370).contains(&data.len()), "{}", data.len());
        assert!(serde_json::from_str::<serde_json::Value>(&data).is_ok());
    }
}
