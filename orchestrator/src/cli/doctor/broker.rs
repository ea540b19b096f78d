//! The broker: whether it is there and can do what is asked of it, and who could read along.

use super::{Finding, PATIENCE, readable_on_the_way};
use crate::bus::checkup::{self, Checkup, Kept};
use crate::bus::connection::Broker;
use crate::config::broker::{BrokerSettings, BrokerTarget, Login};

/// What it is like without one.
const UNTIL_THEN: &str = "until then workers look for work in the log, and nothing is published";

pub(super) async fn look(settings: &BrokerSettings) -> Vec<Finding> {
    let target = match settings.target() {
        Ok(Some(target)) => target,
        Ok(None) => return vec![Finding::good("broker", "none: nothing is published")],
        Err(error) => {
            let advice = "correct the setting; `serve` refuses to start with it";
            return vec![Finding::bad("broker", error.to_string(), advice)];
        }
    };
    let mut findings = ask(&target).await;
    findings.extend(told_in_clear(settings, &target));
    findings
}

async fn ask(target: &BrokerTarget) -> Vec<Finding> {
    let servers = target.servers.join(", ");
    let broker = match Broker::connect(target, "bookmarket doctor").await {
        Ok(broker) => broker,
        Err(error) => {
            let advice = "correct the setting; `serve` refuses to start with it";
            return vec![Finding::bad("broker", error.to_string(), advice)];
        }
    };
    match checkup::look(&broker, PATIENCE).await {
        // A server starts all the same, and takes orders.
        Checkup::Away => vec![Finding::mind(
            "broker",
            format!("{servers} does not let us in or does not answer"),
            format!("start it, or correct address or login; {UNTIL_THEN}"),
        )],
        Checkup::TooOld(version) => vec![Finding::bad(
            "broker",
            format!("NATS {version} at {servers}"),
            format!("install NATS 2.9 or later; {UNTIL_THEN}"),
        )],
        Checkup::Useless { version, reason } => vec![Finding::bad(
            "broker",
            format!("NATS {version} at {servers}: {reason}"),
            format!("give it JetStream, and let this user use it; {UNTIL_THEN}"),
        )],
        Checkup::Usable { version, streams } => {
            let broker = Finding::good("broker", format!("NATS {version} at {servers}"));
            let streams = streams.into_iter().map(|(name, kept)| stream(name, kept));
            [broker].into_iter().chain(streams).collect()
        }
    }
}

fn stream(name: &str, kept: Result<Option<Kept>, String>) -> Finding {
    let kept = match kept {
        Ok(Some(kept)) => kept,
        Ok(None) => {
            let found = format!("{name} is not there yet: `serve` makes it");
            return Finding::good("stream", found);
        }
        Err(reason) => {
            let advice = format!("see to the broker; {UNTIL_THEN}");
            return Finding::bad("stream", format!("{name}: {reason}"), advice);
        }
    };
    let found = format!(
        "{name}: {} messages, copies: {}",
        kept.messages, kept.copies
    );
    if kept.behind > 0 {
        let found = format!("{found}, of which {} are away or behind", kept.behind);
        return Finding::mind("stream", found, "bring the broker's other servers back");
    }
    Finding::good("stream", found)
}

/// What goes to a broker on another machine without TLS.
fn told_in_clear(settings: &BrokerSettings, target: &BrokerTarget) -> Option<Finding> {
    let mut servers = target.servers.iter();
    if !servers.any(|url| readable_on_the_way(url, "nats")) {
        return None;
    }
    let mut told = Vec::new();
    if !matches!(target.login, Login::None) {
        told.push("its login");
    }
    if !settings.external_steps.is_empty() {
        told.push("telephones and texts in the questions to external workers");
    }
    (!told.is_empty()).then(|| {
        Finding::mind(
            "broker",
            format!("in clear on the way there: {}", told.join(", ")),
            "use tls://, unless the network is yours alone",
        )
    })
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;
    use crate::config::broker::ExternalStep;

    /// What is told of this broker and these steps.
    fn told(url: &str, steps: &[ExternalStep]) -> Option<String> {
        let settings = BrokerSettings {
            nats_url: Some(SecretString::from(url.to_owned())),
            nats_url_file: None,
            events_max_age: None,
            events_max_bytes: None,
            events_replicas: None,
            external_steps: steps.to_vec(),
        };
        let target = settings.target().expect("a URL").expect("a broker");
        told_in_clear(&settings, &target).map(|finding| finding.found)
    }

    #[test]
    fn what_goes_to_a_broker_elsewhere_in_clear_is_told() {
        let steps = [ExternalStep::Notify];
        for quiet in ["nats://shop:secret@127.0.0.1", "tls://shop:secret@broker"] {
            assert_eq!(told(quiet, &steps), None, "{quiet}");
        }
        assert_eq!(
            told("nats://broker", &[]),
            None,
            "what it hears is no secret"
        );
        let login = told("nats://shop:secret@broker", &[]).expect("a login");
        assert!(login.ends_with("its login") && !login.contains("secret"));
        assert!(
            told("nats://broker", &steps)
                .expect("questions")
                .contains("telephones")
        );
    }
}
