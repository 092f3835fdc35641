//! Names in order: all of them, or the first in one request.

use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;

use super::{S3Storage, create};
use crate::storage::{ObjectMeta, StorageError};

/// How the names of directory buckets end: the one kind of S3 that does not list in order.
const UNSORTED: &str = "--x-s3";

#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) objects: Vec<ObjectMeta>,
    pub(super) folders: Vec<String>,
}

impl S3Storage {
    /// The first `limit` objects, and the folders that were passed on the way to them.
    pub(super) async fn list_keys(
        &self,
        prefix: &str,
        delimiter: Option<&str>,
        limit: usize,
    ) -> Result<Listing, StorageError> {
        let client = self.client().await?;
        let (mut found, mut continuation) = (Listing::default(), None);
        let sorted = !self.bucket().ends_with(UNSORTED);
        // One more than what is wanted, since consoles put an empty object first that stands for the folder. (MinIO also
        // loses what follows on a page that ends with one.)
        let page_limit = match sorted {
            true => self.page_limit(limit.saturating_add(1)),
            false => self.shared.limits.keys_per_page,
        };
        // Not all on a page need be ours: the first page is enough only when it is.
        while !sorted || found.objects.len() < limit {
            let page = client
                .list_objects_v2()
                .bucket(self.bucket())
                .prefix(self.key(prefix))
                .set_delimiter(delimiter.map(str::to_owned))
                .set_max_keys(page_limit)
                .set_continuation_token(continuation)
                .send()
                .await
                .map_err(|e| self.failed("list", &format!("{prefix}*"), &e.into()))?;
            self.take(&page, prefix, &mut found);
            continuation = page.next_continuation_token;
            if continuation.is_none() {
                break;
            }
        }
        // Most servers sort; not all have to.
        found.objects.sort_by(|a, b| a.name.cmp(&b.name));
        found.objects.truncate(limit);
        found.folders.sort();
        found.folders.retain(|folder| !folder.is_empty());
        Ok(found)
    }

    /// What a request asks for; the server's own limit when `None`.
    fn page_limit(&self, wanted: usize) -> Option<i32> {
        let wanted = i32::try_from(wanted).ok().filter(|n| (1..1000).contains(n));
        match (wanted, self.shared.limits.keys_per_page) {
            (Some(wanted), Some(limit)) => Some(wanted.min(limit)),
            (wanted, limit) => wanted.or(limit),
        }
    }

    fn take(&self, page: &ListObjectsV2Output, prefix: &str, found: &mut Listing) {
        for object in page.contents() {
            // Consoles mark "folders" with empty objects; the object of the probe is not part of any backup.
            if let Some(name) = object.key().and_then(|key| self.name_of(key))
                && !name.ends_with('/')
                && name != create::PROBE
            {
                found.objects.push(ObjectMeta {
                    name: name.to_owned(),
                    bytes: object.size().and_then(|n| u64::try_from(n).ok()).unwrap_or(0),
                });
            }
        }
        for folder in page.common_prefixes() {
            let name = folder.prefix().and_then(|key| self.name_of(key));
            found
                .folders
                .extend(name.and_then(|name| Some(name.strip_prefix(prefix)?.strip_suffix('/')?.to_owned())));
        }
    }
}
