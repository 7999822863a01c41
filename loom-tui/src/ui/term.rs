//! The terminal: entering and leaving its modes, and drawing frames. [`Screen`] is the door.
//!
//! Every mode that is turned on is recorded and turned off exactly once, each whatever happens to
//! the others, on every way out: leaving, an error, a panic (see [`super::panics`]), a signal.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use ratatui::Terminal;
use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::buffer::Buffer;
use ratatui::crossterm::clipboard::CopyToClipboard;
use ratatui::crossterm::event::{
    DisableBracketedPaste, DisableFocusChange, EnableBracketedPaste, EnableFocusChange,
};
use ratatui::crossterm::style::force_color_output;
use ratatui::crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode,
};
use ratatui::crossterm::{cursor, execute, queue};
use ratatui::layout::{Rect, Size};

const RAW: u8 = 1;
const ALTERNATE: u8 = 2;
const PASTE: u8 = 4;
const FOCUS: u8 = 8;
const HIDDEN: u8 = 16;
const ALL: [u8; 5] = [RAW, ALTERNATE, PASTE, FOCUS, HIDDEN];

/// The terminal modes that are on. Shared with the panic hook.
#[derive(Debug, Default)]
pub(super) struct Modes(AtomicU8);

impl Modes {
    /// Whether the terminal is ours.
    pub(super) fn any(&self) -> bool {
        self.0.load(Ordering::SeqCst) != 0
    }

    /// Turns one mode on. It is recorded first: turning off what is not on does no harm.
    fn turn_on(&self, mode: u8, out: &mut impl Write) -> io::Result<()> {
        self.0.fetch_or(mode, Ordering::SeqCst);
        match mode {
            RAW => enable_raw_mode(),
            ALTERNATE => queue!(out, EnterAlternateScreen),
            PASTE => queue!(out, EnableBracketedPaste),
            FOCUS => queue!(out, EnableFocusChange),
            _ => queue!(out, cursor::Hide),
        }
    }

    /// Counts as on without a terminal.
    #[cfg(test)]
    pub(super) fn turn_on_for_test(&self) {
        self.0.store(HIDDEN, Ordering::SeqCst);
    }

    /// Turns everything off that is on, newest first. Whoever comes second does nothing.
    pub(super) fn undo(&self, out: &mut impl Write) {
        let on = self.0.swap(0, Ordering::SeqCst);
        if on == 0 {
            return;
        }
        // A frame may be half out. Nothing can be done about a failure: the next mode still counts.
        let _ = queue!(out, EndSynchronizedUpdate);
        if on & HIDDEN != 0 {
            let _ = queue!(out, cursor::Show);
        }
        if on & FOCUS != 0 {
            let _ = queue!(out, DisableFocusChange);
        }
        if on & PASTE != 0 {
            let _ = queue!(out, DisableBracketedPaste);
        }
        if on & ALTERNATE != 0 {
            let _ = queue!(out, LeaveAlternateScreen);
        }
        let _ = out.flush();
        if on & RAW != 0 {
            let _ = disable_raw_mode();
        }
    }
}

/// Collects a frame and writes it in one piece, and nothing at all once the terminal is given
/// back: half a frame must not land on the shell's screen after a panic, and the drawing library
/// writes when it is dropped.
#[derive(Debug)]
struct FrameWriter {
    pending: Vec<u8>,
    modes: Arc<Modes>,
}

impl Write for FrameWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let written = if self.modes.any() {
            let mut out = io::stdout().lock();
            out.write_all(&self.pending).and_then(|()| out.flush())
        } else {
            Ok(())
        };
        self.pending.clear();
        written
    }
}

/// The terminal while the dashboard has it.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<FrameWriter>>,
    modes: Arc<Modes>,
}

