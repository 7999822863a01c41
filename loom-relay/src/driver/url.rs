//! The address of a peer, in the forms GUN's users write it.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use tokio_tungstenite::tungstenite::http::Uri;

/// A websocket URL a link can be kept to, such as `ws://relay:8765/gun`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerUrl {
    url: String,
    /// For connecting: brackets stay around an IPv6 address.
    address: String,
}

/// Why a text is not the URL of a peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPeerUrl {
    /// Encryption would have to be undone by something in front.
    #[error(
        "peer URL {0:?}: encrypted links (wss, https) are not supported; use ws:// or http://, \
         behind a TLS proxy if the network is not yours"
    )]
    Encrypted(String),
    /// Not one of the schemes of a websocket.
    #[error("peer URL {0:?}: must start with ws:// or http://, like ws://relay:8765/gun")]
    Scheme(String),
    /// Not a URL with a host.
    #[error("peer URL {0:?}: not a URL ({1}); write it like ws://relay:8765/gun")]
    Malformed(String, String),
}

impl PeerUrl {
    /// As GUN clients do: `http` means `ws`, and the path is `/gun` when there is none.
    ///
    /// # Errors
    ///
    /// [`InvalidPeerUrl`], naming the text.
    pub fn parse(text: &str) -> Result<Self, InvalidPeerUrl> {
        let text = text.trim();
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(InvalidPeerUrl::Scheme(text.into()));
        };
        match scheme.to_ascii_lowercase().as_str() {
            "ws" | "http" => {}
            "wss" | "https" => return Err(InvalidPeerUrl::Encrypted(text.into())),
            _ => return Err(InvalidPeerUrl::Scheme(text.into())),
        }
        let malformed =
            |why: &dyn fmt::Display| Err(InvalidPeerUrl::Malformed(text.into(), why.to_string()));
        let uri: Uri = match format!("ws://{rest}").parse() {
            Ok(uri) => uri,
            Err(why) => return malformed(&why),
        };
        let (Some(authority), Some(host)) = (uri.authority(), uri.host()) else {
            return malformed(&"no host");
        };
        if host.is_empty() {
            return malformed(&"no host");
        }
        if authority.as_str().contains('@') {
            return malformed(&"user names are not supported");
        }
        // The library reads a port that is no port as none at all.
        let port = match authority.as_str().strip_prefix(host) {
            Some("") => 80,
            Some(port) => match port.strip_prefix(':').map(str::parse::<u16>) {
                Some(Ok(port)) if port > 0 => port,
                _ => return malformed(&"the port must be a number from 1 to 65535"),
            },
            None => return malformed(&"no host"),
        };
        let path = match uri.path() {
            "" | "/" => "/gun",
            path => path,
        };
        let query = uri.query().map(|it| format!("?{it}")).unwrap_or_default();
        Ok(Self {
            url: format!("ws://{authority}{path}{query}"),
            address: format!("{host}:{port}"),
        })
    }

    /// The URL in the form it is dialled.
    pub fn as_str(&self) -> &str {
        &self.url
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The same path at another `host:port`, as when something stands in front of the peer.
    #[must_use]
    pub fn at(&self, address: SocketAddr) -> Self {
        let rest = self.url.trim_start_matches("ws://");
        let path = rest.find('/').map_or("/gun", |at| &rest[at..]);
        Self {
            url: format!("ws://{address}{path}"),
            address: address.to_string(),
        }
    }
}

impl FromStr for PeerUrl {
    type Err = InvalidPeerUrl;

    fn from_str(text: &str) -> Result<Self, InvalidPeerUrl> {
        Self::parse(text)
    }
}

impl fmt::Display for PeerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_rewritten_as_gun_clients_rewrite_them() {
        for (from, to, address) in [
            ("ws://relay:8765/gun", "ws://relay:8765/gun", "relay:8765"),
            ("http://relay:8765/gun", "ws://relay:8765/gun", "relay:8765"),
            (" HTTP://relay:8765 ", "ws://relay:8765/gun", "relay:8765"),
            ("ws://relay:8765/", "ws://relay:8765/gun", "relay:8765"),
            ("ws://relay", "ws://relay/gun", "relay:80"),
            ("ws://[::1]:9/x?y=1", "ws://[::1]:9/x?y=1", "[::1]:9"),
        ] {
            let url = PeerUrl::parse(from).unwrap();
            assert_eq!((url.as_str(), url.address()), (to, address), "{from}");
        }
    }

    #[test]
    fn what_stands_in_front_of_a_peer_has_its_path() {
        let peer = PeerUrl::parse("http://relay:8765/x?y=1").unwrap();
        let front = peer.at(SocketAddr::from(([127, 0, 0, 1], 9)));
        assert_eq!(front, PeerUrl::parse("ws://127.0.0.1:9/x?y=1").unwrap());
    }

    #[test]
    fn what_cannot_be_dialled_is_refused_by_name() {
        for text in [
            "wss://relay/gun",
            "https://relay",
            "relay:8765",
            "ftp://relay",
            "ws://",
            "ws://:80/gun",
            "ws://relay:99999/gun",
            "ws://relay:0/gun",
            "ws://user:secret@relay/gun",
            "ws://re lay/gun",
            "",
        ] {
            let error = PeerUrl::parse(text).unwrap_err().to_string();
            assert!(error.contains(&format!("{text:?}")), "{text}: {error}");
        }
    }
}
