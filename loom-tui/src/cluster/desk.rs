//! What backends that look after their members themselves have in common: one task per member
//! that takes orders, and what it lets others see.
//!
//! [`Desks`] gives the orders; whoever serves them settles each [`Waiting`] exactly once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::lifecycle::{Refusal, Wish};
use super::{ClusterEvent, Link, Member, MemberStatus, RigError};

/// Events a slow reader may be behind before it loses the oldest and is told so.
const EVENTS_MAX: usize = 1_024;
/// Orders waiting for one member; whoever gives one more waits too.
const ORDERS_MAX: usize = 64;

/// What is asked of whoever looks after a member.
#[derive(Debug)]
pub(super) enum Order {
    Wish(Wish, Waiting),
    SetLink(Link, Option<Duration>, Waiting),
}

/// Whoever gave an order.
#[derive(Debug)]
pub(super) struct Waiting {
    /// What was asked for, as in "start node-2".
    doing: String,
    reply: oneshot::Sender<Result<(), RigError>>,
}

impl Waiting {
    pub(super) fn settle(self, outcome: Result<(), Refusal>) {
        let Self { doing, reply } = self;
        // Whoever gave the order may have stopped waiting.
        let _ = reply.send(outcome.map_err(|refusal| RigError {
            doing,
            reason: refusal.reason,
            next_step: refusal.next_step.to_owned(),
            refused: refusal.senseless,
        }));
    }
}

#[derive(Debug)]
struct Desk {
    orders: mpsc::Sender<Order>,
    status: watch::Receiver<MemberStatus>,
}

/// The desks of all members of a cluster.
#[derive(Debug)]
pub(super) struct Desks {
    desks: BTreeMap<Member, Desk>,
    events: broadcast::Sender<ClusterEvent>,
    closed: AtomicBool,
}

impl Desks {
    pub(super) fn new() -> Self {
        Self {
            desks: BTreeMap::new(),
            events: broadcast::Sender::new(EVENTS_MAX),
            closed: AtomicBool::new(false),
        }
    }

    /// Makes a member's desk, for somebody to serve.
    pub(super) fn open(
        &mut self,
        first: MemberStatus,
    ) -> (mpsc::Receiver<Order>, watch::Sender<MemberStatus>) {
        let (orders, received) = mpsc::channel(ORDERS_MAX);
        let member = first.member;
        let (status, seen) = watch::channel(first);
        let desk = Desk {
            orders,
            status: seen,
        };
        self.desks.insert(member, desk);
        (received, status)
    }

    /// Who tells what happens.
    pub(super) fn events(&self) -> &broadcast::Sender<ClusterEvent> {
        &self.events
    }

    /// Relay first, then nodes by number.
    pub(super) fn statuses(&self) -> impl Iterator<Item = MemberStatus> {
        self.desks.values().map(|desk| desk.status.borrow().clone())
    }

    fn nodes(&self) -> impl Iterator<Item = Member> {
        let members = self.desks.keys().copied();
        members.filter(|member| *member != Member::Relay)
    }

    fn desk(&self, doing: &str, member: Member) -> Result<&Desk, RigError> {
        self.desks.get(&member).ok_or_else(|| RigError {
            doing: format!("{doing} {member}"),
            reason: format!(
                "this cluster has the relay and {} nodes",
                self.nodes().count()
            ),
            next_step: "name one of them, or start a cluster with more --nodes".to_owned(),
            refused: true,
        })
    }

    pub(super) async fn wish(&self, wish: Wish, member: Member) -> Result<(), RigError> {
        let doing = match wish {
            Wish::Start => "start",
            Wish::Stop => "stop",
            Wish::Kill => "kill",
            Wish::Suspend => "suspend",
            Wish::Resume => "resume",
            Wish::Wipe => "wipe",
        };
        let desk = self.desk(doing, member)?;
        let doing = format!("{doing} {member}");
        if wish == Wish::Start && self.closed.load(Ordering::Acquire) {
            return Err(RigError {
                doing,
                reason: "the cluster was shut down".to_owned(),
                next_step: "start a new one".to_owned(),
                refused: false,
            });
        }
        desk.order(doing, |waiting| Order::Wish(wish, waiting))
            .await
    }

    pub(super) async fn set_link(
        &self,
        node: Member,
        link: Link,
        lease: Option<Duration>,
    ) -> Result<(), RigError> {
        if node == Member::Relay {
            return Err(RigError {
                doing: "set the link of the relay".to_owned(),
                reason: "links belong to nodes, each has one to the relay".to_owned(),
                next_step: "cut the nodes you want, or suspend the relay".to_owned(),
                refused: true,
            });
        }
        let doing = "set the link of";
        let desk = self.desk(doing, node)?;
        let order = |waiting| Order::SetLink(link, lease, waiting);
        desk.order(format!("{doing} {node}"), order).await
    }

    /// Starts the relay, then all nodes at once, and waits until each of them answers.
    pub(super) async fn start_all(&self) -> Result<(), RigError> {
        self.wish(Wish::Start, Member::Relay).await?;
        let nodes = self.nodes().map(|node| self.wish(Wish::Start, node));
        let started = join_all(nodes).await;
        started.into_iter().collect::<Result<(), RigError>>()?;
        // Nobody may be listening.
        let _ = self.events.send(ClusterEvent {
            at: SystemTime::now(),
            member: None,
            what: "all members answer".to_owned(),
            unexpected: false,
        });
        Ok(())
    }

    /// Clears every link, the relay's place among them where it has one, and resumes everybody.
    pub(super) async fn heal(&self) -> Result<(), RigError> {
        let healed = self.desks.iter().map(|(member, desk)| async move {
            let doing = format!("heal {member}");
            let clear = |waiting| Order::SetLink(Link::default(), None, waiting);
            desk.order(doing, clear).await?;
            self.wish(Wish::Resume, *member).await
        });
        join_all(healed).await.into_iter().collect()
    }

    /// From now on nobody can be started.
    pub(super) fn shut(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Stops everybody; nobody can be started afterwards.
    pub(super) async fn close(&self) -> Result<(), RigError> {
        self.shut();
        let stopped = self
            .desks
            .keys()
            .map(|member| self.wish(Wish::Stop, *member));
        join_all(stopped).await.into_iter().collect()
    }
}

impl Desk {
    async fn order(
        &self,
        doing: String,
        order: impl FnOnce(Waiting) -> Order,
    ) -> Result<(), RigError> {
        let (reply, settled) = oneshot::channel();
        let gone = RigError {
            doing: doing.clone(),
            reason: "the cluster is being dropped".to_owned(),
            next_step: "start a new one".to_owned(),
            refused: false,
        };
        // Dropped with the order if it cannot be given: then nothing is settled.
        let _ = self.orders.send(order(Waiting { doing, reply })).await;
        settled.await.unwrap_or(Err(gone))
    }
}
