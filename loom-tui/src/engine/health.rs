//! Asks members how they are, by their own account.

use std::time::{Duration, Instant};

use crate::client::wire::CatchUp;
use crate::client::{NodeClient, Outcome, RelayClient};
use crate::cluster::{Member, MemberStatus};

/// What a member said, or that it did not.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Reading {
    /// Whether it is connected to the relay; `None` if it did not answer.
    pub(super) connected: Option<bool>,
    /// How long it took to answer.
    pub(super) rtt: Option<Duration>,
    /// Records it holds.
    pub(super) records: Option<u64>,
    /// How far it is in catching up, while it does.
    pub(super) catch_up: Option<CatchUp>,
}

/// Asks one member.
pub(super) async fn ask(http: reqwest::Client, status: MemberStatus, within: Duration) -> Reading {
    let began = Instant::now();
    let url = status.url;
    let (connected, records, catch_up) = match status.member {
        Member::Relay => {
            let health = RelayClient::new(http, &url)
                .with_timeout(within)
                .health()
                .await;
            match health {
                Outcome::Ok(health) => (health.status == "healthy", None, None),
                Outcome::Fail(_) | Outcome::Info(_) => return Reading::default(),
            }
        }
        Member::Node(_) => match NodeClient::new(http, &url)
            .with_timeout(within)
            .stats()
            .await
        {
            Outcome::Ok(stats) => {
                let (records, sync) = (stats.records(), stats.sync_status);
                let catch_up = sync.catch_up.filter(CatchUp::is_under_way);
                (sync.connected, records, catch_up)
            }
            Outcome::Fail(_) | Outcome::Info(_) => return Reading::default(),
        },
    };
    Reading {
        connected: Some(connected),
        rtt: Some(began.elapsed()),
        records,
        catch_up,
    }
}
