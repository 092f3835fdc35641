//! The way to the server: credentials, region, timeouts, retries.

use std::time::Duration;

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{Builder, Credentials, RequestChecksumCalculation, ResponseChecksumValidation};

use crate::aws::http_client;
use crate::config::{S3Checksums, S3Config};

/// For servers of one's own, to most of which the region is a word to sign with.
const REGION_OF_OTHER_SERVERS: &str = "us-east-1";

const ATTEMPTS: u32 = 6;
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);

/// A client, and what it talks to.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) client: Client,
    /// For messages: the endpoint, or AWS and the region.
    pub(super) server: String,
}

/// Puts together what the configuration says and, where it says nothing, what the environment does. No request is made
/// to the bucket; an error says what is missing.
pub(super) async fn connect(config: &S3Config) -> Result<Connection, String> {
    let sdk = load(config).await;
    let endpoint = config
        .endpoint
        .clone()
        .or_else(|| std::env::var("AWS_ENDPOINT_URL_S3").ok())
        .or_else(|| sdk.endpoint_url().map(str::to_owned));
    let Some(region) = sdk.region() else {
        return Err("the region of the bucket is not known: set `storage.region` or AWS_REGION".into());
    };
    let server = match &endpoint {
        Some(url) => url.clone(),
        None => format!("AWS, region {region}"),
    };
    let path_style = config.path_style.unwrap_or(endpoint.is_some());
    let built = Builder::from(&sdk).force_path_style(path_style).build();
    Ok(Connection {
        client: Client::from_conf(built),
        server,
    })
}

async fn load(config: &S3Config) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(config.connect_timeout)
        .read_timeout(config.request_timeout)
        .operation_attempt_timeout(config.request_timeout)
        .build();
    let retries = RetryConfig::standard()
        .with_max_attempts(ATTEMPTS)
        .with_initial_backoff(FIRST_BACKOFF)
        .with_max_backoff(LONGEST_BACKOFF);
    let (sent, checked) = match config.checksums {
        S3Checksums::WhenSupported => (
            RequestChecksumCalculation::WhenSupported,
            ResponseChecksumValidation::WhenSupported,
        ),
        S3Checksums::WhenRequired => (
            RequestChecksumCalculation::WhenRequired,
            ResponseChecksumValidation::WhenRequired,
        ),
    };
    let loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(http_client())
        .timeout_config(timeouts)
        .retry_config(retries)
        .request_checksum_calculation(sent)
        .response_checksum_validation(checked);
    with_what_is_configured(loader, config).load().await
}

fn with_what_is_configured(mut loader: ConfigLoader, config: &S3Config) -> ConfigLoader {
    if let Some(region) = region(config) {
        loader = loader.region(region);
    }
    if let Some(url) = &config.endpoint {
        loader = loader.endpoint_url(url);
    }
    if let Some(keys) = &config.credentials {
        loader = loader.credentials_provider(Credentials::new(
            &keys.access_key_id,
            keys.secret_access_key.reveal(),
            keys.session_token.as_ref().map(|token| token.reveal().to_owned()),
            None,
            "kafka-backup configuration",
        ));
    }
    loader
}

/// The region that is configured, or that a server of one's own needs: such a machine has no metadata service to ask, and
/// asking takes seconds. With neither, the SDK asks everybody whom it knows.
fn region(config: &S3Config) -> Option<RegionProviderChain> {
    let configured = config.region.clone().map(Region::new);
    let elsewhere = config.endpoint.is_some()
        || std::env::var_os("AWS_ENDPOINT_URL").is_some()
        || std::env::var_os("AWS_ENDPOINT_URL_S3").is_some();
    match (&configured, elsewhere) {
        (Some(_), _) => Some(RegionProviderChain::first_try(configured)),
        (None, true) => Some(
            RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
                .or_else(ProfileFileRegionProvider::new())
                .or_else(Region::new(REGION_OF_OTHER_SERVERS)),
        ),
        (None, false) => None,
    }
}
