//! The exit codes of the verbs, in one place.

/// The table as `--help` shows it.
pub const EXIT_CODES: &str = "\
Exit codes:
  0    done; a followed run succeeded, a followed bulk operation was completed
  1    a followed run failed, or some runs of a followed bulk operation did; the engine refused the request; a check of `doctor` failed
  2    the command line, its input or a file cannot be used
  3    a followed run was cancelled or timed out, a followed bulk operation was cancelled
  4    no engine can be reached, or it cannot serve now
  5    the token is missing, unknown or does not open this route
  130  Ctrl-C stopped following; the run or the operation goes on";

/// How a verb ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Done,
    Failed,
    Usage,
    NotCompleted,
    Unreachable,
    Auth,
    Stopped,
}

impl Exit {
    /// Of a run's terminal status.
    pub fn of_status(status: &str) -> Self {
        match status {
            "succeeded" => Self::Done,
            "cancelled" | "timed_out" => Self::NotCompleted,
            _ => Self::Failed,
        }
    }

    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotCompleted => 3,
            Self::Unreachable => 4,
            Self::Auth => 5,
            Self::Stopped => 130,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runs_end_decides_the_exit_code_and_the_table_names_every_code() {
        assert_eq!(Exit::of_status("succeeded").code(), 0);
        assert_eq!(Exit::of_status("failed").code(), 1);
        assert_eq!(Exit::of_status("cancelled").code(), 3);
        assert_eq!(Exit::of_status("timed_out").code(), 3);
        let all = [Exit::Done, Exit::Failed, Exit::Usage, Exit::NotCompleted, Exit::Unreachable, Exit::Auth];
        for exit in all.into_iter().chain([Exit::Stopped]) {
            assert!(EXIT_CODES.contains(&format!("\n  {:<3}  ", exit.code())), "{exit:?}");
        }
    }
}
