//! x
pub mod crd;
