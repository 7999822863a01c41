//! Convergence latency: bars over fixed bins, percentiles, thresholds, and what is not in them.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::snapshot::{LatencyWindow, THRESHOLD_P50, THRESHOLD_P95, THRESHOLD_P99};
use crate::ui::fmt;
use crate::ui::pen::{Pen, Pieces, pieces_width};
use crate::ui::theme::{Role, Theme};
use crate::ui::widgets::hist::{self, Tick};

use super::header::p99_value;
use super::panel::{self, Chrome};

/// Draws the panel.
pub(super) fn render(
    buffer: &mut Buffer,
    area: Rect,
    chrome: &Chrome,
    latency: &LatencyWindow,
    theme: &Theme,
) {
    let note = format!(
        "last {}  n={}",
        fmt::since(latency.span),
        fmt::count(latency.count)
    );
    let mut pen = panel::open(buffer, area, chrome, &note, theme);
    let height = pen.height();
    let text_lines = if height >= 4 { 2 } else { height.min(1) };
    let bars = Rect::new(0, 0, pen.width(), height.saturating_sub(text_lines));
    if latency.count == 0 {
        let hint = "nothing measured yet: run a scenario (5, enter)";
        pen.text(0, bars.height / 2, hint, Role::Dim);
    } else {
        let now = [
            ("50", latency.p50),
            ("95", latency.p95),
            ("99", latency.p99),
        ];
        let now: Vec<Tick> = now
            .into_iter()
            .filter_map(|(label, at)| at.map(|at| Tick { label, at }))
            .collect();
        let goals = [
            ("50", THRESHOLD_P50),
            ("95", THRESHOLD_P95),
            ("99", THRESHOLD_P99),
        ];
        let goals = goals.map(|(label, at)| Tick { label, at });
        hist::draw(&mut pen.part(bars), latency, &now, &goals);
    }
    if text_lines > 0 {
        percentiles(&mut pen, bars.height, latency);
    }
    if text_lines > 1 {
        unseen(&mut pen, bars.height + 1, latency);
    }
}

fn percentiles(pen: &mut Pen<'_>, y: u16, latency: &LatencyWindow) {
    let (p99, p99_role) = p99_value(latency, pen.theme().glyphs);
    let known = |at: Option<Duration>| at.map_or_else(|| "-".to_owned(), fmt::age);
    let value = |label: &str, text: String, role| -> Pieces {
        vec![(format!("{label} "), Role::Dim), (text, role)]
    };
    let parts = [
        value("p50", known(latency.p50), Role::Text),
        value("p95", known(latency.p95), Role::Text),
        value("p99", p99, p99_role),
        value("max", known(latency.max), Role::Text),
    ];
    let mut x = 0;
    for part in &parts {
        if x + pieces_width(part) > pen.width() {
            return;
        }
        x = pen.pieces(x, y, part).saturating_add(3);
    }
    // On narrow panels the line below has no room for this.
    if latency.unseen > 0 && y + 1 >= pen.height() {
        pen.text(
            x,
            y,
            &format!("+{} unseen", fmt::count(latency.unseen)),
            Role::Unknown,
        );
    }
}

/// What the numbers above leave out.
fn unseen(pen: &mut Pen<'_>, y: u16, latency: &LatencyWindow) {
    if latency.unseen == 0 && latency.count == 0 {
        return;
    }
    if latency.unseen == 0 {
        pen.text(0, y, "every write was seen everywhere", Role::Dim);
        return;
    }
    let n = fmt::count(latency.unseen);
    let oldest = fmt::age_or_unknown(latency.oldest_unseen);
    let long = format!("not in these numbers: {n} unseen, oldest {oldest}");
    let short = format!("{n} unseen, oldest {oldest}");
    let text = if crate::ui::pen::width(&long) <= pen.width() {
        long
    } else {
        short
    };
    pen.text(0, y, &text, Role::Unknown);
}
