//! tracker.delivery. Its calls name a parcel and nothing else, not even themselves.

use axum::http::StatusCode;
use chrono::Utc;

use super::{Delivery, Speaker, word};
use crate::fulfilment::hints::{About, Heard, Port};

pub(super) const SPEAKER: Speaker = Speaker {
    port: Port::Deliveries,
    name: "tracker",
    thanks: StatusCode::ACCEPTED,
    read,
};

/// Calls about one parcel within this many seconds are written down once. Each is a hint all the same.
const SAME_CALL: i64 = 10;

fn read(delivery: &Delivery<'_>) -> Result<Vec<Heard>, &'static str> {
    let text = |name: &str| delivery.json[name].as_str().filter(|text| !text.is_empty());
    let (Some(carrier), Some(waybill)) = (text("carrierId"), text("trackingNumber")) else {
        return Err("The body names no parcel.");
    };
    let (carrier, waybill) = (word(carrier), word(waybill));
    let when = Utc::now().timestamp() / SAME_CALL * SAME_CALL;
    Ok(vec![Heard {
        port: Port::Deliveries,
        provider: SPEAKER.name,
        delivery: format!("{carrier}/{waybill}@{when}"),
        unnamed: true,
        topic: "track".to_owned(),
        status: None,
        about: About::Parcel { carrier, waybill },
        claim: None,
    }])
}
