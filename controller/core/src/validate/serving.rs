//! How a model is served.

use crate::duration;
use crate::process;
use crate::promotion::serving::{CUSTOM, TEMPLATES};
use crate::report::{Problem, Report};
use crate::spec::{GuardSpec, MetricsCollectorSpec, ServingMode, ServingSpec, WorseBySpec, manifest};

/// Every problem of how a model is to be served, at this path.
pub(super) fn check(serving: &ServingSpec, path: &str, report: &mut Report) {
    template(serving, path, report);
    mode(serving, path, report);
    ladder(serving, path, report);
    for (word, text) in [
        ("bake", &serving.bake),
        ("keepPrevious", &serving.keep_previous),
        ("readyWithin", &serving.ready_within),
    ] {
        if let Some(text) = text.as_deref().filter(|text| duration::parse(text).is_none()) {
            let problem = Problem::new(format!("{path}.{word}"), format!("`{text}` is no duration"));
            report.error(problem.hint("write it as 30s or 10m"));
        }
    }
    for (i, guard) in serving.guards.iter().enumerate() {
        self::guard(guard, serving, &format!("{path}.guards[{i}]"), report);
    }
    if let Some(watch) = &serving.watch {
        super::watch::check(watch, &format!("{path}.watch"), report);
    }
    if let Some(header) = &serving.sticky
        && (header.is_empty() || !header.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'))
    {
        let problem = Problem::new(format!("{path}.sticky"), format!("`{header}` is no name of a header"));
        report.error(problem.hint("such as `sticky: x-user`"));
    }
}

fn template(serving: &ServingSpec, path: &str, report: &mut Report) {
    let at = format!("{path}.process");
    match (serving.template.as_str(), &serving.process) {
        ("", _) => {
            let problem = Problem::new(format!("{path}.template"), "it is missing");
            report.error(problem.hint(format!("use one of {}", TEMPLATES.join(", "))));
        }
        (CUSTOM, None) => {
            let hint =
                "such as `process: {command: [./serve, \"--port=${port}\", \"--model=${model.path}\"]}`";
            report.error(Problem::new(at, "a custom server needs its program").hint(hint));
        }
        (CUSTOM, Some(process)) => custom(process, &at, report),
        (template, process) if TEMPLATES.contains(&template) => {
            if process.is_some() {
                let problem = Problem::new(at, format!("the template `{template}` has its own"));
                report.error(problem.hint("leave it out, or use `template: custom`"));
            }
        }
        (template, _) => {
            let problem = Problem::new(format!("{path}.template"), format!("`{template}` is no server"));
            report.error(problem.hint(format!("use one of {}", TEMPLATES.join(", "))));
        }
    }
}

fn custom(process: &serde_json::Value, path: &str, report: &mut Report) {
    let manifest = manifest(process.clone());
    if let Err(problems) = process::of_manifest(&manifest, "", &MetricsCollectorSpec::default(), "own") {
        for problem in problems {
            let at =
                problem.path.strip_prefix("spec").unwrap_or(&problem.path).trim_start_matches('.').to_owned();
            report.error(Problem { path: format!("{path}.{at}"), ..problem });
        }
        return;
    }
    let text = manifest.to_string();
    for (words, missing, hint) in [
        (["${port}", "${port}"], "nothing tells the server which port to serve on", "hand it `${port}`"),
        (
            ["${model.path}", "${model.uri}"],
            "nothing tells the server which model to serve",
            "hand it `${model.path}`",
        ),
    ] {
        if !words.iter().any(|word| text.contains(word)) {
            report.error(Problem::new(path, missing).hint(hint));
        }
    }
}

/// What belongs to one way in which requests move, and not to another.
fn mode(serving: &ServingSpec, path: &str, report: &mut Report) {
    if let Some(name) = serving.mode.as_deref().filter(|name| ServingMode::of(name).is_none()) {
        let problem = Problem::new(format!("{path}.mode"), format!("`{name}` is no mode"));
        report.error(problem.hint(format!("use one of {}", ServingMode::NAMES.join(", "))));
        return;
    }
    let mode = serving.mode();
    let mut foreign = |word: &str, is_set: bool, of: &str| {
        if is_set {
            let problem = Problem::new(format!("{path}.{word}"), format!("it belongs to {of} alone"));
            report.error(problem.hint("leave it out, or write that mode"));
        }
    };
    let has_ladder = matches!(mode, ServingMode::Canary | ServingMode::Shadow);
    foreign("canary", !serving.canary.is_empty() && !has_ladder, "the modes `canary` and `shadow`");
    foreign("share", serving.share.is_some() && mode != ServingMode::Ab, "the mode `ab`");
    foreign("compare", serving.compare.is_some() && mode != ServingMode::Shadow, "the mode `shadow`");
    if serving.share.is_some_and(|share| !(1..=99).contains(&share)) {
        let problem =
            Problem::new(format!("{path}.share"), "a share that stands is between 1 and 99 percent");
        report.error(problem.hint("such as `share: 50`"));
    }
    let tolerance = serving.compare.as_ref().and_then(|compare| compare.tolerance);
    if tolerance.is_some_and(|tolerance| !tolerance.is_finite() || tolerance < 0.0) {
        let problem = Problem::new(format!("{path}.compare.tolerance"), "it is no distance");
        report.error(problem.hint("such as `tolerance: 0.01`"));
    }
    if mode == ServingMode::Ab && serving.sticky.is_none() {
        let problem = Problem::new(format!("{path}.sticky"), "nothing says which requests are of one user");
        report.error(problem.hint("name the header that tells them apart, such as `sticky: x-user`"));
    }
    if mode == ServingMode::Shadow && !serving.takes_time() {
        let problem = Problem::new(format!("{path}.minRequests"), "nothing says how many copies are enough");
        report.error(problem.hint("such as `minRequests: 500`, or `bake: 10m`"));
    }
    if mode == ServingMode::BlueGreen && !serving.guards.is_empty() && !serving.takes_time() {
        let problem = Problem::new(format!("{path}.guards"), "nothing says how long they look on");
        report.error(problem.hint("such as `bake: 10m`"));
    }
}

fn ladder(serving: &ServingSpec, path: &str, report: &mut Report) {
    let at = format!("{path}.canary");
    let ladder = serving.ladder();
    let mode = serving.mode();
    if mode == ServingMode::Ab || (ladder == [100] && mode != ServingMode::Canary) {
        if serving.guards.is_empty() {
            let problem = Problem::new(format!("{path}.guards"), "nothing looks at the candidate");
            report.warn(problem.hint("such as `guards: [{errorRate: {worseBy: 0.01}}]`"));
        }
        return;
    }
    if ladder.iter().any(|share| !(1..=100).contains(share)) {
        report.error(Problem::new(&at, "a share is between 1 and 100 percent"));
    } else if ladder.windows(2).any(|pair| pair[0] >= pair[1]) {
        report.error(Problem::new(&at, "every share has to be larger than the one before"));
    } else if ladder.last() != Some(&100) {
        let problem = Problem::new(&at, "it does not end at 100, and the candidate would never take over");
        report.error(problem.hint("such as `canary: [5, 25, 50, 100]`"));
    }
    if ladder.len() == 1 {
        if !serving.guards.is_empty() {
            let problem = Problem::new(
                format!("{path}.guards"),
                "they compare candidate and champion side by side, and here the candidate gets all requests at once",
            );
            report.error(problem.hint("give it a share first, such as `canary: [5, 25, 50, 100]`"));
        }
    } else if serving.guards.is_empty() {
        let problem = Problem::new(at, "nothing looks at the candidate while its share grows");
        report.warn(problem.hint("such as `guards: [{errorRate: {worseBy: 0.01}}]`"));
    } else if serving.min_requests.unwrap_or(0) == 0 {
        let problem =
            Problem::new(format!("{path}.guards"), "they have nothing to look at where no request comes");
        report.warn(problem.hint("set `minRequests: 500`, so that a share lasts until they have"));
    }
}

fn guard(guard: &GuardSpec, serving: &ServingSpec, path: &str, report: &mut Report) {
    let words = [
        ("errorRate", &guard.error_rate, "such as `errorRate: {worseBy: 0.01}`"),
        ("latencyP95", &guard.latency_p95, "such as `latencyP95: {worseBy: 20%}`"),
        ("quality", &guard.quality, "such as `quality: {worseBy: 0.01}`"),
        ("disagreement", &guard.disagreement, "such as `disagreement: {worseBy: 0.02}`"),
    ];
    if words.iter().filter(|(_, word, _)| word.is_some()).count() != 1 {
        let problem = Problem::new(path, "a guard is one of errorRate, latencyP95, quality and disagreement");
        report.error(problem.hint("write several as several items of the list"));
        return;
    }
    for (word, value, hint) in words {
        let at = format!("{path}.{word}");
        let Some(value) = value else { continue };
        if word == "quality" && !serving.is_logged() {
            let problem = Problem::new(&at, "labels have no requests to be joined with");
            report.error(problem.hint("keep some: `watch: {log: {sample: 0.1}}`"));
        }
        if word == "disagreement" && serving.mode() != ServingMode::Shadow {
            let problem = Problem::new(&at, "there are no copies whose answers could be compared");
            report.error(problem.hint("write `mode: shadow`"));
        }
        worse_by(word, value, &at, hint, report);
    }
}

fn worse_by(word: &str, value: &WorseBySpec, path: &str, hint: &str, report: &mut Report) {
    let at = format!("{path}.worseBy");
    let Some(written) = &value.worse_by else {
        report.error(Problem::new(at, "it is missing").hint(hint));
        return;
    };
    let is_percent = written.as_str().is_some_and(|text| text.trim().ends_with('%'));
    match value.share() {
        None => report.error(Problem::new(at, format!("{written} is no such limit")).hint(hint)),
        Some(share) if word != "latencyP95" && share >= 1.0 => {
            report.error(Problem::new(at, format!("{written} is no share of the requests")).hint(hint));
        }
        Some(_) if word == "latencyP95" && !is_percent => {
            let problem = Problem::new(at, format!("{written} says no share of the champion's latency"));
            report.error(problem.hint(hint));
        }
        Some(_) => {}
    }
}
