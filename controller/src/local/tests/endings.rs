//! The ways in which a run ends.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn an_exit_code_is_told_with_the_last_line() {
    let world = World::new();
    let end = world.end_of(&world.shell(1, "echo out; echo no such file >&2; exit 7")).await;
    assert_eq!(end.exit, Exit::Code { code: 7 });
    assert_eq!(end.message, "no such file");
    assert!(end.started.unwrap() <= end.ended && end.slots.is_empty() && end.model.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_from_elsewhere_is_told() {
    let world = World::new();
    assert_eq!(world.end_of(&world.shell(1, "kill -SEGV $$")).await.exit, Exit::Signal { signal: 11 });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_out_ends_what_ignores_sigterm() {
    let world = World::new();
    let pid = world.path("pid");
    let script = format!("trap '' TERM; sleep 1000 & echo $! > {}; while :; do wait; done", pid.display());
    let run = world.run(1, json!({"command": ["sh", "-c", script], "timeout": "500ms"}));
    assert_eq!(world.end_of(&run).await.exit, Exit::TimedOut { seconds: 1 });
    assert!(!lives(&pid));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_stopped_within_its_grace() {
    let world = World::new();
    let executor = world.executor();
    let polite = world.shell(1, "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.01; done");
    let deaf = world.shell(2, "trap '' TERM; echo up; while :; do sleep 0.01; done");
    for run in [&polite, &deaf] {
        executor.ensure(run).await.unwrap();
        until("it is up", || log(&executor, run).contains("up")).await;
        executor.stop(&run.id, Duration::from_millis(200)).await.unwrap();
        assert_eq!(end(&executor, run).await.exit, Exit::Stopped);
        executor.stop(&run.id, Duration::ZERO).await.unwrap();
    }
    assert!(log(&executor, &polite).contains("bye"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_told_to_stop_at_once_never_goes_on() {
    let world = World::new();
    let executor = world.executor();
    let run = world.shell(1, "sleep 1000");
    executor.ensure(&run).await.unwrap();
    executor.stop(&run.id, Duration::ZERO).await.unwrap();
    assert_eq!(end(&executor, &run).await.exit, Exit::Stopped);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_stops_a_run_and_is_told() {
    let world = World::new();
    let executor = LocalExecutor::open(world.config.clone(), Arc::new(StopsAtOnce)).unwrap();
    let run = world.shell(1, "echo loss=2; sleep 1000");
    executor.ensure(&run).await.unwrap();
    let end = end(&executor, &run).await;
    assert_eq!((end.exit, end.stopped_by), (Exit::Stopped, Some(a_rule())));
    assert!(end.message.starts_with("a note"), "{}", end.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn children_left_behind_are_killed_and_named() {
    let world = World::new();
    let (plain, own_session) = (world.path("plain"), world.path("session"));
    let script = format!(
        "trap '' HUP; sleep 1000 & echo $! > {}; setsid sh -c 'echo $$ > {}; trap \"\" TERM; while :; do sleep 1; done' & \
         while ! test -s {}; do sleep 0.01; done; exit 0",
        plain.display(),
        own_session.display(),
        own_session.display()
    );
    let end = world.end_of(&world.shell(1, &script)).await;
    assert_eq!(end.exit, Exit::Code { code: 0 });
    assert!(
        end.message.contains("left processes behind") && end.message.contains("sleep"),
        "{}",
        end.message
    );
    assert!(!lives(&plain) && !lives(&own_session));
}

#[tokio::test(flavor = "multi_thread")]
async fn children_that_end_a_moment_later_are_waited_for() {
    let world = World::new();
    let end = world.end_of(&world.shell(1, "(sleep 0.02; echo late) & exit 0")).await;
    assert_eq!((end.exit, end.message.as_str()), (Exit::Code { code: 0 }, ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_started_is_named_with_a_way_out() {
    let world = World::new();
    fs::write(world.path("plain.sh"), "echo hi\n").unwrap();
    fs::write(world.path("lost.sh"), "#!/no/such/interpreter\n").unwrap();
    let executable = |name: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(world.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    };
    executable("lost.sh");
    fs::write(world.path("text"), "no program\n").unwrap();
    executable("text");
    let cases = [
        (
            json!({"command": ["no-such-command"]}),
            "command `no-such-command` was not found in PATH; install it",
        ),
        (json!({"command": ["./plain.sh"]}), "`./plain.sh` is not executable; run `chmod +x"),
        (json!({"command": ["plain.sh"]}), "did you mean `./plain.sh`?"),
        (json!({"command": ["./nothing"]}), "there is no "),
        (json!({"command": ["./lost.sh"]}), "first line"),
        (json!({"command": ["./text"]}), "has no `#!` line"),
        (json!({"command": ["true"], "workingDir": "nowhere"}), "nowhere does not exist; create it"),
    ];
    for (trial, (spec, wanted)) in cases.into_iter().enumerate() {
        let end = world.end_of(&world.run(trial as u64, spec)).await;
        let Exit::NotStarted { reason } = &end.exit else { panic!("{:?}", end.exit) };
        assert!(reason.contains(wanted), "{reason}");
        assert_eq!(end.started, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_process_is_refused() {
    let world = World::new();
    let mut run = world.shell(1, "true");
    run.manifest["kind"] = json!("Workflow");
    let error = world.executor().ensure(&run).await.unwrap_err();
    assert!(matches!(&error, ExecutorError::Refused(reason) if reason.contains("Workflow")), "{error}");
    run.trial = "../../etc".into();
    assert!(matches!(world.executor().ensure(&run).await, Err(ExecutorError::Refused(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_sees_its_folders_and_can_be_run_again_by_hand() {
    let world = World::new();
    let executor = world.executor();
    let script = "echo $A $CAIRN_TRIAL_NAME $KATIB_TRIAL_NAME; pwd; test -d $CAIRN_CHECKPOINT_DIR && \
                  test -d $CAIRN_TRIAL_DIR && echo x > $CAIRN_MODEL_DIR/m && read line || echo no input";
    let run = world.run(1, json!({"command": ["sh", "-c", script], "env": {"A": "it's"}, "workingDir": "."}));
    executor.ensure(&run).await.unwrap();
    let ended = end(&executor, &run).await;
    assert_eq!(ended.exit, Exit::Code { code: 0 });
    let printed = log(&executor, &run);
    let base = world.dir.path().canonicalize().unwrap();
    assert_eq!(printed, format!("it's test-1 test-1\n{}\nno input\n", base.display()));
    let folder = executor.folder(&run.id).unwrap();
    let again = std::process::Command::new(folder.path().join("command.sh"));
    let again =
        tokio::process::Command::from(again).stdin(std::process::Stdio::null()).output().await.unwrap();
    assert_eq!(String::from_utf8_lossy(&again.stdout), printed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_sealed_and_links_out_of_it_are_refused() {
    let world = World::new();
    let good = world.shell(
        1,
        "cd $CAIRN_MODEL_DIR; echo 'format: onnx' > model.yaml; mkdir d; printf abc > d/w; ln -s d/w w",
    );
    let model = world.end_of(&good).await.model.unwrap();
    assert_eq!((model.format.as_str(), model.bytes), ("onnx", 16));
    assert!(model.uri.starts_with("file:///") && model.uri.ends_with("/test-1/1/model"), "{}", model.uri);
    assert_eq!(model.digest.len(), 64);
    assert_eq!(world.end_of(&good).await.model.unwrap(), model, "sealing again changes nothing");
    for (trial, target) in [(2, "/etc/passwd"), (3, "../run.json"), (4, "nowhere")] {
        let end = world.end_of(&world.shell(trial, &format!("ln -s {target} $CAIRN_MODEL_DIR/w"))).await;
        let Exit::BadOutput { reason } = &end.exit else { panic!("{:?}", end.exit) };
        assert!(reason.contains("`w`") && reason.contains(target), "{reason}");
    }
    let fifo = world.end_of(&world.shell(5, "mkfifo $CAIRN_MODEL_DIR/f")).await;
    assert!(matches!(fifo.exit, Exit::BadOutput { .. }));
    assert_eq!(world.end_of(&world.shell(6, "mkdir $CAIRN_MODEL_DIR/empty")).await.model, None);
    assert_eq!(world.end_of(&world.shell(7, "echo x > $CAIRN_MODEL_DIR/m; exit 1")).await.model, None);
}

/// What is written where the manifest is to go finds no room, as on a disk that is full.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_at_the_end_costs_what_was_left_and_nothing_else() {
    let world = World::new();
    let full = |name: &str| format!("ln -s /dev/full $CAIRN_TRIAL_DIR/{name}.json.tmp");
    let model = world.shell(1, &format!("echo x > $CAIRN_MODEL_DIR/m; {}", full("model.manifest")));
    let end = world.end_of(&model).await;
    assert_eq!((&end.exit, &end.model), (&Exit::Code { code: 0 }, &None));
    let said = "/test-1/1/model.manifest.json cannot be written: No space left on device (os error 28); make room on that disk";
    assert!(
        end.message.starts_with("its model is not kept: /") && end.message.contains(said),
        "{}",
        end.message
    );

    let script = format!("echo 1 > $CAIRN_CHECKPOINT_DIR/step; {}", full("checkpoint"));
    let mut whole = world.shell(2, &script);
    whole.keep_checkpoint = true;
    let end = world.end_of(&whole).await;
    assert_eq!((&end.exit, &end.checkpoint), (&Exit::Code { code: 0 }, &None));
    assert!(end.message.contains("its checkpoint cannot be kept: /"), "{}", end.message);

    // One that was to wait cannot go on, which is for the plan to judge.
    let mut told = world.shell(3, &format!("{script}; echo up; while :; do sleep 0.01; done"));
    told.keep_checkpoint = true;
    let executor = world.executor();
    executor.ensure(&told).await.unwrap();
    while !log(&executor, &told).contains("up") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    executor.stop(&told.id, Duration::from_secs(5)).await.unwrap();
    let end = self::end(&executor, &told).await;
    let Exit::BadOutput { reason } = &end.exit else { panic!("{:?}", end.exit) };
    assert!(
        reason.contains("its checkpoint cannot be kept: ") && reason.contains("No space left"),
        "{reason}"
    );
    let open = executor.folder(&told.id).unwrap().checkpoint().join("step");
    assert_eq!(fs::read_to_string(open).unwrap(), "1\n", "what it has saved is where it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_kept_elsewhere_is_told() {
    let world = World::new();
    let line = r#"{"model":{"uri":"s3://b/m","sha256":"ab"}}"#;
    let run = world.shell(
        1,
        &format!(
            "echo '{line}' >> $CAIRN_TRIAL_DIR/artifacts.jsonl; echo junk >> $CAIRN_TRIAL_DIR/artifacts.jsonl"
        ),
    );
    let end = world.end_of(&run).await;
    let model = end.model.unwrap();
    assert_eq!((model.uri.as_str(), model.digest.as_str()), ("s3://b/m", "ab"));
    assert!(end.message.contains("line 2 of artifacts.jsonl"), "{}", end.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_of_another_trial_starts_from_a_copy_of_its_checkpoint() {
    let world = World::new();
    let executor = world.executor();
    let mut parent = world.shell(1, "mkdir $CAIRN_CHECKPOINT_DIR/d; echo 41 > $CAIRN_CHECKPOINT_DIR/d/step");
    parent.keep_checkpoint = true;
    executor.ensure(&parent).await.unwrap();
    let checkpoint = end(&executor, &parent).await.checkpoint;
    executor.forget(&parent.id).await.unwrap();
    let mut child =
        world.shell(2, "cat $CAIRN_CHECKPOINT_DIR/d/step; echo 42 > $CAIRN_CHECKPOINT_DIR/d/step");
    child.start_from.clone_from(&checkpoint);
    executor.ensure(&child).await.unwrap();
    end(&executor, &child).await;
    assert_eq!(log(&executor, &child), "41\n");
    let kept = executor.folder(&parent.id).unwrap().kept_checkpoint().join("d/step");
    assert_eq!(fs::read_to_string(&kept).unwrap(), "41\n");
    // Once nobody goes on from it: after a crash on the way, and again.
    fs::remove_file(executor.folder(&parent.id).unwrap().checkpoint_manifest()).unwrap();
    for _ in 0..2 {
        executor.forget_checkpoint(&parent.id).await.unwrap();
        assert!(!executor.folder(&parent.id).unwrap().kept_checkpoint().exists());
    }
    let mut late = world.shell(3, "true");
    late.start_from = checkpoint;
    let refused = executor.ensure(&late).await.unwrap_err().to_string();
    assert!(refused.contains("is gone"), "{refused}");
}
