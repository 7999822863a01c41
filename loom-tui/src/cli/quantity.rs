//! Durations and bandwidths as people write them.

use std::time::Duration;

/// `80ms`, `1.5s`, `2m`, `1h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text)?;
    let seconds = match unit {
        "ms" => number / 1_000.0,
        "s" => number,
        "m" | "min" => number * 60.0,
        "h" => number * 3_600.0,
        "" => return Err(format!("{text:?} has no unit: write 80ms, 1.5s, 2m or 1h")),
        _ => return Err(format!("{unit:?} is no unit of time: use ms, s, m or h")),
    };
    Duration::try_from_secs_f64(seconds).map_err(|error| format!("{text:?}: {error}"))
}

/// Bytes per second from `1mbit`, `500kbit` (bits, as networks are sold) or `64kb`, `1mb` (bytes).
pub(crate) fn bandwidth(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text)?;
    let bytes = match unit.to_ascii_lowercase().trim_end_matches("/s") {
        "bit" => number / 8.0,
        "kbit" => number * 1e3 / 8.0,
        "mbit" => number * 1e6 / 8.0,
        "gbit" => number * 1e9 / 8.0,
        "b" => number,
        "kb" => number * 1e3,
        "mb" => number * 1e6,
        "" => {
            return Err(format!(
                "{text:?} has no unit: write 1mbit, 500kbit (bits) or 64kb, 1mb (bytes), per second"
            ));
        }
        _ => {
            return Err(format!(
                "{unit:?} is no unit of bandwidth: use kbit, mbit, gbit, kb or mb, per second"
            ));
        }
    };
    if bytes < 1.0 {
        return Err(format!(
            "{text:?} is less than a byte per second: to stop a link, cut it"
        ));
    }
    Ok(bytes as u64)
}

/// Thousandths from `2%` or `0.5%`; less than all.
pub(crate) fn permille(text: &str) -> Result<u16, String> {
    let (number, unit) = split(text)?;
    if unit != "%" {
        return Err(format!("{text:?} has no unit: write 2% or 0.5%"));
    }
    let permille = (number * 10.0).round();
    if permille > 950.0 {
        return Err(format!("{text:?} is more than 95%: to stop a link, cut it"));
    }
    if permille < 1.0 && number > 0.0 {
        return Err(format!("{text:?} is less than 0.1%"));
    }
    Ok(permille as u16)
}

/// A number that is not negative, and what follows it.
fn split(text: &str) -> Result<(f64, &str), String> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number = number
        .parse()
        .map_err(|_| format!("{text:?} does not begin with a number"))?;
    Ok((number, unit.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_unit() {
        let cases = [
            ("80ms", 80),
            ("1.5s", 1_500),
            ("2m", 120_000),
            ("1h", 3_600_000),
            (" 0 ms ", 0),
        ];
        for (text, millis) in cases {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "",
            "80",
            "ms",
            "-1s",
            "1 parsec",
            "1e9s",
            "99999999999999999999h",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn losses_are_thousandths() {
        for (text, thousandths) in [("2%", 20), ("0.5%", 5), ("95 %", 950), ("0%", 0)] {
            assert_eq!(permille(text), Ok(thousandths), "{text}");
        }
        for text in ["", "2", "%", "-1%", "96%", "0.01%", "2%%", "1e1%"] {
            assert!(permille(text).is_err(), "{text}");
        }
    }

    #[test]
    fn bandwidths_are_bytes_per_second() {
        let cases = [
            ("1mbit", 125_000),
            ("500kbit", 62_500),
            ("1Mbit/s", 125_000),
            ("64kb", 64_000),
            ("8bit", 1),
        ];
        for (text, bytes) in cases {
            assert_eq!(bandwidth(text), Ok(bytes), "{text}");
        }
        for text in ["", "1", "mbit", "0kb", "1bit", "-1mbit", "1mile"] {
            assert!(bandwidth(text).is_err(), "{text}");
        }
    }
}
