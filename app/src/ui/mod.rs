//! The primitives that pages are made of: plain markup from the server, brought to life by `browser`.
//! None of them knows what a workspace is.

mod copy;
mod dialog;
mod empty;
mod field;
mod form;
mod icon;
mod meter;
mod number;
mod select;
mod table;
mod tabs;
mod tile;
mod time;

pub use copy::CopyButton;
pub use dialog::Dialog;
pub use empty::{Empty, Failure};
pub use field::{Field, check};
pub use form::{ActForm, Form, PlainForm, Revision, Submit, field_id};
pub use icon::Icon;
pub use meter::{Meter, class as meter_class, filled};
pub use number::Number;
pub use select::{Choice, Select};
pub use table::{SortHeader, next_order};
pub use tabs::Tabs;
pub use tile::{Tile, TileView};
pub use time::{Instant, Moment, Zone};
