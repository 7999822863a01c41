//! What each role looks like on this terminal. Panels name a [`Role`]; only this file names colours.
//!
//! Healthy things keep the terminal's own foreground, backgrounds are never painted, and no role
//! is told apart by colour alone: the state's glyph and word say the same. Exceptions use the
//! Okabe–Ito palette, which people with any common colour vision can tell apart.

use ratatui::style::{Color, Modifier, Style};

use super::glyphs::{ASCII, Glyphs, UNICODE};

/// What a piece of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Ordinary and healthy.
    Text,
    /// Less important: units, axes, labels.
    Dim,
    /// Headings.
    Strong,
    /// Frame of a panel.
    Border,
    /// Frame of the panel with the focus.
    Focus,
    /// Worth knowing.
    Info,
    /// Worth a look.
    Warn,
    /// Broken.
    Bad,
    /// Not known now.
    Unknown,
    /// Fault marks.
    Mark,
    /// A key in the footer or the help.
    Key,
    /// The selected line.
    Selected,
    /// One of several lines in a chart, from 0.
    Series(u8),
}

/// How many colours may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ColorLevel {
    /// None; bold, dim and reverse only.
    None,
    /// The terminal's own 16.
    Ansi16,
    /// The 256 of xterm.
    Ansi256,
    /// 24 bits.
    True,
}

/// What a person asked for on the command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColorChoice {
    /// As the environment says.
    #[default]
    Auto,
    /// Even when the environment says not to.
    Always,
    /// No colours.
    Never,
}

/// Whether the terminal is dark or light.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Background {
    /// Light text on dark, and whenever nothing is known.
    #[default]
    Dark,
    /// Dark text on light.
    Light,
}

/// Colours and marks for one terminal.
#[derive(Clone, Copy, Debug)]
pub struct Theme {
    /// The marks to draw with.
    pub glyphs: &'static Glyphs,
    level: ColorLevel,
    background: Background,
}

/// The colours of the roles that have one.
struct Palette {
    info: u32,
    warn: u32,
    bad: u32,
    mark: u32,
    series: [u32; 6],
}

const DARK: Palette = Palette {
    info: 0x56_b4_e9,
    warn: 0xe6_9f_00,
    bad: 0xf0_70_20,
    mark: 0xcc_79_a7,
    series: [
        0x56_b4_e9, 0xe6_9f_00, 0x1f_b8_8c, 0xcc_79_a7, 0xf0_e4_42, 0x5a_9b_e6,
    ],
};

// The same hues, darkened until text on white is readable.
const LIGHT: Palette = Palette {
    info: 0x00_5f_99,
    warn: 0x8a_5c_00,
    bad: 0xb3_47_00,
    mark: 0x98_45_73,
    series: [
        0x00_5f_99, 0x8a_5c_00, 0x00_70_4f, 0x98_45_73, 0x6b_63_00, 0x2c_55_b0,
    ],
};

impl Theme {
    /// A theme for a terminal that can do this much.
    pub fn new(level: ColorLevel, background: Background, ascii: bool) -> Self {
        Self {
            glyphs: if ascii { &ASCII } else { &UNICODE },
            level,
            background,
        }
    }

