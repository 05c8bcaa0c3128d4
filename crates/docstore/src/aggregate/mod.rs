//! Expressions, accumulators and pipeline stages.
