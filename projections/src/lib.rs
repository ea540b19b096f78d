//! Read models of the book market.
