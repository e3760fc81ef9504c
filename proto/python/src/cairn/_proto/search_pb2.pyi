from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Distribution(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DISTRIBUTION_UNSPECIFIED: _ClassVar[Distribution]
    DISTRIBUTION_UNIFORM: _ClassVar[Distribution]
    DISTRIBUTION_LOG_UNIFORM: _ClassVar[Distribution]
    DISTRIBUTION_NORMAL: _ClassVar[Distribution]
    DISTRIBUTION_LOG_NORMAL: _ClassVar[Distribution]

class Comparison(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COMPARISON_UNSPECIFIED: _ClassVar[Comparison]
    COMPARISON_EQUAL: _ClassVar[Comparison]
    COMPARISON_LESS: _ClassVar[Comparison]
    COMPARISON_GREATER: _ClassVar[Comparison]
DISTRIBUTION_UNSPECIFIED: Distribution
DISTRIBUTION_UNIFORM: Distribution
DISTRIBUTION_LOG_UNIFORM: Distribution
DISTRIBUTION_NORMAL: Distribution
DISTRIBUTION_LOG_NORMAL: Distribution
COMPARISON_UNSPECIFIED: Comparison
COMPARISON_EQUAL: Comparison
COMPARISON_LESS: Comparison
COMPARISON_GREATER: Comparison

class Study(_message.Message):
    __slots__ = ("name", "parameters", "constraints", "objectives", "algorithm", "early_stopping", "seed", "max_trials", "parallel", "network", "expense")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    CONSTRAINTS_FIELD_NUMBER: _ClassVar[int]
    OBJECTIVES_FIELD_NUMBER: _ClassVar[int]
    ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    EARLY_STOPPING_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    MAX_TRIALS_FIELD_NUMBER: _ClassVar[int]
    PARALLEL_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    EXPENSE_FIELD_NUMBER: _ClassVar[int]
    name: str
    parameters: _containers.RepeatedCompositeFieldContainer[Parameter]
    constraints: _containers.RepeatedScalarFieldContainer[str]
    objectives: _containers.RepeatedCompositeFieldContainer[Objective]
    algorithm: Algorithm
    early_stopping: Algorithm
    seed: int
    max_trials: int
    parallel: int
    network: Network
    expense: Expense
    def __init__(self, name: _Optional[str] = ..., parameters: _Optional[_Iterable[_Union[Parameter, _Mapping]]] = ..., constraints: _Optional[_Iterable[str]] = ..., objectives: _Optional[_Iterable[_Union[Objective, _Mapping]]] = ..., algorithm: _Optional[_Union[Algorithm, _Mapping]] = ..., early_stopping: _Optional[_Union[Algorithm, _Mapping]] = ..., seed: _Optional[int] = ..., max_trials: _Optional[int] = ..., parallel: _Optional[int] = ..., network: _Optional[_Union[Network, _Mapping]] = ..., expense: _Optional[_Union[Expense, _Mapping]] = ...) -> None: ...

class Expense(_message.Message):
    __slots__ = ("unit", "most")
    class Unit(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        UNIT_UNSPECIFIED: _ClassVar[Expense.Unit]
        UNIT_SECONDS: _ClassVar[Expense.Unit]
        UNIT_GPU_SECONDS: _ClassVar[Expense.Unit]
        UNIT_MONEY: _ClassVar[Expense.Unit]
    UNIT_UNSPECIFIED: Expense.Unit
    UNIT_SECONDS: Expense.Unit
    UNIT_GPU_SECONDS: Expense.Unit
    UNIT_MONEY: Expense.Unit
    UNIT_FIELD_NUMBER: _ClassVar[int]
    MOST_FIELD_NUMBER: _ClassVar[int]
    unit: Expense.Unit
    most: float
    def __init__(self, unit: _Optional[_Union[Expense.Unit, str]] = ..., most: _Optional[float] = ...) -> None: ...

class Network(_message.Message):
    __slots__ = ("layers", "input_sizes", "output_sizes", "operations")
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    INPUT_SIZES_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_SIZES_FIELD_NUMBER: _ClassVar[int]
    OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    layers: int
    input_sizes: _containers.RepeatedScalarFieldContainer[int]
    output_sizes: _containers.RepeatedScalarFieldContainer[int]
    operations: _containers.RepeatedCompositeFieldContainer[Operation]
    def __init__(self, layers: _Optional[int] = ..., input_sizes: _Optional[_Iterable[int]] = ..., output_sizes: _Optional[_Iterable[int]] = ..., operations: _Optional[_Iterable[_Union[Operation, _Mapping]]] = ...) -> None: ...

class Operation(_message.Message):
    __slots__ = ("kind", "parameters")
    KIND_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    kind: str
    parameters: _containers.RepeatedCompositeFieldContainer[Constant]
    def __init__(self, kind: _Optional[str] = ..., parameters: _Optional[_Iterable[_Union[Constant, _Mapping]]] = ...) -> None: ...

class Constant(_message.Message):
    __slots__ = ("name", "text", "int", "float")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    INT_FIELD_NUMBER: _ClassVar[int]
    FLOAT_FIELD_NUMBER: _ClassVar[int]
    name: str
    text: str
    int: int
    float: float
    def __init__(self, name: _Optional[str] = ..., text: _Optional[str] = ..., int: _Optional[int] = ..., float: _Optional[float] = ...) -> None: ...

class Parameter(_message.Message):
    __slots__ = ("name", "float", "int", "discrete", "categorical", "when", "default", "prior")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FLOAT_FIELD_NUMBER: _ClassVar[int]
    INT_FIELD_NUMBER: _ClassVar[int]
    DISCRETE_FIELD_NUMBER: _ClassVar[int]
    CATEGORICAL_FIELD_NUMBER: _ClassVar[int]
    WHEN_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_FIELD_NUMBER: _ClassVar[int]
    PRIOR_FIELD_NUMBER: _ClassVar[int]
    name: str
    float: FloatDomain
    int: IntDomain
    discrete: DiscreteDomain
    categorical: CategoricalDomain
    when: _containers.RepeatedCompositeFieldContainer[Condition]
    default: str
    prior: Prior
    def __init__(self, name: _Optional[str] = ..., float: _Optional[_Union[FloatDomain, _Mapping]] = ..., int: _Optional[_Union[IntDomain, _Mapping]] = ..., discrete: _Optional[_Union[DiscreteDomain, _Mapping]] = ..., categorical: _Optional[_Union[CategoricalDomain, _Mapping]] = ..., when: _Optional[_Iterable[_Union[Condition, _Mapping]]] = ..., default: _Optional[str] = ..., prior: _Optional[_Union[Prior, _Mapping]] = ...) -> None: ...

class Prior(_message.Message):
    __slots__ = ("mean", "std", "weights")
    class WeightsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    MEAN_FIELD_NUMBER: _ClassVar[int]
    STD_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    mean: float
    std: float
    weights: _containers.ScalarMap[str, float]
    def __init__(self, mean: _Optional[float] = ..., std: _Optional[float] = ..., weights: _Optional[_Mapping[str, float]] = ...) -> None: ...

class FloatDomain(_message.Message):
    __slots__ = ("min", "max", "step", "distribution")
    MIN_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    DISTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    min: float
    max: float
    step: float
    distribution: Distribution
    def __init__(self, min: _Optional[float] = ..., max: _Optional[float] = ..., step: _Optional[float] = ..., distribution: _Optional[_Union[Distribution, str]] = ...) -> None: ...

class IntDomain(_message.Message):
    __slots__ = ("min", "max", "step", "distribution")
    MIN_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    DISTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    min: int
    max: int
    step: int
    distribution: Distribution
    def __init__(self, min: _Optional[int] = ..., max: _Optional[int] = ..., step: _Optional[int] = ..., distribution: _Optional[_Union[Distribution, str]] = ...) -> None: ...

class DiscreteDomain(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, values: _Optional[_Iterable[str]] = ...) -> None: ...

class CategoricalDomain(_message.Message):
    __slots__ = ("choices", "ordered")
    CHOICES_FIELD_NUMBER: _ClassVar[int]
    ORDERED_FIELD_NUMBER: _ClassVar[int]
    choices: _containers.RepeatedScalarFieldContainer[str]
    ordered: bool
    def __init__(self, choices: _Optional[_Iterable[str]] = ..., ordered: bool = ...) -> None: ...

class Condition(_message.Message):
    __slots__ = ("parent", "one_of", "min", "max")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    ONE_OF_FIELD_NUMBER: _ClassVar[int]
    MIN_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    parent: str
    one_of: _containers.RepeatedScalarFieldContainer[str]
    min: float
    max: float
    def __init__(self, parent: _Optional[str] = ..., one_of: _Optional[_Iterable[str]] = ..., min: _Optional[float] = ..., max: _Optional[float] = ...) -> None: ...

class Objective(_message.Message):
    __slots__ = ("metric", "maximize", "goal")
    METRIC_FIELD_NUMBER: _ClassVar[int]
    MAXIMIZE_FIELD_NUMBER: _ClassVar[int]
    GOAL_FIELD_NUMBER: _ClassVar[int]
    metric: str
    maximize: bool
    goal: float
    def __init__(self, metric: _Optional[str] = ..., maximize: bool = ..., goal: _Optional[float] = ...) -> None: ...

class Algorithm(_message.Message):
    __slots__ = ("name", "settings")
    class SettingsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    name: str
    settings: _containers.ScalarMap[str, str]
    def __init__(self, name: _Optional[str] = ..., settings: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Value(_message.Message):
    __slots__ = ("float", "int", "choice")
    FLOAT_FIELD_NUMBER: _ClassVar[int]
    INT_FIELD_NUMBER: _ClassVar[int]
    CHOICE_FIELD_NUMBER: _ClassVar[int]
    float: float
    int: int
    choice: int
    def __init__(self, float: _Optional[float] = ..., int: _Optional[int] = ..., choice: _Optional[int] = ...) -> None: ...

class Suggestion(_message.Message):
    __slots__ = ("values", "fidelity", "parent", "notes")
    class NotesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    VALUES_FIELD_NUMBER: _ClassVar[int]
    FIDELITY_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedCompositeFieldContainer[Value]
    fidelity: float
    parent: int
    notes: _containers.ScalarMap[str, str]
    def __init__(self, values: _Optional[_Iterable[_Union[Value, _Mapping]]] = ..., fidelity: _Optional[float] = ..., parent: _Optional[int] = ..., notes: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Trial(_message.Message):
    __slots__ = ("idx", "suggestion")
    IDX_FIELD_NUMBER: _ClassVar[int]
    SUGGESTION_FIELD_NUMBER: _ClassVar[int]
    idx: int
    suggestion: Suggestion
    def __init__(self, idx: _Optional[int] = ..., suggestion: _Optional[_Union[Suggestion, _Mapping]] = ...) -> None: ...

class HistoryEvent(_message.Message):
    __slots__ = ("started", "reported", "ended", "paused", "resumed", "spent")
    STARTED_FIELD_NUMBER: _ClassVar[int]
    REPORTED_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    RESUMED_FIELD_NUMBER: _ClassVar[int]
    SPENT_FIELD_NUMBER: _ClassVar[int]
    started: Trial
    reported: Reported
    ended: Ended
    paused: Paused
    resumed: Resumed
    spent: Spent
    def __init__(self, started: _Optional[_Union[Trial, _Mapping]] = ..., reported: _Optional[_Union[Reported, _Mapping]] = ..., ended: _Optional[_Union[Ended, _Mapping]] = ..., paused: _Optional[_Union[Paused, _Mapping]] = ..., resumed: _Optional[_Union[Resumed, _Mapping]] = ..., spent: _Optional[_Union[Spent, _Mapping]] = ...) -> None: ...

class Spent(_message.Message):
    __slots__ = ("trial", "amount")
    TRIAL_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    trial: int
    amount: float
    def __init__(self, trial: _Optional[int] = ..., amount: _Optional[float] = ...) -> None: ...

class Paused(_message.Message):
    __slots__ = ("trial",)
    TRIAL_FIELD_NUMBER: _ClassVar[int]
    trial: int
    def __init__(self, trial: _Optional[int] = ...) -> None: ...

class Resumed(_message.Message):
    __slots__ = ("trial",)
    TRIAL_FIELD_NUMBER: _ClassVar[int]
    trial: int
    def __init__(self, trial: _Optional[int] = ...) -> None: ...

class Reported(_message.Message):
    __slots__ = ("trial", "step", "costs")
    TRIAL_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    COSTS_FIELD_NUMBER: _ClassVar[int]
    trial: int
    step: int
    costs: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, trial: _Optional[int] = ..., step: _Optional[int] = ..., costs: _Optional[_Iterable[float]] = ...) -> None: ...

class Ended(_message.Message):
    __slots__ = ("trial", "outcome", "costs")
    class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OUTCOME_UNSPECIFIED: _ClassVar[Ended.Outcome]
        OUTCOME_SUCCEEDED: _ClassVar[Ended.Outcome]
        OUTCOME_EARLY_STOPPED: _ClassVar[Ended.Outcome]
        OUTCOME_FAILED: _ClassVar[Ended.Outcome]
    OUTCOME_UNSPECIFIED: Ended.Outcome
    OUTCOME_SUCCEEDED: Ended.Outcome
    OUTCOME_EARLY_STOPPED: Ended.Outcome
    OUTCOME_FAILED: Ended.Outcome
    TRIAL_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    COSTS_FIELD_NUMBER: _ClassVar[int]
    trial: int
    outcome: Ended.Outcome
    costs: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, trial: _Optional[int] = ..., outcome: _Optional[_Union[Ended.Outcome, str]] = ..., costs: _Optional[_Iterable[float]] = ...) -> None: ...

class Prefix(_message.Message):
    __slots__ = ("seq", "digest")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    seq: int
    digest: bytes
    def __init__(self, seq: _Optional[int] = ..., digest: _Optional[bytes] = ...) -> None: ...

class ValidateRequest(_message.Message):
    __slots__ = ("study",)
    STUDY_FIELD_NUMBER: _ClassVar[int]
    study: Study
    def __init__(self, study: _Optional[_Union[Study, _Mapping]] = ...) -> None: ...

class ValidateReply(_message.Message):
    __slots__ = ("warnings",)
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class LoadRequest(_message.Message):
    __slots__ = ("study", "events")
    STUDY_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    study: Study
    events: _containers.RepeatedCompositeFieldContainer[HistoryEvent]
    def __init__(self, study: _Optional[_Union[Study, _Mapping]] = ..., events: _Optional[_Iterable[_Union[HistoryEvent, _Mapping]]] = ...) -> None: ...

class LoadReply(_message.Message):
    __slots__ = ("prefix",)
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    prefix: Prefix
    def __init__(self, prefix: _Optional[_Union[Prefix, _Mapping]] = ...) -> None: ...

class AskRequest(_message.Message):
    __slots__ = ("study", "prefix", "events", "running", "first_idx", "n", "state", "want_state")
    STUDY_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    FIRST_IDX_FIELD_NUMBER: _ClassVar[int]
    N_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    WANT_STATE_FIELD_NUMBER: _ClassVar[int]
    study: Study
    prefix: Prefix
    events: _containers.RepeatedCompositeFieldContainer[HistoryEvent]
    running: _containers.RepeatedCompositeFieldContainer[Trial]
    first_idx: int
    n: int
    state: State
    want_state: bool
    def __init__(self, study: _Optional[_Union[Study, _Mapping]] = ..., prefix: _Optional[_Union[Prefix, _Mapping]] = ..., events: _Optional[_Iterable[_Union[HistoryEvent, _Mapping]]] = ..., running: _Optional[_Iterable[_Union[Trial, _Mapping]]] = ..., first_idx: _Optional[int] = ..., n: _Optional[int] = ..., state: _Optional[_Union[State, _Mapping]] = ..., want_state: bool = ...) -> None: ...

class State(_message.Message):
    __slots__ = ("prefix", "learnt")
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    LEARNT_FIELD_NUMBER: _ClassVar[int]
    prefix: Prefix
    learnt: bytes
    def __init__(self, prefix: _Optional[_Union[Prefix, _Mapping]] = ..., learnt: _Optional[bytes] = ...) -> None: ...

class AskReply(_message.Message):
    __slots__ = ("suggestions", "rules", "prefix", "state")
    SUGGESTIONS_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    suggestions: _containers.RepeatedCompositeFieldContainer[Suggestion]
    rules: _containers.RepeatedCompositeFieldContainer[Rule]
    prefix: Prefix
    state: State
    def __init__(self, suggestions: _Optional[_Iterable[_Union[Suggestion, _Mapping]]] = ..., rules: _Optional[_Iterable[_Union[Rule, _Mapping]]] = ..., prefix: _Optional[_Union[Prefix, _Mapping]] = ..., state: _Optional[_Union[State, _Mapping]] = ...) -> None: ...

class Rule(_message.Message):
    __slots__ = ("metric", "value", "comparison", "start_step")
    METRIC_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    COMPARISON_FIELD_NUMBER: _ClassVar[int]
    START_STEP_FIELD_NUMBER: _ClassVar[int]
    metric: str
    value: float
    comparison: Comparison
    start_step: int
    def __init__(self, metric: _Optional[str] = ..., value: _Optional[float] = ..., comparison: _Optional[_Union[Comparison, str]] = ..., start_step: _Optional[int] = ...) -> None: ...

class DecideRequest(_message.Message):
    __slots__ = ("study", "prefix", "events")
    STUDY_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    study: Study
    prefix: Prefix
    events: _containers.RepeatedCompositeFieldContainer[HistoryEvent]
    def __init__(self, study: _Optional[_Union[Study, _Mapping]] = ..., prefix: _Optional[_Union[Prefix, _Mapping]] = ..., events: _Optional[_Iterable[_Union[HistoryEvent, _Mapping]]] = ...) -> None: ...

class DecideReply(_message.Message):
    __slots__ = ("decisions", "prefix")
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    decisions: _containers.RepeatedCompositeFieldContainer[Decision]
    prefix: Prefix
    def __init__(self, decisions: _Optional[_Iterable[_Union[Decision, _Mapping]]] = ..., prefix: _Optional[_Union[Prefix, _Mapping]] = ...) -> None: ...

class Decision(_message.Message):
    __slots__ = ("trial", "verdict", "reason")
    class Verdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        VERDICT_UNSPECIFIED: _ClassVar[Decision.Verdict]
        VERDICT_CONTINUE: _ClassVar[Decision.Verdict]
        VERDICT_PAUSE: _ClassVar[Decision.Verdict]
        VERDICT_STOP: _ClassVar[Decision.Verdict]
        VERDICT_RESUME: _ClassVar[Decision.Verdict]
    VERDICT_UNSPECIFIED: Decision.Verdict
    VERDICT_CONTINUE: Decision.Verdict
    VERDICT_PAUSE: Decision.Verdict
    VERDICT_STOP: Decision.Verdict
    VERDICT_RESUME: Decision.Verdict
    TRIAL_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    trial: int
    verdict: Decision.Verdict
    reason: str
    def __init__(self, trial: _Optional[int] = ..., verdict: _Optional[_Union[Decision.Verdict, str]] = ..., reason: _Optional[str] = ...) -> None: ...

class PredictRequest(_message.Message):
    __slots__ = ("study", "prefix", "events", "points")
    STUDY_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    study: Study
    prefix: Prefix
    events: _containers.RepeatedCompositeFieldContainer[HistoryEvent]
    points: _containers.RepeatedCompositeFieldContainer[Point]
    def __init__(self, study: _Optional[_Union[Study, _Mapping]] = ..., prefix: _Optional[_Union[Prefix, _Mapping]] = ..., events: _Optional[_Iterable[_Union[HistoryEvent, _Mapping]]] = ..., points: _Optional[_Iterable[_Union[Point, _Mapping]]] = ...) -> None: ...

class Point(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedCompositeFieldContainer[Value]
    def __init__(self, values: _Optional[_Iterable[_Union[Value, _Mapping]]] = ...) -> None: ...

class PredictReply(_message.Message):
    __slots__ = ("predictions", "prefix")
    PREDICTIONS_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    predictions: _containers.RepeatedCompositeFieldContainer[Prediction]
    prefix: Prefix
    def __init__(self, predictions: _Optional[_Iterable[_Union[Prediction, _Mapping]]] = ..., prefix: _Optional[_Union[Prefix, _Mapping]] = ...) -> None: ...

class Prediction(_message.Message):
    __slots__ = ("mean", "std")
    MEAN_FIELD_NUMBER: _ClassVar[int]
    STD_FIELD_NUMBER: _ClassVar[int]
    mean: float
    std: float
    def __init__(self, mean: _Optional[float] = ..., std: _Optional[float] = ...) -> None: ...

class ListAlgorithmsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListAlgorithmsReply(_message.Message):
    __slots__ = ("algorithms",)
    ALGORITHMS_FIELD_NUMBER: _ClassVar[int]
    algorithms: _containers.RepeatedCompositeFieldContainer[AlgorithmInfo]
    def __init__(self, algorithms: _Optional[_Iterable[_Union[AlgorithmInfo, _Mapping]]] = ...) -> None: ...

class AlgorithmInfo(_message.Message):
    __slots__ = ("name", "summary", "settings", "features", "source", "early_stopping")
    class FeaturesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    EARLY_STOPPING_FIELD_NUMBER: _ClassVar[int]
    name: str
    summary: str
    settings: _containers.RepeatedCompositeFieldContainer[SettingInfo]
    features: _containers.ScalarMap[str, str]
    source: str
    early_stopping: bool
    def __init__(self, name: _Optional[str] = ..., summary: _Optional[str] = ..., settings: _Optional[_Iterable[_Union[SettingInfo, _Mapping]]] = ..., features: _Optional[_Mapping[str, str]] = ..., source: _Optional[str] = ..., early_stopping: bool = ...) -> None: ...

class SettingInfo(_message.Message):
    __slots__ = ("name", "default", "meaning")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_FIELD_NUMBER: _ClassVar[int]
    MEANING_FIELD_NUMBER: _ClassVar[int]
    name: str
    default: str
    meaning: str
    def __init__(self, name: _Optional[str] = ..., default: _Optional[str] = ..., meaning: _Optional[str] = ...) -> None: ...
