//! Who may report the metrics of a run: the sidecar of its own pod, known by the token that the cluster gives it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use controller_core::ports::{Claim, NotAllowed, Reporters};
use controller_core::time::Clock;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Api, GetParams, PostParams};
use kube::core::Request;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::answer::{self, Doing};
use crate::brief::Brief;
use crate::client::Cluster;
use crate::inject::AUDIENCE;
use crate::job::run_id;
use crate::names;
use crate::token::{Bearer, Keys};

/// What a token says of the pod that it was given to, by these keys.
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";
/// How long the cluster's keys are good, and how often at most they are looked up.
const GOOD: Duration = Duration::from_mins(5);
const AGAIN: Duration = Duration::from_secs(1);
/// How the name of a service account's user begins.
const ACCOUNT: &str = "system:serviceaccount:";

/// Finds out whose a token is: the cluster says it, or, to a Cairn that looks at one namespace and may not ask it, the keys do
/// by which the cluster signs.
pub struct PodReporters {
    cluster: Cluster,
    clock: Arc<dyn Clock>,
    keys: Mutex<Option<(Instant, Arc<Keys>)>>,
    /// Tokens, each with the run that its pod was just found to be of.
    known: Brief<()>,
}

impl PodReporters {
    /// By tokens of this cluster.
    pub fn new(cluster: Cluster, clock: Arc<dyn Clock>) -> Self {
        Self { cluster, clock, keys: Mutex::default(), known: Brief::default() }
    }

    /// Whose a token is.
    async fn bearer(&self, token: &str) -> Result<Bearer, NotAllowed> {
        if self.cluster.namespace.is_none() {
            return self.reviewed(token).await;
        }
        let keys = self.keys(token).await?;
        let no_good = |why| NotAllowed::Unknown(format!("the token is no good: {why}"));
        keys.bearer(token, AUDIENCE, self.clock.now()).map_err(no_good)
    }

    /// Whose a token is, by the cluster's word.
    async fn reviewed(&self, token: &str) -> Result<Bearer, NotAllowed> {
        let spec = TokenReviewSpec { token: Some(token.to_owned()), audiences: Some(vec![AUDIENCE.into()]) };
        let review = TokenReview { spec, ..TokenReview::default() };
        let api: Api<TokenReview> = Api::all(self.cluster.client.clone());
        let doing = Doing { verb: "create", group: "authentication.k8s.io", plural: "tokenreviews" };
        let review = answer::within(api.create(&PostParams::default(), &review)).await;
        let review = review.map_err(|error| NotAllowed::Unavailable(answer::message(&error, &doing)))?;
        let status = review.status.unwrap_or_default();
        let is_for_us = status.audiences.iter().flatten().any(|audience| audience == AUDIENCE);
        if status.authenticated != Some(true) || !is_for_us {
            let why = status.error.unwrap_or_else(|| format!("it is none for `{AUDIENCE}`"));
            return Err(NotAllowed::Unknown(format!("the token is no good: {why}")));
        }
        let user = status.user.unwrap_or_default();
        bearer(&user).ok_or_else(|| NotAllowed::Forbidden("the token is no pod's".into()))
    }

    /// The cluster's keys, looked up again for a token that none of those known may have signed.
    async fn keys(&self, token: &str) -> Result<Arc<Keys>, NotAllowed> {
        let mut held = self.keys.lock().await;
        if let Some((since, keys)) = &*held {
            let age = since.elapsed();
            if age < AGAIN || (age < GOOD && keys.may_know(token)) {
                return Ok(Arc::clone(keys));
            }
        }
        let failed =
            |why: String| NotAllowed::Unavailable(format!("the cluster does not show its keys: {why}"));
        let request = Request::new("/openid/v1").get("jwks", &GetParams::default());
        let request = request.map_err(|error| failed(error.to_string()))?;
        let keys = answer::within(self.cluster.client.request::<Keys>(request)).await;
        let why = |error| {
            let role = "the ClusterRole system:service-account-issuer-discovery allows it";
            if answer::is_forbidden(&error) { role.to_owned() } else { answer::chain(&error) }
        };
        let keys = Arc::new(keys.map_err(|error| failed(why(error)))?);
        *held = Some((Instant::now(), Arc::clone(&keys)));
        Ok(keys)
    }
}

