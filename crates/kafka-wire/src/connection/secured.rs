//! What secures the connections of a cluster, made from its configuration once.

use std::sync::Arc;

use crate::config::Security;
use crate::error::Error;
use crate::sasl::Login;
use crate::tls::Tls;

/// Nothing by default: connections in the clear, without a login.
#[derive(Debug, Clone, Default)]
pub(crate) struct Secured {
    pub(super) tls: Option<Tls>,
    pub(super) login: Option<Arc<Login>>,
}

impl Secured {
    /// Reads the files that the configuration names.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] when one of them cannot be used.
    pub(crate) async fn load(security: &Security) -> Result<Self, Error> {
        if security.tls.is_none() && security.sasl.is_none() {
            return Ok(Self::default());
        }
        let security = security.clone();
        let load = move || {
            Ok(Self {
                tls: security.tls.as_ref().map(Tls::load).transpose()?,
                login: security.sasl.map(Login::load).transpose()?.map(Arc::new),
            })
        };
        // Files are read, and those of the operating system are many.
        tokio::task::spawn_blocking(load)
            .await
            .unwrap_or(Err(Error::Closed))
    }
}
