//! Breaking the cluster on purpose, and mending it.

use std::sync::Arc;

use rhai::{Dynamic, EvalAltResult, Map};
use serde_json::json;

use super::values::{known_members, member, node, span, text};
use super::{Api, Doc, Group};
use crate::cli::quantity;
use crate::client::Json;
use crate::cluster::{Flow, Link, Member, RigError};
use crate::history::Action;
use crate::scenario::host::Host;
use crate::scenario::trouble::Trouble;

pub(super) const GROUP: Group = Group {
    title: "Faults",
    about: "Each returns when the fault has taken hold, and is recorded. Faults of one link add up. \
            Whatever is still broken when the script ends is mended before the run is judged.",
    docs: &[
        Doc {
            usage: "cut(n)",
            about: "Cuts the node's link to the relay, silently: no connection is closed. REST still \
                    answers, so both sides of the cut can be written to.",
        },
        Doc {
            usage: "cut_one_way(n, direction)",
            about: "Cuts one direction: `\"up\"` is from the node to the relay, `\"down\"` is back.",
        },
        Doc {
            usage: "degrade(n, #{latency, jitter, bandwidth, loss})",
            about: "Slows the link in both directions: `#{latency: \"80ms\", jitter: \"10ms\", \
                    bandwidth: \"1mbit\", loss: \"2%\"}`. What is lost comes again, as under TCP: \
                    200 ms later or more, and what follows waits for it.",
        },
        Doc {
            usage: "heal(n)",
            about: "Clears the node's link.",
        },
        Doc {
            usage: "heal_all()",
            about: "Clears every link, resumes what is suspended and sets clocks right. Dead members \
                    stay dead.",
        },
        Doc {
            usage: "kill(m)",
            about: "Ends a member as a power cut would (SIGKILL).",
        },
        Doc {
            usage: "stop(m)",
            about: "Asks a member to end (SIGTERM), and insists after a while.",
        },
        Doc {
            usage: "start(m)",
            about: "Starts a member; returns when it answers.",
        },
        Doc {
            usage: "restart(m)",
            about: "Stops and starts a member.",
        },
        Doc {
            usage: "suspend(m)",
            about: "Freezes a member (SIGSTOP): its connections stay open and silent.",
        },
        Doc {
            usage: "resume(m)",
            about: "Thaws a suspended member (SIGCONT).",
        },
        Doc {
            usage: "bump_clock(n, by)",
            about: "Sets the node's clock ahead of what it shows now, `\"5m\"`, or behind, `\"-5m\"`. \
                    What is stamped in a node's future waits there until its clock gets there, by \
                    GUN's rule; the checkers call it deferred.",
        },
        Doc {
            usage: "reset_clock(n)",
            about: "Sets the node's clock right. Its stamps go on above those it has issued.",
        },
        Doc {
            usage: "wipe(m)",
            about: "Deletes what a stopped or dead member has stored.",
        },
    ],
};

type Result<T, E = Box<EvalAltResult>> = std::result::Result<T, E>;

