//! Orders: the commands on them and each one as it is now.

mod cancel;
mod document;
mod form;
mod id;
mod place;
mod show;

pub use cancel::{__path_cancel, __path_delete, cancel, delete};
pub use document::OrderDocument;
pub use form::Defaults;
pub use id::{__path_id, id};
pub use place::{__path_place, place};
pub use show::{
    __path_delivery, __path_order, __path_payment, delivery, delivery_document, order,
    order_document, payment, payment_document,
};
