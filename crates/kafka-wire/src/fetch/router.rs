//! Finding the broker for each partition, and waiting with those that failed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::FetchEventKind;
use super::cursor::Cursor;
use super::lane::Lane;
use super::pool::Pool;
use super::shared::{Command, Shared};
use crate::cluster::{Leader, TopicPartition};
use crate::error::Error;
use crate::problem::PartitionProblem;

/// Owns the pools and lanes, and the partitions that wait.
pub(super) struct Router {
    shared: Arc<Shared>,
    commands: mpsc::UnboundedReceiver<Command>,
    waiting: Vec<Command>,
    pools: BTreeMap<i32, Arc<Pool>>,
    lanes: JoinSet<()>,
}

impl Router {
    pub(super) fn new(shared: Arc<Shared>, commands: mpsc::UnboundedReceiver<Command>) -> Self {
        Self {
            shared,
            commands,
            waiting: Vec::new(),
            pools: BTreeMap::new(),
            lanes: JoinSet::new(),
        }
    }

    /// Runs until it is aborted; the lanes end with it.
    pub(super) async fn run(mut self) {
        loop {
            let next_due = self.waiting.iter().map(|waiting| waiting.due).min();
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.waiting.push(command),
                    None => return,
                },
                () = sleep_until(next_due) => {}
            }
            while let Ok(command) = self.commands.try_recv() {
                self.waiting.push(command);
            }
            let now = Instant::now();
            let due: Vec<Command> = self
                .waiting
                .extract_if(.., |waiting| waiting.due <= now)
                .collect();
            if !due.is_empty() {
                self.route(due).await;
            }
        }
    }

    /// Finds a broker for each of these. One question to the cluster serves all whose leader is not known.
    async fn route(&mut self, due: Vec<Command>) {
        let is_stale = |command: &&Command| {
            let cursor = &command.cursor;
            cursor.streak.failures() > 0 || self.shared.cluster.cached_leader(&cursor.name()).is_none()
        };
        for Command { cursor, .. } in due.iter().filter(|command| command.cursor.streak.failures() > 0) {
            self.shared.cluster.doubt_hint(&cursor.name());
        }
        let topics: BTreeSet<Arc<str>> = due
            .iter()
            .filter(is_stale)
            .map(|command| Arc::clone(&command.cursor.topic))
            .collect();
        let refreshed = match topics.is_empty() {
            true => Ok(()),
            false => self.shared.cluster.refresh_leaders(&topics).await,
        };
        for Command { cursor, .. } in due {
            match &refreshed {
                Err(error) => self.shared.retry_or_fail(cursor, error.clone()).await,
                Ok(()) => self.assign(cursor).await,
            }
        }
    }

    async fn assign(&mut self, mut cursor: Cursor) {
        if cursor.is_finished() {
            let finished = FetchEventKind::Finished {
                next_offset: cursor.offset,
            };
            self.shared.emit(&cursor, finished).await;
            return;
        }
        let leader = match self.shared.cluster.known_leader(&cursor.name()) {
            Ok(leader) => leader,
            Err(error) => return self.shared.retry_or_fail(cursor, error).await,
        };
        let found = leader.topic_id.unwrap_or_default();
        if cursor.topic_id == [0; 16] {
            cursor.topic_id = found;
        } else if found != [0; 16] && found != cursor.topic_id {
            let problem = PartitionProblem::TopicReplaced {
                asked: cursor.topic_id,
                found,
            };
            return self.shared.failed(cursor, problem).await;
        }
        cursor.follow(leader);
        cursor.replica = cursor.replica.filter(|replica| !replica.is_over());
        let node = cursor.replica.map_or(leader.node, |replica| replica.node);
        self.pool(node).add(cursor);
    }

    /// The pool of a broker. Its lanes start with the first partition.
    fn pool(&mut self, node: i32) -> Arc<Pool> {
        if let Some(pool) = self.pools.get(&node) {
            return Arc::clone(pool);
        }
        let pool = Arc::new(Pool::new());
        self.pools.insert(node, Arc::clone(&pool));
        let options = &self.shared.options;
        for _ in 0..options.requests_per_connection.max(1) {
            for shard in 0..options.connections_per_broker.max(1) {
                self.shared.add_lane();
                let (pool, shared) = (Arc::clone(&pool), Arc::clone(&self.shared));
                self.lanes.spawn(
                    Lane {
                        node,
                        shard,
                        pool,
                        shared,
                    }
                    .run(),
                );
            }
        }
        pool
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

impl Cursor {
    /// Which partition it is.
    pub(super) fn name(&self) -> TopicPartition {
        TopicPartition::new(Arc::clone(&self.topic), self.partition)
    }

    /// Who was asked as the leader, or named the replica that was.
    pub(super) fn asked(&self) -> Leader {
        Leader {
            node: self.leader,
            epoch: Some(self.leader_epoch).filter(|&epoch| epoch >= 0),
            topic_id: Some(self.topic_id).filter(|id| *id != [0; 16]),
        }
    }

    /// Takes note of who leads. After a change the new leader is asked first: which replica is near, and (see
    /// [`history`](super::history)) whether it has what was read.
    fn follow(&mut self, leader: Leader) {
        let epoch = leader.epoch.unwrap_or(-1);
        if (self.leader, self.leader_epoch) != (leader.node, epoch) {
            self.leader = leader.node;
            self.leader_epoch = epoch;
            self.confirmed = false;
            self.replica = None;
        }
    }

    /// Puts a problem of this partition into the error of the crate.
    pub(super) fn error(&self, problem: PartitionProblem) -> Error {
        Error::Partition {
            partition: self.name(),
            problem: Box::new(problem),
        }
    }
}
