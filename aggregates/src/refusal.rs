//! Why somebody outside said no.

/// A final no of a provider, or of ours to a customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// A stable word for programs.
    pub code: String,
    /// A sentence for people.
    pub reason: String,
}

impl Refusal {
    /// A refusal with these words.
    pub fn new(code: &str, reason: &str) -> Self {
        Self {
            code: code.to_owned(),
            reason: reason.to_owned(),
        }
    }
}
