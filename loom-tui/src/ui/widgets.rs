//! Charts and pictures drawn straight into cells: they know data and marks, not the app.

pub mod bus;
pub mod hist;
pub mod spark;
pub mod timeline;
