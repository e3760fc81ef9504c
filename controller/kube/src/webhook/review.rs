//! Questions of the API server and their answers.

use std::sync::Arc;
use std::time::Duration;

use controller_core::ports::{Door, Store};
use k8s_openapi::api::authentication::v1::UserInfo;
use kube::core::DynamicObject;
use kube::core::admission::{AdmissionRequest, AdmissionResponse, AdmissionReview};
use serde_json::Value;
use tracing::{info, warn};

use super::refused::Refused;
use super::{defaults, experiment, pod};
use crate::client::Cluster;
use crate::discovery::Discovery;
use crate::inject::Settings;
use crate::katib_config;

/// How long an answer may take: less than the API server waits, so that it hears why.
const PATIENCE: Duration = Duration::from_secs(8);
/// The same of a pod.
const OF_A_POD: Duration = Duration::from_secs(4);

/// A question of the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Whether an Experiment may be.
    ValidateExperiment,
    /// What is to be filled in.
    MutateExperiment,
    /// What is to be put into a pod.
    MutatePod,
}

impl Hook {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::ValidateExperiment, Self::MutateExperiment, Self::MutatePod];

    /// Where it is asked, as with Katib.
    pub fn path(self) -> &'static str {
        match self {
            Self::ValidateExperiment => "/validate-experiment",
            Self::MutateExperiment => "/mutate-experiment",
            Self::MutatePod => "/mutate-pod",
        }
    }
}

/// Whoever answers.
pub struct Webhooks {
    pub(super) discovery: Discovery,
    pub(super) store: Arc<dyn Store>,
    pub(super) door: Arc<dyn Door>,
    settings: Settings,
}

impl Webhooks {
    /// For the experiments of a cluster; `settings` says how sidecars are put into pods, if they are.
    pub fn new(cluster: Cluster, store: Arc<dyn Store>, door: Arc<dyn Door>, settings: Settings) -> Self {
        Self { discovery: Discovery::new(cluster), store, door, settings }
    }

    /// The answer to a review, both as JSON.
    ///
    /// # Errors
    /// If it is none.
    pub async fn answer(&self, hook: Hook, review: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
        let review: AdmissionReview<DynamicObject> = serde_json::from_slice(review)?;
        let request: Result<AdmissionRequest<DynamicObject>, _> = review.try_into();
        let response = match request {
            Ok(request) => {
                let response = AdmissionResponse::from(&request);
                let patience = if hook == Hook::MutatePod { OF_A_POD } else { PATIENCE };
                let late = || Refused::later("Cairn has no answer in time; try again");
                let said = tokio::time::timeout(patience, self.say(hook, &request)).await;
                let said = said.unwrap_or_else(|_| Err(late()));
                finish(response, if hook == Hook::MutatePod { let_through(said) } else { said }, &request)
            }
            Err(error) => AdmissionResponse::invalid(error),
        };
        serde_json::to_vec(&response.into_review())
    }

    async fn say(&self, hook: Hook, request: &AdmissionRequest<DynamicObject>) -> Result<Said, Refused> {
        let Some(object) = &request.object else { return Ok(Said::default()) };
        let old = request.old_object.as_ref();
        match hook {
            Hook::ValidateExperiment => {
                let warnings = experiment::check(self, object, old, &request.user_info).await?;
                Ok(Said { warnings, ..Said::default() })
            }
            Hook::MutateExperiment => {
                let user = request.user_info.username.as_deref().unwrap_or_default();
                let mut becomes = defaults::filled_in(object, old, user);
                let namespace = request.namespace.as_deref().unwrap_or_default();
                let old = old.map(|old| serde_json::to_value(old).unwrap_or_default());
                let config = self.settings.katib_config.get();
                katib_config::fill_in(&mut becomes, namespace, old.as_ref(), &config);
                Ok(Said { becomes: Some(becomes), ..Said::default() })
            }
            Hook::MutatePod => {
                if !self.settings.has_sidecar() {
                    return Ok(Said::default());
                }
                let namespace = request.namespace.as_deref().unwrap_or_default();
                let becomes = pod::injected(&self.discovery, object, namespace, &self.settings).await?;
                Ok(Said { becomes, ..Said::default() })
            }
        }
    }
}

/// What is said of an object that may be.
#[derive(Debug, Default)]
struct Said {
    /// What it becomes.
    becomes: Option<Value>,
    warnings: Vec<String>,
}

/// A pod of which nothing can be told now is not held up: it may be anybody's, and one of a trial is found without its
/// sidecar.
fn let_through(said: Result<Said, Refused>) -> Result<Said, Refused> {
    match said {
        Err(refused) if refused.is_for_now() => {
            warn!("a pod was let through as it is: {refused}");
            Ok(Said { warnings: vec![refused.message], ..Said::default() })
        }
        other => other,
    }
}

fn finish(
    mut response: AdmissionResponse,
    said: Result<Said, Refused>,
    request: &AdmissionRequest<DynamicObject>,
) -> AdmissionResponse {
    let said = match said {
        Ok(said) => said,
        Err(refused) => return deny(response, &refused, request),
    };
    response.warnings = Some(said.warnings).filter(|warnings| !warnings.is_empty());
    let Some(becomes) = said.becomes else { return response };
    let patch = json_patch::diff(&serde_json::to_value(&request.object).unwrap_or_default(), &becomes);
    if patch.is_empty() {
        return response;
    }
    response.with_patch(patch).unwrap_or_else(AdmissionResponse::invalid)
}

fn deny(
    response: AdmissionResponse,
    refused: &Refused,
    request: &AdmissionRequest<DynamicObject>,
) -> AdmissionResponse {
    let UserInfo { username, .. } = &request.user_info;
    info!(
        kind = request.kind.kind,
        name = request.name,
        namespace = request.namespace,
        user = username,
        code = refused.code,
        "refused: {refused}"
    );
    let mut response = response.deny(&refused.message);
    response.result.code = refused.code;
    response.result.reason = refused.reason().into();
    response
}
