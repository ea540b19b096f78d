//! The codes of Solapi and what each means for a message: four digits for what became of one, words for a request that was
//! not processed. A code that is not listed is unclear.

use crate::providers::ports::Refusal;

/// What a code means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// The dealer has it. Kakao's own receipt may come much later and is not waited for.
    Accepted,
    /// It cannot reach this receiver, or cannot be sent as it is: sending it again would give the same.
    Failed,
    /// It was not sent, and only operators can mend why.
    SetUp,
    /// It was not delivered and may be sent again.
    Passing,
    /// It may have been delivered.
    Unclear,
}

/// One code.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) code: &'static str,
    pub(super) class: Class,
    reason: &'static str,
}

const fn row(code: &'static str, class: Class, reason: &'static str) -> Row {
    Row {
        code,
        class,
        reason,
    }
}

impl Row {
    /// As a final no.
    pub(super) fn refusal(&self) -> Refusal {
        Refusal {
            code: kebab(self.code),
            reason: self.reason.to_owned(),
        }
    }

    /// As the reason of what is not final.
    pub(super) fn sentence(&self) -> String {
        format!("Solapi says {}: {}", self.code, self.reason)
    }
}

/// `3104` becomes `solapi-3104`, `ValidationError` becomes `validation-error`.
fn kebab(code: &str) -> String {
    if code.bytes().all(|byte| byte.is_ascii_digit()) {
        return format!("solapi-{code}");
    }
    let mut kebab = String::with_capacity(code.len() + 4);
    for letter in code.chars() {
        if letter.is_ascii_uppercase() && !kebab.is_empty() {
            kebab.push('-');
        }
        kebab.push(letter.to_ascii_lowercase());
    }
    kebab
}

/// What became of a message.
pub(super) fn status(code: &str) -> Option<&'static Row> {
    STATUS.iter().find(|row| row.code == code)
}

/// Why a request was not processed.
pub(super) fn error(code: &str) -> Option<&'static Row> {
    ERRORS.iter().find(|row| row.code == code)
}

/// The sentence of what was decided with this code, in kebab case.
pub(in crate::providers) fn words(code: &str) -> Option<&'static str> {
    let mut rows = STATUS
        .iter()
        .chain(ERRORS)
        .filter(|row| row.class == Class::Failed);
    rows.find(|row| kebab(row.code) == code)
        .map(|row| row.reason)
}

