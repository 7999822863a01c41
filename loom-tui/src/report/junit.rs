//! The report for CI services: one JUnit test suite per command, one test case per scenario.
//!
//! A failure carries the sentences of the checkers that failed. What proved nothing is skipped,
//! never passed: JUnit has no third verdict. Mistakes in a script and a broken rig are errors.

use std::fmt::{self, Write as _};

use super::{Report, table};
use crate::check::Finding;
use crate::snapshot::Verdict;

/// What became of one scenario.
#[derive(Debug)]
pub enum Case<'a> {
    /// It was played.
    Played(&'a Report),
    /// The rig broke under it.
    Broke {
        /// Its name.
        scenario: &'a str,
        /// How.
        why: &'a str,
    },
    /// It was never begun.
    NotPlayed {
        /// Its name.
        scenario: &'a str,
    },
}

/// How a case is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Passed,
    Failure,
    Error,
    Skipped,
}

/// One suite of these cases.
pub fn print(cases: &[Case<'_>]) -> String {
    let count = |kind| cases.iter().filter(|case| case.kind() == kind).count();
    let seconds: f64 = cases.iter().map(Case::seconds).sum();
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    let _ = writeln!(
        text,
        "<testsuite name=\"loom-tui run\" tests=\"{}\" failures=\"{}\" errors=\"{}\" \
         skipped=\"{}\" time=\"{seconds:.3}\"{}>",
        cases.len(),
        count(Kind::Failure),
        count(Kind::Error),
        count(Kind::Skipped),
        cases.iter().find_map(Case::started).unwrap_or_default(),
    );
    for case in cases {
        case.print(&mut text);
    }
    text.push_str("</testsuite>\n</testsuites>\n");
    text
}

impl Case<'_> {
    fn kind(&self) -> Kind {
        match self {
            Self::Played(report) if report.mistake.is_some() => Kind::Error,
            Self::Played(report) => match report.verdict {
                Verdict::Pass => Kind::Passed,
                Verdict::Fail => Kind::Failure,
                Verdict::Unknown => Kind::Skipped,
            },
            Self::Broke { .. } => Kind::Error,
            Self::NotPlayed { .. } => Kind::Skipped,
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Played(report) => &report.scenario,
            Self::Broke { scenario, .. } | Self::NotPlayed { scenario } => scenario,
        }
    }

    fn seconds(&self) -> f64 {
        match self {
            Self::Played(report) => report.took_ms / 1_000.0,
            _ => 0.0,
        }
    }

    /// JUnit's moments have no zone.
    fn started(&self) -> Option<String> {
        match self {
            Self::Played(report) => {
                let moment = report.started.trim_end_matches('Z');
                Some(format!(" timestamp=\"{}\"", Escaped(moment)))
            }
            _ => None,
        }
    }

    fn print(&self, text: &mut String) {
        let name = Escaped(self.name());
        let _ = writeln!(
            text,
            "<testcase classname=\"loom-tui.scenario\" name=\"{name}\" time=\"{:.3}\">",
            self.seconds()
        );
        if let Self::Played(report) = self {
            text.push_str("<properties>\n");
            let seed = report.seed.to_string();
            let folder = report.folder.display().to_string();
            for (name, value) in [("seed", seed), ("evidence", folder)] {
                let value = Escaped(&value);
                let _ = writeln!(text, "<property name=\"{name}\" value=\"{value}\"/>");
            }
            text.push_str("</properties>\n");
        }
        let element = match self.kind() {
            Kind::Passed => None,
            Kind::Failure => Some("failure"),
            Kind::Error => Some("error"),
            Kind::Skipped => Some("skipped"),
        };
        if let Some(element) = element {
            let (message, kind) = (self.message(), self.checker());
            let _ = write!(text, "<{element} message=\"{}\"", Escaped(&message));
            if element != "skipped" {
                let _ = write!(text, " type=\"{}\"", Escaped(kind));
            }
            let _ = writeln!(text, ">{}</{element}>", Content(&self.sentences()));
        }
        if let Self::Played(report) = self {
            let told = table::print(report);
            let _ = writeln!(text, "<system-out>{}</system-out>", Content(&told));
        }
        text.push_str("</testcase>\n");
    }

    /// One line that says why.
    fn message(&self) -> String {
        match self {
            Self::Played(report)
                if self.kind() == Kind::Skipped && report.is_skipped().is_none() =>
            {
                format!("unknown: {}", report.headline())
            }
            Self::Played(report) => report.headline(),
            Self::Broke { why, .. } => (*why).to_owned(),
            Self::NotPlayed { .. } => "not played: the command ended before".to_owned(),
        }
    }

    /// The checker that comes first among those to blame.
    fn checker(&self) -> &str {
        match self {
            Self::Played(report) if report.mistake.is_some() => "mistake",
            Self::Played(report) => blamed(report).next().map_or("run", |found| found.checker),
            Self::Broke { .. } | Self::NotPlayed { .. } => "rig",
        }
    }

    /// Every reason of every checker to blame.
    fn sentences(&self) -> String {
        let Self::Played(report) = self else {
            return self.message();
        };
        let mut lines: Vec<String> = report.mistake.iter().cloned().collect();
        for finding in blamed(report) {
            lines.push(format!("{}: {}", finding.checker, finding.summary));
            lines.extend(finding.reasons.iter().map(|reason| format!("  {reason}")));
        }
        lines.join("\n")
    }
}

