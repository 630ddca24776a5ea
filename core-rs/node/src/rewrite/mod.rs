//! Stored instances written anew by a recipe: modification and anonymization.
//!
//! 1. An instance is never held for it: its header is, and what is made of it is read from header and extents. Only what
//!    goes into the log is held, as all that arrives is.
//! 2. What becomes of an instance is a function of recipe, scope and instance. A part that is done again after a crash
//!    gives the same bytes, which are stored already.
//! 3. The instances that a recipe makes are none of its sources, also if they are in the same study: so a position means
//!    the same when a job goes on after a crash.

mod made;
mod request;
mod sources;
mod storing;

pub use made::{BurnedIn, Rewritten};
pub use request::RewriteRequest;
pub use storing::Rewriting;
