//! Solapi, a dealer of Kakao's Alimtalk: messages with a template that Kakao has approved, to a telephone number.
//!
//! It knows no idempotency keys. Each message carries our id in a custom field, and before a message is sent again the list
//! of what went to that number is searched for it.

mod auth;
mod codes;
mod lookup;
mod wire;

use std::collections::BTreeMap;

use futures_util::future::{BoxFuture, FutureExt};
use reqwest::header::AUTHORIZATION;
use reqwest::{Method, RequestBuilder};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;
use uuid::Uuid;

pub(super) use self::codes::words;
use self::codes::{Class, Row};
use self::wire::{ErrorBody, KakaoOptions, Outgoing, Registered, SendMany, Sent};
use super::http::{Endpoint, Failure, Http, Reply, SetupError};
use super::ports::{Accepted, Answer, Found, KakaoPort, Message, Refusal};

const PROVIDER: &str = "Solapi";

/// Our id of the message, in its custom fields.
const MESSAGE_ID: &str = "messageId";

/// Longer custom fields make the dealer refuse the message.
const FIELD_MAX: usize = 100;

/// By which channel a message goes that no text message has replaced.
const ALIMTALK: &str = "alimtalk";

/// By which channel one goes that does not reach its receiver on KakaoTalk.
const SMS: &str = "sms";

/// The kind of a message, in its custom fields.
const KIND: &str = "kind";

/// How to reach Solapi, and as whom.
#[derive(Debug, Clone)]
pub struct SolapiSettings {
    /// Where it is; `https://api.solapi.com`.
    pub endpoint: Endpoint,
    /// The key's name.
    pub api_key: SecretString,
    /// The key itself.
    pub api_secret: SecretString,
    /// The Kakao channel (`pfId`).
    pub pf_id: String,
    /// The registered number from which text messages go to those who do not use KakaoTalk; without one none go.
    pub sender: Option<String>,
    /// Template by kind of message: `shipped`, `canceled`, `direct`. Its variables are `#{orderId}` and `#{text}`.
    pub templates: BTreeMap<String, String>,
}

/// The adapter.
pub struct Solapi {
    http: Http,
    settings: SolapiSettings,
}

