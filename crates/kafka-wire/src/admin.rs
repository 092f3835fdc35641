//! What a cluster says about its users: who may do what, how much, and how they log in. Only reading.

mod acls;
mod quotas;
mod scram_users;

use crate::cluster::Cluster;
use crate::connection::{Api, Link};
use crate::error::{Error, ErrorCode};
use crate::retry::Effect;

pub use acls::{AclBinding, AclFilter, AclOperation, AclPattern, AclPermission, AclResource};
pub use quotas::QuotaEntry;
pub use scram_users::{ScramCredential, ScramMechanism, UserResults};

impl Cluster {
    /// Asks the controller a question that changes nothing, and again what fails in passing.
    ///
    /// With ZooKeeper it is the only one who knows; with KRaft metadata names any broker, all of which know.
    async fn ask_controller<R: Api>(
        &self,
        request: &R,
        outcome: impl Fn(&R::Response) -> (i16, Option<String>),
    ) -> Result<(Link, R::Response), Error> {
        let mut retry = self.retry(Effect::Repeatable);
        loop {
            let answer = match self.controller_link().await {
                Ok(link) => {
                    let response = link.call(request, self.config().request_timeout).await;
                    response.map(|response| (link, response))
                }
                Err(error) => Err(error),
            };
            let error = match answer {
                Ok((link, response)) => {
                    let (code, words) = outcome(&response);
                    match ErrorCode::new(code) {
                        None => return Ok((link, response)),
                        Some(code) => Error::kafka(code, R::NAME, link.broker(), "").with_message(words),
                    }
                }
                Err(error) => error,
            };
            if error.code().is_none_or(|code| code == ErrorCode::NOT_CONTROLLER) {
                self.forget_controller();
            }
            retry.pause(error).await?;
        }
    }
}
