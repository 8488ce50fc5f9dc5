//! TLS for Kirsch: files become a configuration of rustls, and a handshake becomes `SSL_*` variables.
//!
//! It knows files, certificates and rustls. It knows no socket, no reactor, no HTTP and no Python: whoever has
//! the bytes of a connection gives them to rustls with what is decided here.
//!
//! # The journey of a certificate
//!
//! 1. [`config`]: which files there are, and what clients must bring.
//! 2. [`mod@file`]: a file is read once, and its [`file::Stamp`] tells later whether it is another.
//! 3. [`private_key`] and [`pair`]: PEM becomes a chain and its key, checked before anybody is served with them.
//! 4. [`clients`]: authorities and revocation lists become the verifier of client certificates.
//! 5. [`suites`]: cipher suites by the names of IANA and of OpenSSL; `key_schedule` makes those of TLS 1.3 quicker.
//! 6. [`served`]: all of it becomes one [`Served`], which chooses a certificate for each ClientHello.
//! 7. [`material`]: the [`Served`] of now, and how the next one takes its place.
//! 8. [`variables`]: what the application is told of a connection; [`distinguished_name`] and [`certificate`]
//!    put into words what certificates hold.
//!
//! # The journey of a connection
//!
//! [`session`]: bytes become a ClientHello; [`Session::work`] chooses a certificate and signs; records become plain
//! bytes and the other way round; [`Session::variables`] says with whom.
#![forbid(unsafe_code)]

pub mod certificate;
pub mod clients;
pub mod config;
pub mod distinguished_name;
pub mod error;
pub mod file;
mod key_schedule;
pub mod material;
pub mod pair;
pub mod private_key;
pub mod self_signed;
pub mod served;
pub mod session;
pub mod suites;
pub mod variables;

pub use config::{Clients, MinimumVersion, PairFiles, Password, TlsConfig, Trust, UnknownName};
pub use error::{TlsError, Trouble, Warning};
pub use material::{Changed, Material};
pub use pair::Pair;
pub use served::{Choice, Served, is_tls};
pub use session::{Failure, Plain, Progress, Session, UNSENT_BYTES};
pub use variables::Variables;

#[cfg(test)]
mod tests;
