//! Why a call got no answer. No error holds a path, a query or a user of an address: they may be secret.

use std::error::Error;
use std::io;
use std::time::Duration;

use valet_core::address::HostPort;

#[derive(Debug, thiserror::Error)]
pub enum OutwardError {
    #[error("the address {0}")]
    Address(&'static str),
    #[error("{0} has no public address, and this place is not opened")]
    Refused(HostPort),
    #[error("{place} cannot be reached: {detail}")]
    Unreachable { place: HostPort, detail: String },
    #[error("the certificates of this machine cannot be used, so that nothing is sent over https: {0}")]
    NoAuthorities(String),
    #[error("the answer leads from https to http, which is not followed")]
    Downgrade,
    #[error("the answer leads on more than {max} times")]
    TooManyRedirects { max: usize },
    #[error("the answer leads elsewhere and does not say where")]
    BadRedirect,
    #[error("the request failed: {0}")]
    Failed(String),
    #[error("no whole answer came within {} s", .within.as_secs())]
    TimedOut { within: Duration },
    #[error("the answer has more than {bytes_max} bytes")]
    TooLarge { bytes_max: usize },
}

/// Why there is no connection. Comes out of the HTTP client as the source of its own error.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("no host")]
    NoHost,
    #[error("{0} is refused")]
    Refused(HostPort),
    #[error("the name of {place} is not known")]
    Unknown { place: HostPort, source: io::Error },
    #[error("no connection to {place}")]
    Away { place: HostPort, source: io::Error },
}

impl From<hyper_util::client::legacy::Error> for OutwardError {
    fn from(error: hyper_util::client::legacy::Error) -> Self {
        let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
        while let Some(one) = cause {
            match one.downcast_ref::<ConnectError>() {
                Some(ConnectError::Refused(place)) => return Self::Refused(place.clone()),
                Some(ConnectError::Unknown { place, source } | ConnectError::Away { place, source }) => {
                    return Self::Unreachable { place: place.clone(), detail: source.to_string() };
                }
                Some(ConnectError::NoHost) | None => cause = one.source(),
            }
        }
        Self::Failed(chain(&error))
    }
}

/// An error with its causes, in one line.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(one) = cause {
        let said = one.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = one.source();
    }
    text
}
