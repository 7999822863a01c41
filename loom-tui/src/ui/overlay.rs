//! What lies over the panels and takes all keys: help, a question, a form, a line of text.

use std::time::Duration;

use crate::cluster::{Flow, Link, Member};
use crate::snapshot::Request;

use super::key::Key;
use super::log::LogReader;

/// At most one of these is open.
#[derive(Clone, Debug, PartialEq)]
pub enum Overlay {
    /// All keys; scrolled down by so many lines.
    Help(usize),
    /// A question before something that cannot be taken back.
    Confirm(Confirm),
    /// Latency, jitter and bandwidth of one node's link.
    Degrade(DegradeForm),
    /// A command being typed.
    Command(Line),
    /// The event filter being typed.
    Filter(Line),
    /// A member's log.
    Log(LogReader),
}

/// A question with two answers. The safe one has the focus at first.
#[derive(Clone, Debug, PartialEq)]
pub struct Confirm {
    /// The question, such as `Kill node-2?`.
    pub question: String,
    /// What will happen.
    pub detail: Vec<String>,
    /// What the dangerous answer is called.
    pub yes: &'static str,
    /// Whether the dangerous answer has the focus.
    pub yes_focused: bool,
    /// What it does.
    pub consequence: Consequence,
}

/// What follows when a question is answered with yes.
#[derive(Clone, Debug, PartialEq)]
pub enum Consequence {
    /// Ask the engine.
    Request(Request),
    /// Leave.
    Quit,
}

/// One line of text with the cursor at its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// What was typed.
    pub text: String,
    /// What was wrong with it when it was entered.
    pub error: Option<String>,
}

/// More cannot be typed into a line.
const LINE_CHARS_MAX: usize = 200;

impl Line {
    /// A line that already holds `text`.
    pub fn with(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            error: None,
        }
    }

    /// Takes a key; false when the key is none of the line's.
    pub fn edit(&mut self, key: Key) -> bool {
        match key {
            Key::Char(letter) => self.insert(&letter.to_string()),
            Key::Backspace => {
                self.text.pop();
            }
            Key::Ctrl('u') => self.text.clear(),
            Key::Ctrl('w') => {
                let trimmed = self.text.trim_end();
                let end = trimmed.rfind(' ').map_or(0, |space| space + 1);
                self.text.truncate(end);
            }
            _ => return false,
        }
        self.error = None;
        true
    }

    /// Appends pasted text, without its control characters.
    pub fn insert(&mut self, text: &str) {
        let room = LINE_CHARS_MAX.saturating_sub(self.text.chars().count());
        let printable = text.chars().filter(|letter| !letter.is_control());
        self.text.extend(printable.take(room));
    }
}

/// Most thousandths that can be lost, as on the command line: to stop a link, cut it.
const LOSS_PERMILLE_MAX: u64 = 950;

/// The form that degrades a link, both directions alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DegradeForm {
    /// Whose link.
    pub member: Member,
    /// Digits: latency in ms, jitter in ms, bandwidth in KiB/s, loss in thousandths. Empty is none.
    pub fields: [String; 4],
    /// The field that takes digits.
    pub active: usize,
}

impl DegradeForm {
    /// What the fields are called, with their units.
    pub const LABELS: [(&'static str, &'static str); 4] = [
        ("latency", "ms"),
        ("jitter", "ms"),
        ("bandwidth", "KiB/s"),
        ("loss", "of 1000"),
    ];

    /// A form that shows how the link is now.
    pub fn new(member: Member, link: Link) -> Self {
        let digits = |n: u128| if n == 0 { String::new() } else { n.to_string() };
        let flow = link.up;
        let kib_per_s = flow.bandwidth.map_or(0, |bytes| bytes.div_ceil(1024));
        Self {
            member,
            fields: [
                digits(flow.latency.as_millis()),
                digits(flow.jitter.as_millis()),
                digits(u128::from(kib_per_s)),
                digits(u128::from(flow.loss_permille)),
            ],
            active: 0,
        }
    }

    /// Takes a key; false when the key is none of the form's.
    pub fn edit(&mut self, key: Key) -> bool {
        let fields = self.fields.len();
        match key {
            // Six digits are plenty: 999,999 ms is a quarter of an hour.
            Key::Char(digit) if digit.is_ascii_digit() && self.fields[self.active].len() < 6 => {
                self.fields[self.active].push(digit);
            }
            Key::Char(digit) if digit.is_ascii_digit() => {}
            Key::Backspace => {
                self.fields[self.active].pop();
            }
            Key::Ctrl('u') => self.fields[self.active].clear(),
            Key::Tab | Key::Down => self.active = (self.active + 1) % fields,
            Key::BackTab | Key::Up => self.active = (self.active + fields - 1) % fields,
            _ => return false,
        }
        true
    }

    /// What the form asks for: all empty heals the link.
    pub fn request(&self) -> Request {
        let number = |i: usize| self.fields[i].parse::<u64>().unwrap_or(0);
        degrade(self.member, [0, 1, 2, 3].map(number))
    }
}

/// The request that slows both directions of a link alike, by the numbers of [`DegradeForm`]; all zero
/// heals it.
pub fn degrade(member: Member, numbers: [u64; 4]) -> Request {
    let [latency_ms, jitter_ms, kib_per_s, loss_permille] = numbers;
    let flow = Flow {
        cut: false,
        latency: Duration::from_millis(latency_ms),
        jitter: Duration::from_millis(jitter_ms),
        bandwidth: (kib_per_s > 0).then(|| kib_per_s.saturating_mul(1024)),
        loss_permille: loss_permille.min(LOSS_PERMILLE_MAX) as u16,
    };
    if flow.is_clear() {
        Request::HealLink(member)
    } else {
        Request::SetLink(
            member,
            Link {
                up: flow,
                down: flow,
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_takes_text_and_drops_control_characters() {
        let mut line = Line::default();
        line.insert("cut\n node-2\x1b");
        assert_eq!(line.text, "cut node-2");
        assert!(line.edit(Key::Ctrl('w')));
        assert_eq!(line.text, "cut ");
        assert!(!line.edit(Key::Enter));
        line.insert(&"x".repeat(500));
        assert_eq!(line.text.chars().count(), LINE_CHARS_MAX);
    }

    #[test]
    fn the_form_reads_back_what_it_would_ask_for() {
        let mut form = DegradeForm::new(Member::Node(2), Link::default());
        for key in ["80", "10", "64", "25"].iter().flat_map(|number| {
            let digits = number.chars().map(Key::Char);
            digits.chain([Key::Tab]).collect::<Vec<_>>()
        }) {
            assert!(form.edit(key));
        }
        let Request::SetLink(member, link) = form.request() else {
            panic!("a filled form sets the link");
        };
        assert_eq!((member, link.up), (Member::Node(2), link.down));
        assert_eq!(link.up.latency, Duration::from_millis(80));
        assert_eq!(link.up.bandwidth, Some(64 * 1024));
        assert_eq!(link.up.loss_permille, 25);
        let again = DegradeForm::new(member, link);
        assert_eq!(again.fields, form.fields);
        let empty = DegradeForm::new(member, Link::default());
        assert_eq!(empty.request(), Request::HealLink(member));
    }
}
