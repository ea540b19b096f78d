//! Personal data on its way in and out: sealed before a command is decided, unsealed right before a provider is called.

use aggregates::order::{
    CheckedOrder, Contact, Order, Payment, SealedContact, SealedDetails, SealedPayment,
};
use aggregates::personal::{Personal, Sealed};
use eventstore::{Vault, VaultError};

/// Whether there is anything to seal.
pub(super) fn is_in(order: &CheckedOrder) -> bool {
    order.payment.is_some() || order.contact.is_some() || order.address.is_some()
}

/// Seals what of an order is personal under its customer's key. Does not touch the vault where there is nothing to seal.
pub(super) async fn seal(vault: &Vault, order: &CheckedOrder) -> Result<SealedDetails, VaultError> {
    if !is_in(order) {
        return Ok(SealedDetails::default());
    }
    let sealer = vault.sealer(&order.customer_id).await?;
    let sealed = |clear: &str| sealer.seal(clear).map(Sealed::from_ciphertext);
    let payment = |given: &Payment| {
        Ok::<_, VaultError>(SealedPayment {
            method: given.method.clone(),
            token: sealed(given.token.expose())?,
        })
    };
    let contact = |given: &Contact| {
        Ok::<_, VaultError>(SealedContact {
            name: sealed(given.name.expose())?,
            phone: sealed(given.phone.expose())?,
        })
    };
    let address = order.address.as_ref();
    Ok(SealedDetails {
        payment: order.payment.as_ref().map(payment).transpose()?,
        contact: order.contact.as_ref().map(contact).transpose()?,
        address: address.map(|given| sealed(&given.to_json())).transpose()?,
    })
}

/// The personal parts of an order in clear; what was erased, or never given, is missing.
#[derive(Debug, Clone, Default)]
pub struct Details {
    /// What the provider is asked to charge.
    pub token: Option<Personal>,
    /// The recipient's name.
    pub name: Option<Personal>,
    /// The recipient's phone number.
    pub phone: Option<Personal>,
    /// Where to send it: one JSON object.
    pub address: Option<Personal>,
}

/// Which parts are needed; nothing else is unsealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// The payment token.
    Token,
    /// Name, phone and address.
    Parcel,
    /// The phone number.
    Phone,
}

/// Unseals what is needed of an order.
pub(super) async fn unseal(
    vault: &Vault,
    order: &Order,
    need: Need,
) -> Result<Details, VaultError> {
    let subject = order.customer_id.as_str();
    let clear = async |sealed: Option<&Sealed>| match sealed {
        Some(sealed) => {
            let clear = vault.unseal(subject, sealed.ciphertext()).await?;
            Ok::<_, VaultError>(clear.map(Personal::from))
        }
        None => Ok(None),
    };
    let contact = order.contact.as_ref();
    let mut details = Details::default();
    match need {
        Need::Token => {
            details.token = clear(order.payment.as_ref().map(|payment| &payment.token)).await?;
        }
        Need::Parcel => {
            details.name = clear(contact.map(|contact| &contact.name)).await?;
            details.phone = clear(contact.map(|contact| &contact.phone)).await?;
            details.address = clear(order.address.as_ref()).await?;
        }
        Need::Phone => details.phone = clear(contact.map(|contact| &contact.phone)).await?,
    }
    Ok(details)
}
