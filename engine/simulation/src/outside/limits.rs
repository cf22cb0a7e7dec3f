//! Operators who limit runs and steps, and change and remove limits while runs go on.

use std::sync::Arc;
use std::time::Duration;

use valet_core::Workflow;
use valet_core::limits::LimitText;
use valet_engine::store::postgres::limits::{LimitFigures, LimitRate};
use valet_protocol::api::{DebounceView, SlotHold, WhenFull};

use super::fleet::Fleet;
use crate::dice::Dice;
use crate::program::{Interpreter, Kind, NEWEST_BUILD};
use crate::record::{Answer, Call};

/// Whose limits they all are.
const TENANT: &str = "acme";

/// What is limited.
#[derive(Clone, Copy)]
enum Limited {
    /// Each step `quick`, in turns of the programs.
    Quick,
    /// The steps `patient`, which also begin at a pace.
    Patient,
    /// All runs, with those that they started: their slots are for work only, for parents wait for their children.
    Runs,
    /// Runs that nobody started but a producer. Each other has a key of its own.
    Roots,
}

const LIMITED: [Limited; 4] = [Limited::Quick, Limited::Patient, Limited::Runs, Limited::Roots];

impl Limited {
    fn text(self) -> LimitText {
        let (name, step, key, share) = match self {
            Self::Quick => ("each-quick", Some(Kind::Quick.name()), None, Some("input.name")),
            Self::Patient => ("patient", Some(Kind::Patient.name()), None, None),
            Self::Runs => ("runs", None, None, Some("input.name")),
            Self::Roots => ("roots", None, Some("input.name.contains('.') ? input.name : 'root'"), None),
        };
        LimitText {
            tenant: TENANT.to_owned(),
            name: name.to_owned(),
            workflow: Interpreter::<NEWEST_BUILD>::NAME.to_owned(),
            step: step.map(ToOwned::to_owned),
            key: key.map(ToOwned::to_owned),
            share: share.map(ToOwned::to_owned),
            weights: share.map(|_| ("p0".to_owned(), 2)).into_iter().collect(),
        }
    }

    /// `cancels`: also such as cancel runs.
    fn figures(self, cancels: bool, dice: &mut Dice) -> LimitFigures {
        let most = LimitFigures { most: Some(dice.between(1, 2) as u32), ..LimitFigures::default() };
        match self {
            Self::Quick => most,
            Self::Patient => LimitFigures { rate: Some(LimitRate { count: 4, per_ms: 1_000, burst: 2 }), ..most },
            Self::Runs | Self::Roots => {
                let hold = match self {
                    Self::Roots if dice.chance(0.5) => SlotHold::Live,
                    _ => SlotHold::Working,
                };
                let when_full = if cancels { dice.pick(&WhenFull::ALL) } else { WhenFull::Queue };
                let debounce = (cancels && dice.chance(0.3)).then(|| {
                    let quiet_ms = dice.between(1, 1_500);
                    DebounceView { quiet_ms, at_most_ms: dice.chance(0.5).then(|| quiet_ms * dice.between(1, 4)) }
                });
                let expires_ms = (cancels && dice.chance(0.2)).then(|| dice.between(1_000, 4_000));
                LimitFigures { when_full, hold, debounce, expires_ms, ..most }
            }
        }
    }
}

/// Limits runs and steps until the world is calm. What is limited then stays so.
pub(crate) async fn limit(fleet: Arc<Fleet>) {
    let world = &fleet.world;
    // In the other seeds runs only wait for each other.
    let cancels = world.draw(|dice| dice.chance(0.6));
    for limited in LIMITED {
        if world.draw(|dice| dice.chance(0.8)) {
            put(&fleet, limited, cancels);
        }
    }
    loop {
        let ms = world.draw(|dice| dice.between(300, 4_000));
        tokio::time::sleep(Duration::from_millis(ms)).await;
        if world.is_calm() {
            return;
        }
        let limited = world.draw(|dice| dice.pick(&LIMITED));
        if world.draw(|dice| dice.chance(0.2)) {
            remove(&fleet, limited);
        } else {
            put(&fleet, limited, cancels);
        }
    }
}

fn put(fleet: &Fleet, limited: Limited, cancels: bool) {
    let world = &fleet.world;
    let (text, figures) = (limited.text(), world.draw(|dice| limited.figures(cancels, dice)));
    let mut tables = world.tables.lock();
    tables.put_limit(&text, figures);
    world.note("limit_put", None, [0; 4]);
    world.record(&tables, || (Call::PutLimit(text, figures), Answer::exactly(&())));
}

fn remove(fleet: &Fleet, limited: Limited) {
    let world = &fleet.world;
    let LimitText { tenant, name, .. } = limited.text();
    let mut tables = world.tables.lock();
    let was_there = tables.remove_limit(&tenant, &name);
    world.note("limit_removed", None, [0; 4]);
    world.record(&tables, || (Call::RemoveLimit { tenant, name }, Answer::exactly(&was_there)));
}