fn blamed(report: &Report) -> impl Iterator<Item = &Finding> {
    let findings = report.findings.iter();
    findings.filter(|finding| finding.verdict == Some(report.verdict))
}

/// Text as an attribute of XML holds it. What XML 1.0 cannot hold becomes U+FFFD.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                // `]]>` must not stand in content.
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                // Reading a file makes spaces of them.
                '\n' | '\r' | '\t' => write!(f, "&#{};", u32::from(character))?,
                '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => f.write_char('\u{fffd}')?,
                plain => f.write_char(plain)?,
            }
        }
        Ok(())
    }
}

/// The same between elements, where lines stay lines.
struct Content<'a>(&'a str);

impl fmt::Display for Content<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, line) in self.0.split('\n').enumerate() {
            if number > 0 {
                f.write_char('\n')?;
            }
            write!(f, "{}", Escaped(line))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::report;

    fn parsed(cases: &[Case<'_>]) -> String {
        let text = print(cases);
        roxmltree::Document::parse(&text).expect("well-formed");
        text
    }

    fn attribute<'a>(node: roxmltree::Node<'a, '_>, name: &str) -> &'a str {
        node.attribute(name).expect("it has one")
    }

    #[test]
    fn each_verdict_has_its_element_and_the_suite_counts_them() {
        let passed = report("basic-sync", Verdict::Pass, &[]);
        let failed = report("partition", Verdict::Fail, &["create nodes/a is missing"]);
        let unknown = report("soak", Verdict::Unknown, &["nothing was written"]);
        let mut mistaken = report("mine", Verdict::Unknown, &[]);
        mistaken.mistake = Some("mine.rhai:1:1: there is no function f".to_owned());
        let text = parsed(&[
            Case::Played(&passed),
            Case::Played(&failed),
            Case::Played(&unknown),
            Case::Played(&mistaken),
            Case::Broke {
                scenario: "chaos",
                why: "no port",
            },
            Case::NotPlayed { scenario: "last" },
        ]);
        let document = roxmltree::Document::parse(&text).expect("well-formed");
        let suite = document.root_element().first_element_child();
        let suite = suite.expect("one suite");
        let counts = ["tests", "failures", "errors", "skipped"].map(|name| attribute(suite, name));
        assert_eq!(counts, ["6", "1", "2", "2"]);
        let told: Vec<_> = suite
            .children()
            .filter(roxmltree::Node::is_element)
            .map(|case| {
                let why = case.children().find(|child| {
                    matches!(child.tag_name().name(), "failure" | "error" | "skipped")
                });
                let why = why.map(|why| (why.tag_name().name(), attribute(why, "message")));
                (attribute(case, "name"), why)
            })
            .collect();
        assert_eq!(
            told,
            [
                ("basic-sync", None),
                (
                    "partition",
                    Some(("failure", "acked_lost: create nodes/a is missing"))
                ),
                (
                    "soak",
                    Some(("skipped", "unknown: acked_lost: nothing was written"))
                ),
                (
                    "mine",
                    Some(("error", "mine.rhai:1:1: there is no function f"))
                ),
                ("chaos", Some(("error", "no port"))),
                (
                    "last",
                    Some(("skipped", "not played: the command ended before"))
                ),
            ]
        );
    }

    #[test]
    fn whatever_a_record_holds_the_file_is_xml_and_says_it() {
        let hostile = "nodes/a holds {\"t\":\"</failure>]]>&amp;\"} 'x'\n\t\u{0}\u{b}\u{1f600}";
        let failed = report("a<b>&\"c\"", Verdict::Fail, &[hostile]);
        let text = print(&[Case::Played(&failed)]);
        let document = roxmltree::Document::parse(&text).expect("well-formed");
        let failure = document
            .descendants()
            .find(|node| node.has_tag_name("failure"))
            .expect("it failed");
        let kept = hostile.replace(['\u{0}', '\u{b}'], "\u{fffd}");
        assert!(attribute(failure, "message").ends_with(&kept), "{text}");
        assert!(failure.text().is_some_and(|text| text.contains(&kept)));
        assert_eq!(attribute(failure, "type"), "acked_lost");
        let case = failure.parent().expect("a failure is in a case");
        assert_eq!(attribute(case, "name"), "a<b>&\"c\"");
    }
}
