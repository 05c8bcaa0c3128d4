//! Dotted paths through documents and arrays.
