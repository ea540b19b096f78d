//! The relay, on real brokers.

mod cluster;
mod compatibility;
mod consumers;
mod emptied;
mod losses;
mod obstacles;
mod ordered;
mod permissions;
mod readers;
mod releases;
mod speed;
mod strangers;
mod turns;
mod world;

pub(super) use world::append;
