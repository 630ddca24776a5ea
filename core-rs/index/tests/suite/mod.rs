//! What every engine must do. Each function takes an empty index.

pub mod changes;
pub mod deletion;
pub mod find;
pub mod ingest;
pub mod world;

/// Makes a `#[test]` of each function of the suite, with a factory of empty indexes.
macro_rules! conformance {
    ($factory:path: $($module:ident { $($name:ident),* $(,)? })*) => {
        $(mod $module {
            $(#[test]
            fn $name() {
                let held = $factory();
                crate::suite::$module::$name(held.index());
            })*
        })*
    };
}
pub(crate) use conformance;
