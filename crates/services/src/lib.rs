//! Every outside system that user code can reach.
