//! Requests that wait while a login is renewed: between its messages a broker takes no others.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use super::link::Started;

/// Where ordinary requests wait, in their order. Not there while nothing holds them back.
#[derive(Default)]
pub(super) struct Parking {
    place: Option<Place>,
}

struct Place {
    requests: VecDeque<Box<Started>>,
    /// Who wants to know when the requests before these are done.
    quiet: Option<oneshot::Sender<()>>,
}

impl Parking {
    /// Holds all requests back from now on.
    pub(super) fn open(&mut self, quiet: oneshot::Sender<()>) {
        let requests = self.close();
        self.place = Some(Place {
            requests,
            quiet: Some(quiet),
        });
    }

    /// Gives the request back if it need not wait.
    pub(super) fn park(&mut self, request: Box<Started>) -> Option<Box<Started>> {
        match &mut self.place {
            None => Some(request),
            Some(place) => {
                place.requests.push_back(request);
                None
            }
        }
    }

    /// Says that nothing is under way.
    pub(super) fn is_quiet(&mut self) {
        if let Some(quiet) = self.place.as_mut().and_then(|place| place.quiet.take()) {
            // Whoever asked may be gone; then requests stay parked until the connection ends.
            let _ = quiet.send(());
        }
    }

    /// Holds nothing back any more; returns the requests that waited, in their order.
    pub(super) fn close(&mut self) -> VecDeque<Box<Started>> {
        self.place.take().map(|place| place.requests).unwrap_or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.place.as_ref().is_none_or(|place| place.requests.is_empty())
    }
}
