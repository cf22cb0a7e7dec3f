//! Everything that touches a browser, against a real Chromium and pages served on loopback.

mod it {
    mod bad_pages;
    mod egress;
    mod forms;
    mod frames;
    mod gate;
    mod late;
    mod layouts;
    mod obstacles;
    mod refusals;
    mod rig;
    mod sandbox;
    mod sending;
    mod site;
}
