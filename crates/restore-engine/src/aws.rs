//! Amazon Web Services, where the storage and the clusters may be: the way there, and who this machine is to them.

use std::sync::atomic::{AtomicBool, Ordering};

use aws_config::BehaviorVersion;
use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::{
    Credentials, ProvideCredentials, Region, SharedCredentialsProvider, SharedHttpClient,
};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder as HttpBuilder, Connector};
use kafka_wire::{AwsCredentials, AwsCredentialsError, AwsCredentialsFuture, AwsCredentialsProvider, Secret};
use tokio::sync::OnceCell;

use crate::error::chain;

/// Rustls with the roots of the system, through the proxy that `HTTPS_PROXY` and its like name.
pub(crate) fn http_client() -> SharedHttpClient {
    HttpBuilder::new().build_with_connector_fn(|settings, components| {
        let mut connector = Connector::builder()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .proxy_config(ProxyConfig::from_env());
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(|c| c.sleep_impl()));
        connector.build()
    })
}

/// The credentials of whoever runs the program, for logins at clusters, from where those for a bucket come as well: the
/// environment, the profile files, a web identity, the role of the container or of the machine.
#[derive(Default)]
pub(crate) struct CredentialsChain {
    provider: OnceCell<SharedCredentialsProvider>,
    /// Whether it has had credentials before.
    was_good: AtomicBool,
}

impl CredentialsChain {
    /// Put together at the first login. Nothing is asked for the region that is not on this machine: the one of the cluster
    /// does as well, for the services that give out credentials.
    async fn provider(&self, region: &str) -> Option<&SharedCredentialsProvider> {
        let load = async || {
            let region = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
                .or_else(ProfileFileRegionProvider::new())
                .or_else(Region::new(region.to_owned()));
            let loader = aws_config::defaults(BehaviorVersion::v2026_01_12());
            let sdk = loader.http_client(http_client()).region(region).load().await;
            sdk.credentials_provider().ok_or(())
        };
        self.provider.get_or_try_init(load).await.ok()
    }

    async fn load(&self, region: &str) -> Result<AwsCredentials, AwsCredentialsError> {
        let Some(provider) = self.provider(region).await else {
            return Err(self.failed(&CredentialsError::not_loaded_no_source()));
        };
        let found = provider.provide_credentials().await;
        let found = found.map_err(|error| self.failed(&error))?;
        self.was_good.store(true, Ordering::Relaxed);
        Ok(converted(&found))
    }

    /// What was there once comes back: services that know it may be away for a while.
    fn failed(&self, error: &CredentialsError) -> AwsCredentialsError {
        let words = format!(
            "no AWS credentials: {}; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or give this machine a \
             role (or see sasl_aws_access_key_id and sasl_aws_credentials_command)",
            chain(error)
        );
        let is_missing = matches!(
            error,
            CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_)
        );
        match is_missing && !self.was_good.load(Ordering::Relaxed) {
            true => AwsCredentialsError::Permanent(words),
            false => AwsCredentialsError::Passing(words),
        }
    }
}

impl AwsCredentialsProvider for CredentialsChain {
    fn credentials<'a>(&'a self, region: &'a str) -> AwsCredentialsFuture<'a> {
        Box::pin(self.load(region))
    }
}

fn converted(found: &Credentials) -> AwsCredentials {
    let mut credentials = AwsCredentials::new(found.access_key_id(), Secret::new(found.secret_access_key()));
    credentials.session_token = found.session_token().map(Secret::new);
    credentials.expires = found.expiry();
    credentials
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    /// A chain that is put together already.
    fn chain_of(provider: impl ProvideCredentials + 'static) -> CredentialsChain {
        CredentialsChain {
            provider: OnceCell::new_with(Some(SharedCredentialsProvider::new(provider))),
            was_good: AtomicBool::new(false),
        }
    }

    #[derive(Debug)]
    struct Fails(fn() -> CredentialsError);

    impl ProvideCredentials for Fails {
        fn provide_credentials<'a>(&'a self) -> aws_credential_types::provider::future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            aws_credential_types::provider::future::ProvideCredentials::ready(Err((self.0)()))
        }
    }

    #[tokio::test]
    async fn all_parts_of_what_is_found_are_used() {
        let expires = SystemTime::UNIX_EPOCH + Duration::from_secs(5_000_000_000);
        let found = Credentials::new("ASIA", "key", Some("token".to_owned()), Some(expires), "test");
        let expected = AwsCredentials::new("ASIA", Secret::new("key"))
            .session_token(Secret::new("token"))
            .expires(expires);
        assert_eq!(chain_of(found).credentials("eu-north-1").await, Ok(expected));
        let found = Credentials::new("AKIA", "key", None, None, "test");
        let expected = AwsCredentials::new("AKIA", Secret::new("key"));
        assert_eq!(chain_of(found).credentials("eu-north-1").await, Ok(expected));
    }

    #[tokio::test]
    async fn what_was_never_there_stays_away_and_the_rest_may_pass() {
        let missing = || CredentialsError::not_loaded("nobody knows any");
        let down = || CredentialsError::provider_error("the service is away");
        let lost = chain_of(Fails(missing));
        lost.was_good.store(true, Ordering::Relaxed);
        for (chain, passes, says) in [
            (chain_of(Fails(missing)), false, "nobody knows any"),
            (chain_of(Fails(down)), true, "the service is away"),
            (lost, true, "nobody knows any"),
        ] {
            let (is_passing, words) = match chain.credentials("eu-north-1").await {
                Err(AwsCredentialsError::Passing(words)) => (true, words),
                Err(AwsCredentialsError::Permanent(words)) => (false, words),
                other => panic!("{other:?}"),
            };
            assert!(is_passing == passes, "{words}");
            assert!(words.contains(says) && words.contains("AWS_PROFILE"), "{words}");
        }
    }
}
