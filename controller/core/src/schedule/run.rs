//! The run that a schedule makes.

use super::state::{Pending, Point};
use crate::document::{ExperimentDocument, Metadata};
use crate::experiment::{Birth, ExperimentRecord};
use crate::spec::ExperimentSpec;
use crate::study;
use crate::time::Timestamp;
use crate::validate;

/// Label of a run: the schedule it comes from.
const OF: &str = "cairn.dev/schedule";
/// Annotation of a run: why it was made.
const CAUSE: &str = "cairn.dev/cause";
/// Annotation of a run: the time it was made for.
const FOR: &str = "cairn.dev/scheduled-for";

/// What stands between the uid of a template and the number of a run.
const BEFORE_NUMBER: &str = "/run-";

/// The run of a template: the same without `schedule`, the winner of the run before in front of its queue.
pub fn document(template: &ExperimentRecord, run: &Pending) -> ExperimentDocument {
    let mut spec = ExperimentSpec { schedule: None, ..template.spec.clone() };
    if let Some(first) = run.first.as_ref().filter(|first| is_inside(template, first)) {
        spec.queued_points.retain(|point| point != first);
        spec.queued_points.insert(0, first.clone());
    }
    let mut metadata = Metadata {
        name: format!("{}-{}", template.name, run.n),
        namespace: template.namespace.clone(),
        labels: template.labels.clone(),
        annotations: template.annotations.clone(),
    };
    metadata.labels.insert(OF.into(), template.name.clone());
    metadata.annotations.insert(CAUSE.into(), run.cause.word().into());
    metadata.annotations.insert(FOR.into(), run.at.to_rfc3339());
    ExperimentDocument {
        api_version: "kubeflow.org/v1beta1".into(),
        kind: "Experiment".into(),
        metadata,
        spec,
    }
}

/// How that run comes into the world: its identity comes from its number, so that it is born once.
pub fn birth(template: &ExperimentRecord, n: u64, at: Timestamp) -> Birth {
    Birth {
        uid: format!("{}{n}", uid_before_number(template)),
        cluster: template.cluster.clone(),
        base_dir: template.base_dir.clone(),
        at,
    }
}

/// The number of a run of a template, if it is one.
pub fn number(template: &ExperimentRecord, run: &ExperimentRecord) -> Option<u64> {
    run.uid.strip_prefix(&uid_before_number(template))?.parse().ok()
}

/// The uid of the template of a run, if it is one.
pub fn template_of(run: &ExperimentRecord) -> Option<&str> {
    let (template, n) = run.uid.rsplit_once(BEFORE_NUMBER)?;
    (n.parse::<u64>().is_ok() && run.labels.contains_key(OF)).then_some(template)
}

fn uid_before_number(template: &ExperimentRecord) -> String {
    format!("{}{BEFORE_NUMBER}", template.uid)
}

/// Whether a point lies in the space as it is now; a network's search has no points.
fn is_inside(template: &ExperimentRecord, point: &Point) -> bool {
    let (study, _) = study::of_spec(&template.spec, &template.name, template.seed);
    let texts = point.iter().map(|(name, text)| (&**name, &**text));
    !template.spec.parameters.is_empty()
        && study.is_ok_and(|study| validate::point_problems(&study.space, texts).is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::begin;

    const TEMPLATE: &str = r#"
apiVersion: kubeflow.org/v1beta1
kind: Experiment
metadata: {name: again, labels: {team: a}}
spec:
  objective: {type: minimize, objectiveMetricName: loss}
  parameters: [{name: lr, parameterType: double, feasibleSpace: {min: "0", max: "1"}}]
  queuedPoints: [{lr: "0.5"}, {lr: "0.25"}]
  maxTrialCount: 4
  schedule: {every: 1h}
  trialTemplate:
    trialParameters: [{name: lr, reference: lr}]
    trialSpec: {apiVersion: cairn.dev/v1, kind: Process, command: [train], args: ["${trialParameters.lr}"]}
"#;

    fn template() -> ExperimentRecord {
        let (document, _, report) = validate::text(TEMPLATE);
        assert!(report.is_valid(), "{report:?}");
        begin(&document, Birth { uid: "u".into(), ..Birth::default() }).0
    }

    fn queue(first: &str) -> Vec<String> {
        let first = Some([("lr".to_owned(), first.to_owned())].into());
        let run = document(&template(), &Pending { n: 7, first, ..Pending::default() });
        run.spec.queued_points.into_iter().flat_map(Point::into_values).collect()
    }

    #[test]
    fn a_run_is_its_template_without_the_schedule_and_is_valid() {
        let mut run = document(&template(), &Pending { n: 7, ..Pending::default() });
        assert_eq!((&*run.metadata.name, &run.spec.schedule), ("again-7", &None));
        assert_eq!(run.metadata.labels["team"], "a");
        assert_eq!(run.metadata.labels[OF], "again");
        assert!(validate::document(&mut run).is_valid());
    }

    #[test]
    fn the_winner_is_queued_first_and_once_if_it_lies_in_the_space() {
        assert_eq!(queue("0.125"), ["0.125", "0.5", "0.25"]);
        assert_eq!(queue("0.25"), ["0.25", "0.5"]);
        assert_eq!(queue("2"), ["0.5", "0.25"]);
    }

    #[test]
    fn a_run_is_known_by_its_number_and_born_once() {
        let template = template();
        let born = |n| {
            let run = Pending { n, ..Pending::default() };
            begin(&document(&template, &run), birth(&template, n, Timestamp(n as i64))).0
        };
        assert_eq!(number(&template, &born(3)), Some(3));
        assert_eq!((number(&template, &template), template_of(&template)), (None, None));
        assert_eq!(template_of(&born(3)), Some("u"));
        assert_eq!(born(3).id, born(3).id);
        assert_ne!(born(3).id, born(4).id);
        assert_ne!(born(3).seed, born(4).seed, "chance is another in every run");
    }
}
