use super::*;

const SECOND: i64 = 1_000_000;

fn deployment(digest: &str) -> Deployment {
    let spec = ServingSpec { template: MLSERVER.into(), ..ServingSpec::default() };
    let artifact = Model { digest: digest.into(), format: "sklearn".into(), ..Model::default() };
    Deployment { name: name(digest, &spec), artifact, spec, ..Deployment::default() }
}

fn serving(deployments: Vec<Deployment>) -> Serving {
    Serving { namespace: "default".into(), model: "digits".into(), deployments, ..Serving::default() }
}

fn seen(deployment: &Deployment, seen: Seen) -> BTreeMap<String, Seen> {
    BTreeMap::from([(deployment.name.clone(), seen)])
}

#[test]
fn what_is_written_down_is_started_and_what_has_died_begins_anew_a_little_later() {
    let fresh = serving(vec![deployment("aa")]);
    let one = &fresh.deployments[0];
    assert_eq!(keep(Timestamp(0), &fresh, &BTreeMap::new()), [Keep::Next(one)]);
    let begun = serving(vec![one.next(Timestamp(0), 5)]);
    let one = &begun.deployments[0];
    assert_eq!((one.port, one.attempt, one.deaths), (5, 1, 0));
    // After a crash between writing and doing.
    assert_eq!(keep(Timestamp(0), &begun, &BTreeMap::new()), [Keep::Ensure(one)]);
    assert_eq!(keep(Timestamp(0), &begun, &seen(one, Seen::Ready)), []);
    let dead = seen(one, Seen::Died("exit code 1".into()));
    assert_eq!(keep(Timestamp(SECOND), &begun, &dead), [Keep::Next(one)]);
    // One that dies again and again is given more and more time, but not for ever.
    let often = serving(vec![one.next(Timestamp(SECOND), 6)]);
    let one = &often.deployments[0];
    assert_eq!((one.attempt, one.deaths), (2, 1));
    assert_eq!(keep(Timestamp(SECOND), &often, &dead), []);
    assert_eq!(keep(Timestamp(2 * SECOND), &often, &dead), [Keep::Next(one)]);
    let always = Deployment { deaths: 100, ..one.clone() };
    assert_eq!(always.back_off(), MAX_BACK_OFF);
}

#[test]
fn a_candidate_that_dies_is_left_to_its_judge_and_one_that_was_lost_is_not() {
    let once = Deployment { on_trial: true, ..deployment("aa").next(Timestamp(0), 5) };
    let twice = once.next(Timestamp(0), 6);
    let busy = Deployment { weight: 5, ..once.clone() };
    for (candidate, again) in [(once, true), (twice, false), (busy, false)] {
        let serving = serving(vec![candidate]);
        let one = &serving.deployments[0];
        let died = keep(Timestamp(SECOND), &serving, &seen(one, Seen::Died(String::new())));
        assert_eq!(died == [Keep::Next(one)], again, "{one:?}");
        assert_eq!(
            keep(Timestamp(SECOND), &serving, &seen(one, Seen::Lost(String::new()))),
            [Keep::Next(one)]
        );
    }
}

#[test]
fn what_only_stays_warm_goes_in_time_unless_it_has_requests() {
    let warm = Deployment { warm_until: Some(Timestamp(5)), ..deployment("aa").next(Timestamp(0), 5) };
    let record = serving(vec![warm.clone()]);
    let one = &record.deployments[0];
    assert_eq!(keep(Timestamp(4), &record, &seen(one, Seen::Ready)), []);
    assert_eq!(keep(Timestamp(5), &record, &seen(one, Seen::Ready)), [Keep::Retire(one)]);
    let busy = serving(vec![Deployment { weight: 1, ..warm }]);
    assert_eq!(keep(Timestamp(5), &busy, &seen(&busy.deployments[0], Seen::Ready)), []);
}

#[test]
fn the_split_is_remembered_by_digest() {
    let mut serving = serving(vec![deployment("aa"), deployment("bb")]);
    let names: Vec<String> = serving.deployments.iter().map(|one| one.name.clone()).collect();
    serving.split(Timestamp(1), 1, (&names[0], 100), None);
    serving.split(Timestamp(2), 2, (&names[1], 25), Some(&names[0]));
    assert_eq!(serving.generation, 2);
    assert_eq!(serving.main().map(|one| one.artifact.digest.as_str()), Some("aa"));
    assert_eq!(serving.shifts[0].shares, [("aa".to_owned(), 100)]);
    assert_eq!(serving.shifts[1].shares, [("aa".to_owned(), 75), ("bb".to_owned(), 25)]);
    assert_eq!(
        (serving.path(), path("team", "digits")),
        ("/v2/models/digits".into(), "/team/v2/models/digits".into())
    );
}

#[test]
fn a_model_served_in_another_way_is_another_server() {
    let custom = ServingSpec { template: CUSTOM.into(), process: Some(json!({})), ..ServingSpec::default() };
    let one = deployment("aa");
    assert_ne!(name("aa", &custom), one.name);
    // More patience is no other way.
    assert_eq!(name("aa", &ServingSpec { bake: Some("1h".into()), ..one.spec.clone() }), one.name);
    assert!(one.manifest().to_string().contains("mlserver_sklearn.SKLearnModel"));
    assert!(u64::from_str_radix(&one.name, 16).unwrap() < 1 << 53);
}

#[test]
fn a_deployment_that_comes_back_begins_with_a_run_of_its_own() {
    let mut serving = serving(vec![Deployment { attempt: 2, ..deployment("aa") }]);
    let gone = serving.deployments[0].clone();
    assert_eq!(serving.run_id(&gone).attempt, 2);
    serving.remove(&gone);
    assert_eq!((serving.deployments.len(), serving.generation), (0, 1));
    let back = deployment("aa").next(Timestamp(0), 5);
    assert_eq!((back.attempt, serving.run_id(&back).attempt), (1, 3));
    assert!(!Deployment { on_trial: true, ..back }.is_given_up(), "its port may have been taken");
}