impl Screen {
    /// Takes the terminal over.
    pub(super) fn enter(modes: Arc<Modes>) -> io::Result<Self> {
        // Colours are the theme's decision. Left alone, the terminal library answers NO_COLOR by
        // resetting bold and reverse as well, and the selection disappears.
        force_color_output(true);
        let terminal = match turn_all_on(&modes) {
            Ok(()) => Terminal::new(CrosstermBackend::new(FrameWriter {
                pending: Vec::new(),
                modes: Arc::clone(&modes),
            })),
            Err(error) => Err(error),
        };
        match terminal {
            Ok(terminal) => Ok(Self { terminal, modes }),
            Err(error) => {
                modes.undo(&mut io::stdout());
                Err(error)
            }
        }
    }

    /// The terminal's size.
    pub(super) fn size(&self) -> io::Result<Size> {
        self.terminal.size()
    }

    /// Draws one frame, shown by the terminal in one piece where it can.
    pub(super) fn draw(&mut self, paint: impl FnOnce(&mut Buffer)) -> io::Result<()> {
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        self.terminal.draw(|frame| paint(frame.buffer_mut()))?;
        queue!(self.terminal.backend_mut(), EndSynchronizedUpdate)?;
        Backend::flush(self.terminal.backend_mut())
    }

    /// Makes the next frame paint every cell.
    pub(super) fn forget(&mut self) -> io::Result<()> {
        // Not `clear`: it asks the terminal where the cursor is, and the event stream would
        // swallow the answer.
        let size = self.terminal.size()?;
        self.terminal
            .resize(Rect::new(0, 0, size.width, size.height))
    }

    /// Puts text on the clipboard of the terminal, which may be far away.
    pub(super) fn copy(&mut self, text: &str) -> io::Result<()> {
        let copy = CopyToClipboard::to_clipboard_from(text);
        execute!(self.terminal.backend_mut(), copy)
    }

    /// Gives the terminal back for a while.
    pub(super) fn leave(&self) {
        self.modes.undo(&mut io::stdout());
    }

    /// Takes the terminal over again.
    pub(super) fn reenter(&mut self) -> io::Result<()> {
        // Somebody else may have changed any mode meanwhile, so all are turned on again.
        turn_all_on(&self.modes)?;
        self.forget()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.leave();
    }
}

fn turn_all_on(modes: &Modes) -> io::Result<()> {
    let mut out = io::stdout();
    for mode in ALL {
        modes.turn_on(mode, &mut out)?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All but raw mode, which needs a terminal.
    fn entered(out: &mut Vec<u8>) -> Modes {
        let modes = Modes::default();
        for mode in ALL.into_iter().filter(|mode| *mode != RAW) {
            modes.turn_on(mode, out).unwrap();
        }
        modes
    }

    #[test]
    fn each_mode_is_turned_off_exactly_once() {
        let mut out = Vec::new();
        let modes = entered(&mut out);
        for _ in 0..2 {
            modes.undo(&mut out);
        }
        let written = String::from_utf8(out).unwrap();
        for (on, off) in [
            ("\x1b[?1049h", "\x1b[?1049l"),
            ("\x1b[?2004h", "\x1b[?2004l"),
            ("\x1b[?1004h", "\x1b[?1004l"),
            ("\x1b[?25l", "\x1b[?25h"),
        ] {
            assert_eq!(written.matches(on).count(), 1, "{on:?}");
            assert_eq!(written.matches(off).count(), 1, "{off:?}");
            assert!(written.find(on) < written.find(off));
        }
        assert!(!modes.any());
    }

    /// Fails every write but the last few.
    struct Stubborn {
        failures: usize,
        written: Vec<u8>,
    }

    impl Write for Stubborn {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.failures > 0 {
                self.failures -= 1;
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.written.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_mode_that_cannot_be_turned_off_does_not_keep_the_others_on() {
        let modes = entered(&mut Vec::new());
        let mut out = Stubborn {
            failures: 2,
            written: Vec::new(),
        };
        modes.undo(&mut out);
        let written = String::from_utf8(out.written).unwrap();
        assert!(written.contains("\x1b[?1049l"), "{written:?}");
        assert!(written.contains("\x1b[?2004l"), "{written:?}");
    }
}
