//! The way out against servers on loopback that stand in for the internet: names and connections go through ports of the
//! test, so that no packet leaves this machine whatever is dialled.

mod it {
    pub mod addresses;
    pub mod answers;
    pub mod network;
    pub mod redirects;
    pub mod tls;
}
