//! Files that hold no Experiment, and commands that make no sense.

use std::fmt::Write as _;

use e2e::Cairn;

use super::{EXPERIMENT, folder, refusal, run};

#[test]
fn what_is_no_yaml_is_said_with_its_line() {
    let cairn = Cairn::new();
    let hint = "\nhint: the file must be YAML or JSON\n";
    for (text, wanted) in [
        ("a: b: c\n", format!("line 1: mapping values are not allowed in this context{hint}")),
        ("a:\n\t- b\n", format!("line 2: tabs disallowed within this context (block indentation){hint}")),
        ("a: 1\nb: 2\na: 3\n", format!("line 3: key `a` is given twice{hint}")),
        ("", "the file is empty\nhint: `cairn init` writes an Experiment to start from\n".into()),
        ("# nothing\n", "the file is empty\nhint: `cairn init` writes an Experiment to start from\n".into()),
        ("just text", "line 1: an Experiment is a map with apiVersion, kind, metadata and spec\n".into()),
        ("- a\n- b\n", "line 1: an Experiment is a map with apiVersion, kind, metadata and spec\n".into()),
    ] {
        cairn.write("bad.yaml", text);
        assert_eq!(refusal(&cairn, "bad.yaml"), format!("error: the experiment is not valid\n  {wanted}"));
    }
    cairn.write("two.yaml", format!("{EXPERIMENT}---\n{EXPERIMENT}"));
    assert!(refusal(&cairn, "two.yaml").contains("2 documents in one file; one Experiment is wanted"));
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let cairn = Cairn::new();
    std::fs::create_dir(cairn.at("folder")).unwrap();
    cairn.write("bytes.yaml", [0xff, 0xfe, 0x00, 0x80, 0xc3]);
    for (file, wanted) in [
        ("none.yaml", "cannot read none.yaml: No such file or directory (os error 2)"),
        ("folder", "cannot read folder: Is a directory (os error 21)"),
        ("bytes.yaml", "bytes.yaml is not UTF-8 text; an Experiment is a YAML or JSON text in UTF-8"),
        ("/dev/zero", "/dev/zero is larger than 16 MiB"),
    ] {
        assert_eq!(refusal(&cairn, file), format!("error: {wanted}\n"));
    }
}

#[test]
fn an_attack_by_yaml_is_refused_in_no_time() {
    let cairn = Cairn::new();
    cairn.write("deep.yaml", format!("a: {}{}", "[".repeat(100_000), "]".repeat(100_000)));
    assert!(refusal(&cairn, "deep.yaml").contains("recursion limit exceeded"));
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..10 {
        writeln!(bomb, "a{i}: &a{i} [{}]", vec![format!("*a{}", i - 1); 10].join(", ")).unwrap();
    }
    cairn.write("bomb.yaml", bomb);
    assert!(refusal(&cairn, "bomb.yaml").contains("more than 1000000 nodes"));
    cairn.write("huge.yaml", "a".repeat(17 << 20));
    assert_eq!(refusal(&cairn, "huge.yaml"), "error: huge.yaml is larger than 16 MiB\n");
}

#[test]
fn marks_and_line_ends_of_other_systems_do_no_harm() {
    let cairn = Cairn::new();
    cairn.write("windows.yaml", format!("\u{feff}{}", EXPERIMENT.replace('\n', "\r\n")));
    cairn.run(["run", "windows.yaml"]).ok();
    super::all_ran_once(&cairn, 4);
}

#[test]
fn a_name_that_cannot_be_is_refused_with_the_rule() {
    for name in ["Größe", "DEMO", "3d", "..", &"long".repeat(11)] {
        let said = refusal(&folder(&[("name: demo", &format!("name: {name}"))]), "experiment.yaml");
        let rule = "use lower-case letters, digits and `-`, beginning with a letter, at most 40 characters";
        assert!(said.contains(&format!("`{name}` is not a name")) && said.contains(rule), "{said}");
    }
}

#[test]
fn commands_about_nothing_say_what_there_is() {
    let cairn = folder(&[]);
    run(&cairn).ok();
    let before = cairn.trials("demo");
    let there = "there are demo\n";
    for (args, code, wanted) in [
        (&["get", "nosuch"][..], 2, there),
        (&["trials", "nosuch"], 2, there),
        (&["delete", "nosuch"], 2, there),
        (&["trials", "demo", "--where", "garbage ("], 2, "write it like `lr > 0.1 and state = Succeeded`"),
        (&["trials", "demo", "--sort", "nosuch"], 2, "`nosuch` is no field of these trials; there are idx, "),
        (&["logs", "demo", "nosuch"], 2, "`cairn trials` lists them"),
        (&["trial", "enqueue", "demo", "lr=banana"], 2, "`banana` is not in its feasible space"),
        (&["algorithms", "nosuch"], 2, "algorithm `nosuch` not found; there are auto, "),
        (&["list", "--server", "ftp://x"], 2, "`ftp://x` is no address such as http://127.0.0.1:7700"),
        (&["list", "--server", "http://127.0.0.1:1"], 1, "`cairn serve` starts one"),
        (
            &["init", "experiment.yaml"],
            2,
            "experiment.yaml exists; name another file, or replace it with --force",
        ),
        (&["runn"], 2, "a similar subcommand exists: 'run'"),
    ] {
        let output = cairn.run(args);
        assert_eq!(output.code, Some(code), "{args:?}: {output}");
        assert!(output.stderr.starts_with("error: ") && output.stderr.contains(wanted), "{args:?}: {output}");
    }
    assert_eq!(cairn.trials("demo"), before);
}

#[test]
fn nobody_listening_is_no_error_and_no_room_is_one() {
    let cairn = folder(&[]);
    run(&cairn).ok();
    let shell = |line: &str| {
        let mut command = cairn.command(["version"]);
        let program = command.get_program().to_owned();
        command = std::process::Command::new("sh");
        command.args(["-c", line]).env("CAIRN", program).current_dir(cairn.path());
        e2e::Running::start(command).end()
    };
    let head = shell("$CAIRN export demo --observations | head -1");
    assert_eq!((head.stdout.lines().count(), &*head.stderr), (1, ""), "{head}");
    shell("$CAIRN trials demo >&-").ok();
    shell("env -u HOME -u XDG_RUNTIME_DIR $CAIRN trials demo").ok();
    let full = shell("$CAIRN trials demo > /dev/full");
    assert_eq!((full.code, &*full.stderr), (Some(1), "error: No space left on device (os error 28)\n"));
}
