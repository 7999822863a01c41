//! Everything the dashboard remembers, and questions about it. [`super::update`] changes it,
//! [`super::view`] draws it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ratatui::layout::Size;

use crate::cluster::{Life, Member};
use crate::snapshot::{MemberRow, Phase, Request, ScenarioRow, ScenarioState, Snapshot};

use super::keymap::Context;
use super::overlay::Overlay;
use super::plan::{LayoutPlan, Panel, Prefs, plan};
use super::theme::Role;
use super::undo::UndoStack;

/// The dashboard's memory.
#[derive(Clone, Debug, Default)]
pub struct App {
    /// The terminal's size.
    pub size: Size,
    /// The newest data.
    pub newest: Arc<Snapshot>,
    /// What is shown while the view is frozen.
    pub frozen: Option<Arc<Snapshot>>,
    /// The panel with the focus.
    pub focus: Panel,
    /// Whether only that panel is shown.
    pub zoom: bool,
    /// The selected member, by id: rows may move.
    pub member: Option<Member>,
    /// The selected scenario, by name.
    pub scenario: Option<String>,
    /// How many event lines are below the view; 0 follows.
    pub events_below: usize,
    /// Only events that contain this are shown.
    pub filter: String,
    /// What lies over the panels.
    pub overlay: Option<Overlay>,
    /// A line of feedback in place of the key hints.
    pub notice: Option<Notice>,
    /// Faults that can be taken back.
    pub undo: UndoStack,
    /// Whole seconds without a new snapshot.
    pub quiet_s: u32,
    /// How often each kind of fault was made here.
    pub faults_made: BTreeMap<&'static str, u32>,
    /// What was asked for and may not be visible in the data yet.
    pub(super) intents: BTreeMap<Member, Intent>,
    /// Background tasks that panicked.
    pub broken_tasks: Vec<String>,
}

/// Feedback that stays for a few seconds or until the next key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// One sentence.
    pub text: String,
    /// Its colour.
    pub role: Role,
    /// Seconds left.
    pub left_s: u8,
}

/// What a person asked of a member a moment ago. Without it, a toggle pressed twice before the
/// next snapshot would ask for the same thing twice.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Intent {
    pub(super) cut: Option<bool>,
    pub(super) suspended: Option<bool>,
    /// The engine's age then.
    pub(super) at: Duration,
}

/// After this much engine time the data is believed again.
pub(super) const INTENT_HOLDS: Duration = Duration::from_secs(2);
/// Without a snapshot for this long the data is called old.
pub const QUIET_AFTER_S: u32 = 3;

impl App {
    /// An app for a terminal of this size that knows nothing yet.
    pub fn new(size: Size) -> Self {
        Self {
            size,
            ..Self::default()
        }
    }

    /// What is drawn: the newest data, or what was newest when the view was frozen.
    pub fn shown(&self) -> &Snapshot {
        self.frozen.as_ref().unwrap_or(&self.newest)
    }

    /// Where everything goes now.
    pub fn plan(&self) -> LayoutPlan {
        let prefs = Prefs {
            focus: self.focus,
            zoom: self.zoom,
        };
        plan(self.size, prefs)
    }

    /// Where keys apply now, when no overlay takes them.
    pub fn contexts(&self) -> Vec<Context> {
        let mut contexts = vec![Context::Anywhere];
        if matches!(self.newest.phase, Phase::Failed(_)) {
            contexts.push(Context::Failed);
            return contexts;
        }
        let ready = self.newest.phase == Phase::Ready;
        if ready && self.plan().shows_members() && !self.newest.members.is_empty() {
            contexts.push(Context::Members);
        }
        if self.focus == Panel::Scenarios {
            contexts.push(Context::Scenarios);
        }
        contexts
    }

    /// The newest data about the selected member.
    pub fn selected(&self) -> Option<&MemberRow> {
        row_of(&self.newest, self.member?)
    }

    /// The scenario that is running.
    pub fn running(&self) -> Option<&ScenarioRow> {
        running(&self.newest)
    }

    /// Whether a second without news would change what is shown.
    pub fn wants_tick(&self) -> bool {
        self.notice.is_some() || matches!(self.newest.phase, Phase::Starting(_) | Phase::Ready)
    }

    /// Whether the data is old because the engine is silent.
    pub fn is_stale(&self) -> bool {
        self.quiet_s >= QUIET_AFTER_S && self.newest.phase != Phase::Unknown
    }

    /// Whether the member's link is cut, or was just asked to be.
    pub(super) fn is_cut(&self, row: &MemberRow) -> bool {
        let intent = self.intent(row.status.member).and_then(|intent| intent.cut);
        intent.unwrap_or(row.status.link.up.cut || row.status.link.down.cut)
    }

    /// Whether the member is suspended, or was just asked to be.
    pub(super) fn is_suspended(&self, row: &MemberRow) -> bool {
        let intent = self.intent(row.status.member);
        let intent = intent.and_then(|intent| intent.suspended);
        intent.unwrap_or(row.status.life == Life::Suspended)
    }

    fn intent(&self, member: Member) -> Option<&Intent> {
        let intent = self.intents.get(&member)?;
        let age = self.newest.at.saturating_sub(intent.at);
        (age < INTENT_HOLDS).then_some(intent)
    }

    /// Remembers what `request` is going to change.
    pub(super) fn expect(&mut self, request: &Request) {
        let at = self.newest.at;
        let (member, cut, suspended) = match request {
            Request::Cut(member) => (*member, Some(true), None),
            Request::HealLink(member) | Request::SetLink(member, _) => (*member, Some(false), None),
            Request::Suspend(member) => (*member, None, Some(true)),
            Request::Resume(member)
            | Request::Restart(member)
            | Request::Kill(member)
            | Request::Stop(member) => (*member, None, Some(false)),
            Request::HealAll => {
                self.intents.clear();
                return;
            }
            Request::Run(_)
            | Request::CancelRun
            | Request::Retry
            | Request::UseLocal
            | Request::Follow(_) => return,
        };
        let intent = self.intents.entry(member).or_default();
        if at.saturating_sub(intent.at) >= INTENT_HOLDS {
            *intent = Intent::default();
        }
        intent.at = at;
        intent.cut = cut.or(intent.cut);
        intent.suspended = suspended.or(intent.suspended);
    }
}

/// The row of `member` in `snapshot`.
pub fn row_of(snapshot: &Snapshot, member: Member) -> Option<&MemberRow> {
    let mut rows = snapshot.members.iter();
    rows.find(|row| row.status.member == member)
}

/// The scenario that is running in `snapshot`.
pub fn running(snapshot: &Snapshot) -> Option<&ScenarioRow> {
    let mut rows = snapshot.scenarios.iter();
    rows.find(|row| matches!(row.state, ScenarioState::Running { .. }))
}
