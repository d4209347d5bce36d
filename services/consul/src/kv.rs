//! The key-value store: `/v1/kv`. Values are bytes, at most 512 KiB.

use reqwest::Method;
use serde::Deserialize;

use crate::client::Call;
use crate::wire::base64_bytes;
use crate::{Client, Error, Indexed, Wait};

/// The calls about keys and values.
#[derive(Debug, Clone, Copy)]
pub struct KeyValue<'a>(pub(crate) &'a Client);

impl KeyValue<'_> {
    /// Reads a key; with a [`Wait`], once there is news. The index counts also when there is no such key.
    ///
    /// # Errors
    /// [`Error::Argument`] for keys that no path can carry, [`Error::Denied`] without `key:read`.
    pub async fn get(&self, key: &str, wait: Option<Wait>) -> Result<Indexed<Option<Entry>>, Error> {
        let reply = self.call(Method::GET, key)?.wait(wait).send().await?;
        let index = reply.index;
        let entries: Option<Vec<Entry>> = reply.found().map(|reply| reply.json()).transpose()?;
        Ok(Indexed { index, value: entries.and_then(|entries| entries.into_iter().next()) })
    }

    /// Reads every key below a prefix, in order.
    ///
    /// # Errors
    /// As for [`KeyValue::get`].
    pub async fn list(&self, prefix: &str, wait: Option<Wait>) -> Result<Indexed<Vec<Entry>>, Error> {
        let reply = self.call(Method::GET, prefix)?.query("recurse", "true").wait(wait).send().await?;
        let index = reply.index;
        let entries: Option<Vec<Entry>> = reply.found().map(|reply| reply.json()).transpose()?;
        Ok(Indexed { index, value: entries.unwrap_or_default() })
    }

    /// Sets a key.
    ///
    /// # Errors
    /// [`Error::Refused`] for a value that is too long.
    pub async fn put(&self, key: &str, value: impl Into<Vec<u8>>) -> Result<(), Error> {
        self.call(Method::PUT, key)?.bytes(value.into()).send().await?.ok().map(drop)
    }

    /// Sets a key if it was last modified at this index (0: if it does not exist). Returns whether it did.
    ///
    /// # Errors
    /// As for [`KeyValue::put`].
    pub async fn cas(&self, key: &str, value: impl Into<Vec<u8>>, modified: u64) -> Result<bool, Error> {
        self.put_if(key, value.into(), "cas", &modified.to_string()).await
    }

    /// Sets a key and takes its lock for a session. Returns whether the session has it now.
    ///
    /// # Errors
    /// [`Error::Failed`] when there is no such session.
    pub async fn acquire(&self, key: &str, value: impl Into<Vec<u8>>, session: &str) -> Result<bool, Error> {
        self.put_if(key, value.into(), "acquire", session).await
    }

    /// Sets a key and frees its lock. Returns whether the session had it.
    ///
    /// # Errors
    /// As for [`KeyValue::put`].
    pub async fn release(&self, key: &str, value: impl Into<Vec<u8>>, session: &str) -> Result<bool, Error> {
        self.put_if(key, value.into(), "release", session).await
    }

    /// Deletes a key, be it there or not.
    ///
    /// # Errors
    /// [`Error::Denied`] without `key:write`.
    pub async fn delete(&self, key: &str) -> Result<(), Error> {
        self.call(Method::DELETE, key)?.send().await?.ok().map(drop)
    }

    /// Deletes a key if it was last modified at this index. Returns whether it did.
    ///
    /// # Errors
    /// As for [`KeyValue::delete`].
    pub async fn delete_cas(&self, key: &str, modified: u64) -> Result<bool, Error> {
        self.call(Method::DELETE, key)?.query("cas", &modified.to_string()).send().await?.ok()?.json()
    }

    /// Deletes every key below a prefix.
    ///
    /// # Errors
    /// As for [`KeyValue::delete`].
    pub async fn delete_all(&self, prefix: &str) -> Result<(), Error> {
        self.call(Method::DELETE, prefix)?.query("recurse", "true").send().await?.ok().map(drop)
    }

    async fn put_if(&self, key: &str, value: Vec<u8>, name: &str, condition: &str) -> Result<bool, Error> {
        self.call(Method::PUT, key)?.query(name, condition).bytes(value).send().await?.ok()?.json()
    }

    fn call(&self, method: Method, key: &str) -> Result<Call<'_>, Error> {
        check(key)?;
        Ok(self.0.call(method, ["kv"].into_iter().chain(key.split('/'))))
    }
}

/// Refuses keys that would reach the agent as others: its router cleans paths. A slash at the end is fine.
fn check(key: &str) -> Result<(), Error> {
    let inner = key.strip_suffix('/').unwrap_or(key);
    if inner.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        let reason = "a key has one or more segments between slashes, none of them empty, `.` or `..`";
        return Err(Error::Argument { what: format!("the key `{key}`"), reason });
    }
    Ok(())
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The value.
    #[serde(default, deserialize_with = "base64_bytes")]
    pub value: Vec<u8>,
    /// When it was made.
    pub create_index: u64,
    /// When it was last changed: for [`KeyValue::cas`].
    pub modify_index: u64,
    /// How often its lock was taken.
    pub lock_index: u64,
    /// Free for the client.
    #[serde(default)]
    pub flags: u64,
    /// The session that has its lock.
    #[serde(default)]
    pub session: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_would_arrive_as_others_are_refused() {
        for key in ["a", "a/b", "a/b/", "a b/ü?#%", ".../x"] {
            assert!(check(key).is_ok(), "{key}");
        }
        for key in ["", "/", "/a", "a//b", "a/../b", "./a", "a//"] {
            assert!(check(key).unwrap_err().to_string().contains("segments"), "{key}");
        }
    }
}
