//! What the customer view can be searched by.

use crate::table::{Column, Index, Kind, Rows, TableDef};

pub(super) const TABLE: TableDef = TableDef {
    view: "customer",
    version: 3,
    columns: &[
        Column {
            name: "customer_id",
            kind: Kind::Text,
        },
        Column {
            name: "status",
            kind: Kind::Text,
        },
        Column {
            name: "payment_status",
            kind: Kind::Text,
        },
        Column {
            name: "delivery_status",
            kind: Kind::Text,
        },
        Column {
            name: "waybill",
            kind: Kind::Text,
        },
        Column {
            name: "placed_at",
            kind: Kind::Int,
        },
        // The last event's position: what has changed since is looked for among one customer's rows.
        Column {
            name: "changed",
            kind: Kind::Int,
        },
    ],
    indexes: &[
        // "My orders", and every other list of one customer.
        Index {
            column: "customer_id",
            rows: Rows::All,
        },
        // Lists of one status.
        Index {
            column: "status",
            rows: Rows::Except("Delivered"),
        },
        Index {
            column: "payment_status",
            rows: Rows::Except("Paid"),
        },
        Index {
            column: "delivery_status",
            rows: Rows::Except("Delivered"),
        },
        // Whose parcel a carrier speaks of.
        Index {
            column: "waybill",
            rows: Rows::Set,
        },
        // Lists of a stretch of time.
        Index {
            column: "placed_at",
            rows: Rows::All,
        },
    ],
};
