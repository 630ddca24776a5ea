//! The HTTP listener: connections on the data plane's threads, requests for the application that answers them.
//!
//! 1. What it answers itself is only what it is sure of: a plain request for something that is there ([`hot`]),
//!    of somebody who needs not say who he is, or whom the application has known ([`credentials`]).
//!    Everything else, errors included, is the application's, so that there is one place that says how to answer.
//! 2. A body is read when it is asked for and written as fast as the client takes it: a connection holds a few
//!    pieces of it and no more.
//! 3. Connections have a bound; those beyond it wait in the system's queue.

mod body;
mod cors;
mod credentials;
mod exchange;
mod hot;
mod lists;
mod retrieve;
mod server;
mod store;
mod web;

pub use credentials::{Client, Credentials};
pub use exchange::{
    Application, BodyWriter, ClientGone, Exchange, RequestBody, Responder, header_map,
};
pub use hot::HotPolicy;
pub use server::{HttpServer, HttpSettings};
pub use web::WebPolicy;
