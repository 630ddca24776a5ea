//! Data sets written anew: modification, and de-identification by the profiles of PS3.15 Annex E.
//!
//! A [`Recipe`] says what is done, a [`Scope`] which instances it is done to. Neither knows files, clocks or chance: what
//! becomes of a data set is a function of recipe, scope and data set, so the same input with the same [`Key`] gives the
//! same bytes, today and when a job is done again after a crash.

mod apply;
mod error;
mod file;
mod key;
mod originals;
mod path;
mod private;
pub mod profile;
mod recipe;
mod rules;
mod scope;
mod text;
mod value;

pub use apply::Applied;
pub use error::EditError;
pub use file::{EditedFile, MadeFile};
pub use key::Key;
pub use path::{EditPath, Items};
pub use recipe::{OriginalAttributes, Recipe};
pub use scope::{MAX_SCOPE, Scope};
