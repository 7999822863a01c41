//! A member's link, as one of a container: on the network of the cluster or off it, and what the
//! proxy in its process makes of the rest.

use std::time::{Duration, Instant};

use super::container::Seen;
use super::resident::{Now, Resident, broken};
use crate::cluster::lifecycle::Refusal;
use crate::cluster::link_control::SetLink;
use crate::cluster::{Life, Link, Member};

impl Resident {
    /// What somebody else, perhaps a controller that was killed, has made of a running member.
    pub(super) async fn recall(&mut self, now: &mut Now, seen: &Seen) {
        let ours = match self.place.control().filter(|_| !seen.paused) {
            // Nobody but a controller sets it: a cut by hand leaves it clear.
            Some(control) => control
                .look()
                .await
                .is_ok_and(|state| !state.link.is_clear()),
            None => false,
        };
        if !ours {
            return self.see_network(now, seen, true).await;
        }
        now.on_network = seen.on_network;
        now.answers = true;
        let healed = self.apply(now, Link::default()).await;
        let what = "link healed: the fault was left over by a controller that is gone";
        self.say_link(now, healed, what);
    }

    /// Whether somebody else has taken it off the network, or put it back.
    pub(super) async fn see_network(&mut self, now: &mut Now, seen: &Seen, first: bool) {
        if now.on_network == seen.on_network {
            return;
        }
        now.on_network = seen.on_network;
        if seen.on_network && now.process.is_some() {
            now.severed |= !now.address.is_empty() && now.address != seen.address;
            now.address.clone_from(&seen.address);
        }
        let network = self.container.network.as_deref().unwrap_or("its network");
        if self.member == Member::Relay {
            let verb = if seen.on_network {
                "put on"
            } else {
                "taken off"
            };
            return self.announce(format!("{verb} {network} from outside"), true);
        }
        if seen.on_network {
            let healed = self.apply(now, Link::default()).await;
            self.say_link(now, healed, "link healed from outside");
        } else {
            now.link = Link::cut();
            self.show(now);
            if !first {
                self.announce(format!("link cut: taken off {network} from outside"), true);
            }
        }
    }

    pub(super) async fn set_link(
        &mut self,
        now: &mut Now,
        link: Link,
        lease: Option<Duration>,
    ) -> Result<(), Refusal> {
        if !link.is_clear() && link != Link::cut() && !self.place.has_control() {
            return Err(Refusal {
                reason: "its container has no port to set a link by, so it can only be cut both \
                         ways"
                    .to_owned(),
                next_step: "use the docker-compose.yml of this version, or a cluster of its own: \
                            `loom-tui up --backend docker`",
                senseless: true,
            });
        }
        // A clear link needs nobody to heal it.
        let lease = lease.filter(|_| !link.is_clear());
        now.lease = lease.map(|lease| Instant::now() + lease);
        let what = link.told(lease);
        let before = now.link;
        if let Err(why) = self.apply(now, link).await {
            self.show(now);
            if now.link != before {
                self.announce(format!("link cut: {why}"), true);
            }
            return Err(broken(why));
        }
        if before != link {
            self.show(now);
            self.announce(what, false);
        }
        Ok(())
    }

    /// Makes the link what is wanted: on the network or off it, and in the proxy of its process.
    ///
    /// A cut both ways is the network's: the container is taken off it. What is not clear and not
    /// known to the process (it is down, frozen or just begins) is kept off the network too. Where
    /// no network can do that the process begins cut, and is told as soon as it answers.
    pub(super) async fn apply(&mut self, now: &mut Now, wanted: Link) -> Result<(), String> {
        let awake = now.process.is_some() && now.answers && now.lifecycle.life() != Life::Suspended;
        let control = self.place.control().filter(|_| awake);
        let by_network = self.container.network.is_some();
        let apart =
            by_network && (wanted == Link::cut() || (!wanted.is_clear() && control.is_none()));
        if !now.on_network && wanted.is_clear() {
            self.join(now).await?;
        }
        let set = match control {
            Some(control) => {
                let lease = now
                    .lease
                    .map(|until| until.saturating_duration_since(Instant::now()));
                let lease_ms =
                    lease.map(|lease| u64::try_from(lease.as_millis()).unwrap_or(u64::MAX));
                let set = SetLink {
                    link: wanted,
                    lease_ms,
                    hang_up: now.severed && !apart,
                };
                let set = self.place.note(control.set(&set).await);
                now.severed &= apart || set.is_err();
                set
            }
            None => Ok(()),
        };
        if apart || (by_network && set.is_err() && !wanted.is_clear()) {
            if now.on_network {
                self.container.leave().await?;
                now.on_network = false;
            }
        } else if !now.on_network {
            self.join(now).await?;
        }
        if apart {
            // The network does it, whatever the process makes of it.
            now.link = wanted;
            return Ok(());
        }
        if set.is_err() && !now.on_network {
            // More than was asked for, and to be healed like what was.
            now.link = Link::cut();
        }
        set?;
        now.link = wanted;
        Ok(())
    }

    /// Puts it back on the network. With the address it had, its connections go on as after any
    /// other cut; with another one they cannot, and are to be let go.
    async fn join(&mut self, now: &mut Now) -> Result<(), String> {
        self.container.join().await?;
        now.on_network = true;
        if now.process.is_some()
            && let Some(seen) = self.container.look().await?
        {
            now.severed |= !now.address.is_empty() && now.address != seen.address;
            now.address = seen.address;
        }
        Ok(())
    }

    pub(super) fn say_link(&self, now: &Now, applied: Result<(), String>, what: &str) {
        self.show(now);
        match applied {
            Ok(()) if what.is_empty() => {}
            Ok(()) => self.announce(what.to_owned(), what.contains("outside")),
            Err(why) => self.announce(format!("its link cannot be set: {why}"), true),
        }
    }
}
