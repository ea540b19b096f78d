//! What is recorded on `subject-S`.

use chrono::{DateTime, Utc};

use crate::event::{Head, events};
use crate::ids;

events! {
    /// What happens to a customer's personal data.
    SubjectEvent is Subject
    every {
        /// Whose data.
        customer_id: String,
        /// When it happened, to the millisecond.
        #[serde(deserialize_with = "crate::instant::deserialize")]
        occurred_at: DateTime<Utc>,
    }
    head(name, event) {
        Head {
            event_type: name,
            timestamp: event.occurred_at,
            id: ids::subject_id(&event.customer_id),
            order_id: None,
            customer_id: &event.customer_id,
            status: name,
            occurred_at: event.occurred_at,
        }
    }

    /// The key of the customer's data was deleted: what was sealed under it is gone for good.
    SubjectErased v 1 {
        /// Why, such as the number of the customer's request.
        reason: String,
        /// Who did it.
        actor: String,
    }
}
