//! Names that objects are known by: labels, as Katib has them, and annotations of our own.

/// Label with the name of the experiment.
pub const EXPERIMENT_LABEL: &str = "katib.kubeflow.org/experiment";
/// Label with the name of the trial.
pub const TRIAL_LABEL: &str = "katib.kubeflow.org/trial";
/// Annotation with the run that an object is: experiment, trial and attempt by number.
pub const RUN_ANNOTATION: &str = "cairn.dev/run";
/// Annotation with the expression that says that an object has succeeded.
pub const SUCCESS_ANNOTATION: &str = "cairn.dev/success-condition";
/// Annotation with the expression that says that an object has failed.
pub const FAILURE_ANNOTATION: &str = "cairn.dev/failure-condition";
/// Annotation with what has to be known to read metrics from the pods of an object.
pub const READING_ANNOTATION: &str = "cairn.dev/reading";
/// Annotation of an object that stays after its run's end, once that is known.
pub const RETAINED_ANNOTATION: &str = "cairn.dev/retained";
/// Annotation in which `kubectl apply` keeps what it was given; about that one object only.
pub const APPLIED_ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Annotation with which a restored Experiment names the record that it continues.
pub const EXPERIMENT_ANNOTATION: &str = "cairn.dev/experiment-id";
