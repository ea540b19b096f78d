//! Personal data and payment tokens: in clear on their way in, as ciphertext in every event.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Ciphertext of something personal. The only form in which a name, a phone number, an address or a
/// payment token is in an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(String);

impl Sealed {
    /// Takes what the vault made of a clear text.
    pub fn from_ciphertext(ciphertext: String) -> Self {
        Self(ciphertext)
    }

    /// What the vault can open again.
    pub fn ciphertext(&self) -> &str {
        &self.0
    }
}

/// Something personal in clear. It cannot be printed or serialised by accident; whoever needs it
/// says [`Personal::expose`].
#[derive(Clone, PartialEq, Eq)]
pub struct Personal(String);

impl Personal {
    /// The clear text, for the vault, the provider and the customer's own reads.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Personal {
    fn from(clear: String) -> Self {
        Self(clear)
    }
}

impl From<&str> for Personal {
    fn from(clear: &str) -> Self {
        Self(clear.to_owned())
    }
}

impl fmt::Debug for Personal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[personal]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn personal_data_does_not_show_in_debug_output() {
        assert_eq!(format!("{:?}", Personal::from("Jane Doe")), "[personal]");
    }
}
