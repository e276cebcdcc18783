//! Certificates: assembled, stored, judged again, and rendered in every format.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod browser;
mod chromium;
mod exchanged;
mod fixture;
mod rendered;
mod schema;
mod seal;
mod signature;
mod stored;
