//! `replay`, as a process of its own and by way of a server.

mod commands;
mod kills;
mod past;
mod shelf;
mod writing;
