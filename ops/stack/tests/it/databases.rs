//! Many databases on one server.

use sqlx::Connection;
use valet_stack::{Stack, StackError};

use super::probe;

#[tokio::test]
async fn each_test_can_have_a_database_of_its_own() {
    let stack = Stack::temporary(false).await.expect("the stack starts");
    let (one, two) = tokio::join!(stack.create_database("one"), stack.create_database("two"));
    let (one, two) = (one.expect("made"), two.expect("made"));
    probe::run(&one, "CREATE TABLE mine (id int)").await;
    let sees = "SELECT count(*)::text FROM pg_tables WHERE tablename = 'mine'";
    assert_eq!(probe::text(&one, sees).await, "1");
    assert_eq!(probe::text(&two, sees).await, "0");

    let mut session = probe::connect(&one).await;
    stack.drop_database("one").await.expect("dropped in spite of the session");
    assert!(session.ping().await.is_err());
    stack.drop_database("one").await.expect("one that is missing is fine");
    assert!(matches!(stack.create_database("two").await, Err(StackError::Statement { .. })));
    assert!(matches!(stack.create_database("x\"; DROP DATABASE valet; --").await, Err(StackError::DatabaseName(_))));
    stack.stop().await.expect("the stack stops");
}
