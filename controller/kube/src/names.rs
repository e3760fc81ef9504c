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
/// Annotation of a pod into which everything for its metrics was put: `sidecar`, or `log` if they are read from that.
pub const SIDECAR_ANNOTATION: &str = "cairn.dev/metrics";
/// Annotation with which a pod template says that its image has no shell: `none`. Its command is left alone then.
pub const SHELL_ANNOTATION: &str = "cairn.dev/shell";
/// Annotation of a Lease with the process that holds it, for those on the same machine.
pub const PROCESS_ANNOTATION: &str = "cairn.dev/process";
/// Annotation of a Lease with how far the store of its holder has come.
pub const EPOCH_ANNOTATION: &str = "cairn.dev/epoch";
/// Annotation of the definition of Experiments with the namespace of the install that acts in this cluster.
pub const INSTALL_ANNOTATION: &str = "cairn.dev/install";
/// Label of the pods of Cairn that says what they do.
pub const ROLE_LABEL: &str = "cairn.dev/role";
/// What the one that acts has there.
pub const LEADER: &str = "leader";
/// Annotation of an Experiment with the user who has asked for it.
pub const REQUESTER_ANNOTATION: &str = "cairn.dev/requested-by";
/// Annotation of an object with the config map that its template was in, as `namespace/name/key`.
pub const TEMPLATE_ANNOTATION: &str = "cairn.dev/template";
/// Label of a config map whose templates are for all namespaces, as Katib has it.
pub const TEMPLATES_LABEL: (&str, &str) = ("katib.kubeflow.org/component", "trial-templates");
