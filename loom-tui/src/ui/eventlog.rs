//! Which event lines the log shows: filtering, and staying in place while lines arrive.

use crate::snapshot::{EventLine, Level, Snapshot};

/// The lines that contain `filter` in their source, text or level, oldest first. Case does not
/// matter.
pub fn matching<'a>(
    snapshot: &'a Snapshot,
    filter: &str,
) -> impl DoubleEndedIterator<Item = &'a EventLine> + use<'a> {
    let wanted = filter.to_lowercase();
    snapshot.events.iter().filter(move |line| {
        wanted.is_empty()
            || [&line.source, &line.text]
                .iter()
                .any(|text| text.to_lowercase().contains(&wanted))
            || level_word(line.level).to_lowercase().contains(&wanted)
    })
}

/// How many lines of `now` that pass `filter` were not in `before`.
pub fn arrived(before: &Snapshot, now: &Snapshot, filter: &str) -> usize {
    let Some(last) = before.events.back() else {
        return matching(now, filter).count();
    };
    // The log is bounded, so places shift; times do not.
    let at_last = |snapshot: &Snapshot| {
        let passing = matching(snapshot, filter);
        passing.rev().take_while(|line| line.at == last.at).count()
    };
    let newer = matching(now, filter)
        .rev()
        .take_while(|line| line.at > last.at)
        .count();
    let same_now = matching(now, filter)
        .filter(|line| line.at == last.at)
        .count();
    newer + same_now.saturating_sub(at_last(before))
}

/// The level in at most five letters; upper case asks for attention.
pub fn level_word(level: Level) -> &'static str {
    match level {
        Level::Info => "info",
        Level::Warn => "WARN",
        Level::Error => "ERROR",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn log(lines: &[(u64, &str)]) -> Snapshot {
        let events = lines.iter().map(|(at, text)| EventLine {
            at: Duration::from_secs(*at),
            level: Level::Info,
            source: "rig".to_owned(),
            text: (*text).to_owned(),
        });
        Snapshot {
            events: events.collect(),
            ..Snapshot::default()
        }
    }

    #[test]
    fn new_lines_are_counted_although_old_ones_fell_out() {
        let before = log(&[(1, "a"), (2, "b"), (2, "c")]);
        let now = log(&[(2, "b"), (2, "c"), (2, "d"), (3, "e")]);
        assert_eq!(arrived(&before, &now, ""), 2);
        assert_eq!(arrived(&before, &now, "E"), 1);
        assert_eq!(arrived(&before, &before, ""), 0);
        assert_eq!(arrived(&log(&[]), &now, ""), 4);
    }

    #[test]
    fn the_filter_reads_source_text_and_level() {
        let log = log(&[(1, "Link cut"), (2, "up")]);
        assert_eq!(matching(&log, "link").count(), 1);
        assert_eq!(matching(&log, "RIG").count(), 2);
        assert_eq!(matching(&log, "info").count(), 2);
        assert_eq!(matching(&log, "nothing").count(), 0);
    }
}
