//! Waiting for something to be so, and how long it took.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rhai::{Dynamic, EvalAltResult, NativeCallContext, Position};

use super::values::{Node, Span, id, ms, span};
use super::{Api, Doc, Group};
use crate::cluster::Member;
use crate::probe::{Goal, NotSeen, Want};
use crate::scenario::host::{Host, spoken};
use crate::scenario::settle;
use crate::scenario::trouble::Trouble;

pub(super) const GROUP: Group = Group {
    title: "Waiting",
    about: "Each waits for a condition and returns how many milliseconds that took. When it is not \
            met in time, that is a broken expectation: it is recorded and thrown.",
    docs: &[
        Doc {
            usage: "await_visible(id, within)",
            about: "Until every node that is up shows the record as this run last wrote it, or later.",
        },
        Doc {
            usage: "n.await_visible(id, within)",
            about: "The same on one node.",
        },
        Doc {
            usage: "await_gone(id, within)",
            about: "Until no node that is up shows the record any more.",
        },
        Doc {
            usage: "await_converged(within)",
            about: "Until nothing is under way and the digests of all nodes that are up are equal. \
                    Recorded as the metric `converged`.",
        },
        Doc {
            usage: "n.await_disconnected(within)",
            about: "Until the node says that it has no link to the relay: a cut is silent, and a node \
                    gives its link up only after a while.",
        },
        Doc {
            usage: "converged()",
            about: "Whether the digests of all nodes that are up are equal now. Expects nothing.",
        },
        Doc {
            usage: "sleep(duration)",
            about: "Lets time pass. To wait for something, use `await_…`.",
        },
        Doc {
            usage: "within(duration)",
            about: "A duration, for reading well: `await_converged(within(\"2s\"))`.",
        },
        Doc {
            usage: "milliseconds(duration)",
            about: "A duration as a whole number of milliseconds, to reckon with.",
        },
        Doc {
            usage: "wall_ms()",
            about: "Wall clock, in milliseconds since 1970.",
        },
        Doc {
            usage: "elapsed_ms()",
            about: "Milliseconds since the run began, by the clock latencies are measured with.",
        },
    ],
};

/// How often a node is asked about its link.
const LOOK_EVERY: Duration = Duration::from_millis(50);

type Result<T, E = Box<EvalAltResult>> = std::result::Result<T, E>;

pub(super) fn register(api: &mut Api<'_>) {
    let host = Arc::clone(&api.host);
    api.engine.register_fn(
        api.named("await_visible"),
        move |call: NativeCallContext<'_>, which: Dynamic, within: Dynamic| -> Result<f64> {
            let up = host.wait(host.up())?;
            let at = call.call_position();
            Ok(await_shown(
                &host,
                &id(&which)?,
                &up,
                span(&within)?,
                State::Visible,
                at,
            )?)
        },
    );
    api.engine.register_fn(
        api.named("await_visible"),
        |call: NativeCallContext<'_>, node: Node, which: Dynamic, within: Dynamic| -> Result<f64> {
            let (within, at) = (span(&within)?, call.call_position());
            Ok(await_shown(
                &node.host,
                &id(&which)?,
                &[node.member],
                within,
                State::Visible,
                at,
            )?)
        },
    );
    let host = Arc::clone(&api.host);
    api.engine.register_fn(
        api.named("await_gone"),
        move |call: NativeCallContext<'_>, which: Dynamic, within: Dynamic| -> Result<f64> {
            let up = host.wait(host.up())?;
            let at = call.call_position();
            Ok(await_shown(
                &host,
                &id(&which)?,
                &up,
                span(&within)?,
                State::Gone,
                at,
            )?)
        },
    );
    let host = Arc::clone(&api.host);
    api.engine.register_fn(
        api.named("await_converged"),
        move |call: NativeCallContext<'_>, within: Dynamic| -> Result<f64> {
            Ok(await_converged(
                &host,
                span(&within)?,
                call.call_position(),
            )?)
        },
    );
    api.engine.register_fn(
        api.named("await_disconnected"),
        |call: NativeCallContext<'_>, node: Node, within: Dynamic| -> Result<f64> {
            let (within, at) = (span(&within)?, call.call_position());
            Ok(await_disconnected(&node, within, at)?)
        },
    );
    let host = Arc::clone(&api.host);
    api.engine
        .register_fn(api.named("converged"), move || -> Result<bool> {
            let work = async {
                let up = host.up().await;
                settle::digests(&host.probe, &up).await
            };
            Ok(host.wait(work)?.is_ok_and(|digests| digests.are_equal()))
        });
    let host = Arc::clone(&api.host);
    api.engine
        .register_fn(api.named("sleep"), move |span_: Dynamic| -> Result<()> {
            let span = span(&span_)?;
            Ok(host.wait(tokio::time::sleep(span))?)
        });
    // Rhai's own take numbers, as seconds, and cannot be stopped.
    for refuse in [Dynamic::from(0_i64), Dynamic::from(0.0_f64)] {
        let no = |value: String| -> Result<()> {
            let text = format!("{value} has no unit: write sleep(\"500ms\") or sleep(\"2s\")");
            Err(Trouble::mistake(text).into())
        };
        if refuse.is_int() {
            api.engine.register_fn(
                api.named("sleep"),
                move |number: i64| no(number.to_string()),
            );
        } else {
            api.engine.register_fn(
                api.named("sleep"),
                move |number: f64| no(number.to_string()),
            );
        }
    }
    api.engine
        .register_fn(api.named("within"), |text: Dynamic| -> Result<Span> {
            Ok(Span(span(&text)?))
        });
    api.engine
        .register_fn(api.named("milliseconds"), |text: Dynamic| -> Result<i64> {
            Ok(i64::try_from(span(&text)?.as_millis()).unwrap_or(i64::MAX))
        });
    api.engine.register_fn(api.named("wall_ms"), || -> i64 {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(0, |since| {
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        })
    });
    let host = Arc::clone(&api.host);
    api.engine.register_fn(api.named("elapsed_ms"), move || {
        ms(host.recorder.epoch().elapsed())
    });
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Visible,
    Gone,
}

