//! What somebody changed, on its way into the audit: written by the statement that makes the change, so that neither is there without
//! the other. The row's states before and after are read where they are written, in the statement itself.

use std::net::IpAddr;

use uuid::Uuid;

/// How its doer came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    Token,
    /// The console, logged in.
    Session,
    /// The link of one task.
    Link,
    /// A trigger in Redis.
    Queue,
    /// An instant of a schedule.
    Schedule,
    /// The trigger of an event.
    Event,
    /// A delivery to an incoming webhook.
    Webhook,
    /// A bulk operation; the request is its id.
    Bulk,
}

impl Via {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Session => "session",
            Self::Link => "link",
            Self::Queue => "queue",
            Self::Schedule => "schedule",
            Self::Event => "event",
            Self::Webhook => "webhook",
            Self::Bulk => "bulk",
        }
    }
}

/// One change that somebody asked for. Names and ids only: a row outlives what it speaks of, also an erased subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    pub tenant: String,
    pub who: String,
    pub via: Via,
    /// The peer that sent the request; behind a proxy, the proxy.
    pub address: Option<IpAddr>,
    /// The request's id, as in the log.
    pub request: Option<String>,
    pub action: &'static str,
    /// The id of what is changed.
    pub target: String,
    /// The task that it ends, where the target is one.
    pub task: Option<Uuid>,
}

impl Deed {
    /// A trigger in Redis, which says nothing of who pushed it. The run is not known yet.
    pub fn queued(tenant: &str) -> Self {
        Self {
            tenant: tenant.to_owned(),
            who: "queue".to_owned(),
            via: Via::Queue,
            address: None,
            request: None,
            action: "run.start",
            target: String::new(),
            task: None,
        }
    }

    /// An instant of the schedule of this name. The run is not known yet.
    pub fn scheduled(tenant: &str, name: &str) -> Self {
        Self { who: name.to_owned(), via: Via::Schedule, ..Self::queued(tenant) }
    }

    /// The trigger of this name, which an event fits. The run is not known yet.
    pub fn triggered(tenant: &str, name: &str) -> Self {
        Self { who: name.to_owned(), via: Via::Event, ..Self::queued(tenant) }
    }

    /// The event of this id, which the run waited for. The run is not known yet.
    pub fn woken(tenant: &str, event: String) -> Self {
        Self { who: event, via: Via::Event, action: "run.wake", ..Self::queued(tenant) }
    }

    pub fn address_text(&self) -> Option<String> {
        self.address.map(|address| address.to_string())
    }
}
