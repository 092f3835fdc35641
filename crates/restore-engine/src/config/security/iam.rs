//! The keys of `sasl_mechanism: AWS_MSK_IAM`.

use std::sync::Arc;

use kafka_wire::{AwsCredentials, AwsCredentialsSource, SaslConfig};

use super::{Command, Resolver, first};
use crate::aws::CredentialsChain;

impl Resolver<'_> {
    /// With keys, a command, or whatever this machine has.
    pub(super) fn iam(&mut self) -> Result<SaslConfig, String> {
        let region = self.section.sasl_aws_region.take().map(|text| text.0);
        let region = region
            .map(|region| self.needed(Some(region), "sasl_aws_region"))
            .transpose()?;
        let SaslConfig::AwsMskIam(mut iam) = SaslConfig::aws_msk_iam(self.aws_credentials()?) else {
            return Err(self.key("sasl_mechanism"));
        };
        iam.region = region;
        Ok(SaslConfig::AwsMskIam(iam))
    }

    fn aws_credentials(&mut self) -> Result<AwsCredentialsSource, String> {
        if let Some(Command(words)) = self.section.sasl_aws_credentials_command.take() {
            self.refuse(
                &self.first_of_aws_keys(),
                "sasl_aws_credentials_command, which prints the keys",
            )?;
            return Ok(AwsCredentialsSource::Command(words));
        }
        if self.first_of_aws_keys().is_none() {
            return Ok(AwsCredentialsSource::Provider(Arc::new(
                CredentialsChain::default(),
            )));
        }
        let section = &mut self.section;
        let (id, key, token) = (
            section.sasl_aws_access_key_id.take(),
            section.sasl_aws_secret_access_key.take(),
            section.sasl_aws_session_token.take(),
        );
        let (Some(id), Some(key)) = (id, key) else {
            return Err(format!(
                "{} and {} belong together: give both, or neither of them and no sasl_aws_session_token to use the \
                 environment's (AWS_ACCESS_KEY_ID, AWS_PROFILE, the machine's role)",
                self.key("sasl_aws_access_key_id"),
                self.key("sasl_aws_secret_access_key")
            ));
        };
        let key = self.needed_secret(Some(key), "sasl_aws_secret_access_key")?;
        let token = token
            .map(|token| self.needed_secret(Some(token), "sasl_aws_session_token"))
            .transpose()?;
        let id = self.needed(Some(id.0), "sasl_aws_access_key_id")?;
        let mut credentials = AwsCredentials::new(id, key);
        credentials.session_token = token;
        Ok(AwsCredentialsSource::Static(credentials))
    }

    pub(super) fn first_of_aws(&self) -> Option<&'static str> {
        let section = &self.section;
        first(&[
            ("sasl_aws_region", section.sasl_aws_region.is_some()),
            (
                "sasl_aws_credentials_command",
                section.sasl_aws_credentials_command.is_some(),
            ),
        ])
        .or_else(|| self.first_of_aws_keys())
    }

    fn first_of_aws_keys(&self) -> Option<&'static str> {
        let section = &self.section;
        first(&[
            ("sasl_aws_access_key_id", section.sasl_aws_access_key_id.is_some()),
            (
                "sasl_aws_secret_access_key",
                section.sasl_aws_secret_access_key.is_some(),
            ),
            ("sasl_aws_session_token", section.sasl_aws_session_token.is_some()),
        ])
    }
}
