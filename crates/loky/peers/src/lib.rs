//! Nothing but benches: see `benches/peers.rs`.