/// The pod that a user is.
fn bearer(user: &UserInfo) -> Option<Bearer> {
    let extra = |key: &str| user.extra.as_ref()?.get(key)?.first().cloned();
    let (namespace, _) = user.username.as_ref()?.strip_prefix(ACCOUNT)?.split_once(':')?;
    Some(Bearer { namespace: namespace.to_owned(), pod: extra(POD_NAME)?, uid: extra(POD_UID)? })
}

/// Whether a pod is one of the claimed run.
fn is_of(pod: &Pod, bearer: &Bearer, claim: &Claim) -> bool {
    let is_it = pod.metadata.uid.as_deref() == Some(&bearer.uid);
    let trial = pod.labels().get(names::TRIAL_LABEL);
    is_it && trial == Some(&claim.trial) && run_id(pod).is_some_and(|run| run.attempt == claim.attempt)
}

#[async_trait]
impl Reporters for PodReporters {
    async fn check(&self, token: Option<&str>, claim: &Claim) -> Result<(), NotAllowed> {
        let Some(token) = token else {
            return Err(NotAllowed::Unknown("a pod's token is needed: `Authorization: Bearer TOKEN`".into()));
        };
        let key = format!("{token} {}/{}/{}", claim.namespace, claim.trial, claim.attempt);
        if self.known.get(&key, Instant::now()).is_some() {
            return Ok(());
        }
        let bearer = self.bearer(token).await?;
        let not_its = || {
            let Claim { namespace, trial, attempt } = claim;
            let Bearer { namespace: own, pod, .. } = &bearer;
            let text =
                format!("pod `{own}/{pod}` is none of attempt {attempt} of trial `{namespace}/{trial}`");
            Err(NotAllowed::Forbidden(text))
        };
        if bearer.namespace != claim.namespace {
            return not_its();
        }
        let api: Api<Pod> = Api::namespaced(self.cluster.client.clone(), &bearer.namespace);
        let doing = Doing { verb: "get", group: "", plural: "pods" };
        let pod = answer::within(api.get_opt(&bearer.pod)).await;
        let pod = pod.map_err(|error| NotAllowed::Unavailable(answer::message(&error, &doing)))?;
        if !pod.is_some_and(|pod| is_of(&pod, &bearer, claim)) {
            return not_its();
        }
        self.known.keep(&key, (), Instant::now());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_is_that_of_the_pod_it_was_given_to() {
        let user = |name: &str, extra: serde_json::Value| -> UserInfo {
            serde_json::from_value(json!({"username": name, "extra": extra})).unwrap()
        };
        let of_pod = json!({POD_NAME: ["demo-x-1"], POD_UID: ["u1"]});
        let known = Bearer { namespace: "ns1".into(), pod: "demo-x-1".into(), uid: "u1".into() };
        assert_eq!(bearer(&user("system:serviceaccount:ns1:default", of_pod.clone())), Some(known));
        assert_eq!(bearer(&user("alice", of_pod)), None);
        assert_eq!(bearer(&user("system:serviceaccount:ns1:default", json!({}))), None, "an account's own");
    }

    #[test]
    fn a_pod_may_report_for_its_own_attempt_alone() {
        let pod: Pod = serde_json::from_value(json!({"metadata": {
            "name": "demo-x-1", "namespace": "ns1", "uid": "u1",
            "labels": {names::TRIAL_LABEL: "demo-x"}, "annotations": {names::RUN_ANNOTATION: "7/0/2"},
        }}))
        .unwrap();
        let bearer = |uid: &str| Bearer { namespace: "ns1".into(), pod: "demo-x-1".into(), uid: uid.into() };
        let claim = |trial: &str, attempt| Claim { namespace: "ns1".into(), trial: trial.into(), attempt };
        assert!(is_of(&pod, &bearer("u1"), &claim("demo-x", 2)));
        assert!(!is_of(&pod, &bearer("u2"), &claim("demo-x", 2)), "one of the same name before it");
        assert!(!is_of(&pod, &bearer("u1"), &claim("demo-y", 2)));
        assert!(!is_of(&pod, &bearer("u1"), &claim("demo-x", 1)));
    }
}
