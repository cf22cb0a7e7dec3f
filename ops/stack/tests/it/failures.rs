//! Errors say what happened and leave nothing running.

use valet_stack::{Server, Stack, StackConfig, StackError};

use super::probe;

#[tokio::test]
async fn a_server_that_dies_at_start_shows_its_log_and_takes_the_other_with_it() {
    let dir = probe::open_dir();
    let mut config = probe::config(dir.path());
    config.postgres_settings.insert(String::from("work_mem"), String::from("nonsense"));
    let failed = Stack::start(config).await.expect_err("a bad setting");
    assert!(matches!(failed, StackError::DiedAtStart { server: Server::Postgres, .. }), "{failed}");
    let text = failed.to_string();
    assert!(text.contains("work_mem") && text.contains("/log"), "{text}");
    let home = probe::home(dir.path());
    for server in ["postgres", "redis"] {
        assert_eq!(working_in(&home.join(server)), Vec::<u32>::new(), "{server}");
    }
    // And nothing stands in the way of the next start.
    probe::start(dir.path()).await.stop().await.expect("the stack stops");
}

#[tokio::test]
async fn lost_passwords_are_not_replaced_while_data_need_them() {
    let dir = probe::open_dir();
    probe::start(dir.path()).await.stop().await.expect("the stack stops");
    std::fs::remove_file(probe::home(dir.path()).join("secrets.json")).expect("removed");
    let refused = Stack::start(probe::config(dir.path())).await.expect_err("refused");
    assert!(matches!(refused, StackError::SecretsLost { .. }), "{refused}");
}

#[tokio::test]
async fn data_of_a_postgres_that_is_not_installed_are_left_alone() {
    let dir = probe::open_dir();
    probe::start(dir.path()).await.stop().await.expect("the stack stops");
    let version = probe::home(dir.path()).join("postgres/PG_VERSION");
    std::fs::write(version, "9\n").expect("written");
    let refused = Stack::start(StackConfig { durable: true, ..probe::config(dir.path()) }).await.expect_err("refused");
    assert!(matches!(refused, StackError::OtherMajor { major: 9, .. }), "{refused}");
}

fn working_in(dir: &std::path::Path) -> Vec<u32> {
    std::fs::read_dir("/proc")
        .expect("Linux")
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == dir))
        .filter(|&pid| probe::runs(pid))
        .collect()
}
