//! What the settings of the providers come to: who stands behind each port.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};

use super::providers::{ProviderSettings, SOLAPI, TOSS, TRACKER};
use super::{ConfigError, one_of};

/// What the simulator accepts for every credential, and sends as its webhooks' secret.
const SIMULATED: &str = "simulated";

/// The kinds of messages, each of which a message dealer needs a template for.
const MESSAGE_KINDS: [&str; 3] = ["shipped", "canceled", "direct"];

/// Who stands behind each port; `None` is the built-in simulator.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// Who charges.
    pub payment: Option<TossAccess>,
    /// Who ships.
    pub carrier: Option<CarrierAccess>,
    /// Who sends.
    pub kakao: Option<SolapiAccess>,
}

impl Chosen {
    /// Whether the built-in simulator stands behind any of them.
    #[must_use]
    pub fn needs_simulator(&self) -> bool {
        self.payment.is_none() || self.carrier.is_none() || self.kakao.is_none()
    }
}

/// Toss Payments, or something that speaks like it.
#[derive(Clone, Debug)]
pub struct TossAccess {
    /// Where it is.
    pub url: String,
    /// Its secret key.
    pub secret_key: SecretString,
}

/// A carrier's label API and who follows its parcels.
#[derive(Clone, Debug)]
pub struct CarrierAccess {
    /// Where the label API is.
    pub url: String,
    /// Its token.
    pub token: SecretString,
    /// tracker.delivery, or something that speaks like it.
    pub tracker: Option<TrackerAccess>,
}

/// tracker.delivery, or something that speaks like it.
#[derive(Clone, Debug)]
pub struct TrackerAccess {
    /// Where it is.
    pub url: String,
    /// `id:secret`.
    pub key: SecretString,
}

/// Solapi, or something that speaks like it.
#[derive(Clone, Debug)]
pub struct SolapiAccess {
    /// Where it is.
    pub url: String,
    /// The API key's name.
    pub key: SecretString,
    /// The API key itself.
    pub secret: SecretString,
    /// The Kakao channel.
    pub pf_id: String,
    /// From whom text messages go.
    pub sender: Option<String>,
    /// Template by kind of message.
    pub templates: BTreeMap<String, String>,
}

impl ProviderSettings {
    /// Who stands behind each port. Half of a provider's settings is a mistake, not a wish for the simulator.
    pub fn choose(&self) -> Result<Chosen, ConfigError> {
        let chosen = Chosen {
            payment: self.toss()?,
            carrier: self.carrier()?,
            kakao: self.solapi()?,
        };
        let Some(url) = set(self.simulator_url.as_ref()) else {
            return Ok(chosen);
        };
        if chosen.is_simulated() {
            return Ok(Chosen::all_at(url));
        }
        Err(ConfigError::Unusable(
            "--simulator-url stands for all three providers, but there are credentials of a real one: keep either".to_owned(),
        ))
    }

    /// The secret part of our webhooks' addresses; without one they are refused and providers are polled.
    pub fn webhook_secret(&self) -> Result<Option<SecretString>, ConfigError> {
        let given = one_of(
            "the webhook secret",
            self.webhook_secret.as_ref(),
            self.webhook_secret_file.as_deref(),
        )?;
        let simulated =
            self.toss()?.is_none() && self.carrier()?.is_none() && self.solapi()?.is_none();
        Ok(given.or_else(|| simulated.then(|| SIMULATED.into())))
    }

    /// With which Toss Payments signs some of its webhooks.
    pub fn toss_security_key(&self) -> Result<Option<SecretString>, ConfigError> {
        one_of(
            "the security key of Toss Payments",
            self.toss_security_key.as_ref(),
            self.toss_security_key_file.as_deref(),
        )
    }

    /// The address of one of our webhooks as providers reach it, with the secret in it; none where they cannot.
    pub fn callback(&self, webhook: &str) -> Result<Option<SecretString>, ConfigError> {
        let Some(url) = set(self.public_url.as_ref()) else {
            return Ok(None);
        };
        let secret = self.webhook_secret()?.ok_or_else(|| {
            ConfigError::Unusable("--public-url is given and --webhook-secret is not: what comes there would be refused".to_owned())
        })?;
        Ok(Some(
            format!("{url}/webhooks/{webhook}/{}", secret.expose_secret()).into(),
        ))
    }

