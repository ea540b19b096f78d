//! The adapters against what their providers' documentation says: examples, codes, and a network that misbehaves.

mod canary;
mod contract;
mod label;
mod no_contact;
mod server;
mod solapi;
mod solapi_codes;
mod tables;
mod toss;
mod toss_codes;
mod toss_find;
mod toss_list;
mod toss_refunds;
mod tracker;
mod void_label;
mod wire;
