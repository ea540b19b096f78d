//! One shop of many processes, each with a part of the work, on one Postgres.

mod clients;
mod cluster;
mod crew;
mod deploys;
mod frozen;
mod leaving;
mod losses;
mod mixes;
mod next;
mod parts;
mod permissions;
mod proxied;
mod refusing_brokers;
mod releases;
mod scale;
mod siege;
mod stopping;
mod versions;
mod weather;
