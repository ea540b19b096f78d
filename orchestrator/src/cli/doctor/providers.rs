//! Who stands behind each port, and whether that goes together. Nobody is called.

use super::{Finding, readable_on_the_way};
use crate::config::Settings;
use crate::config::broker::ExternalStep;
use crate::config::chosen::{Chosen, SolapiAccess};
use crate::config::guards::Switch;

/// A provider's own confirmation takes about this long on a good day; below it every call is slow.
const USUAL_MS: u128 = 100;

pub(super) fn look(settings: &Settings) -> Vec<Finding> {
    let mut findings = match settings.providers.choose() {
        Ok(chosen) => ports(&chosen),
        Err(error) => vec![Finding::bad(
            "providers",
            error.to_string(),
            "correct the setting; `serve` refuses to start with it",
        )],
    };
    findings.extend(external(&settings.broker.external_steps));
    findings.push(webhooks(settings));
    findings.push(guards(settings));
    findings
}

fn ports(chosen: &Chosen) -> Vec<Finding> {
    let mixed = [
        chosen.payment.is_none(),
        chosen.carrier.is_none(),
        chosen.kakao.is_none(),
    ];
    let mixed = mixed.contains(&true) && mixed.contains(&false);
    let port = |check, url: Option<&String>| match url {
        Some(url) if readable_on_the_way(url, "http") => Finding::mind(
            check,
            url,
            "its credentials travel in clear: use https, unless the network is yours alone",
        ),
        Some(url) => Finding::good(check, url),
        None if mixed => Finding::mind(
            check,
            "the built-in simulator, beside real providers",
            "give its credentials too: what is simulated does not happen",
        ),
        None => Finding::good(check, "the built-in simulator"),
    };
    let carrier = chosen.carrier.as_ref();
    let mut findings = vec![
        port("payments", chosen.payment.as_ref().map(|it| &it.url)),
        port("parcels", carrier.map(|it| &it.url)),
        port("messages", chosen.kakao.as_ref().map(|it| &it.url)),
    ];
    if carrier.is_some_and(|carrier| carrier.tracker.is_none()) {
        findings.push(Finding::mind(
            "tracking",
            "the label API is asked how far a parcel is",
            "give --tracker-key if it does not know",
        ));
    }
    findings.extend(chosen.kakao.as_ref().and_then(templates));
    findings
}

/// Who executes steps in place of the provider above.
fn external(steps: &[ExternalStep]) -> Option<Finding> {
    let steps: Vec<_> = steps.iter().map(|step| step.name()).collect();
    let found = || format!("{}: external workers, asked over NATS", steps.join(", "));
    (!steps.is_empty()).then(|| Finding::good("messages", found()))
}

fn templates(solapi: &SolapiAccess) -> Option<Finding> {
    let without: Vec<_> = solapi.without_template().collect();
    (!without.is_empty()).then(|| {
        Finding::mind(
            "templates",
            format!("none for messages of the kind {}", without.join(", ")),
            "give --solapi-template KIND=ID for each: messages without one fail",
        )
    })
}

fn webhooks(settings: &Settings) -> Finding {
    let secret = settings.providers.webhook_secret();
    match (secret, settings.providers.callback("deliveries/tracker")) {
        (Err(error), _) | (_, Err(error)) => {
            Finding::bad("webhooks", error.to_string(), "correct the setting")
        }
        (Ok(None), _) => Finding::mind(
            "webhooks",
            "refused, since there is no secret",
            "give --webhook-secret-file and tell providers the address: polling is slower",
        ),
        (Ok(Some(_)), _) => Finding::good("webhooks", "taken where the address has the secret"),
    }
}

fn guards(settings: &Settings) -> Finding {
    let guards = &settings.guards;
    let slow = guards.breaker_slow_call;
    let found = format!(
        "slow from {} ms, cut after {} ms, {} calls at once",
        slow.as_millis(),
        guards.provider_timeout.as_millis(),
        guards.provider_concurrency,
    );
    if guards.breaker == Switch::Off {
        return Finding::mind(
            "guards",
            format!("{found}, no breaker"),
            "--breaker on: else every order waits for a provider that is away",
        );
    }
    if guards.breaker_open_for < guards.provider_timeout {
        return Finding::mind(
            "guards",
            format!(
                "{found}, left alone for {} ms",
                guards.breaker_open_for.as_millis()
            ),
            "--breaker-open-for at least --provider-timeout: else calls from before an outage count as tries after it",
        );
    }
    if slow.as_millis() < USUAL_MS || slow > guards.provider_timeout {
        return Finding::mind(
            "guards",
            found,
            "--breaker-slow-call between what is usual and --provider-timeout: else all calls are slow, or none",
        );
    }
    Finding::good("guards", found)
}
