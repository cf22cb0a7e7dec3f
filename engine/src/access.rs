//! Who may do what: scopes, the roles that bundle them, and how far a token reaches. Pure.
//!
//! Which scope a route needs stands in `http/route_scopes.rs`; what a reach covers is asked where a row is found.

use valet_core::run::Identity;

/// One kind of thing that a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Start runs, send them signals, store files for them.
    Trigger,
    /// See runs, tasks, files, workflows, queues and workers.
    Read,
    /// Pause, resume, cancel and retry runs.
    Operate,
    /// Claim, answer and reject tasks.
    Answer,
    /// Do steps: the worker protocol.
    Work,
    /// Manage tokens.
    Admin,
}

impl Scope {
    pub const ALL: [Self; 6] = [Self::Trigger, Self::Read, Self::Operate, Self::Answer, Self::Work, Self::Admin];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trigger => "trigger",
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Answer => "answer",
            Self::Work => "work",
            Self::Admin => "admin",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == word)
    }
}

/// Scopes that go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Viewer,
    Reviewer,
    Operator,
    Admin,
    /// Not for people. A worker with the token of the engine's own file does steps of every tenant, others those of their own.
    Worker,
}

impl Role {
    pub const OF_PEOPLE: [Self; 4] = [Self::Viewer, Self::Reviewer, Self::Operator, Self::Admin];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Reviewer => "reviewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
            Self::Worker => "worker",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::OF_PEOPLE.into_iter().chain([Self::Worker]).find(|role| role.as_str() == word)
    }

    pub fn scopes(self) -> &'static [Scope] {
        use Scope::{Admin, Answer, Operate, Read, Trigger, Work};
        match self {
            Self::Viewer => &[Read],
            Self::Reviewer => &[Read, Answer],
            Self::Operator => &[Trigger, Read, Operate, Answer],
            Self::Admin => &[Trigger, Read, Operate, Answer, Admin],
            Self::Worker => &[Work],
        }
    }
}

/// What a token sees of its tenant. What is beyond it is for its holder not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// `None`: all.
    pub workflows: Option<Vec<String>>,
    pub subjects: Option<Vec<String>>,
}

impl Reach {
    pub fn has_workflow(&self, workflow: &str) -> bool {
        self.workflows.as_ref().is_none_or(|some| some.iter().any(|one| one == workflow))
    }

    pub fn has_subject(&self, subject: &str) -> bool {
        self.subjects.as_ref().is_none_or(|some| some.iter().any(|one| one == subject))
    }

    pub fn has(&self, workflow: &str, subject: &str) -> bool {
        self.has_workflow(workflow) && self.has_subject(subject)
    }
}

/// The runs that somebody sees. For others it is as if there were none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    pub tenant: String,
    pub reach: Reach,
}

impl Sight {
    pub fn has(&self, run: &Identity) -> bool {
        run.tenant == self.tenant && self.reach.has(&run.workflow, &run.subject)
    }
}

/// Who a token stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    pub tenant: String,
    /// Stands in the journal and beside tasks as who did it.
    pub name: String,
    pub scopes: Vec<Scope>,
    pub reach: Reach,
    /// Of a file that the engine was started with: it opens tenants, and a worker's serves all of them.
    pub is_root: bool,
}

impl Principal {
    pub fn has_any(&self, scopes: &[Scope]) -> bool {
        scopes.iter().any(|scope| self.scopes.contains(scope))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reach_without_a_list_covers_all_and_an_empty_list_nothing() {
        let only = |names: &[&str]| Some(names.iter().map(ToString::to_string).collect());
        let check = |reach: Reach, expected: bool| assert_eq!(reach.has("apply", "ada"), expected, "{reach:?}");
        check(Reach::default(), true);
        check(Reach { workflows: only(&["apply"]), subjects: None }, true);
        check(Reach { workflows: only(&["apply"]), subjects: only(&["eve"]) }, false);
        check(Reach { workflows: only(&["other"]), subjects: only(&["ada"]) }, false);
        check(Reach { workflows: only(&[]), subjects: None }, false);
    }

    #[test]
    fn no_role_of_people_does_steps_and_each_has_what_the_one_before_has() {
        for pair in Role::OF_PEOPLE.windows(2) {
            assert!(pair[0].scopes().iter().all(|scope| pair[1].scopes().contains(scope)), "{pair:?}");
        }
        assert!(Role::OF_PEOPLE.iter().all(|role| !role.scopes().contains(&Scope::Work)));
        assert_eq!(Role::parse("worker"), Some(Role::Worker));
        assert_eq!(Role::parse("workers"), None);
    }
}
