//! The engine on a real Postgres: its statements, its commits and claims, and its HTTP API.

mod it {
    mod access;
    mod app;
    mod audit;
    mod budget;
    mod builds;
    mod calls;
    mod claims;
    mod commits;
    mod database;
    mod declared;
    mod declared_children;
    mod desk;
    mod door;
    mod events;
    mod fans;
    mod files;
    mod health;
    mod hosts;
    mod human_tasks;
    mod idempotency;
    mod job_urls;
    mod limits;
    mod login;
    mod marks;
    mod migrations;
    mod onward;
    mod openapi;
    mod operators;
    mod pauses;
    mod placement;
    mod proxy;
    mod recovery;
    mod replay_check;
    mod retention;
    mod sealed;
    mod statements;
    mod states;
    mod subjects;
    mod task_links;
    mod wait;
    mod worker;
    mod worker_door;
    mod worker_tenants;
    mod workflows;
}
