//! The stream under a connection: TCP, or TLS over it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// An enum and no trait object: the plain path is as direct as the socket itself.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<Session>),
}

/// A session whose handshake is done on this side.
pub(super) struct Session {
    stream: TlsStream<TcpStream>,
    /// Whether the broker has said something in it. Before that, it may still refuse the certificate of the client; after
    /// it, nothing that goes wrong with a session says anything about the next one.
    accepted: bool,
}

impl Session {
    /// What to report: an error of TLS after all was well means that bytes were damaged on the way, or that the broker has
    /// trouble of its own.
    fn explain(&self, error: io::Error) -> io::Error {
        match crate::tls::words(&error) {
            Some(words) if self.accepted => io::Error::new(
                io::ErrorKind::InvalidData,
                format!("the TLS session broke: {words}"),
            ),
            _ => error,
        }
    }

    fn explained<T>(&self, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        polled.map_err(|error| self.explain(error))
    }
}

impl Stream {
    pub(super) fn secured(stream: TlsStream<TcpStream>) -> Self {
        let accepted = false;
        Self::Tls(Box::new(Session { stream, accepted }))
    }

    /// Whether written bytes may wait in a buffer until the stream is flushed.
    pub(super) fn is_buffered(&self) -> bool {
        matches!(self, Self::Tls(_))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(session) => {
                let before = buffer.filled().len();
                let polled = Pin::new(&mut session.stream).poll_read(context, buffer);
                session.accepted |= buffer.filled().len() > before;
                session.explained(polled)
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(session) => {
                let polled = Pin::new(&mut session.stream).poll_write(context, bytes);
                session.explained(polled)
            }
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Tls(session) => {
                let polled = Pin::new(&mut session.stream).poll_write_vectored(context, slices);
                session.explained(polled)
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(session) => session.stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(session) => {
                let polled = Pin::new(&mut session.stream).poll_flush(context);
                session.explained(polled)
            }
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(session) => {
                let polled = Pin::new(&mut session.stream).poll_shutdown(context);
                session.explained(polled)
            }
        }
    }
}
