//! json_schema