impl Solapi {
    /// The adapter with these settings. Asks nobody.
    pub fn new(settings: SolapiSettings) -> Result<Self, SetupError> {
        let http = Http::new(PROVIDER, &settings.endpoint)?;
        let credential = |what| SetupError::Credential {
            provider: PROVIDER,
            what,
        };
        // What would break the header out of its form would break every request.
        let key = settings.api_key.expose_secret();
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(credential("the API key"));
        }
        if settings.api_secret.expose_secret().is_empty() {
            return Err(credential("the API secret"));
        }
        for kind in ["shipped", "canceled", "direct"] {
            if !settings.templates.contains_key(kind) {
                tracing::warn!(
                    provider = PROVIDER,
                    kind,
                    "messages of this kind have no template and will fail"
                );
            }
        }
        Ok(Self { http, settings })
    }

    async fn post(&self, message: Message) -> Answer<Accepted> {
        let to = match message.phone.as_deref().map(national) {
            Some(Some(to)) => to,
            Some(None) => {
                return refused("invalid-phone", "The telephone number is no Korean one.");
            }
            None => return refused("no-contact", "The order names no telephone number."),
        };
        let Some(template_id) = self.settings.templates.get(&message.kind) else {
            return refused(
                "no-template",
                "There is no template for messages of this kind.",
            );
        };
        let body = SendMany {
            messages: [self.outgoing(&message, &to, template_id)],
            show_message_list: true,
        };
        let path = ["messages", "v4", "send-many", "detail"];
        let request = self.http.request(Method::POST, &path, &[]).json(&body);
        match self.send_signed(request, self.http.until()).await {
            Ok(reply) => self.judge(&reply, &message.kind),
            Err(failure) => failure.into_answer(),
        }
    }

    fn outgoing<'a>(
        &'a self,
        message: &'a Message,
        to: &'a str,
        template_id: &'a str,
    ) -> Outgoing<'a> {
        let mut custom_fields = BTreeMap::from([
            (MESSAGE_ID, message.message_id.to_string()),
            (KIND, message.kind.clone()),
        ]);
        // Direct messages may be about anything; for what is longer our id says enough.
        if message.order_id.chars().count() <= FIELD_MAX {
            custom_fields.insert("orderId", message.order_id.clone());
        }
        Outgoing {
            to,
            from: self.settings.sender.as_deref(),
            kind: "ATA",
            kakao_options: KakaoOptions {
                pf_id: &self.settings.pf_id,
                template_id,
                variables: BTreeMap::from([
                    ("#{orderId}", message.order_id.as_str()),
                    ("#{text}", message.text.as_str()),
                ]),
                disable_sms: self.settings.sender.is_none(),
            },
            custom_fields,
        }
    }

    /// Signs and sends; the signature is made last, since it is good for this request only.
    async fn send_signed(&self, request: RequestBuilder, until: Instant) -> Result<Reply, Failure> {
        let signature = auth::sign(&self.settings.api_key, &self.settings.api_secret);
        let signature =
            signature.ok_or_else(|| Failure::NotSent("the request cannot be signed".to_owned()))?;
        let request = request.header(AUTHORIZATION, signature);
        self.http.send(request, until).await
    }

    fn judge(&self, reply: &Reply, kind: &str) -> Answer<Accepted> {
        if !reply.is_success() {
            let error = reply.json::<ErrorBody>();
            return match error.and_then(|error| codes::error(&error.error_code)) {
                Some(row) => self.not_accepted(row),
                None => Answer::Unknown(self.http.garbled(reply.status)),
            };
        }
        let Some(sent) = reply.json::<Sent>() else {
            return Answer::Unknown(self.http.garbled(reply.status));
        };
        let listed = sent.message_list.unwrap_or_default();
        match sent.failed_message_list.first().or_else(|| listed.first()) {
            Some(registered) => self.registered(registered, sent.group_info.as_ref(), kind),
            None => match sent.group_info {
                Some(group) if group.count.registered_success == 1 => {
                    Answer::Done(self.accepted(ALIMTALK, group.group_id, kind))
                }
                _ => Answer::Unknown("the dealer does not say what became of the message".into()),
            },
        }
    }

    fn registered(
        &self,
        message: &Registered,
        group: Option<&wire::GroupInfo>,
        kind: &str,
    ) -> Answer<Accepted> {
        let Some(row) = codes::status(&message.status_code) else {
            return Answer::Unknown(format!(
                "{PROVIDER} gave the message a status that is not documented"
            ));
        };
        if row.class != Class::Accepted {
            return self.not_accepted(row);
        }
        let group = || group.map(|group| group.group_id.clone());
        let reference = message.message_id.clone().or_else(group);
        Answer::Done(self.accepted(ALIMTALK, reference.unwrap_or_default(), kind))
    }

    fn accepted(&self, channel: &str, reference: String, kind: &str) -> Accepted {
        Accepted {
            channel: channel.to_owned(),
            reference,
            template: self.settings.templates.get(kind).cloned(),
            fallback: self.settings.sender.as_ref().map(|_| SMS.to_owned()),
        }
    }

    fn not_accepted(&self, row: &Row) -> Answer<Accepted> {
        match row.class {
            Class::Failed => Answer::Refused(row.refusal()),
            Class::SetUp => {
                self.http.complain(row.code);
                Answer::NotSent(row.sentence())
            }
            // The dealer says that it did not go out, but not that nobody else is still at it.
            Class::Passing | Class::Unclear | Class::Accepted => Answer::Unknown(row.sentence()),
        }
    }
}

fn refused(code: &str, reason: &str) -> Answer<Accepted> {
    Answer::Refused(Refusal {
        code: code.to_owned(),
        reason: reason.to_owned(),
    })
}

/// A Korean number as Koreans dial it: `+82-10-1234-5678` is `01012345678`. Alimtalk goes to no other country.
fn national(phone: &str) -> Option<String> {
    let phone = phone.trim();
    let digits: String = phone.chars().filter(char::is_ascii_digit).collect();
    let digits = match (phone.starts_with('+'), digits.strip_prefix("82")) {
        (true, Some(rest)) => format!("0{}", rest.trim_start_matches('0')),
        (true, None) => return None,
        (false, _) => digits,
    };
    let dialled = digits.starts_with('0') && (9..=12).contains(&digits.len());
    dialled.then_some(digits)
}

impl KakaoPort for Solapi {
    fn send(&self, message: Message) -> BoxFuture<'_, Answer<Accepted>> {
        self.post(message).boxed()
    }

    fn lookup<'a>(
        &'a self,
        message_id: Uuid,
        phone: Option<&'a str>,
    ) -> BoxFuture<'a, Found<Accepted>> {
        self.search(message_id, phone).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_korean_number_is_dialled_as_at_home_and_others_are_none() {
        for (given, dialled) in [
            ("+82-10-7777-1234", Some("01077771234")),
            ("+82 010 7777 1234", Some("01077771234")),
            ("010-7777-1234", Some("01077771234")),
            ("02 123 4567", Some("021234567")),
            ("+1 555 0100 200", None),
            ("7777-1234", None),
            ("call me", None),
            ("", None),
        ] {
            assert_eq!(national(given).as_deref(), dialled, "{given}");
        }
    }
}
