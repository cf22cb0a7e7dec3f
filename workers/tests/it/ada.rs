//! Somebody who applies.

use uuid::Uuid;
use valet_workers::form::{Address, Applicant, Document, DocumentKind, Links, WorkAuthorization};
use valet_workers::sandbox::{SandboxId, SandboxProvider};

use super::rig::Rig;

/// Ada, with these files of hers in the sandbox.
pub async fn ada(rig: &Rig, sandbox: SandboxId, files: &[(DocumentKind, &str)]) -> Applicant {
    let mut documents = Vec::new();
    for (kind, filename) in files {
        let path = rig.provider.stage_file(&sandbox, Uuid::new_v4(), filename, b"%PDF-1.4 test").await.expect("staged");
        documents.push(Document { id: (*filename).into(), kind: *kind, path, filename: (*filename).into() });
    }
    Applicant { documents, ..without_files() }
}

/// Ada, who has nothing to hand in.
pub fn without_files() -> Applicant {
    Applicant {
        first_name: "Ada".into(),
        last_name: "O'Brien-Łuk".into(),
        email: "ada@example.test".into(),
        phone: "+1 555 010 1234".into(),
        address: Address {
            street: "1 Rose Lane".into(),
            street2: None,
            city: "Fresno".into(),
            state: "California".into(),
            postal_code: "93650".into(),
            country: "US".into(),
        },
        links: Links { linkedin: Some("https://linkedin.example.test/in/ada".into()), ..Links::default() },
        work_authorization: Some(WorkAuthorization { authorized: true, countries: vec!["US".into()], text: None }),
        needs_sponsorship: Some(false),
        start_date: Some("2027-01-15".into()),
        ..Applicant::default()
    }
}
