//! One websocket, whoever opened it: axum's and tungstenite's types behind one face.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::extract::ws as accepted;
use bytes::Bytes;
use futures_util::{Sink, Stream};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, Utf8Bytes, protocol::WebSocketConfig};

use super::meter::Metered;

/// An open websocket: a stream of [`Heard`], a sink of [`Told`].
#[derive(Debug)]
pub(super) enum Socket {
    Accepted(Box<accepted::WebSocket>),
    Dialled(Box<WebSocketStream<Metered<TcpStream>>>),
}

/// What a peer said.
#[derive(Debug)]
pub(super) enum Heard {
    /// Valid UTF-8.
    Text(Bytes),
    Binary,
    /// Ping, pong or close: answered by the library.
    Control,
}

/// What a peer is told.
#[derive(Debug)]
pub(super) enum Told {
    /// Must be valid UTF-8.
    Text(Bytes),
    Ping,
}

/// Why a websocket broke.
#[derive(Debug, thiserror::Error)]
pub(super) enum SocketError {
    #[error("a frame of {bytes} bytes is more than can be read and discarded")]
    TooLarge { bytes: usize },
    #[error("an outgoing frame is not UTF-8")]
    NotText,
    #[error("{0}")]
    Broken(tungstenite::Error),
    #[error("{0}")]
    Other(axum::Error),
}

/// How the library must be set up for frames up to `frame_bytes_max`.
///
/// The library ends a connection whose frame is above its own limit, so that limit is twice ours:
/// what lies between is read, discarded, and answered.
pub(super) fn limits(frame_bytes_max: usize) -> WebSocketConfig {
    let discard_bytes_max = discard_bytes_max(frame_bytes_max);
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_message_size(Some(discard_bytes_max))
        .max_frame_size(Some(discard_bytes_max))
}

/// The same as [`limits`] for the side that accepts.
pub(super) fn limit_upgrade(
    upgrade: accepted::WebSocketUpgrade,
    frame_bytes_max: usize,
) -> accepted::WebSocketUpgrade {
    let discard_bytes_max = discard_bytes_max(frame_bytes_max);
    upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_message_size(discard_bytes_max)
        .max_frame_size(discard_bytes_max)
}

/// Frames between the limit and this many bytes are discarded without ending the link.
fn discard_bytes_max(frame_bytes_max: usize) -> usize {
    frame_bytes_max.saturating_mul(2)
}

/// Allocated per connection up front; the library's default is 128 KiB.
const READ_BUFFER_BYTES: usize = 16 * 1024;
/// Written to the socket whenever this much is queued, even before the flush.
const WRITE_BUFFER_BYTES: usize = 64 * 1024;

impl Stream for Socket {
    type Item = Result<Heard, SocketError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.get_mut() {
            Self::Accepted(socket) => Pin::new(socket).poll_next(cx).map(|next| {
                next.map(|message| match message? {
                    accepted::Message::Text(text) => Ok(Heard::Text(text.into())),
                    accepted::Message::Binary(_) => Ok(Heard::Binary),
                    _ => Ok(Heard::Control),
                })
            }),
            Self::Dialled(socket) => Pin::new(socket).poll_next(cx).map(|next| {
                next.map(|message| match message? {
                    tungstenite::Message::Text(text) => Ok(Heard::Text(text.into())),
                    tungstenite::Message::Binary(_) => Ok(Heard::Binary),
                    _ => Ok(Heard::Control),
                })
            }),
        }
    }
}

impl Sink<Told> for Socket {
    type Error = SocketError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        match self.get_mut() {
            Self::Accepted(socket) => Pin::new(socket).poll_ready(cx).map_err(Into::into),
            Self::Dialled(socket) => Pin::new(socket).poll_ready(cx).map_err(Into::into),
        }
    }

    fn start_send(self: Pin<&mut Self>, told: Told) -> Result<(), SocketError> {
        match self.get_mut() {
            Self::Accepted(socket) => {
                let message = match told {
                    Told::Text(frame) => {
                        accepted::Message::Text(frame.try_into().map_err(|_| SocketError::NotText)?)
                    }
                    Told::Ping => accepted::Message::Ping(Bytes::new()),
                };
                Ok(Pin::new(socket).start_send(message)?)
            }
            Self::Dialled(socket) => {
                let message = match told {
                    Told::Text(frame) => tungstenite::Message::Text(
                        Utf8Bytes::try_from(frame).map_err(|_| SocketError::NotText)?,
                    ),
                    Told::Ping => tungstenite::Message::Ping(Bytes::new()),
                };
                Ok(Pin::new(socket).start_send(message)?)
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        match self.get_mut() {
            Self::Accepted(socket) => Pin::new(socket).poll_flush(cx).map_err(Into::into),
            Self::Dialled(socket) => Pin::new(socket).poll_flush(cx).map_err(Into::into),
        }
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        match self.get_mut() {
            Self::Accepted(socket) => Pin::new(socket).poll_close(cx).map_err(Into::into),
            Self::Dialled(socket) => Pin::new(socket).poll_close(cx).map_err(Into::into),
        }
    }
}

impl From<tungstenite::Error> for SocketError {
    fn from(error: tungstenite::Error) -> Self {
        use tungstenite::error::CapacityError::MessageTooLong;
        match error {
            tungstenite::Error::Capacity(MessageTooLong { size, .. }) => {
                Self::TooLarge { bytes: size }
            }
            other => Self::Broken(other),
        }
    }
}

impl From<axum::Error> for SocketError {
    fn from(error: axum::Error) -> Self {
        // axum boxes the very same library's error: both sides share one copy of it.
        match error.into_inner().downcast::<tungstenite::Error>() {
            Ok(known) => (*known).into(),
            Err(other) => Self::Other(axum::Error::new(other)),
        }
    }
}
