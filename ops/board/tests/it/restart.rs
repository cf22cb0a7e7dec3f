//! The optional state file.

use std::path::Path;

use valet_board::{Board, BoardConfig, Filter, FormKind};

use crate::applicant::{Applicant, loopback};

async fn start(state_file: &Path) -> Board {
    let config = BoardConfig { state_file: Some(state_file.to_owned()), ..loopback() };
    Board::start(config).await.expect("a board with a state file")
}

#[tokio::test]
async fn what_was_received_survives_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("received.jsonl");
    let board = start(&path).await;
    let mut applicant = Applicant::new(&board, FormKind::Simple, 1);
    let page = applicant.up_to_the_end().await;
    applicant.send(&page).await;
    let before = board.received().list(&Filter::default());
    board.stop().await.expect("a clean stop");

    let board = start(&path).await;
    let after = board.received().list(&Filter::default());
    let json = |list| serde_json::to_value(list).expect("JSON");
    assert_eq!(json(&before), json(&after));
    assert_eq!(after[0].files[0].content(), None, "contents are never written");

    applicant.base = board.base_url();
    let again = applicant.send(&page).await;
    assert!(again.text().contains(applicant.expected.already_applied));
    let received = board.received().list(&Filter::default());
    assert_eq!((received.len(), received[1].duplicate), (2, true));
    board.stop().await.expect("a clean stop");
}

#[tokio::test]
async fn a_line_that_a_crash_cut_off_is_dropped() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("received.jsonl");
    let board = start(&path).await;
    let mut applicant = Applicant::new(&board, FormKind::Simple, 1);
    let page = applicant.up_to_the_end().await;
    applicant.send(&page).await;
    board.stop().await.expect("a clean stop");
    let whole = std::fs::read_to_string(&path).expect("a state file");
    std::fs::write(&path, format!("{whole}{}", &whole[..whole.len() / 2])).expect("a cut line");

    let board = start(&path).await;
    assert_eq!(board.received().list(&Filter::default()).len(), 1);
    let mut applicant = Applicant::new(&board, FormKind::Simple, 2);
    let page = applicant.up_to_the_end().await;
    applicant.send(&page).await;
    board.stop().await.expect("a clean stop");

    let board = start(&path).await;
    assert_eq!(board.received().list(&Filter::default()).len(), 2);
    board.stop().await.expect("a clean stop");
}

#[tokio::test]
async fn an_unusable_state_file_is_told_at_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = BoardConfig { state_file: Some(folder.path().to_owned()), ..loopback() };
    let error = Board::start(config).await.err().expect("a folder is no file");
    assert!(error.to_string().contains("state file"));
}
