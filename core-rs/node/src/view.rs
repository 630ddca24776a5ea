//! From when resources are shown.

use vna_index::View;

use crate::arrival::now_us;

/// How long a resource must be quiet to be stable, in microseconds.
const STABLE_AGE_US: i64 = 60_000_000;

/// Resources as they are now.
#[must_use]
pub fn view() -> View {
    View {
        now_us: now_us(),
        stable_age_us: STABLE_AGE_US,
    }
}