    fn toss(&self) -> Result<Option<TossAccess>, ConfigError> {
        let key = one_of(
            "the secret key of Toss Payments",
            self.toss_secret_key.as_ref(),
            self.toss_secret_key_file.as_deref(),
        )?;
        match key {
            Some(secret_key) => Ok(Some(TossAccess {
                url: or_usual(&self.toss_url, TOSS),
                secret_key,
            })),
            None if is_usual(&self.toss_url, TOSS) => Ok(None),
            None => Err(half("--toss-url", "--toss-secret-key")),
        }
    }

    fn carrier(&self) -> Result<Option<CarrierAccess>, ConfigError> {
        let token = one_of(
            "the label API's token",
            self.label_token.as_ref(),
            self.label_token_file.as_deref(),
        )?;
        let tracker = self.tracker()?;
        match (set(self.label_url.as_ref()), token) {
            (Some(url), Some(token)) => Ok(Some(CarrierAccess {
                url: url.clone(),
                token,
                tracker,
            })),
            (Some(_), None) => Err(half("--label-url", "--label-token")),
            (None, Some(_)) => Err(half("--label-token", "--label-url")),
            (None, None) if tracker.is_some() => Err(half("--tracker-key", "--label-url")),
            (None, None) => Ok(None),
        }
    }

    fn tracker(&self) -> Result<Option<TrackerAccess>, ConfigError> {
        let key = one_of(
            "the key of tracker.delivery",
            self.tracker_key.as_ref(),
            self.tracker_key_file.as_deref(),
        )?;
        match key {
            Some(key) => Ok(Some(TrackerAccess {
                url: or_usual(&self.tracker_url, TRACKER),
                key,
            })),
            None if is_usual(&self.tracker_url, TRACKER) => Ok(None),
            None => Err(half("--tracker-url", "--tracker-key")),
        }
    }

    fn solapi(&self) -> Result<Option<SolapiAccess>, ConfigError> {
        let key = one_of("Solapi's key", self.solapi_key.as_ref(), None)?;
        let secret = one_of(
            "Solapi's secret",
            self.solapi_secret.as_ref(),
            self.solapi_secret_file.as_deref(),
        )?;
        let (pf_id, sender) = (
            set(self.solapi_pf_id.as_ref()),
            set(self.solapi_sender.as_ref()),
        );
        let templates: BTreeMap<_, _> = self.solapi_template.iter().cloned().collect();
        let Some(key) = key else {
            let beside = [
                ("--solapi-secret", secret.is_some()),
                ("--solapi-pf-id", pf_id.is_some()),
                ("--solapi-sender", sender.is_some()),
                ("--solapi-template", !templates.is_empty()),
                ("--solapi-url", !is_usual(&self.solapi_url, SOLAPI)),
            ];
            return match beside.into_iter().find(|(_, given)| *given) {
                Some((given, _)) => Err(half(given, "--solapi-key")),
                None => Ok(None),
            };
        };
        let secret = secret.ok_or_else(|| half("--solapi-key", "--solapi-secret"))?;
        let pf_id = pf_id.ok_or_else(|| half("--solapi-key", "--solapi-pf-id"))?;
        if templates.is_empty() {
            return Err(half("--solapi-key", "--solapi-template"));
        }
        Ok(Some(SolapiAccess {
            url: or_usual(&self.solapi_url, SOLAPI),
            key,
            secret,
            pf_id: pf_id.clone(),
            sender: sender.cloned(),
            templates,
        }))
    }
}

impl Chosen {
    /// Whether nobody outside is called.
    #[must_use]
    pub fn is_simulated(&self) -> bool {
        self.payment.is_none() && self.carrier.is_none() && self.kakao.is_none()
    }

    fn all_at(url: &str) -> Self {
        let secret = || SecretString::from(SIMULATED);
        let template = |kind: &str| (kind.to_owned(), format!("{SIMULATED}-{kind}"));
        Self {
            payment: Some(TossAccess {
                url: format!("{url}/toss"),
                secret_key: secret(),
            }),
            carrier: Some(CarrierAccess {
                url: format!("{url}/label"),
                token: secret(),
                tracker: Some(TrackerAccess {
                    url: format!("{url}/tracker/graphql"),
                    key: format!("{SIMULATED}:{SIMULATED}").into(),
                }),
            }),
            kakao: Some(SolapiAccess {
                url: format!("{url}/solapi"),
                key: secret(),
                secret: secret(),
                pf_id: SIMULATED.to_owned(),
                sender: None,
                templates: MESSAGE_KINDS.into_iter().map(template).collect(),
            }),
        }
    }
}

impl SolapiAccess {
    /// The kinds of messages that have no template and will fail.
    pub fn without_template(&self) -> impl Iterator<Item = &'static str> {
        MESSAGE_KINDS
            .into_iter()
            .filter(|kind| !self.templates.contains_key(*kind))
    }
}

