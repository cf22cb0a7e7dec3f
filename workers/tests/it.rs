//! Everything that touches a browser, against a real Chromium and pages served on loopback.

mod it {
    mod ada;
    mod ats;
    mod bad_pages;
    mod callback;
    mod conformance;
    mod direct;
    mod egress;
    mod fly;
    mod forms;
    mod frames;
    mod gate;
    mod headed;
    mod late;
    mod layouts;
    mod learned;
    mod obstacles;
    mod reading;
    mod reaper;
    mod refusals;
    mod revival;
    mod rig;
    mod sandbox;
    mod saved;
    mod sending;
    mod site;
    mod site_state;
    mod speed;
}
