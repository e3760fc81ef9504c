//! Runs outlive their controllers.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_adopted_with_its_exit_code() {
    let world = World::new();
    let go = world.path("go");
    let run =
        world.shell(1, &format!("echo up; while ! test -e {}; do sleep 0.01; done; exit 3", go.display()));
    let executor = world.executor();
    executor.ensure(&run).await.unwrap();
    until("it is up", || log(&executor, &run).contains("up")).await;
    drop(executor);
    let executor = world.executor();
    until_running(&executor, &run).await;
    // Asking for it again starts nothing.
    executor.ensure(&run).await.unwrap();
    fs::write(&go, "").unwrap();
    assert_eq!(end(&executor, &run).await.exit, Exit::Code { code: 3 });
    assert_eq!(log(&executor, &run), "up\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_ended_while_nobody_looked_is_told_until_it_is_forgotten() {
    let world = World::new();
    let run = world.shell(1, "echo once; exit 5");
    let executor = world.executor();
    executor.ensure(&run).await.unwrap();
    let folder = executor.folder(&run.id).unwrap();
    drop(executor);
    until("it has ended", || folder.has_exit() || !folder.is_supervised() && !folder.has_started()).await;
    let executor = world.executor();
    executor.ensure(&run).await.unwrap();
    assert_eq!(end(&executor, &run).await.exit, Exit::Code { code: 5 });
    executor.forget(&run.id).await.unwrap();
    executor.forget(&run.id).await.unwrap();
    assert_eq!(phase(&executor, &run).await, None);
    let executor = world.executor();
    assert_eq!(phase(&executor, &run).await, None);
    assert_eq!(log(&executor, &run), "once\n", "logs stay, and it ran once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_killed_from_outside_loses_the_run_and_leaves_no_process() {
    let world = World::new();
    let (plain, session) = (world.path("plain"), world.path("session"));
    let script = format!(
        "sleep 1000 & echo $! > {}; setsid sh -c 'echo $$ > {}; sleep 1000' & echo up; sleep 1000",
        plain.display(),
        session.display()
    );
    let run = world.shell(1, &script);
    let executor = world.executor();
    executor.ensure(&run).await.unwrap();
    until_running(&executor, &run).await;
    until("its children are there", || fs::read_to_string(&session).is_ok_and(|pid| pid.ends_with('\n')))
        .await;
    let supervisor = executor.folder(&run.id).unwrap().started().unwrap().supervisor;
    assert!(supervisor.signal(rustix::process::Signal::KILL));
    let ended = end(&executor, &run).await;
    assert!(
        matches!(&ended.exit, Exit::Lost { reason } if reason.contains("supervisor vanished")),
        "{:?}",
        ended.exit
    );
    assert!(ended.started.is_some());
    assert!(!lives(&plain) && !lives(&session));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_an_earlier_boot_is_lost_by_the_restart() {
    let world = World::new();
    let run = world.shell(1, "true");
    let executor = world.executor();
    executor.ensure(&run).await.unwrap();
    end(&executor, &run).await;
    let folder = executor.folder(&run.id).unwrap();
    drop(executor);
    let mut started = folder.started().unwrap();
    started.supervisor.boot = "another".into();
    folder.write_started(&started).unwrap();
    fs::remove_file(folder.path().join("exit.json")).unwrap();
    let ended = end(&world.executor(), &run).await;
    assert!(matches!(&ended.exit, Exit::Lost { reason } if reason.contains("restarted")), "{:?}", ended.exit);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_told_to_end_by_someone_else_loses_the_run() {
    let world = World::new();
    let run = world.shell(1, "sleep 1000");
    let executor = world.executor();
    executor.ensure(&run).await.unwrap();
    until_running(&executor, &run).await;
    let supervisor = executor.folder(&run.id).unwrap().started().unwrap().supervisor;
    assert!(supervisor.signal(rustix::process::Signal::TERM));
    let ended = end(&executor, &run).await;
    assert!(
        matches!(&ended.exit, Exit::Lost { reason } if reason.contains("someone else")),
        "{:?}",
        ended.exit
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adopted_run_is_stopped() {
    let world = World::new();
    let run = world.shell(1, "trap '' TERM; while :; do sleep 0.01; done");
    let executor = world.executor();
    executor.ensure(&run).await.unwrap();
    until_running(&executor, &run).await;
    let folder = executor.folder(&run.id).unwrap();
    drop(executor);
    until("the claim is gone", || !folder.is_claimed()).await;
    let executor = world.executor();
    executor.stop(&run.id, Duration::from_millis(100)).await.unwrap();
    assert_eq!(end(&executor, &run).await.exit, Exit::Stopped);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_supervisor_of_a_run_does_nothing() {
    let world = World::new();
    let run = world.shell(1, "echo once; sleep 0.3");
    let executor = world.executor();
    executor.ensure(&run).await.unwrap();
    until_running(&executor, &run).await;
    let mut command = tokio::process::Command::new(&world.config.supervisor[0]);
    command.args(&world.config.supervisor[1..]).arg("--supervise");
    command.arg(executor.folder(&run.id).unwrap().path());
    assert_eq!(command.output().await.unwrap().status.code(), Some(75));
    assert_eq!(end(&executor, &run).await.exit, Exit::Code { code: 0 });
    assert_eq!(log(&executor, &run), "once\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_of_another_living_controller_are_left_to_it() {
    let world = World::new();
    let run = world.shell(1, "sleep 1000");
    let first = world.executor();
    first.ensure(&run).await.unwrap();
    until_running(&first, &run).await;
    let folder = first.folder(&run.id).unwrap();
    let second = world.executor();
    assert_eq!(phase(&second, &run).await, None);
    drop(first);
    until("the claim is gone", || !folder.is_claimed()).await;
    assert!(matches!(phase(&second, &run).await, Some(RunPhase::Waiting { .. } | RunPhase::Running { .. })));
    second.stop(&run.id, Duration::ZERO).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_told_as_they_happen() {
    let world = World::new();
    let executor = world.executor();
    let run = world.shell(1, "sleep 0.2");
    let mut changes = executor.watch(run.id.experiment);
    executor.ensure(&run).await.unwrap();
    let mut told = Vec::new();
    while !matches!(told.last(), Some(RunPhase::Ended(_))) {
        told.push(changes.next().await.unwrap().phase);
    }
    assert!(matches!(told[0], RunPhase::Running { .. }), "{told:?}");
    assert_eq!(told.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_followed_to_the_end() {
    let world = World::new();
    let executor = world.executor();
    let run = world.shell(1, "echo one; sleep 0.2; echo two; sleep 0.2; printf three");
    executor.ensure(&run).await.unwrap();
    let followed: Vec<_> = executor.logs(&run.id, 0, true).collect().await;
    assert_eq!(followed.concat(), b"one\ntwo\nthree");
    let rest: Vec<_> = executor.logs(&run.id, 4, false).collect().await;
    assert_eq!(rest.concat(), b"two\nthree");
    let unknown = RunId { attempt: 9, ..run.id };
    assert_eq!(executor.logs(&unknown, 0, true).count().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_supervisor_serves_one_run_after_the_other_and_ends_with_its_controller() {
    let world = World::new();
    let executor = world.executor();
    let mut supervisors = Vec::new();
    for trial in 1..=3 {
        let run = world.shell(trial, "sleep 0.01 & exit 4");
        executor.ensure(&run).await.unwrap();
        assert_eq!(end(&executor, &run).await.exit, Exit::Code { code: 4 });
        supervisors.push(executor.folder(&run.id).unwrap().started().unwrap().supervisor);
    }
    assert!(supervisors.iter().all(|one| *one == supervisors[0]), "{supervisors:?}");
    // One that is gone is passed over.
    assert!(supervisors[0].signal(rustix::process::Signal::KILL));
    // Here it has threads of the test program, and its line is closed only when the last of them is gone.
    let threads = format!("/proc/{}/task", supervisors[0].pid);
    let is_alone = || std::fs::read_dir(&threads).map_or(true, |threads| threads.count() < 2);
    until("it is gone", || supervisors[0].alive().is_none() && is_alone()).await;
    let run = world.shell(4, "exit 4");
    executor.ensure(&run).await.unwrap();
    assert_eq!(end(&executor, &run).await.exit, Exit::Code { code: 4 });
    let last = executor.folder(&run.id).unwrap().started().unwrap().supervisor;
    assert!(last != supervisors[0] && last.alive().is_some());
    drop(executor);
    until("it ends", || last.alive().is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_stop_does_not_reach_the_next_run() {
    let world = World::new();
    let executor = world.executor();
    let first = world.shell(1, "true");
    executor.ensure(&first).await.unwrap();
    end(&executor, &first).await;
    let second = world.shell(2, "sleep 0.3");
    executor.ensure(&second).await.unwrap();
    until_running(&executor, &second).await;
    executor.stop(&first.id, Duration::ZERO).await.unwrap();
    let supervisor = executor.folder(&second.id).unwrap().started().unwrap().supervisor;
    assert!(supervisor.signal(rustix::process::Signal::USR1));
    assert_eq!(end(&executor, &second).await.exit, Exit::Code { code: 0 });
}

async fn until_running(executor: &LocalExecutor, run: &Run) {
    let begun = Instant::now();
    while !matches!(phase(executor, run).await, Some(RunPhase::Running { .. })) {
        assert!(begun.elapsed() < Duration::from_secs(30), "it does not run");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
