//! Same journal, same commands: code that does not match its journal parks the run and harms nothing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use valet_core::decide::{CodeUse, Machine};
use valet_core::id::Seq;
use valet_core::journal::StuckReason;
use valet_core::run::Phase;
use valet_core::{Context, Registry, Step, Stop, Workflow};

use super::program::{Do, Work};
use super::subject::{Subject, at, done};

/// Whatever the journal's input was.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
struct Whatever(Value);

#[derive(Serialize, Deserialize)]
struct Rest {}

impl Step for Rest {
    const NAME: &'static str = "rest";
    type Output = Value;
}

macro_rules! build {
    ($name:ident, $ctx:ident, $code:expr) => {
        struct $name;

        impl Workflow for $name {
            const NAME: &'static str = "script";
            type Input = Whatever;
            type Output = Value;

            async fn run($ctx: Context, _: Whatever) -> Result<Value, Stop> {
                $code
            }
        }
    };
}

build!(OtherStep, ctx, Ok(ctx.step(Rest {}).await?));
build!(OtherKind, ctx, {
    ctx.sleep(std::time::Duration::from_secs(1)).await;
    Ok(Value::Null)
});
build!(MoreFirst, ctx, {
    ctx.step(Rest {}).await?;
    ctx.step(Work {}).await?;
    Ok(Value::Null)
});
build!(Nothing, ctx, {
    drop(ctx);
    Ok(Value::Null)
});
build!(SameStart, ctx, {
    ctx.step(Work {}).await?;
    ctx.step(Rest {}).await?;
    Ok(json!("mended"))
});

/// A run of two steps, one of them done, met by a build of other code.
fn met_by(registry: Registry) -> Subject {
    let mut run = Subject::run_script(&[Do::Work, Do::Work]);
    run.carry_out(1, done(&json!(1)));
    run.registry = registry;
    run.restart();
    run
}

#[test]
fn a_mismatch_parks_the_run_with_the_entry_and_both_sides() {
    let other = |registry: Registry| {
        let mut run = met_by(registry);
        let before = run.journal.clone();
        run.signal("go", "k", &json!(1)).expect("kept");
        assert_eq!(run.journal[..before.len()], before, "what was recorded stands");
        match &run.run().phase {
            Phase::Stuck(StuckReason::Mismatch { seq, recorded, asked }) => (seq.0, recorded.clone(), asked.clone()),
            other => panic!("not a mismatch: {other:?}"),
        }
    };
    let two = || Registry::new(2);
    let recorded = "step `work` at 1".to_owned();
    assert_eq!(other(two().with::<OtherStep>()), (1, recorded.clone(), "step `rest` at 1".to_owned()));
    assert_eq!(other(two().with::<OtherKind>()), (1, recorded.clone(), "sleep `` at 1".to_owned()));
    assert_eq!(other(two().with::<MoreFirst>()), (1, recorded.clone(), "step `rest` at 1".to_owned()));
    assert_eq!(other(two().with::<Nothing>()), (1, recorded, "the end of the run".to_owned()));
    let later = ("step `work` at 2".to_owned(), "step `rest` at 2".to_owned());
    assert_eq!(other(two().with::<SameStart>()), (2, later.0, later.1));
}

#[test]
fn a_mismatched_run_keeps_its_results_and_is_mended_by_a_build_that_fits() {
    let mut run = met_by(Registry::new(2).with::<OtherStep>());
    run.claim(2, 2);
    run.restart();
    run.finish(2, 1, 2, done(&json!(2))).expect("taken");
    assert_eq!((run.status(), run.count("held")), ("stuck", 1));
    run.retry().expect_err("this build fits no better");
    run.registry = super::program::registry().with_build(3);
    run.restart();
    run.retry().expect("mended");
    assert_eq!(run.output(), ["work: 1", "work: 2"]);
}

#[test]
fn a_rebuild_alone_records_nothing() {
    let run = met_by(Registry::new(2).with::<OtherStep>());
    assert!(!run.journal.iter().any(|chunk| chunk.entries.iter().any(|e| super::subject::word(e) == "stuck")));
    assert_ne!(run.status(), "stuck", "only a transition parks it, fenced by the revision that was replayed");
}

#[test]
fn a_changed_input_of_a_step_is_no_mismatch() {
    let mut run = Subject::run_script(&[Do::Wait { name: "go".to_owned(), ms: None }, Do::Work]);
    for entry in run.journal.iter_mut().flat_map(|chunk| &mut chunk.entries) {
        let changed = serde_json::to_string(entry).expect("JSON").replace("\"input\":{}", "\"input\":{\"a\":1}");
        *entry = serde_json::from_str(&changed).expect("an entry");
    }
    run.restart();
    run.signal("go", "k", &json!(1)).expect("kept");
    run.carry_out(2, done(&json!(1)));
    assert_eq!(run.status(), "succeeded");
}

/// A crash at any point: rebuilt after every transition, the run does what it would have done.
#[test]
fn a_run_that_is_rebuilt_before_every_command_ends_the_same() {
    let script = [
        Do::Guard,
        Do::Now,
        Do::All(vec![Do::Work, Do::Race(vec![Do::Once, Do::Sleep { ms: 50 }])]),
        Do::Wait { name: "go".to_owned(), ms: Some(700) },
        Do::Ask { ms: 900 },
        Do::Now,
    ];
    let live = |restarts: bool| {
        let mut run = Subject::run_script(&script);
        let acts: [fn(&mut Subject); 6] = [
            |run| run.carry_out(2, done(&json!("a"))),
            |run| run.fire(4),
            |run| drop(run.signal("go", "k", &json!(1)).expect("kept")),
            |run| run.pause(),
            |run| drop(run.answer(6, "k", &json!(2)).expect("taken")),
            |run| run.resume(),
        ];
        for (n, act) in (1_i64..).zip(acts) {
            run.now = run.now.max(at(n * 10));
            if restarts {
                run.restart();
            }
            act(&mut run);
        }
        run.carry_out(1, done(&json!(null)));
        run
    };
    let (lived, rebuilt) = (live(false), live(true));
    assert_eq!(lived.status(), "succeeded");
    assert_eq!(lived.journal, rebuilt.journal);
}

/// Also for a machine that nobody asks anything: building is not deciding.
#[test]
fn rebuilding_many_times_is_harmless() {
    let mut run = Subject::run_script(&[Do::Work, Do::Work]);
    run.carry_out(1, done(&json!(1)));
    for _ in 0..3 {
        let machine = Machine::rebuild(run.stored(), &run.registry, CodeUse::Recorded);
        assert_eq!(machine.run().revision, run.run().revision);
        assert!(machine.run().steps.contains_key(&Seq(2)));
    }
}
