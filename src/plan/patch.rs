//! JSON patch paths.

use json_patch::jsonptr::PointerBuf;

/// Paths here are literals and indices, which never need escaping.
pub fn pointer(path: &str) -> PointerBuf {
    PointerBuf::from_tokens(path.split('/').skip(1))
}
