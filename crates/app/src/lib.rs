//! The order of steps of one call, and how the parts are wired.
