//! Data sets written anew: modification, and de-identification by the profiles of PS3.15 Annex E.
//!
//! A [`Recipe`] says what is done, a [`Scope`] which instances it is done to. Neither knows files, clocks or chance: what
//! becomes of a data set is a function of recipe, scope and data set, so the same input with the same [`Key`] gives the
//! same bytes, today and when a job is done again after a crash.

mod error;
mod key;
mod path;
pub mod profile;
mod scope;

pub use error::EditError;
pub use key::Key;
pub use path::{EditPath, Items};
pub use scope::{MAX_SCOPE, Scope};