    /// Decides from the command line and the environment (`NO_COLOR`, `CLICOLOR_FORCE`, `TERM`,
    /// `COLORTERM`, `COLORFGBG`, `LC_ALL`, `LC_CTYPE`, `LANG`). The command line wins. An empty
    /// variable counts as unset.
    pub fn detect(
        color: ColorChoice,
        ascii: Option<bool>,
        env: impl Fn(&str) -> Option<String>,
    ) -> Self {
        let env = |name: &str| env(name).filter(|value| !value.is_empty());
        let term = env("TERM").unwrap_or_default();
        let able = match env("COLORTERM").as_deref() {
            Some("truecolor" | "24bit") => ColorLevel::True,
            _ if term.contains("direct") => ColorLevel::True,
            _ if term.contains("256") => ColorLevel::Ansi256,
            _ => ColorLevel::Ansi16,
        };
        let forced =
            color == ColorChoice::Always || env("CLICOLOR_FORCE").is_some_and(|v| v != "0");
        let refused =
            env("NO_COLOR").is_some() || matches!(term.as_str(), "dumb" | "vt100" | "vt220");
        let level = match color {
            ColorChoice::Never => ColorLevel::None,
            _ if forced => able,
            _ if refused => ColorLevel::None,
            _ => able,
        };
        let locale = env("LC_ALL")
            .or_else(|| env("LC_CTYPE"))
            .or_else(|| env("LANG"));
        let utf8 = locale.is_some_and(|name| {
            let name = name.to_ascii_lowercase();
            name.contains("utf-8") || name.contains("utf8")
        });
        // The last field is the background; 7 and 15 are the light ones.
        let light = env("COLORFGBG")
            .is_some_and(|value| matches!(value.rsplit(';').next(), Some("7" | "15")));
        let background = if light {
            Background::Light
        } else {
            Background::Dark
        };
        Self::new(level, background, ascii.unwrap_or(!utf8))
    }

    /// The style of a role.
    pub fn style(&self, role: Role) -> Style {
        let plain = Style::new();
        match role {
            Role::Text => plain,
            Role::Dim | Role::Border => plain.add_modifier(Modifier::DIM),
            Role::Strong | Role::Focus | Role::Key => plain.add_modifier(Modifier::BOLD),
            Role::Selected => plain.add_modifier(Modifier::REVERSED | Modifier::BOLD),
            Role::Unknown => self.ink(plain.add_modifier(Modifier::ITALIC), role),
            Role::Warn | Role::Bad => self.ink(plain.add_modifier(Modifier::BOLD), role),
            Role::Info | Role::Mark | Role::Series(_) => self.ink(plain, role),
        }
    }

    fn ink(&self, style: Style, role: Role) -> Style {
        match self.level {
            ColorLevel::None => style,
            ColorLevel::Ansi16 => style.fg(ansi16(role)),
            ColorLevel::Ansi256 => style.fg(Color::Indexed(nearest_256(self.rgb(role)))),
            ColorLevel::True => {
                let [_, r, g, b] = self.rgb(role).to_be_bytes();
                style.fg(Color::Rgb(r, g, b))
            }
        }
    }

    fn rgb(&self, role: Role) -> u32 {
        let palette = match self.background {
            Background::Dark => &DARK,
            Background::Light => &LIGHT,
        };
        match role {
            Role::Warn | Role::Unknown => palette.warn,
            Role::Bad => palette.bad,
            Role::Mark => palette.mark,
            Role::Series(n) => palette.series[usize::from(n) % palette.series.len()],
            _ => palette.info,
        }
    }
}

// Names, so that the terminal's own palette decides what they look like.
fn ansi16(role: Role) -> Color {
    const SERIES: [Color; 6] = [
        Color::Cyan,
        Color::Yellow,
        Color::Green,
        Color::Magenta,
        Color::Blue,
        Color::LightCyan,
    ];
    match role {
        Role::Warn | Role::Unknown => Color::Yellow,
        Role::Bad => Color::Red,
        Role::Mark => Color::Magenta,
        Role::Series(n) => SERIES[usize::from(n) % SERIES.len()],
        _ => Color::Cyan,
    }
}

