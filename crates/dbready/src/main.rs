//! The `dbready` command.

fn main() {}
