//! The read models over HTTP.

mod counts;
mod customer;
mod export;
mod list;
mod message;
mod mypage;
mod projections;
mod rebuild;
mod verbs;

pub use customer::{
    __path_deliveries, __path_orders, __path_payments, deliveries, orders, payments,
};
pub use export::EXPORTS_AT_ONCE;
pub use list::{Collection, query_failed};
pub use message::{
    __path_kakaomsg, __path_kakaomsg_counts, __path_kakaomsgs, __path_kakaomsgs_csv, __path_kakaos,
    kakaomsg, kakaomsg_counts, kakaomsgs, kakaomsgs_csv, kakaos,
};
pub use mypage::{
    __path_changes, __path_customerview, __path_customerviews, __path_mypage, __path_mypage_counts,
    __path_mypages, __path_mypages_csv, Seats, changes, customerview, customerviews, mypage,
    mypage_counts, mypages, mypages_csv,
};
pub use projections::{__path_show, __path_status, show, status};
pub use rebuild::{__path_rebuild, rebuild};
pub use verbs::{__path_intervene, __path_parked, intervene, parked};
