//! Which port gets which adapter.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use uuid::Uuid;

use super::StartError;
use crate::bus::connection::Broker;
use crate::bus::steps::Messenger;
use crate::config::Settings;
use crate::config::broker::ExternalStep;
use crate::config::chosen::{CarrierAccess, SolapiAccess, TossAccess};
use crate::fulfilment::participants::Providers;
use crate::providers::carrier::Carrier;
use crate::providers::http::{Endpoint, SetupError};
use crate::providers::label::LabelSettings;
use crate::providers::ports::{CarrierPort, KakaoPort, PaymentPort};
use crate::providers::simulator::{self, Simulator};
use crate::providers::solapi::{Solapi, SolapiSettings};
use crate::providers::toss::{Toss, TossSettings};
use crate::providers::tracker::TrackerSettings;

/// The providers, and the hints of the built-in carrier if it is one of them.
pub(super) type Chosen = (Providers, Option<mpsc::Receiver<Uuid>>);

/// The adapters that the settings ask for, and the built-in simulator for every other port. Where all are asked for there
/// is no simulator, nor a ledger of it.
pub(super) fn choose(settings: &Settings, broker: Option<&Broker>) -> Result<Chosen, StartError> {
    let external = external(settings, broker);
    let chosen = settings.providers.choose()?;
    let payments = chosen.payment.map(|access| toss(settings, access));
    let carrier = chosen.carrier.map(|access| carrier(settings, access));
    let kakao = chosen.kakao.map(|access| solapi(settings, access));
    let payments = payments.transpose()?;
    let carrier = carrier.transpose()?;
    let kakao = kakao.transpose()?;
    if let (Some(payments), Some(carrier), Some(kakao)) = (&payments, &carrier, &kakao) {
        let providers = Providers {
            payments: Arc::clone(payments),
            carrier: Arc::clone(carrier),
            kakao: Arc::clone(kakao),
            external,
        };
        return Ok((providers, None));
    }
    let orders = &settings.orders;
    let (simulator, scans) = Simulator::open(&simulator::Options {
        handover_after: orders.simulated_handover_after,
        delivery_after: orders.simulated_delivery_after,
        ..simulator::Options::in_dir(&settings.store.data_dir)
    })?;
    let simulator = Arc::new(simulator);
    let providers = Providers {
        payments: payments.unwrap_or_else(|| Arc::clone(&simulator) as _),
        carrier: carrier.unwrap_or_else(|| Arc::clone(&simulator) as _),
        kakao: kakao.unwrap_or(simulator),
        external,
    };
    Ok((providers, Some(scans)))
}

/// The steps that workers of somebody else's execute. Without a broker there are none: the settings were checked.
fn external(
    settings: &Settings,
    broker: Option<&Broker>,
) -> BTreeMap<&'static str, Arc<dyn KakaoPort>> {
    let steps = &settings.broker.external_steps;
    let Some(broker) = broker else {
        return BTreeMap::new();
    };
    let limit = settings.guards.provider_timeout;
    let worker = |step: &ExternalStep| {
        let worker: Arc<dyn KakaoPort> =
            Arc::new(Messenger::new(broker.clone(), step.name(), limit));
        (step.name(), worker)
    };
    steps.iter().map(worker).collect()
}

fn toss(settings: &Settings, access: TossAccess) -> Result<Arc<dyn PaymentPort>, SetupError> {
    let toss = Toss::new(TossSettings {
        endpoint: endpoint(settings, access.url),
        secret_key: access.secret_key,
    })?;
    Ok(Arc::new(toss))
}

fn carrier(settings: &Settings, access: CarrierAccess) -> Result<Arc<dyn CarrierPort>, StartError> {
    let labels = LabelSettings {
        endpoint: endpoint(settings, access.url),
        token: access.token,
    };
    let callback = settings.providers.callback("deliveries/tracker")?;
    let tracker = access.tracker.map(|tracker| TrackerSettings {
        endpoint: endpoint(settings, tracker.url),
        key: tracker.key,
        callback,
    });
    Ok(Arc::new(Carrier::new(labels, tracker)?))
}

fn solapi(settings: &Settings, access: SolapiAccess) -> Result<Arc<dyn KakaoPort>, SetupError> {
    let solapi = Solapi::new(SolapiSettings {
        endpoint: endpoint(settings, access.url),
        api_key: access.key,
        api_secret: access.secret,
        pf_id: access.pf_id,
        sender: access.sender,
        templates: access.templates,
    })?;
    Ok(Arc::new(solapi))
}

fn endpoint(settings: &Settings, url: String) -> Endpoint {
    Endpoint {
        time_limit: settings.guards.provider_timeout,
        ..Endpoint::new(url)
    }
}
