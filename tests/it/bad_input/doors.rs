//! Ports, tokens, and pages of others.

use std::os::unix::fs::PermissionsExt as _;

use e2e::{Cairn, http};

const SECRET: &str = "0123456789abcdef0123";

fn token(cairn: &Cairn, mode: u32) -> String {
    let path = cairn.write("token", SECRET);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path.display().to_string()
}

#[test]
fn a_port_that_is_taken_is_named() {
    let cairn = Cairn::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = cairn.run(["serve", "--listen", &address]);
    assert_eq!(
        (output.code, &*output.stderr),
        (
            Some(1),
            &*format!(
                "error: cannot listen on {address}; choose another with --listen: Address already in use (os error 98)\n"
            )
        )
    );
}

#[test]
fn others_are_not_served_without_a_secret() {
    let cairn = Cairn::new();
    let refused = |args: &[&str], wanted: &str| {
        let output = cairn.run(["serve", "--listen"].iter().chain(args));
        assert_eq!((output.code, &*output.stderr), (Some(2), &*format!("error: {wanted}\n")));
    };
    refused(
        &["0.0.0.0:1"],
        "listening on 0.0.0.0:1 needs a token: --token-file FILE (mode 0600); without one only 127.0.0.1 and [::1] \
         are served",
    );
    let path = token(&cairn, 0o644);
    refused(
        &["0.0.0.0:0", "--token-file", &path],
        &format!(
            "token file {path} has mode 0644; it must be readable by its owner alone: `chmod 600 {path}`"
        ),
    );
    refused(
        &["0.0.0.0:0", "--token-file", "none"],
        "token file none cannot be read: No such file or directory (os error 2)",
    );
    refused(&["banana"], "--listen `banana` is no address such as 127.0.0.1:7700: invalid socket address");
}

#[test]
fn a_wrong_token_a_strange_host_and_a_strange_page_are_refused() {
    let cairn = Cairn::new();
    let path = token(&cairn, 0o600);
    let (_server, url) = cairn.serve(&["--token-file", &path]);
    let url = url.trim();
    let ask = |headers: &[(&str, &str)]| http::ask(url, "GET", "/api/v1/experiments", headers, "");
    let good = format!("Bearer {SECRET}");
    assert_eq!(ask(&[("Authorization", &good)]).status, 200);
    for headers in [&[][..], &[("Authorization", "Bearer wrong-wrong-wrong")]] {
        let answer = ask(headers);
        assert_eq!(answer.status, 401);
        assert!(
            answer.body.contains("a token is needed") && answer.body.contains("--token-file"),
            "{answer:?}"
        );
    }
    let answer = ask(&[("Authorization", &good), ("Host", "evil.example")]);
    assert_eq!(answer.status, 403);
    assert!(
        answer.body.contains("host `evil.example` is not served here")
            && answer.body.contains("--allow-host")
    );
    let answer = ask(&[("Authorization", &good), ("Origin", "http://evil.example")]);
    assert_eq!(answer.status, 403);
    let output = cairn.run(["list", "--server", url]);
    assert_eq!(output.code, Some(2), "{output}");
    assert!(output.stderr.contains("the command line takes --token-file"), "{output}");
    cairn.run(["list", "--server", url, "--token-file", &path]).ok();
}
