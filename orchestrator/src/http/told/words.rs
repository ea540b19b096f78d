//! The words themselves.

use crate::providers;

/// Where a refusal has no words of its own.
pub(in crate::http) const ORDER_REFUSED: &str = "The order could not be accepted.";
pub(in crate::http) const CANCEL_REFUSED: &str = "The order cannot be canceled any more.";
pub(super) const PAYMENT_REFUSED: &str = "The payment provider refused.";
pub(super) const PARCEL_REFUSED: &str = "The carrier refused.";
pub(super) const MESSAGE_FAILED: &str = "The message could not be sent.";
pub(super) const MESSAGE_NOT_WANTED: &str = "It was not wanted any more.";

/// Where somebody else than the customer has ended the order.
const BY_THE_SHOP: &str = "The shop canceled the order.";
const BY_ITSELF: &str = "The order could not be carried out.";

/// Where something came between on the way that has no words of its own.
const TROUBLE: &str = "Something came between on the parcel's way.";

/// Who asks where nobody asks: what our programs call themselves in the log.
const PROGRAMS: [&str; 3] = ["system", "reconciler", "webhook"];

/// Who did something, as far as a customer is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Party {
    /// The customer, or the shop's backend in its name.
    Customer,
    /// Somebody of the shop's people; under which name is the shop's own affair.
    Shop,
    /// One of our programs.
    System,
}

impl Party {
    /// Who an actor of the log is.
    pub(super) fn of(actor: &str) -> Party {
        match actor {
            "customer" => Party::Customer,
            program if PROGRAMS.contains(&program) => Party::System,
            _ => Party::Shop,
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Party::Customer => "customer",
            Party::Shop => "shop",
            Party::System => "system",
        }
    }

    /// Its name, and why it canceled: the customer's own words, or fixed ones.
    pub(super) fn tell(self, reason: &str) -> (String, String) {
        let reason = match self {
            Party::Customer => reason,
            Party::Shop => BY_THE_SHOP,
            Party::System => BY_ITSELF,
        };
        (self.as_str().to_owned(), reason.to_owned())
    }
}

/// The sentence of a refusal's code, or another one where it has none.
pub(in crate::http) fn of_refusal(code: &str, otherwise: &str) -> String {
    let ours = match code {
        "payment-expired" => Some("The payment was not made within its time."),
        "payment-given-back" => Some("The payment was given back at the payment provider."),
        "payment-token-of-another-order" => Some("The payment was made for another order."),
        "refund-aborted" => Some("The payment provider began to give the money back and stopped."),
        "past-point-of-no-return" | "pivot-passed" => Some("The parcel is with the carrier."),
        "scan-after-hold" => {
            Some("The carrier took the parcel along although it had promised to hold it.")
        }
        "label-not-void" => Some("The carrier does not take the parcel's label back."),
        "address-erased" => {
            Some("The customer's name and address were erased before the parcel was sent.")
        }
        "no-contact" => Some("The order names no telephone number."),
        _ => providers::words::of_refusal(code),
    };
    ours.unwrap_or(otherwise).to_owned()
}

/// The sentence about what came between on a parcel's way.
pub(super) fn of_trouble(said: &str) -> String {
    let ours = providers::words::of_trouble(said);
    ours.unwrap_or(TROUBLE).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_customer_is_told_its_own_reason() {
        let tell = |actor: &str| Party::of(actor).tell("too dear");
        assert_eq!(tell("customer"), ("customer".into(), "too dear".into()));
        for operator in ["operator", "kim.minsu"] {
            assert_eq!(tell(operator), ("shop".into(), BY_THE_SHOP.into()));
        }
        for program in PROGRAMS {
            assert_eq!(tell(program), ("system".into(), BY_ITSELF.into()));
        }
    }

    #[test]
    fn a_code_without_words_gets_those_of_its_kind() {
        let told = |code| of_refusal(code, PAYMENT_REFUSED);
        assert_eq!(told("resolved-undone"), PAYMENT_REFUSED);
        assert_eq!(told("invalid-stopped-card"), "The card is suspended.");
    }
}
