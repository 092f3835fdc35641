//! Streams groups.

use serde::Serialize;

use super::JavaClient;
use crate::error::Result;

#[derive(Serialize)]
struct Args<'a> {
    group: &'a str,
    member: &'a str,
    topic: &'a str,
}

impl JavaClient {
    /// Makes a member, with an id of the caller's choice, that processes a topic in a streams group. It gives no further
    /// sign of life, and goes after 45 seconds.
    pub async fn join_streams_group(&self, group: &str, member: &str, topic: &str) -> Result<()> {
        let args = Args { group, member, topic };
        self.run("streams_join", &args).await
    }

    /// Has that member leave.
    pub async fn leave_streams_group(&self, group: &str, member: &str) -> Result<()> {
        let args = Args {
            group,
            member,
            topic: "",
        };
        self.run("streams_leave", &args).await
    }
}
