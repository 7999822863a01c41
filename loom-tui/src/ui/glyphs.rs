//! The marks the dashboard draws with: one set for UTF-8 terminals, one in plain ASCII.
//!
//! Every mark is one cell wide outside locales that make ambiguous characters wide.

/// Corners and edges of a box: top left, top right, bottom left, bottom right, horizontal,
/// vertical.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// Top left corner.
    pub top_left: &'static str,
    /// Top right corner.
    pub top_right: &'static str,
    /// Bottom left corner.
    pub bottom_left: &'static str,
    /// Bottom right corner.
    pub bottom_right: &'static str,
    /// Top and bottom edge.
    pub horizontal: &'static str,
    /// Left and right edge.
    pub vertical: &'static str,
}

/// One consistent set of marks.
#[derive(Clone, Copy, Debug)]
pub struct Glyphs {
    /// Whether Braille and block characters may be drawn.
    pub unicode: bool,
    /// A healthy member.
    pub up: &'static str,
    /// A member that is starting or catching up.
    pub busy: &'static str,
    /// A suspended member.
    pub suspended: &'static str,
    /// A cut link.
    pub cut: &'static str,
    /// A member that is not running.
    pub down: &'static str,
    /// Something that cannot be known now.
    pub unknown: &'static str,
    /// A healthy link, vertical.
    pub link: &'static str,
    /// A degraded link, vertical.
    pub link_slow: &'static str,
    /// A silent link, vertical.
    pub link_silent: &'static str,
    /// The relay's line, horizontal.
    pub bus: &'static str,
    /// Where a healthy link leaves the relay's line downwards.
    pub tap_down: &'static str,
    /// Where a healthy link leaves the relay's line upwards.
    pub tap_up: &'static str,
    /// A value that grows.
    pub growing: &'static str,
    /// "At least", before a number.
    pub at_least: &'static str,
    /// Marks the selected line.
    pub select: &'static str,
    /// Bytes from the node to the relay.
    pub outward: &'static str,
    /// Bytes from the relay to the node.
    pub inward: &'static str,
    /// "Plus or minus".
    pub plus_minus: &'static str,
    /// Text goes on.
    pub ellipsis: &'static str,
    /// A dotted vertical line.
    pub dotted: &'static str,
    /// A vertical axis.
    pub axis: &'static str,
    /// A horizontal axis.
    pub axis_flat: &'static str,
    /// Where both axes meet.
    pub axis_corner: &'static str,
    /// Bars by eighths, lowest first.
    pub bars: [&'static str; 8],
    /// A panel.
    pub frame: Frame,
    /// The panel with the focus, and dialogs.
    pub frame_focus: Frame,
}

/// For terminals that show UTF-8.
pub const UNICODE: Glyphs = Glyphs {
    unicode: true,
    up: "●",
    busy: "◌",
    suspended: "◐",
    cut: "╳",
    down: "○",
    unknown: "?",
    link: "┃",
    link_slow: "╏",
    link_silent: "┊",
    bus: "━",
    tap_down: "┳",
    tap_up: "┻",
    growing: "▲",
    at_least: "≥",
    select: "▶",
    outward: "↑",
    inward: "↓",
    plus_minus: "±",
    ellipsis: "…",
    dotted: "┆",
    axis: "│",
    axis_flat: "─",
    axis_corner: "└",
    bars: ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
    frame: Frame {
        top_left: "╭",
        top_right: "╮",
        bottom_left: "╰",
        bottom_right: "╯",
        horizontal: "─",
        vertical: "│",
    },
    frame_focus: Frame {
        top_left: "┏",
        top_right: "┓",
        bottom_left: "┗",
        bottom_right: "┛",
        horizontal: "━",
        vertical: "┃",
    },
};

/// For everything else.
pub const ASCII: Glyphs = Glyphs {
    unicode: false,
    up: "o",
    busy: "~",
    suspended: "=",
    cut: "x",
    down: ".",
    unknown: "?",
    link: "|",
    link_slow: "!",
    link_silent: ":",
    bus: "=",
    tap_down: "+",
    tap_up: "+",
    growing: "^",
    at_least: ">",
    select: ">",
    outward: "out",
    inward: "in",
    plus_minus: "+-",
    ellipsis: "~",
    dotted: ":",
    axis: "|",
    axis_flat: "-",
    axis_corner: "+",
    bars: ["_", ".", ".", ":", ":", "|", "#", "#"],
    frame: Frame {
        top_left: "+",
        top_right: "+",
        bottom_left: "+",
        bottom_right: "+",
        horizontal: "-",
        vertical: "|",
    },
    frame_focus: Frame {
        top_left: "#",
        top_right: "#",
        bottom_left: "#",
        bottom_right: "#",
        horizontal: "=",
        vertical: "#",
    },
};