/// Compose files and shells pass "unset" as an empty string.
fn set(text: Option<&String>) -> Option<&String> {
    text.filter(|text| !text.trim().is_empty())
}

fn is_usual(url: &str, usual: &str) -> bool {
    url.is_empty() || url == usual
}

fn or_usual(url: &str, usual: &str) -> String {
    (if url.is_empty() { usual } else { url }).to_owned()
}

fn half(given: &str, missing: &str) -> ConfigError {
    ConfigError::Unusable(format!(
        "{given} is given and {missing} is not: give both, or neither for the built-in simulator"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(change: impl FnOnce(&mut ProviderSettings)) -> Result<Chosen, String> {
        let mut settings = ProviderSettings::default();
        change(&mut settings);
        settings.choose().map_err(|error| error.to_string())
    }

    fn secret(text: &str) -> Option<SecretString> {
        Some(text.into())
    }

    #[test]
    fn a_port_without_credentials_is_the_built_in_simulators() {
        assert!(chosen(|_| {}).unwrap().is_simulated());
        let empty = |settings: &mut ProviderSettings| {
            settings.simulator_url = Some(String::new());
            settings.toss_secret_key = secret("");
            settings.toss_url = String::new();
            settings.solapi_pf_id = Some(String::new());
        };
        assert!(chosen(empty).unwrap().is_simulated(), "empty is unset");
        let paid = chosen(|settings| settings.toss_secret_key = secret("test_sk_1")).unwrap();
        assert_eq!(paid.payment.unwrap().url, TOSS);
        assert!(paid.carrier.is_none() && paid.kakao.is_none());
    }

    #[test]
    fn half_of_a_providers_settings_is_refused_with_what_is_missing() {
        type Change = fn(&mut ProviderSettings);
        let halves: [(Change, &str); 8] = [
            (
                |it| it.toss_url = "https://other.example".into(),
                "--toss-secret-key",
            ),
            (
                |it| it.label_url = Some("https://label.example".into()),
                "--label-token",
            ),
            (|it| it.label_token = secret("t"), "--label-url"),
            (|it| it.tracker_key = secret("a:b"), "--label-url"),
            (
                |it| it.tracker_url = "https://other.example".into(),
                "--tracker-key",
            ),
            (|it| it.solapi_secret = secret("s"), "--solapi-key"),
            (|it| it.solapi_key = secret("k"), "--solapi-secret"),
            (
                |it| {
                    it.solapi_key = secret("k");
                    it.solapi_secret = secret("s");
                    it.solapi_pf_id = Some("p".into());
                },
                "--solapi-template",
            ),
        ];
        for (change, missing) in halves {
            let error = chosen(change).expect_err(missing);
            assert!(error.contains(missing), "{error}");
        }
    }

    #[test]
    fn a_simulator_stands_for_all_three_or_for_none() {
        let url = Some("http://127.0.0.1:8090".to_owned());
        let all = chosen(|settings| settings.simulator_url.clone_from(&url)).unwrap();
        assert_eq!(all.payment.unwrap().url, "http://127.0.0.1:8090/toss");
        let carrier = all.carrier.unwrap();
        assert_eq!(carrier.url, "http://127.0.0.1:8090/label");
        assert_eq!(
            carrier.tracker.unwrap().url,
            "http://127.0.0.1:8090/tracker/graphql"
        );
        let kakao = all.kakao.unwrap();
        assert_eq!(kakao.url, "http://127.0.0.1:8090/solapi");
        assert_eq!(kakao.without_template().count(), 0);
        let both = |settings: &mut ProviderSettings| {
            settings.simulator_url.clone_from(&url);
            settings.toss_secret_key = secret("live_sk_1");
        };
        assert!(chosen(both).unwrap_err().contains("--simulator-url"));
    }

    #[test]
    fn webhooks_have_a_secret_by_default_only_while_everything_is_simulated() {
        let mut settings = ProviderSettings::default();
        assert!(settings.webhook_secret().unwrap().is_some());
        settings.toss_secret_key = secret("live_sk_1");
        settings.public_url = Some("https://shop.example".into());
        assert!(settings.webhook_secret().unwrap().is_none());
        assert!(settings.callback("deliveries/tracker").is_err());
        settings.webhook_secret = secret("long-and-random");
        assert_eq!(
            settings
                .callback("deliveries/tracker")
                .unwrap()
                .unwrap()
                .expose_secret(),
            "https://shop.example/webhooks/deliveries/tracker/long-and-random"
        );
    }
}
