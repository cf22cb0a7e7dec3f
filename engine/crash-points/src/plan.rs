//! What a process is to do to itself, and where: `worker.effect.begun`, `worker.click.after=kill+50ms`,
//! `engine.commit.before=kill#3`, `worker.click.before=stop`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::CrashPoint;

/// A process that goes on for longer than this after a place was not killed at it.
const DELAY_MAX: Duration = Duration::from_mins(1);

/// What happens to the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// SIGKILL at once.
    Kill,
    /// SIGKILL after a while in which it goes on.
    KillAfter(Duration),
    /// SIGSTOP; somebody else lets it go on.
    Stop,
}

/// One harm in one process. A plan is used up when it was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    pub point: CrashPoint,
    pub harm: Harm,
    /// The passing at which it happens, counted from 1.
    pub passing: u32,
}

/// What is wrong with the text of a plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("`{0}` is not the name of a crash point")]
    Point(String),
    #[error("`{0}` is none of `kill`, `kill+<1 to 60000>ms` and `stop`")]
    Harm(String),
    #[error("`{0}` is not the number of a passing, counted from 1")]
    Passing(String),
}

impl Plan {
    /// At the first passing.
    pub fn first(point: CrashPoint, harm: Harm) -> Self {
        Self { point, harm, passing: 1 }
    }
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill => f.write_str("kill"),
            Self::KillAfter(delay) => write!(f, "kill+{}ms", delay.as_millis()),
            Self::Stop => f.write_str("stop"),
        }
    }
}

impl FromStr for Harm {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, PlanError> {
        let delay = || {
            let ms = text.strip_prefix("kill+")?.strip_suffix("ms")?.parse().ok()?;
            Some(Duration::from_millis(ms)).filter(|delay| !delay.is_zero() && *delay <= DELAY_MAX)
        };
        match text {
            "kill" => Ok(Self::Kill),
            "stop" => Ok(Self::Stop),
            text => delay().map(Self::KillAfter).ok_or_else(|| PlanError::Harm(text.to_owned())),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}#{}", self.point, self.harm, self.passing)
    }
}

impl FromStr for Plan {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, PlanError> {
        let (text, passing) = match text.split_once('#') {
            Some((text, number)) => {
                let passing = number.parse().ok().filter(|passing| *passing > 0);
                (text, passing.ok_or_else(|| PlanError::Passing(number.to_owned()))?)
            }
            None => (text, 1),
        };
        let (name, harm) = text.split_once('=').unwrap_or((text, "kill"));
        let point = CrashPoint::parse(name).ok_or_else(|| PlanError::Point(name.to_owned()))?;
        Ok(Self { point, harm: harm.parse()?, passing })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_reads_as_it_is_written() {
        let harms = [Harm::Kill, Harm::KillAfter(Duration::from_millis(50)), Harm::Stop];
        for &point in CrashPoint::ALL {
            for harm in harms {
                let plan = Plan { point, harm, passing: 3 };
                assert_eq!(plan.to_string().parse(), Ok(plan));
            }
            assert_eq!(point.as_str().parse(), Ok(Plan::first(point, Harm::Kill)), "a name alone kills at once");
        }
    }

    #[test]
    fn a_plan_that_would_do_nothing_is_refused() {
        let check = |text: &str, expect: PlanError| assert_eq!(text.parse::<Plan>(), Err(expect), "{text}");
        check("engine.comit.before", PlanError::Point("engine.comit.before".to_owned()));
        check("engine.commit.before=kil", PlanError::Harm("kil".to_owned()));
        check("engine.commit.before=kill+0ms", PlanError::Harm("kill+0ms".to_owned()));
        check("engine.commit.before=kill+99999999ms", PlanError::Harm("kill+99999999ms".to_owned()));
        check("engine.commit.before#0", PlanError::Passing("0".to_owned()));
    }
}
