//! Nothing but benches: see `benches/peers.rs`.
#![forbid(unsafe_code)]
