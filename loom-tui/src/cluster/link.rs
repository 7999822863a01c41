//! What a link between a node and the relay looks like, and what it has carried.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One direction of a link between a node and the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the node to the relay.
    Up,
    /// From the relay to the node.
    Down,
}

/// What happens to bytes in one direction of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Nothing passes and nobody is told: no RST, no FIN. What was sent waits, as under TCP.
    pub cut: bool,
    /// Added to every chunk.
    #[serde(with = "millis")]
    pub latency: Duration,
    /// Uniform around `latency`, at most ± this.
    #[serde(with = "millis")]
    pub jitter: Duration,
    /// Bytes per second; `None` is unlimited.
    pub bandwidth: Option<u64>,
    /// Of a thousand segments, how many are lost on the way. As under TCP, a lost one is sent
    /// again 200 ms later, twice that if it is lost once more, and what follows waits for it.
    #[serde(default)]
    pub loss_permille: u16,
}

impl Flow {
    /// Whether bytes pass as if there were no fault.
    pub fn is_clear(&self) -> bool {
        *self == Self::default()
    }
}

/// Both directions of one node's link to the relay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// From the node to the relay.
    pub up: Flow,
    /// From the relay to the node.
    pub down: Flow,
}

impl Direction {
    /// The other one.
    pub fn opposite(self) -> Self {
        match self {
            Self::Up => Self::Down,
            Self::Down => Self::Up,
        }
    }
}

impl Link {
    /// What is told when a link is made to look like this: `link cut for 5s`.
    pub(super) fn told(&self, lease: Option<Duration>) -> String {
        let what = match self.is_clear() {
            true => "link healed".to_owned(),
            false => format!("link {self}"),
        };
        match lease {
            Some(lease) => format!("{what} for {lease:?}"),
            None => what,
        }
    }

    /// One direction of it.
    pub fn flow(&self, direction: Direction) -> Flow {
        match direction {
            Direction::Up => self.up,
            Direction::Down => self.down,
        }
    }

    /// Whether bytes are stopped in at least one direction.
    pub fn is_cut(&self) -> bool {
        self.up.cut || self.down.cut
    }

    /// A link cut in both directions.
    pub fn cut() -> Self {
        let cut = Flow {
            cut: true,
            ..Flow::default()
        };
        Self { up: cut, down: cut }
    }

    /// Whether both directions are clear.
    pub fn is_clear(&self) -> bool {
        self.up.is_clear() && self.down.is_clear()
    }
}

/// What a node's link has carried since it was made. Bytes are counted where they leave, so the
/// count of a cut direction stands still: proof that the fault bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Bytes handed to the relay.
    pub up_bytes: u64,
    /// Bytes handed to the node.
    pub down_bytes: u64,
    /// Connections carried through to the relay so far.
    pub connections: u64,
    /// Connections open now, held ones included.
    pub open: u64,
    /// Connections waiting for a cut to end before the relay hears of them.
    pub held: u64,
    /// Connections the relay refused, as when it is dead.
    pub refused: u64,
}

impl std::ops::AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.up_bytes += other.up_bytes;
        self.down_bytes += other.down_bytes;
        self.connections += other.connections;
        self.open += other.open;
        self.held += other.held;
        self.refused += other.refused;
    }
}

impl fmt::Display for Link {
    /// One short phrase: `clear`, `cut`, `cut up`, `80ms ± 20ms`, `down 1000 kbit/s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.up == self.down {
            return write!(f, "{}", self.up);
        }
        match (self.up.is_clear(), self.down.is_clear()) {
            (false, true) => write_one_way(f, &self.up, "up"),
            (true, false) => write_one_way(f, &self.down, "down"),
            _ => {
                write_one_way(f, &self.up, "up")?;
                f.write_str(", ")?;
                write_one_way(f, &self.down, "down")
            }
        }
    }
}

fn write_one_way(f: &mut fmt::Formatter<'_>, flow: &Flow, way: &str) -> fmt::Result {
    if flow.cut {
        write!(f, "cut {way}")
    } else {
        write!(f, "{way} {flow}")
    }
}

impl fmt::Display for Flow {
    /// `clear`, `cut`, or what is added and limited.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.cut {
            return f.write_str("cut");
        }
        if self.is_clear() {
            return f.write_str("clear");
        }
        let mut gap = "";
        if !self.latency.is_zero() || !self.jitter.is_zero() {
            write!(f, "{}ms", self.latency.as_millis())?;
            if !self.jitter.is_zero() {
                write!(f, " ± {}ms", self.jitter.as_millis())?;
            }
            gap = " ";
        }
        match self.bandwidth {
            Some(bytes_per_s) if bytes_per_s < 125 => write!(f, "{gap}{bytes_per_s} byte/s")?,
            Some(bytes_per_s) => write!(f, "{gap}{} kbit/s", bytes_per_s / 125)?,
            None => {}
        }
        if self.bandwidth.is_some() {
            gap = " ";
        }
        match self.loss_permille {
            0 => Ok(()),
            whole if whole % 10 == 0 => write!(f, "{gap}{}% lost", whole / 10),
            tenths => write!(f, "{gap}{}.{}% lost", tenths / 10, tenths % 10),
        }
    }
}

mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
        u64::deserialize(d).map(Duration::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_says_what_is_wrong_with_it() {
        let slow = Flow {
            latency: Duration::from_millis(80),
            jitter: Duration::from_millis(20),
            bandwidth: Some(125_000),
            ..Flow::default()
        };
        let lossy = |loss_permille| Flow {
            loss_permille,
            ..slow
        };
        let clear = Flow::default();
        let cut = Link::cut().up;
        let text = |up, down| Link { up, down }.to_string();
        assert_eq!(text(clear, clear), "clear");
        assert_eq!(text(cut, cut), "cut");
        assert_eq!(text(cut, clear), "cut up");
        assert_eq!(text(clear, slow), "down 80ms ± 20ms 1000 kbit/s");
        assert_eq!(text(slow, slow), "80ms ± 20ms 1000 kbit/s");
        assert_eq!(
            text(lossy(20), lossy(20)),
            "80ms ± 20ms 1000 kbit/s 2% lost"
        );
        let only_loss = Flow {
            loss_permille: 5,
            ..Flow::default()
        };
        assert_eq!(text(clear, only_loss), "down 0.5% lost");
        assert_eq!(text(slow, cut), "up 80ms ± 20ms 1000 kbit/s, cut down");
    }
}
