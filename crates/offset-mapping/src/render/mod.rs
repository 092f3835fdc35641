//! Plans and mappings as JSON, CSV, text, and a shell script.
//!
//! Names of topics and groups come from a backup and are not trusted: each form quotes them so that they stay
//! data, and shows what a terminal would obey or hide as an escape. Everything is sorted, and nothing depends
//! on a clock.

mod csv;
mod json;
mod quote;
mod script;
mod table;
mod text;
mod time;
mod warnings;

pub use csv::{mapping_csv, plan_csv};
pub use json::plan_json;
pub use quote::visible;
pub use script::reset_script;
pub use text::{mapping_text, plan_text};
pub use time::utc;
