//! Uploads in parts that nobody goes on with: the server keeps and charges their parts until somebody ends them.

use super::S3Storage;
use super::failure::Failure;
use crate::storage::{StorageError, Unfinished};

impl S3Storage {
    /// The uploads below a prefix that are under way or were given up without an end.
    pub(super) async fn list_uploads(&self, prefix: &str) -> Result<Vec<Unfinished>, StorageError> {
        let client = self.client().await?;
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let (key_marker, id_marker) = Option::unzip(after);
            let page = client
                .list_multipart_uploads()
                .bucket(self.bucket())
                .prefix(self.key(prefix))
                .set_max_uploads(self.shared.limits.keys_per_page)
                .set_key_marker(key_marker)
                .set_upload_id_marker(id_marker)
                .send()
                .await
                .map_err(|e| self.failed("list unfinished uploads of", &format!("{prefix}*"), &e.into()))?;
            for upload in page.uploads() {
                if let (Some(name), Some(id)) =
                    (upload.key().and_then(|key| self.name_of(key)), upload.upload_id())
                {
                    found.push(Unfinished {
                        name: name.to_owned(),
                        last_seen_ms: upload.initiated().and_then(|time| time.to_millis().ok()),
                        id: id.to_owned(),
                    });
                }
            }
            let truncated = page.is_truncated == Some(true);
            after = page.next_key_marker.zip(page.next_upload_id_marker);
            if !truncated || after.is_none() {
                return Ok(found);
            }
        }
    }

    /// Has the server forget the parts of an upload.
    pub(super) async fn abort_upload(&self, unfinished: &Unfinished) -> Result<(), StorageError> {
        let name = &unfinished.name;
        let request = self
            .client()
            .await?
            .abort_multipart_upload()
            .bucket(self.bucket());
        let aborted = request.key(self.key(name)).upload_id(&unfinished.id).send().await;
        match aborted.map_err(Failure::from) {
            Err(failure) if !failure.is_missing_upload() => {
                Err(self.failed("abort an unfinished upload of", name, &failure))
            }
            _ => Ok(()),
        }
    }
}
