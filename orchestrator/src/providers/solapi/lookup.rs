//! Whether a message of ours is already with the dealer.

use chrono::{Duration, SecondsFormat, Utc};
use reqwest::Method;
use uuid::Uuid;

use super::codes::{self, Class};
use super::wire::{ErrorBody, Listed, Messages, Stored};
use super::{ALIMTALK, KIND, MESSAGE_ID, PROVIDER, SMS, Solapi, national};
use crate::providers::ports::{Accepted, Found};

/// A message is tried for a day; what is older is not the one we look for.
const SINCE: Duration = Duration::hours(25);

/// Messages of one page; the dealer gives no more.
const PAGE: &str = "500";

/// Pages that are read. To one number go a few messages; without a number this is what a busy shop sends in a day.
const PAGES: usize = 20;

impl Solapi {
    /// Searches what went to that number, or, if it is not known any more, all that we sent. The dealer cannot search by
    /// custom fields.
    pub(super) async fn search(&self, message_id: Uuid, phone: Option<&str>) -> Found<Accepted> {
        let since = (Utc::now() - SINCE).to_rfc3339_opts(SecondsFormat::Secs, true);
        let mut query = vec![
            ("dateType", "CREATED".to_owned()),
            ("startDate", since),
            ("limit", PAGE.to_owned()),
        ];
        query.extend(phone.and_then(national).map(|to| ("to", to)));
        let until = self.http.until();
        let id = message_id.to_string();
        let fixed = query.len();
        for _ in 0..PAGES {
            let path = ["messages", "v4", "list"];
            let request = self.http.request(Method::GET, &path, &query);
            let reply = self.send_signed(request, until).await;
            let reply = match reply {
                Ok(reply) => reply,
                Err(failure) => return failure.into_found(),
            };
            if !reply.is_success() {
                return self.not_listed(reply.json::<ErrorBody>(), reply.status);
            }
            let Some(page) = reply.json::<Listed>() else {
                return Found::Unknown(self.http.garbled(reply.status));
            };
            let ours = |it: &Stored| {
                let fields = it.custom_fields.as_ref();
                fields.and_then(|fields| fields.get(MESSAGE_ID)) == Some(&id)
            };
            let found: Vec<_> = page
                .message_list
                .map(Messages::into_vec)
                .unwrap_or_default()
                .into_iter()
                .filter(ours)
                .collect();
            if !found.is_empty() {
                return self.judge_attempts(found);
            }
            query.truncate(fixed);
            match page.next_key.filter(|next| !next.is_empty()) {
                Some(next) => query.push(("startKey", next)),
                None => return Found::Nothing,
            }
        }
        Found::Unknown("there are too many messages to find this one among them".to_owned())
    }

    fn not_listed(&self, error: Option<ErrorBody>, status: u16) -> Found<Accepted> {
        match error.and_then(|error| codes::error(&error.error_code)) {
            Some(row) => {
                if row.class == Class::SetUp {
                    self.http.complain(row.code);
                }
                Found::Unknown(row.sentence())
            }
            None => Found::Unknown(self.http.garbled(status)),
        }
    }

    /// Of several attempts at a message one that went out counts; if none did, the latest says why.
    fn judge_attempts(&self, mut attempts: Vec<Stored>) -> Found<Accepted> {
        attempts.sort_by_key(|attempt| attempt.date_created);
        let row = |attempt: &Stored| attempt.status_code.as_deref().and_then(codes::status);
        let out = attempts
            .iter()
            .find(|it| row(it).is_some_and(|row| row.class == Class::Accepted));
        if let Some(attempt) = out {
            let fields = attempt.custom_fields.as_ref();
            let kind = fields.and_then(|fields| fields.get(KIND));
            let reference = attempt.message_id.clone();
            let kind = kind.map_or("", String::as_str);
            return Found::Done(self.accepted(channel(attempt), reference, kind));
        }
        match attempts.last().map(row) {
            None => Found::Nothing,
            Some(None) => Found::Unknown(format!(
                "{PROVIDER} shows the message with a status that is not documented"
            )),
            Some(Some(row)) => match row.class {
                Class::Failed => Found::Refused(row.refusal()),
                // It is known not to have been delivered, so it may be sent again.
                Class::SetUp | Class::Passing => Found::Nothing,
                Class::Unclear | Class::Accepted => Found::Unknown(row.sentence()),
            },
        }
    }
}

/// A text message that replaced an Alimtalk is listed under its own type.
fn channel(attempt: &Stored) -> &'static str {
    match attempt.kind.as_deref() {
        Some("SMS" | "LMS" | "MMS") => SMS,
        _ => ALIMTALK,
    }
}
