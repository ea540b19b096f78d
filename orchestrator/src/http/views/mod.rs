//! The read models over HTTP.

mod customer;
mod list;
mod message;
mod mypage;
mod projections;

pub use customer::{
    __path_deliveries, __path_orders, __path_payments, deliveries, orders, payments,
};
pub use list::{Collection, query_failed};
pub use message::{__path_kakaomsg, __path_kakaomsgs, __path_kakaos, kakaomsg, kakaomsgs, kakaos};
pub use mypage::{
    __path_customerview, __path_customerviews, __path_mypage, __path_mypages, customerview,
    customerviews, mypage, mypages,
};
pub use projections::{__path_rebuild, __path_show, __path_status, rebuild, show, status};