fn await_shown(
    host: &Host,
    id: &str,
    on: &[Member],
    within: Duration,
    state: State,
    at: Position,
) -> Result<f64, Trouble> {
    let known = host.known(id);
    let (want, what) = match state {
        State::Visible => (Want::Present(known.stamp), "is visible"),
        State::Gone => (Want::Gone, "is gone"),
    };
    let goal = Goal {
        key: known.key,
        want,
    };
    let begun = Instant::now();
    let seen = host.wait(host.probe.await_shown(&goal, on, within))?;
    let within = spoken(within);
    match seen {
        Ok(()) => {
            let took = ms(begun.elapsed());
            host.claim(true, format!("{id} {what} within {within}"), at);
            Ok(took)
        }
        Err(NotSeen::Missing(missing)) => {
            let missing: Vec<_> = missing.iter().map(ToString::to_string).collect();
            let text = format!(
                "{id} {what} within {within} (not on {})",
                missing.join(", ")
            );
            Err(host.broken(text, at))
        }
        Err(why) => Err(host.broken(format!("{id} {what} within {within} ({why})"), at)),
    }
}

fn await_converged(host: &Host, within: Duration, at: Position) -> Result<f64, Trouble> {
    let begun = Instant::now();
    let converged = host.wait(async {
        let up = host.up().await;
        settle::await_converged(&host.probe, &up, host.shared, begun + within).await
    })?;
    let text = format!("all nodes agree within {}", spoken(within));
    match converged {
        Ok(()) => {
            let took = ms(begun.elapsed());
            host.claim(true, text, at);
            host.said.metric("converged", took, "ms");
            host.story.note(&format!("converged in {took:.1} ms"));
            Ok(took)
        }
        Err(why) => Err(host.broken(format!("{text} ({why})"), at)),
    }
}

fn await_disconnected(node: &Node, within: Duration, at: Position) -> Result<f64, Trouble> {
    let host = &node.host;
    let (begun, client) = (Instant::now(), node.client());
    let text = format!(
        "{} is without its link to the relay within {}",
        node.member,
        spoken(within)
    );
    loop {
        let still = match host.wait(client.health())?.into_result() {
            Ok(health) if !health.sync.connected => {
                host.claim(true, text, at);
                return Ok(ms(begun.elapsed()));
            }
            Ok(_) => "it still has it".to_owned(),
            Err(why) => why.to_string(),
        };
        if begun.elapsed() >= within {
            return Err(host.broken(format!("{text} ({still})"), at));
        }
        host.wait(tokio::time::sleep(LOOK_EVERY))?;
    }
}
