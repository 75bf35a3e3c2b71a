//! OAuth and API-key protocols as functions: provider and inputs to tokens. Outbound HTTP only; knows no store.

pub mod api_key;
