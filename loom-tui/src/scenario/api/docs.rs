//! What a function is for, in the words of `docs/scenarios.md`.

use std::fmt::Write as _;

use super::GROUPS;
use crate::scenario::catalogue;
use crate::scenario::params::declared;

/// One function a script can call.
#[derive(Clone, Copy, Debug)]
pub struct Doc {
    /// As it is written: `n.create(type, properties)`.
    pub usage: &'static str,
    /// What it does, returns and throws.
    pub about: &'static str,
}

impl Doc {
    /// The bare name: `create`.
    pub fn name(&self) -> &'static str {
        let call = self.usage.split('(').next().unwrap_or(self.usage);
        call.rsplit('.').next().unwrap_or(call)
    }
}

/// Functions that belong together.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// Heading.
    pub title: &'static str,
    /// What they have in common.
    pub about: &'static str,
    /// In the order they are worth reading.
    pub docs: &'static [Doc],
}

/// The reference of `docs/scenarios.md`.
pub fn markdown() -> String {
    let mut text = String::from(INTRODUCTION);
    text.push_str("\n## Built-in scenarios\n\n");
    text.push_str("| Scenario | What it shows | Parameters |\n|---|---|---|\n");
    for scenario in catalogue() {
        let params: Vec<_> = declared(&scenario.source)
            .iter()
            .map(|param| format!("`{}={}`", param.name, param.default))
            .collect();
        let _ = writeln!(
            text,
            "| `{}` | {} | {} |",
            scenario.name,
            scenario.about(),
            params.join(" ")
        );
    }
    for group in GROUPS {
        let _ = write!(text, "\n## {}\n\n{}\n\n", group.title, group.about);
        for doc in group.docs {
            let _ = writeln!(text, "- `{}`  \n  {}", doc.usage, doc.about);
        }
    }
    text.push_str(ENDING);
    text
}

const INTRODUCTION: &str = "\
# Scenarios

<!-- Made from the table in loom-tui/src/scenario/api: `UPDATE_DOCS=1 cargo test -p loom-tui \
--test scenario_docs` writes it anew, and the same test fails when it is stale. -->

A scenario is a [Rhai](https://rhai.rs/book/) script that does something to a cluster and says what
must hold. `loom-tui run NAME` plays a built-in one, `loom-tui run FILE.rhai` your own, on a fresh
cluster of real processes that is torn down afterwards; `--attach` uses the one that is running,
`--urls` any other; there nothing can be broken, and what needs a fault is *skipped*, which is unknown.
A run on a shared cluster judges only records with ids it made itself, and begins and ends with
everything mended, whoever broke it.

```js
// A record written on one node is seen by all.
let id = node(1).create(\"event\", #{ text: \"hello\" });
let took = await_visible(id, \"2s\");
metric(\"visible everywhere\", took, \"ms\");
```

The first comment line is what `loom-tui scenarios` shows. Scripts run in a cage: no files, no
modules, no `eval`, and a bounded number of steps.

**How a run is judged.** Everything the script does is recorded. When it ends, load and faults end
too, dead members are started, and the cluster is watched until it is quiet. Then every node is
read in full, and these checkers judge the history against what the nodes hold:

| Checker | Fails when |
|---|---|
| `claims` | an expectation or threshold of the script does not hold |
| `acked_lost` | a write that was acknowledged is missing on any node, and is due there |
| `convergence` | after a heal, a start or the script's end the nodes did not agree by themselves within `--converge-within` (30 s) |
| `replicas` | nodes differ in digest or records |
| `winner` | a record is not the one GUN's conflict rule picks among those written |
| `read_your_writes` | a client read something older from a node than it had written to it |
| `monotonic_reads` | a client read something older from a node than it had read from it |
| `invented` | a record or value is there that nobody wrote |
| `refused_seen` | a write that was refused is there all the same |
| `crashes` | a member ended and nobody asked for it |

`stats` and `gates` can make a run *unknown*: no operation of some kind ever succeeded, nothing was
measured, or nothing was written while a fault lasted. A run that measured nothing never passes.
A write that got no answer is unknown, not failed: it may be there or not. A checker that had
nothing to look at (`-`: no client read what it wrote) takes no part in the verdict.

**How the end is judged.** Quiet is observed, not slept for: nothing under way, every acknowledged
write shown by every node, equal digests. When something is missing and nothing has moved for 12 s
(2 s where digests are equal: what all have lost), or after 60 s, every node is *poked* with one
write, unless all that is missing waits for a node's clock. Each copy of an acknowledged write is
*converged* (it arrived by itself, in time), *slow* (by itself, but later than `--converge-within`),
*stuck until nudged* (only after the poke), *lost* (never), or *deferred*: stamped in its node's
future, held back by GUN's rule, with a due time. Slow, stuck and lost fail the run; deferred does
not, as long as the node says that it holds back as many.

The verdict is the worst of all. Exit codes: 0 pass, 1 fail, 2 unknown, 254 bad arguments or a
mistake in the script, 255 the rig broke.

**What is kept.** `runs/<time>-<name>/` holds `report.json`, `history.jsonl` (Jepsen's operation
format), `latency.hlog` (HdrHistogram V2 interval log), the script, and the logs of all members.
`runs/latest` points to the newest.

**Durations** are texts with a unit: `\"80ms\"`, `\"1.5s\"`, `\"2m\"`. **Members** are named by handle
(`node(2)`, `relay()`), by number, or by name (`\"node-2\"`, `\"relay\"`).
";

const ENDING: &str = "
## Errors

A call that goes wrong throws; `try { … } catch (e) { … }` catches it. `e.kind` is one of

| Kind | Meaning | Uncaught, the run is |
|---|---|---|
| `claim` | an `await_…` was not met in time; recorded as a broken expectation | failed |
| `refused` | the node said no, or a fault makes no sense as things are (suspending a dead member): it did not happen | unknown |
| `skipped` | no fault can be made here at all, as on a cluster known only by its URLs | skipped (unknown) |
| `unknown` | the node did not answer: nobody knows | unknown |
| `mistake` | the call makes no sense | a mistake in the script (254) |
| `rig` | the fault could not be made | the rig's failure (255) |

`e.text` is the whole message. What a script throws itself fails the run.
";
