//! An embedded, durable document store that answers the MongoDB wire protocol.
