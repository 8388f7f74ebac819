//! The time in front of a line: [`Timestamp`].

use std::str::FromStr;
use std::time::SystemTime;

use jiff::Zoned;
use jiff::tz::TimeZone;

use crate::event::Time;

/// Which time is shown, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Timestamp {
    /// Seconds since boot.
    Boot,
    /// Seconds since the trace began.
    Relative,
    /// Local time of day, by a format of strftime(3).
    Wall(String),
}

impl FromStr for Timestamp {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "boot" => Ok(Self::Boot),
            "relative" => Ok(Self::Relative),
            "wall" => Ok(Self::Wall("%H:%M:%S%.6f".into())),
            format if format.contains('%') => {
                // The format is tried once, so that no line can fail later.
                let now = Zoned::now();
                jiff::fmt::strtime::format(format, &now).map_err(|err| err.to_string())?;
                Ok(Self::Wall(format.into()))
            }
            _ => Err("expected `boot`, `wall`, `relative`, or a format of strftime(3) with a `%` in it".into()),
        }
    }
}

impl Timestamp {
    /// The text of a time.
    pub(super) fn text(&self, time: Time, started: Time) -> String {
        match self {
            Self::Boot => format!("{:.6}", time.boot.as_secs_f64()),
            Self::Relative => match time.boot.checked_sub(started.boot) {
                Some(after) => format!("{:+.6}", after.as_secs_f64()),
                None => format!("{:+.6}", -started.boot.saturating_sub(time.boot).as_secs_f64()),
            },
            Self::Wall(format) => wall(format, time.wall).unwrap_or_else(|_| "?".into()),
        }
    }
}

fn wall(format: &str, time: SystemTime) -> Result<String, jiff::Error> {
    let time = jiff::Timestamp::try_from(time)?.to_zoned(TimeZone::system());
    jiff::fmt::strtime::format(format, &time)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(boot_ms: u64) -> Time {
        let boot = Duration::from_millis(boot_ms);
        Time { boot, wall: SystemTime::UNIX_EPOCH + boot }
    }

    /// Check each kind of time.
    #[test]
    fn times_are_shown_as_asked() {
        let text = |kind: &str, time| kind.parse::<Timestamp>().expect("a kind of time").text(at(time), at(1000));
        assert_eq!(text("boot", 1500), "1.500000");
        assert_eq!(text("relative", 1500), "+0.500000");
        assert_eq!(text("relative", 900), "-0.100000");
        assert_eq!(text("%s", 1500), "1");
        assert_eq!(text("wall", 1500).len(), "00:00:01.500000".len());
        assert!(text("wall", 1500).ends_with(":01.500000"));
    }

    /// Check that what is no time is refused when it is typed.
    #[test]
    fn a_wrong_format_is_refused() {
        assert!("boots".parse::<Timestamp>().is_err());
        assert!("%!".parse::<Timestamp>().is_err());
    }
}
