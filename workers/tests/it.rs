//! Everything that touches a browser, against a real Chromium and pages served on loopback.

mod it {
    mod egress;
    mod forms;
    mod gate;
    mod layouts;
    mod refusals;
    mod rig;
    mod sandbox;
    mod site;
}
