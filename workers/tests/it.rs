//! Everything that touches a browser, against a real Chromium and pages served on loopback.

mod it {
    mod egress;
    mod forms;
    mod gate;
    mod headed;
    mod layouts;
    mod reaper;
    mod refusals;
    mod revival;
    mod rig;
    mod sandbox;
    mod site;
}
