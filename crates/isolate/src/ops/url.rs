//! URL parsing for the prelude.

use super::{Native, natives};

/// The functions of this area.
pub(crate) fn natives() -> Vec<Native> {
    natives! {}
}
