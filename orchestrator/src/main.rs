//! The `bookmarket` command.

fn main() {}
