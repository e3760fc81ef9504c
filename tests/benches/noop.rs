//! The smallest trial there is: a program that does nothing.

fn main() {}
