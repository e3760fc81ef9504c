//! Whether whoever asks for an experiment may do what its trials will do.

use controller_core::spec::ExperimentSpec;
use k8s_openapi::api::authentication::v1::UserInfo;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::{Api, PostParams};
use kube::core::ApiResource;

use super::refused::Refused;
use crate::answer::{self, Doing};
use crate::discovery::{Discovery, Known};

/// Refuses a user who may not create the objects of a template in a namespace.
pub(super) async fn check(
    discovery: &Discovery,
    user: &UserInfo,
    namespace: &str,
    spec: &ExperimentSpec,
) -> Result<(), Refused> {
    let Some(template) = &spec.trial_template else { return Ok(()) };
    let word = |word: &str| {
        template.trial_spec.as_ref().and_then(|object| object[word].as_str()).unwrap_or_default()
    };
    let (version, kind) =
        if template.is_process() { ("batch/v1", "Job") } else { (word("apiVersion"), word("kind")) };
    // One that nobody knows is refused for that.
    let Some(Known { resource, .. }) = discovery.of(version, kind).await? else { return Ok(()) };
    let ask = SubjectAccessReview { spec: question(user, namespace, &resource), ..Default::default() };
    let api: Api<SubjectAccessReview> = Api::all(discovery.cluster().client.clone());
    let answered = answer::within(api.create(&PostParams::default(), &ask)).await.map_err(|error| {
        let doing = Doing { verb: "create", group: "authorization.k8s.io", plural: "subjectaccessreviews" };
        Refused::later(answer::message(&error, &doing))
    })?;
    let status = answered.status.unwrap_or_default();
    if status.allowed { Ok(()) } else { Err(Refused::forbidden(denied(user, namespace, &resource))) }
}

fn question(user: &UserInfo, namespace: &str, resource: &ApiResource) -> SubjectAccessReviewSpec {
    SubjectAccessReviewSpec {
        user: user.username.clone(),
        groups: user.groups.clone(),
        uid: user.uid.clone(),
        extra: user.extra.clone(),
        resource_attributes: Some(ResourceAttributes {
            namespace: Some(namespace.to_owned()),
            verb: Some("create".into()),
            group: Some(resource.group.clone()),
            version: Some(resource.version.clone()),
            resource: Some(resource.plural.clone()),
            ..ResourceAttributes::default()
        }),
        ..SubjectAccessReviewSpec::default()
    }
}

fn denied(user: &UserInfo, namespace: &str, resource: &ApiResource) -> String {
    let ApiResource { group, plural, .. } = resource;
    format!(
        "user {:?} cannot create resource {plural:?} in API group {group:?} in the namespace {namespace:?}, which the \
         trials of the experiment do",
        user.username.as_deref().unwrap_or_default()
    )
}
