//! Faults that tests cause.

use crate::projections::{Projections, View};
use crate::store::Store;

/// Limits the size of the embedded views beside the log, to play a full disk and, with a higher limit, one that has room again.
///
/// # Panics
/// On another backend.
pub async fn limit_pages(views: &Projections, pages: u32) {
    match &*views.site(View::Saga).store {
        Store::Sqlite(store) => store.limit_pages(pages).await.expect("the limit is set"),
        Store::Postgres(_) => panic!("only embedded views can be limited"),
    }
}
