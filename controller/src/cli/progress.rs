//! Live progress: a bar on a terminal, one line a minute elsewhere.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

use super::output::{number, talk};
use crate::api::types::Experiment;

/// How often a line is written where there is no terminal.
const LINE: Duration = Duration::from_mins(1);

/// Progress of one experiment.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    next_line: Instant,
}

impl Progress {
    /// Begins to show.
    pub(super) fn start() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{bar:24} {pos}/{len} trials  {msg}  {elapsed}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        Self { bar, next_line: Instant::now() + LINE }
    }

    /// Shows how an experiment stands now.
    pub(super) fn show(&mut self, experiment: &Experiment) {
        let (cairn, counters) = (&experiment.cairn, &experiment.cairn.counters);
        let ended = counters.total - counters.pending - counters.running;
        let mut parts = vec![format!("{} running", counters.running)];
        if counters.failed > 0 {
            parts.push(format!("{} failed", counters.failed));
        }
        if let Some(best) = &cairn.best_trial {
            parts.push(format!("best {} {} ({best})", cairn.objective, number(cairn.best_value)));
        }
        if counters.running == 0 && !cairn.waiting.is_empty() {
            parts.push(cairn.waiting.clone());
        }
        let text = parts.join(", ");
        let max = experiment.spec.get("maxTrialCount").and_then(serde_json::Value::as_u64);
        if let Some(bar) = &self.bar {
            bar.set_length(max.unwrap_or(counters.total));
            bar.set_position(ended);
            bar.set_message(text);
        } else if Instant::now() >= self.next_line {
            self.next_line = Instant::now() + LINE;
            let of = max.map_or_else(String::new, |max| format!(" of {max}"));
            talk(&format!("{ended}{of} trials, {text}"));
        }
    }

    /// Says something above the bar.
    pub(super) fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| talk(text)),
            None => talk(text),
        }
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
