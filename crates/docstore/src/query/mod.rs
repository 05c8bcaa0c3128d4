//! Values, filters, projections, sort orders and updates.
