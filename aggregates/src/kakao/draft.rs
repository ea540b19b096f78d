//! A message as somebody wants it sent, and what makes it acceptable.

use crate::field::{FieldError, TextRule};
use crate::order::CUSTOMER_ID;

/// What the caller calls the order; the old services' load test sends `111`.
const ORDER_ID_BYTES_MAX: usize = 200;
const ORDER_ID: TextRule = TextRule::line("The order id", ORDER_ID_BYTES_MAX);
const STATUS: TextRule = TextRule::line("The status", 50);
/// Kakao's Alimtalk takes 1,000 characters.
const MESSAGE: TextRule = TextRule::lines("The message", 1000);

/// A direct message before anybody has looked at it: the old services' `POST /kakaos`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageDraft {
    /// What the caller calls the order.
    pub order_id: String,
    /// Whom it is for.
    pub customer_id: String,
    /// What it is about.
    pub status: String,
    /// Its text.
    pub message: String,
}

/// A direct message that can be sent. Only [`MessageDraft::check`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckedMessage {
    /// What the caller calls the order.
    pub order_id: String,
    /// Whom it is for.
    pub customer_id: String,
    /// What it is about.
    pub status: String,
    /// Its text.
    pub message: String,
}

impl MessageDraft {
    /// The message, or everything that is wrong with it.
    pub fn check(self) -> Result<CheckedMessage, Vec<FieldError>> {
        let bytes = self.order_id.len();
        let too_long = (bytes > ORDER_ID_BYTES_MAX).then(|| {
            let detail =
                format!("The order id must have at most {ORDER_ID_BYTES_MAX} bytes, not {bytes}.");
            FieldError::new("/orderId", detail)
        });
        let errors: Vec<FieldError> = [
            too_long.or_else(|| ORDER_ID.check("/orderId", &self.order_id)),
            CUSTOMER_ID.check("/customerId", &self.customer_id),
            STATUS.check("/status", &self.status),
            MESSAGE.check("/message", &self.message),
        ]
        .into_iter()
        .flatten()
        .collect();
        if !errors.is_empty() {
            return Err(errors);
        }
        let Self {
            order_id,
            customer_id,
            status,
            message,
        } = self;
        Ok(CheckedMessage {
            order_id,
            customer_id,
            status,
            message,
        })
    }
}