#[rustfmt::skip]
const STATUS: &[Row] = &[
    row("2000", Class::Accepted, "the dealer has it"),
    row("3000", Class::Accepted, "the network has it"),
    row("4000", Class::Accepted, "it was delivered"),
    row("1060", Class::Failed, "The number is blocked."),
    row("1061", Class::Failed, "The receiver takes no messages."),
    row("1064", Class::Failed, "The number was blocked by the authorities."),
    row("2060", Class::Failed, "The number is blocked."),
    row("2061", Class::Failed, "The receiver takes no messages."),
    row("2064", Class::Failed, "The number was blocked by the authorities."),
    row("3010", Class::Failed, "The number has a wrong form."),
    row("3032", Class::Failed, "Nobody has this number."),
    row("3047", Class::Failed, "The receiver refuses messages."),
    row("3050", Class::Failed, "The telephone takes no messages."),
    row("3051", Class::Failed, "The number cannot be reached."),
    row("3054", Class::Failed, "It was taken for spam."),
    row("3055", Class::Failed, "It was taken for spam."),
    row("3060", Class::Failed, "The receiver is not known to be of age."),
    row("3102", Class::Failed, "The receiver is no friend of the channel."),
    row("3104", Class::Failed, "The receiver does not use KakaoTalk."),
    row("3107", Class::Failed, "The receiver does not use KakaoTalk or has blocked such messages."),
    row("1010", Class::Failed, "A part that is required is missing."),
    row("1011", Class::Failed, "A part has a wrong form."),
    row("1013", Class::Failed, "It has a subject and must not."),
    row("1014", Class::Failed, "Its subject is too long."),
    row("1021", Class::Failed, "There is no such message."),
    row("1022", Class::Failed, "There is no such group."),
    row("1023", Class::Failed, "There is no such image."),
    row("1025", Class::Failed, "Its type does not exist."),
    row("1026", Class::Failed, "Its receiver is named twice."),
    row("1027", Class::Failed, "It is not in UTF-8."),
    row("1028", Class::Failed, "It has characters that cannot be shown."),
    row("1029", Class::Failed, "It has characters that text messages do not have."),
    row("1031", Class::Failed, "It is too long."),
    row("1032", Class::Failed, "It has a custom field of a wrong form."),
    row("1033", Class::Failed, "It has options of another type of message."),
    row("1034", Class::Failed, "Its image does not exist."),
    row("1044", Class::Failed, "It has a wrong button."),
    row("1045", Class::Failed, "It has a button with a wrong address."),
    row("1046", Class::Failed, "Its template has a button."),
    row("1047", Class::Failed, "Its template has no button."),
    row("1048", Class::Failed, "It has a button with too long an address."),
    row("1049", Class::Failed, "It has a button with too long a name."),
    row("1050", Class::Failed, "It has too many buttons."),
    row("1051", Class::Failed, "Its image does not exist."),
    row("1052", Class::Failed, "Its buttons are in a wrong order."),
    row("1053", Class::Failed, "It has a button that it must not have."),
    row("2011", Class::Failed, "A part has a wrong form."),
    row("2254", Class::Failed, "It was taken for spam."),
    row("3011", Class::Failed, "A part has a wrong form."),
    row("1020", Class::SetUp, "the account does not exist or its password is wrong"),
    row("1030", Class::SetUp, "the account's balance is used up"),
    row("1041", Class::SetUp, "the channel does not exist"),
    row("1042", Class::SetUp, "the template does not exist"),
    row("1043", Class::SetUp, "the message differs from its template"),
    row("1058", Class::SetUp, "there is no way to send it"),
    row("1062", Class::SetUp, "the sender's number is not registered"),
    row("2062", Class::SetUp, "the sender's number is not registered"),
    row("2063", Class::SetUp, "the account is blocked"),
    row("2230", Class::SetUp, "the account's balance is used up"),
    row("3013", Class::SetUp, "the sender's number has a wrong form"),
    row("3058", Class::SetUp, "there is no way to send it"),
    row("3059", Class::SetUp, "the sender's number is forged"),
    row("3101", Class::SetUp, "the channel's key is wrong"),
    row("3103", Class::SetUp, "the message differs from its template"),
    row("3105", Class::SetUp, "the template is not registered"),
    row("3106", Class::SetUp, "the channel does not exist"),
    row("1024", Class::Passing, "it has a fault"),
    row("2024", Class::Passing, "it has a fault"),
    row("3012", Class::Passing, "the network has a fault"),
    row("3024", Class::Passing, "it has a fault"),
    row("3031", Class::Passing, "it cannot be delivered now"),
    row("3040", Class::Passing, "it took too long"),
    row("3041", Class::Passing, "the telephone is busy"),
    row("3042", Class::Passing, "the telephone is out of reach"),
    row("3043", Class::Passing, "the telephone is switched off"),
    row("3044", Class::Passing, "the telephone's memory is full"),
    row("3045", Class::Passing, "the telephone is suspended"),
    row("3046", Class::Passing, "the telephone has a problem"),
    row("3052", Class::Passing, "the network deleted it"),
    row("3053", Class::Passing, "the network's queue is full"),
    row("3056", Class::Passing, "the radio network lost it"),
    row("3057", Class::Passing, "the radio network could not reach the telephone"),
    row("3108", Class::Passing, "such messages are not sent at this hour"),
    row("3014", Class::Unclear, "the network does not know what became of it"),
    row("3048", Class::Unclear, "the network does not know what became of it"),
];

#[rustfmt::skip]
const ERRORS: &[Row] = &[
    row("InvalidAPIKey", Class::SetUp, "it does not know our key"),
    row("SignatureDoesNotMatch", Class::SetUp, "our secret is wrong"),
    row("RequestTimeTooSkewed", Class::SetUp, "our clock is wrong"),
    row("DuplicatedSignature", Class::Passing, "the signature was used before"),
    row("Unauthorized", Class::SetUp, "it does not accept our key"),
    row("Forbidden", Class::SetUp, "our key may not send messages"),
    row("InvalidAccountId", Class::SetUp, "the account does not exist"),
    row("NotEnoughBalance", Class::SetUp, "the account's balance is used up"),
    row("BalanceInsufficient", Class::SetUp, "the account's balance is used up"),
    row("InternalServerError", Class::Unclear, "it has a fault"),
    row("TooManyRequests", Class::Passing, "requests come too fast"),
    row("ValidationError", Class::Failed, "The dealer cannot read the message."),
    row("InvalidCountryId", Class::Failed, "The dealer does not send to this country."),
    row("RecipientsTooMany", Class::Failed, "The message has too many receivers."),
    row("ImageNotFound", Class::Failed, "The message's image does not exist."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_is_listed_twice() {
        let mut codes: Vec<_> = STATUS.iter().chain(ERRORS).map(|row| row.code).collect();
        codes.sort_unstable();
        let listed = codes.len();
        codes.dedup();
        assert_eq!(codes.len(), listed);
    }

    #[test]
    fn codes_of_refusals_are_in_kebab_case() {
        assert_eq!(kebab("3104"), "solapi-3104");
        assert_eq!(kebab("ValidationError"), "validation-error");
    }
}
