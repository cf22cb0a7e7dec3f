//! How much the engine's door lets one token and one tenant ask, and how long it keeps what is over.

use std::time::Duration;

use valet_engine::bounds::EVENT_STREAMS_MAX;
use valet_engine::http::{Limits, Rate};

use super::{Settings, SettingsError};

/// Beyond what one engine can serve: a higher limit is none.
const PER_S_MAX: u32 = 1_000_000;
/// A hundred years.
const RETENTION_HOURS_MAX: u32 = 100 * 366 * 24;

impl Settings {
    pub fn limits(&self) -> Result<Limits, SettingsError> {
        let per_s = |key| self.number(key, 0, PER_S_MAX);
        let burst = |key| self.number(key, 1, PER_S_MAX);
        Ok(Limits {
            token: Rate { per_s: per_s("limits.token_rate_per_s")?, burst: burst("limits.token_burst")? },
            tenant: Rate { per_s: per_s("limits.tenant_rate_per_s")?, burst: burst("limits.tenant_burst")? },
            tenant_streams: self.number("limits.tenant_streams", 1, EVENT_STREAMS_MAX as u32)? as usize,
        })
    }

    /// `None`: for ever.
    pub fn retention(&self) -> Result<Option<Duration>, SettingsError> {
        let hours = self.number("retention.hours", 0, RETENTION_HOURS_MAX)?;
        Ok((hours > 0).then(|| Duration::from_hours(hours.into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_engines_own() {
        let settings = Settings::from_parts(None, |_| None).unwrap();
        assert_eq!(settings.limits().unwrap(), Limits::default());
        assert!(!settings.flag("door.secure_cookies").unwrap());
        assert_eq!(settings.retention().unwrap(), Some(Duration::from_hours(90 * 24)));
    }

    #[test]
    fn a_limit_out_of_range_is_refused_by_name() {
        let with = |name: &'static str, value: &'static str| {
            Settings::from_parts(None, |asked| (asked == name).then(|| value.to_owned())).unwrap()
        };
        for (name, value) in
            [("VALET_TOKEN_BURST", "0"), ("VALET_TENANT_STREAMS", "1001"), ("VALET_TENANT_RATE_PER_S", "many")]
        {
            let error = with(name, value).limits().unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
        let error = with("VALET_SECURE_COOKIES", "yes").flag("door.secure_cookies").unwrap_err().to_string();
        assert!(error.contains("VALET_SECURE_COOKIES") && error.contains("true"), "{error}");
        let error = with("VALET_RETENTION_HOURS", "90d").retention().unwrap_err().to_string();
        assert!(error.contains("VALET_RETENTION_HOURS") && error.contains("90d"), "{error}");
        assert_eq!(with("VALET_RETENTION_HOURS", "0").retention().unwrap(), None);
        assert_eq!(with("VALET_TOKEN_RATE_PER_S", "0").limits().unwrap().token.per_s, 0);
    }
}
