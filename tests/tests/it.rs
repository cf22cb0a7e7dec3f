//! What crosses a crate, on real parts: private Postgres and Redis, engines and workers as processes that get killed.

mod it {
    pub mod bench;
    pub mod bulk_operations;
    pub mod console;
    pub mod crash;
    pub mod crash_points;
    pub mod crash_windows;
    pub mod database_away;
    pub mod drain;
    pub mod effect_once;
    pub mod event_waits;
    pub mod forms;
    pub mod hooks;
    pub mod imports;
    pub mod job_application;
    pub mod limits;
    pub mod multi_scrape;
    pub mod pause;
    pub mod placement;
    pub mod python_worker;
    pub mod recovery;
    pub mod redis;
    pub mod sandbox_image;
    pub mod sandboxes;
    pub mod schedules;
    pub mod sizes;
    pub mod stale_fence;
    pub mod tls;
    pub mod triggers;
    pub mod two_engines;

    /// What engines and workers run: `valet` with one more workflow.
    pub const PROGRAM: &str = env!("CARGO_BIN_EXE_valet-under-test");
}
