//! A label that others voided, beside a tracking service that cannot know of it.

use orchestrator::providers::carrier::Carrier;
use orchestrator::providers::label::LabelSettings;
use orchestrator::providers::ports::{CarrierPort, Found};
use secrecy::SecretString;
use serde_json::json;
use wiremock::MockServer;

use super::label::{label, shipment_of, shipments};
use super::server::*;

#[tokio::test]
async fn a_void_label_refuses_a_parcel_that_waits_for_its_first_scan() {
    let unscanned = json!({ "data": { "track": null } });
    let time = (chrono::Utc::now() - chrono::Duration::hours(1)).to_rfc3339();
    let event = json!({ "time": time, "status": { "code": "AT_PICKUP" } });
    let scanned = json!({ "data": { "track": { "lastEvent": event, "events": { "edges": [{ "node": event }] } } } });
    for (scans, status, expected) in [
        (None, "canceled", "label-void"),
        (None, "accepted", "seen"),
        (Some(&unscanned), "canceled", "label-void"),
        (Some(&unscanned), "accepted", "nothing"),
        // The scan is a fact, whatever became of the label.
        (Some(&scanned), "canceled", "seen"),
    ] {
        let server = MockServer::start().await;
        on(&server, "GET", &shipments(""), 200, shipment_of(status)).await;
        let carrier = match scans {
            Some(scans) => {
                on(&server, "POST", "/graphql", 200, scans.clone()).await;
                carrier_at(
                    &server.uri(),
                    &format!("{}/graphql", server.uri()),
                    PATIENCE,
                )
            }
            None => {
                let settings = LabelSettings {
                    endpoint: endpoint(&server.uri(), PATIENCE),
                    token: SecretString::from(LABEL_TOKEN),
                };
                Carrier::new(settings, None).expect("an adapter")
            }
        };
        let found = match carrier.track(ORDER, &label(), shipped_at()).await {
            Found::Done(_) => "seen".to_owned(),
            Found::Nothing => "nothing".to_owned(),
            Found::Refused(refusal) => refusal.code,
            other => panic!("{other:?}"),
        };
        assert_eq!(found, expected, "{status}");
    }
}