/// The closest colour of xterm's 6x6x6 cube.
fn nearest_256(rgb: u32) -> u8 {
    const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    let [_, r, g, b] = rgb.to_be_bytes();
    let step = |value: u8| -> u8 {
        let nearest = (0u8..6).min_by_key(|i| STEPS[usize::from(*i)].abs_diff(value));
        nearest.unwrap_or(0)
    };
    16 + 36 * step(r) + 6 * step(g) + step(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLORED: [Role; 11] = [
        Role::Info,
        Role::Warn,
        Role::Bad,
        Role::Unknown,
        Role::Mark,
        Role::Series(0),
        Role::Series(1),
        Role::Series(2),
        Role::Series(3),
        Role::Series(4),
        Role::Series(5),
    ];

    /// WCAG 2 relative luminance.
    fn luminance(rgb: u32) -> f64 {
        let [_, r, g, b] = rgb.to_be_bytes();
        let part = |value: u8| {
            let c = f64::from(value) / 255.0;
            if c <= 0.04045 {
                c / 12.92
            } else {
                ((c + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b)
    }

    #[test]
    fn every_colour_is_readable_on_its_background() {
        for (background, paper) in [
            (Background::Dark, 0x1e_1e_1e),
            (Background::Light, 0xff_ff_ff),
        ] {
            let theme = Theme::new(ColorLevel::True, background, false);
            for role in COLORED {
                let (a, b) = (luminance(theme.rgb(role)), luminance(paper));
                let contrast = (a.max(b) + 0.05) / (a.min(b) + 0.05);
                assert!(contrast >= 4.5, "{role:?} on {background:?}: {contrast:.1}");
            }
        }
    }

    fn detect(color: ColorChoice, vars: &[(&str, &str)]) -> Theme {
        Theme::detect(color, None, |name| {
            let found = vars.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_environment_is_understood_and_the_command_line_wins() {
        use ColorChoice::{Always, Auto, Never};
        let xterm = ("TERM", "xterm-256color");
        for (color, vars, level) in [
            (Auto, vec![xterm], ColorLevel::Ansi256),
            (Auto, vec![xterm, ("NO_COLOR", "1")], ColorLevel::None),
            (Auto, vec![xterm, ("NO_COLOR", "")], ColorLevel::Ansi256),
            (Always, vec![xterm, ("NO_COLOR", "1")], ColorLevel::Ansi256),
            (
                Never,
                vec![xterm, ("COLORTERM", "truecolor")],
                ColorLevel::None,
            ),
            (
                Auto,
                vec![xterm, ("COLORTERM", "truecolor")],
                ColorLevel::True,
            ),
            (Auto, vec![("TERM", "linux")], ColorLevel::Ansi16),
            (Auto, vec![("TERM", "dumb")], ColorLevel::None),
            (
                Auto,
                vec![("TERM", "dumb"), ("CLICOLOR_FORCE", "1")],
                ColorLevel::Ansi16,
            ),
        ] {
            assert_eq!(detect(color, &vars).level, level, "{color:?} {vars:?}");
        }
    }

    #[test]
    fn a_locale_without_utf8_gets_ascii() {
        for (vars, unicode) in [
            (vec![("LANG", "en_GB.UTF-8")], true),
            (vec![("LC_ALL", "C"), ("LANG", "en_GB.UTF-8")], false),
            (vec![("LC_ALL", ""), ("LANG", "C.utf8")], true),
            (vec![], false),
        ] {
            assert_eq!(
                detect(ColorChoice::Auto, &vars).glyphs.unicode,
                unicode,
                "{vars:?}"
            );
        }
        let light = detect(ColorChoice::Auto, &[("COLORFGBG", "0;15")]);
        assert_eq!(light.background, Background::Light);
    }

    #[test]
    fn without_colours_no_style_names_one() {
        let mono = Theme::new(ColorLevel::None, Background::Dark, false);
        for role in COLORED {
            assert_eq!(mono.style(role).fg, None, "{role:?}");
            assert_eq!(mono.style(role).bg, None, "{role:?}");
        }
    }

    #[test]
    fn all_marks_are_one_cell_wide() {
        for glyphs in [&UNICODE, &ASCII] {
            let marks = [
                glyphs.up,
                glyphs.busy,
                glyphs.suspended,
                glyphs.cut,
                glyphs.down,
                glyphs.unknown,
                glyphs.link,
                glyphs.link_slow,
                glyphs.link_silent,
                glyphs.bus,
                glyphs.growing,
                glyphs.select,
                glyphs.ellipsis,
                glyphs.dotted,
            ];
            for mark in marks.into_iter().chain(glyphs.bars) {
                assert_eq!(ratatui::text::Span::raw(mark).width(), 1, "{mark}");
            }
        }
        assert!(ASCII.bars.iter().all(|bar| bar.is_ascii()));
    }
}
