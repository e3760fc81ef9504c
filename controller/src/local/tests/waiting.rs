//! Waiting for slots.

use super::super::capacity::Capacity;
use super::*;

fn machine(gpus: &[&str]) -> Capacity {
    let gpus = gpus.iter().map(ToString::to_string).collect();
    Capacity { gpus, by_index: true, cpu_milli: 2000, memory: 1 << 32 }
}

fn gpu_run(world: &World, trial: u64, script: &str) -> Run {
    world.run(trial, json!({"command": ["sh", "-c", script], "resources": {"nvidia.com/gpu": 1}}))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_executors_share_one_device() {
    let world = World::new();
    let other = World::new();
    let mut config = other.config.clone();
    config.slots.clone_from(&world.config.slots);
    let first =
        LocalExecutor::with_capacity(world.config.clone(), Arc::new(Nothing), machine(&["5"])).unwrap();
    let second = LocalExecutor::with_capacity(config, Arc::new(Nothing), machine(&["5"])).unwrap();
    let go = world.path("go");
    let script = format!("echo $CUDA_VISIBLE_DEVICES; while ! test -e {}; do sleep 0.01; done", go.display());
    let (one, two) = (gpu_run(&world, 1, &script), gpu_run(&other, 2, &script));
    first.ensure(&one).await.unwrap();
    until("it has the device", || log(&first, &one) == "5\n").await;
    second.ensure(&two).await.unwrap();
    loop {
        match phase(&second, &two).await {
            Some(RunPhase::Waiting { reason }) if reason == "starting" => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Some(RunPhase::Waiting { reason }) => {
                assert!(reason.starts_with("wants 1 GPU; 0 of 1 free"), "{reason}");
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    fs::write(&go, "").unwrap();
    assert_eq!(end(&first, &one).await.slots, ["gpu-5"]);
    assert_eq!(end(&second, &two).await.slots, ["gpu-5"]);
    assert_eq!(log(&second, &two), "5\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_waits_is_stopped() {
    let world = World::new();
    let executor =
        LocalExecutor::with_capacity(world.config.clone(), Arc::new(Nothing), machine(&["0"])).unwrap();
    let (one, two) = (gpu_run(&world, 1, "echo up; sleep 1000"), gpu_run(&world, 2, "echo never"));
    executor.ensure(&one).await.unwrap();
    until("it has the device", || log(&executor, &one) == "up\n").await;
    executor.ensure(&two).await.unwrap();
    let waiting = executor.folder(&two.id).unwrap();
    until("it waits", || waiting.waiting().is_some()).await;
    executor.stop(&two.id, Duration::from_secs(5)).await.unwrap();
    let ended = end(&executor, &two).await;
    assert_eq!((ended.exit, ended.started), (Exit::Stopped, None));
    executor.stop(&one.id, Duration::ZERO).await.unwrap();
    assert_eq!(log(&executor, &two), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_the_machine_has_is_refused() {
    let world = World::new();
    let executor =
        LocalExecutor::with_capacity(world.config.clone(), Arc::new(Nothing), machine(&[])).unwrap();
    let error = executor.ensure(&gpu_run(&world, 1, "true")).await.unwrap_err();
    assert!(
        matches!(&error, ExecutorError::Refused(text) if text.contains("test-1: wants 1 GPU")),
        "{error}"
    );
    let run = world.run(2, json!({"command": ["true"], "resources": {"cpu": 64}}));
    let error = executor.ensure(&run).await.unwrap_err();
    assert!(error.to_string().contains("wants 64 CPU and this machine has 2"), "{error}");
}