pub(super) fn register(api: &mut Api<'_>) {
    let host = Arc::clone(&api.host);
    api.engine
        .register_fn(api.named("cut"), move |which: Dynamic| -> Result<()> {
            let node = node(&host, &which)?;
            Ok(relink(&host, Action::Cut, node, None, |link| {
                link.up.cut = true;
                link.down.cut = true;
            })?)
        });
    let host = Arc::clone(&api.host);
    api.engine.register_fn(
        api.named("cut_one_way"),
        move |which: Dynamic, way: &str| -> Result<()> {
            let node = node(&host, &which)?;
            if !matches!(way, "up" | "down") {
                let text =
                    format!("{way:?} is no direction: use \"up\" (to the relay) or \"down\"");
                return Err(Trouble::mistake(text).into());
            }
            let value = Some(Json::of(&json!({ "direction": way })));
            Ok(relink(&host, Action::Cut, node, value, |link| match way {
                "up" => link.up.cut = true,
                _ => link.down.cut = true,
            })?)
        },
    );
    let host = Arc::clone(&api.host);
    api.engine.register_fn(
        api.named("degrade"),
        move |which: Dynamic, how: Map| -> Result<()> {
            let node = node(&host, &which)?;
            let slow = flow(&how)?;
            let value = rhai::serde::from_dynamic(&Dynamic::from(how))?;
            let value = Some(Json::of(&value));
            Ok(relink(&host, Action::Degrade, node, value, |link| {
                for flow in [&mut link.up, &mut link.down] {
                    *flow = Flow {
                        cut: flow.cut,
                        ..slow
                    };
                }
            })?)
        },
    );
    let host = Arc::clone(&api.host);
    api.engine
        .register_fn(api.named("heal"), move |which: Dynamic| -> Result<()> {
            let node = node(&host, &which)?;
            Ok(relink(&host, Action::Heal, node, None, |link| {
                *link = Link::default();
            })?)
        });
    let host = Arc::clone(&api.host);
    api.engine
        .register_fn(api.named("heal_all"), move || -> Result<()> {
            Ok(host.fault(Action::HealAll, None, None, host.backend.heal())?)
        });
    let host = Arc::clone(&api.host);
    api.engine.register_fn(
        api.named("bump_clock"),
        move |which: Dynamic, by: &str| -> Result<()> {
            let node = node(&host, &which)?;
            let by_ms = signed_ms(by)?;
            let value = Some(Json::of(&json!({ "by": by })));
            Ok(host.fault(Action::BumpClock, Some(node), value, async {
                let members = host.backend.members().await;
                let now = members.iter().find(|status| status.member == node);
                let ahead_ms = now.map_or(0, |status| status.clock_ms);
                let ahead_ms = ahead_ms.saturating_add(by_ms);
                host.backend.set_clock(node, ahead_ms).await
            })?)
        },
    );
    let host = Arc::clone(&api.host);
    api.engine.register_fn(
        api.named("reset_clock"),
        move |which: Dynamic| -> Result<()> {
            let node = node(&host, &which)?;
            let work = host.backend.set_clock(node, 0);
            Ok(host.fault(Action::ResetClock, Some(node), None, work)?)
        },
    );
    for (name, action) in [
        ("kill", Action::Kill),
        ("stop", Action::Stop),
        ("start", Action::Start),
        ("restart", Action::Restart),
        ("suspend", Action::Suspend),
        ("resume", Action::Resume),
        ("wipe", Action::Wipe),
    ] {
        let host = Arc::clone(&api.host);
        api.engine
            .register_fn(api.named(name), move |which: Dynamic| -> Result<()> {
                let member = member(&host, &which)?;
                Ok(host.fault(action, Some(member), None, perform(&host, action, member))?)
            });
    }
}

async fn perform(host: &Host, action: Action, member: Member) -> Result<(), RigError> {
    let backend = &host.backend;
    match action {
        Action::Kill => backend.kill(member).await,
        Action::Stop => backend.stop(member).await,
        Action::Suspend => backend.suspend(member).await,
        Action::Resume => backend.resume(member).await,
        Action::Wipe => backend.wipe(member).await,
        Action::Restart => {
            backend.stop(member).await?;
            backend.start(member).await
        }
        _ => backend.start(member).await,
    }
}

/// Changes a node's link from what it is now.
fn relink(
    host: &Host,
    action: Action,
    node: Member,
    value: Option<Json>,
    change: impl FnOnce(&mut Link),
) -> Result<(), Trouble> {
    host.fault(action, Some(node), value, async {
        let members = host.backend.members().await;
        let now = members.iter().find(|status| status.member == node);
        let mut link = now.map(|status| status.link).unwrap_or_default();
        change(&mut link);
        host.backend.set_link(node, link, None).await
    })
}

/// A duration in milliseconds that may be negative: `5m`, `-5m`.
fn signed_ms(text: &str) -> Result<i64, Trouble> {
    let (sign, length) = match text.strip_prefix('-') {
        Some(length) => (-1, length),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let length = quantity::duration(length).map_err(Trouble::mistake)?;
    Ok(sign * i64::try_from(length.as_millis()).unwrap_or(i64::MAX))
}

fn flow(how: &Map) -> Result<Flow, Trouble> {
    known_members(how, &["latency", "jitter", "bandwidth", "loss"], "degrade")?;
    let duration = |name: &str| match how.get(name) {
        Some(value) => span(value),
        None => Ok(std::time::Duration::ZERO),
    };
    let bandwidth = text(how, "bandwidth")?
        .map(|text| quantity::bandwidth(&text).map_err(Trouble::mistake))
        .transpose()?;
    let loss = text(how, "loss")?
        .map(|text| quantity::permille(&text).map_err(Trouble::mistake))
        .transpose()?;
    Ok(Flow {
        cut: false,
        latency: duration("latency")?,
        jitter: duration("jitter")?,
        bandwidth,
        loss_permille: loss.unwrap_or_default(),
    })
}
