//! Numbers as short text whose width hardly changes between frames.
//!
//! Unknown is `?`, never zero. No micro sign: everything here is ASCII.

use std::time::Duration;

/// An age or latency in at most six cells: `0.85ms`, `4.2ms`, `412ms`, `42.0s`, `12m03s`, `3h04m`.
pub fn age(duration: Duration) -> String {
    let us = duration.as_micros();
    let s = duration.as_secs();
    match us {
        0 => "0ms".to_owned(),
        1..1_000 => format!("0.{:02}ms", us / 10),
        1_000..9_950 => format!("{}.{}ms", (us + 50) / 1_000, (us + 50) / 100 % 10),
        9_950..999_500 => format!("{}ms", (us + 500) / 1_000),
        999_500..99_950_000 => format!("{:.1}s", duration.as_secs_f64()),
        _ if s < 3_600 => format!("{}m{:02}s", s / 60, s % 60),
        _ if s < 100 * 3_600 => format!("{}h{:02}m", s / 3_600, s / 60 % 60),
        _ => format!("{}d", (s / 86_400).min(99_999)),
    }
}

/// [`age`], or `?` when it is not known.
pub fn age_or_unknown(duration: Option<Duration>) -> String {
    duration.map_or_else(|| "?".to_owned(), age)
}

/// A coarse age for faults that last: `4s`, `42s`, `12m03s`.
pub fn since(duration: Duration) -> String {
    if duration < Duration::from_secs(100) {
        format!("{}s", duration.as_secs())
    } else {
        age(duration)
    }
}

/// A run clock: `00:41`, `12:41`, `1:02:03`.
pub fn clock(at: Duration) -> String {
    let s = at.as_secs();
    match s / 3_600 {
        0 => format!("{:02}:{:02}", s / 60, s % 60),
        hours => format!("{hours}:{:02}:{:02}", s / 60 % 60, s % 60),
    }
}

/// [`clock`] with tenths, for event lines.
pub fn clock_tenths(at: Duration) -> String {
    format!("{}.{}", clock(at), at.subsec_millis() / 100)
}

/// A count in at most six cells: `6,475`, `99,999`, `123k`, `4.1M`.
pub fn count(n: u64) -> String {
    match n {
        0..1_000 => n.to_string(),
        1_000..100_000 => format!("{},{:03}", n / 1_000, n % 1_000),
        100_000..1_000_000 => format!("{}k", n / 1_000),
        1_000_000..10_000_000 => format!("{}.{}M", n / 1_000_000, n / 100_000 % 10),
        10_000_000..1_000_000_000 => format!("{}M", n / 1_000_000),
        1_000_000_000..10_000_000_000_000 => format!("{}G", n / 1_000_000_000),
        _ => ">9999G".to_owned(),
    }
}

/// Bytes in at most five cells, powers of 1024: `850K`, `61M`, `1.2G`.
pub fn bytes(n: u64) -> String {
    const K: u64 = 1 << 10;
    const M: u64 = 1 << 20;
    const G: u64 = 1 << 30;
    match n {
        0..K => format!("{n}B"),
        K..M => format!("{}K", n / K),
        M..G => format!("{}M", n / M),
        _ if n / G < 10 => format!("{}.{}G", n / G, (n % G) * 10 / G),
        _ => format!("{}G", (n / G).min(9_999)),
    }
}

/// A rate: `0`, `0.4`, `9.8`, `120`, `4,210`.
pub fn rate(per_s: f64) -> String {
    if !per_s.is_finite() {
        "?".to_owned()
    } else if per_s < 0.05 {
        "0".to_owned()
    } else if per_s < 9.95 {
        format!("{per_s:.1}")
    } else {
        // `as` saturates, and the value is finite and positive.
        count(per_s.round() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_stay_short_at_every_magnitude() {
        let us = Duration::from_micros;
        let s = Duration::from_secs;
        for (duration, text) in [
            (us(0), "0ms"),
            (us(850), "0.85ms"),
            (us(999), "0.99ms"),
            (us(1_000), "1.0ms"),
            (us(4_249), "4.2ms"),
            (us(9_949), "9.9ms"),
            (us(9_950), "10ms"),
            (us(412_300), "412ms"),
            (us(999_499), "999ms"),
            (us(999_500), "1.0s"),
            (s(42), "42.0s"),
            (us(99_949_999), "99.9s"),
            (us(99_950_000), "1m39s"),
            (s(723), "12m03s"),
            (s(11_040), "3h04m"),
            (s(86_400 * 400), "400d"),
            (Duration::MAX, "99999d"),
        ] {
            assert_eq!(age(duration), text);
            assert!(text.len() <= 6);
        }
    }

    #[test]
    fn counts_bytes_and_rates_stay_short() {
        for (n, text) in [
            (0, "0"),
            (6_475, "6,475"),
            (99_999, "99,999"),
            (123_456, "123k"),
            (4_123_456, "4.1M"),
            (u64::MAX, ">9999G"),
        ] {
            assert_eq!(count(n), text);
        }
        assert_eq!(bytes(61 << 20), "61M");
        assert_eq!(bytes(1_300 << 20), "1.2G");
        assert!(bytes(u64::MAX).len() <= 5);
        assert_eq!(rate(0.0), "0");
        assert_eq!(rate(9.81), "9.8");
        assert_eq!(rate(120.4), "120");
        assert_eq!(rate(f64::NAN), "?");
        assert_eq!(clock(Duration::from_secs(761)), "12:41");
        assert_eq!(clock(Duration::from_secs(3_723)), "1:02:03");
    }
}
