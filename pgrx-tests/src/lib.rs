//! Client-side tests of deskguard, run against a real server as ordinary roles.
//!
//! The oracle (`oracle`) is written from the rules alone and works on the model of a
//! help desk (`help_desk`), so that it can disagree with the extension. What tests do with a session
//! is in `lab`, where it is done (`server`) and two help desks made by hand (`small_desk`, `worked`)
//! beside it.

pub mod help_desk;
pub mod lab;
pub mod oracle;
pub mod server;
pub mod small_desk;
pub mod worked;

/// A quoted SQL identifier, whatever the name holds.
pub fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A quoted SQL string; the names of these tests hold no backslash.
pub fn literal(text: &str) -> String {
    assert!(!text.contains('\\'));
    format!("'{}'", text.replace('\'', "''"))
}
