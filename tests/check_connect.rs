//! The connection to a cluster, for every command that needs one: failing credential plugins, and proxies. No error contains
//! a secret of the kubeconfig or of the environment.

#![allow(clippy::unwrap_used, clippy::panic, reason = "that is how a test fails")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    path::Path,
    process::{Command, Output},
    sync::{Arc, Mutex},
    thread,
};

use rstest::rstest;

/// Those that go to a cluster.
const COMMANDS: [&str; 4] = ["check", "history", "cleanup", "run"];

fn gate(folder: &Path, command: &str, environment: &[(&str, &str)]) -> Output {
    let mut process = Command::new(env!("CARGO_BIN_EXE_upgrade-gate"));
    process.args([command, "--kubeconfig", "kubeconfig"]).current_dir(folder).env_clear();
    process.envs(environment.iter().copied()).output().unwrap()
}

/// The error, one line.
fn error(output: &Output) -> String {
    let message = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(2), &b""[..]), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    assert!(!message.contains("secret"), "{message}");
    message
}

/// A folder with a kubeconfig of that cluster and that user, each as a mapping.
fn folder(cluster: &str, user: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: here\nclusters: [{{name: one, cluster: {cluster}}}]\n\
         contexts: [{{name: here, context: {{cluster: one, user: me}}}}]\nusers: [{{name: me, user: {user}}}]\n"
    );
    fs::write(folder.path().join("kubeconfig"), kubeconfig).unwrap();
    folder
}

/// A plugin that is this script; its arguments and its environment are as secret as what it prints.
fn plugin(script: &str) -> String {
    format!(
        "{{exec: {{apiVersion: client.authentication.k8s.io/v1, command: /bin/sh, interactiveMode: Never, \
         env: [{{name: A, value: secret}}], args: [-c, '{script}', secret]}}}}"
    )
}

/// Takes connections, notes the first line of each request, and answers it.
fn listen(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let requests = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&requests);
    // It ends with the test's process.
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut writer = stream;
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|length| length > 0) {
                let mut head = String::new();
                while reader.read_line(&mut head).is_ok_and(|length| length > 2) {}
                let credentials = head.lines().find(|line| line.to_lowercase().starts_with("proxy-authorization"));
                seen.lock().unwrap().push(format!("{} {}", line.trim_end(), credentials.unwrap_or_default()));
                if writer.write_all(answer(&line).as_bytes()).is_err() {
                    break;
                }
                line.clear();
            }
        }
    });
    (address, requests)
}

/// As a manifest has it that leaves a value to be filled in.
#[rstest]
#[case::neither(&[])]
#[case::an_empty_kubeconfig(&[("UPGRADE_GATE_KUBECONFIG", "")])]
#[case::an_empty_context(&[("UPGRADE_GATE_CONTEXT", "")])]
#[case::both_empty(&[("UPGRADE_GATE_KUBECONFIG", ""), ("UPGRADE_GATE_CONTEXT", "")])]
fn an_empty_variable_is_as_good_as_none(#[case] environment: &[(&str, &str)]) {
    let (server, requests) = listen(|_| "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned());
    let folder = folder(&format!("{{server: 'http://{server}'}}"), "{}");
    let mut process = Command::new(env!("CARGO_BIN_EXE_upgrade-gate"));
    process.arg("cleanup").current_dir(folder.path()).env_clear().env("KUBECONFIG", "kubeconfig");
    let output = process.envs(environment.iter().copied()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!requests.lock().unwrap().is_empty());
}

/// One rule for all commands: the flag, else `UPGRADE_GATE_…`, else what kubectl would take.
#[test]
fn every_command_takes_the_cluster_from_the_same_variables() {
    let folder = folder("{server: 'http://127.0.0.1:1'}", "{}");
    let run = |command: &str, arguments: &[&str], environment: &[(&str, &str)]| {
        let mut process = Command::new(env!("CARGO_BIN_EXE_upgrade-gate"));
        process.arg(command).args(arguments).current_dir(folder.path()).env_clear();
        error(&process.envs(environment.iter().copied()).output().unwrap())
    };
    for command in COMMANDS {
        let named = ("UPGRADE_GATE_KUBECONFIG", "missing");
        let message = run(command, &[], &[named, ("KUBECONFIG", "kubeconfig")]);
        assert!(message.contains("missing: "), "{command}: {message}");
        let context = [("UPGRADE_GATE_CONTEXT", "there"), ("KUBECONFIG", "kubeconfig")];
        assert!(run(command, &[], &context).contains("context there"), "{command}");
        let message = run(command, &["--kubeconfig", "absent"], &[named]);
        assert!(message.contains("absent: "), "{command}: {message}");
        let message = run(command, &["--context", "nowhere"], &context);
        assert!(message.contains("context nowhere"), "{command}: {message}");
    }
}

#[test]
fn input_files_are_read_regardless_of_kubeconfig_variables() {
    let folder = folder("{}", "{}");
    fs::write(
        folder.path().join("a.yaml"),
        "apiVersion: config.openshift.io/v1\nkind: ClusterVersion\nmetadata: {name: version}\n\
         status: {desired: {version: 4.21.1}}\n",
    )
    .unwrap();
    for command in ["check", "history"] {
        let mut process = Command::new(env!("CARGO_BIN_EXE_upgrade-gate"));
        process.args([command, "--from", "a.yaml"]).current_dir(folder.path()).env_clear();
        let output =
            process.env("UPGRADE_GATE_KUBECONFIG", "missing").env("UPGRADE_GATE_CONTEXT", "a").output().unwrap();
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]), "{command}");
    }
}

/// Permissions are blamed only if the API server denies a request.
#[rstest]
#[case::not_logged_in(401, "log in again")]
#[case::forbidden(403, "needs the rights of a cluster administrator")]
#[case::broken(500, "try again")]
fn cleanup_names_the_connection_error(#[case] code: u16, #[case] advice: &str) {
    let (server, _) = listen(move |_| {
        let body =
            format!(r#"{{"kind": "Status", "apiVersion": "v1", "code": {code}, "message": "no", "reason": "R"}}"#);
        format!("HTTP/1.1 {code} No\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    });
    let here = folder(&format!("{{server: 'http://{server}'}}"), "{}");
    let message = error(&gate(here.path(), "cleanup", &[]));
    assert!(message.contains(&format!("http://{server}/: ")) && message.contains(advice), "{message}");
    assert_eq!(message.contains("rights"), code == 403, "{message}");
}

#[test]
fn cleanup_names_the_server_that_cannot_be_reached() {
    let folder = folder("{server: 'http://127.0.0.1:1'}", "{}");
    let message = error(&gate(folder.path(), "cleanup", &[]));
    assert!(message.starts_with("error: http://127.0.0.1:1/: ") && message.contains("refused"), "{message}");
    assert!(message.contains("check the network") && !message.contains("rights"), "{message}");
}

#[test]
fn the_crd_of_cluster_version_is_printed_only_by_its_name() {
    let names = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_upgrade-gate")).arg("crd").args(arguments).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().filter(|line| line.starts_with("  name: ")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(names(&[]), ["  name: updaterecords.upgrade-gate.openshift.io"]);
    assert_eq!(names(&["updaterecord"]), ["  name: updaterecords.upgrade-gate.openshift.io"]);
    assert_eq!(names(&["clusterversion"]), ["  name: clusterversions.config.openshift.io"]);
}

#[rstest]
#[case::fails(
    "echo secret; echo secret >&2; exit 3",
    "the credential plugin of the kubeconfig failed (exit status: 3)"
)]
#[case::prints_something_else("echo secret", "the credential plugin of the kubeconfig printed no ExecCredential")]
#[case::prints_lines("echo kind: secret; echo [", "the credential plugin of the kubeconfig printed no ExecCredential")]
fn a_credential_plugin_that_fails_is_not_quoted(#[case] script: &str, #[case] expected: &str) {
    let folder = folder("{server: 'http://127.0.0.1:1'}", &plugin(script));
    for command in COMMANDS {
        let message = error(&gate(folder.path(), command, &[]));
        assert!(message.contains(expected) && message.contains("http://127.0.0.1:1/"), "{message}");
    }
}

#[rstest]
#[case::fails("exit 3", "the credential plugin of the kubeconfig failed (exit status: 3)")]
#[case::prints_something_else("echo secret", "the credential plugin of the kubeconfig printed no ExecCredential")]
fn nor_is_one_that_fails_later(#[case] script: &str, #[case] expected: &str) {
    let credential = r#"{"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1",
        "status": {"token": "secret", "expirationTimestamp": "2020-01-01T00:00:00Z"}}"#;
    let script = format!("if [ -e ran ]; then {script}; else : > ran; cat credential; fi");
    for command in ["check", "history", "cleanup"] {
        let folder = folder("{server: 'http://127.0.0.1:1'}", &plugin(&script));
        fs::write(folder.path().join("credential"), credential).unwrap();
        let path = [("PATH", "/usr/bin:/bin")];
        let message = error(&gate(folder.path(), command, &path));
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn the_proxy_of_the_kubeconfig_is_used() {
    let body = r#"{"apiVersion": "config.openshift.io/v1", "kind": "ClusterVersion", "metadata": {"name": "version"}}"#;
    let (proxy, requests) = listen(move |line| {
        if line.starts_with("CONNECT") {
            return "HTTP/1.1 200 OK\r\n\r\n".to_owned();
        }
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    });
    let folder =
        folder(&format!("{{server: 'http://cluster.invalid:8080', proxy-url: 'http://me:secret@{proxy}'}}"), "{}");
    // Proxy variables of the environment are about other URLs.
    let environment = [("HTTPS_PROXY", "http://127.0.0.1:1"), ("NO_PROXY", "*")];
    let output = gate(folder.path(), "history", &environment);
    let seen = requests.lock().unwrap().clone();
    assert_eq!(seen[0].to_lowercase(), "connect cluster.invalid:8080 http/1.1 proxy-authorization: basic bwu6c2vjcmv0");
    assert!(seen[1].starts_with("GET /apis/config.openshift.io/v1/clusterversions/version"), "{seen:?}");
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("http://cluster.invalid:8080/"), "{message}");
    assert!(!message.contains("secret"), "{message}");
}

#[test]
fn the_proxy_of_the_environment_is_used_except_for_no_proxy_hosts() {
    let (proxy, requests) = listen(|_| "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n".to_owned());
    let folder = folder("{server: 'https://cluster.invalid:6443'}", "{}");
    let (url, connects) =
        (format!("http://me:secret@{proxy}"), || std::mem::take(&mut *requests.lock().unwrap()).len());
    for variable in ["HTTPS_PROXY", "https_proxy"] {
        let message = error(&gate(folder.path(), "check", &[(variable, &url)]));
        assert!(message.contains("proxy authorization required"), "{message}");
        assert_eq!(connects(), 1);
        for exceptions in ["cluster.invalid", "localhost,.invalid", "*"] {
            let message = error(&gate(folder.path(), "check", &[(variable, &url), ("NO_PROXY", exceptions)]));
            assert!(message.contains("cannot be reached"), "{message}");
            assert_eq!(connects(), 0, "{exceptions}");
        }
        // The error does not name the cluster.
        error(&gate(folder.path(), "check", &[(variable, &url), ("no_proxy", "127.0.0.1")]));
        assert_eq!(connects(), 1);
    }
}

#[rstest]
#[case::another_scheme("{server: 'https://cluster.invalid'}", "socks5://me:secret@proxy")]
#[case::in_the_kubeconfig("{server: 'https://cluster.invalid', proxy-url: 'socks5://me:secret@proxy'}", "")]
#[case::no_url("{server: 'https://cluster.invalid'}", "http://me:secret@pro xy")]
fn a_proxy_that_cannot_be_used_is_not_quoted(#[case] cluster: &str, #[case] environment: &str) {
    let folder = folder(cluster, "{}");
    for command in COMMANDS {
        let message = error(&gate(folder.path(), command, &[("HTTPS_PROXY", environment)]));
        assert!(message.contains("the proxy cannot be used") && message.contains("HTTPS_PROXY"), "{message}");
    }
}

const SERVER: &str = "{server: 'https://127.0.0.1:1'}";

/// What is wrong, where, and what to do, each once.
#[rstest]
#[case::not_yaml(
    "a: [\n",
    "kubeconfig: is not a kubeconfig: line 1 column 4: unclosed bracket '['; fix it, or name another kubeconfig with --kubeconfig"
)]
#[case::no_mapping(
    "hello\n",
    "kubeconfig: is not a kubeconfig: line 1 column 1: expected mapping start; fix it, or name another kubeconfig with --kubeconfig"
)]
#[case::empty(
    "",
    "kubeconfig: has no current context; it has no context at all, so name another kubeconfig with --kubeconfig"
)]
#[case::no_current_context(
    "contexts: [{name: prod, context: {cluster: a}}, {name: lab, context: {cluster: a}}]\n",
    "kubeconfig: has no current context; name one that it has with --context: prod, lab"
)]
#[case::an_empty_current_context(
    "current-context: ''\ncontexts: [{name: prod, context: {cluster: a}}]\n",
    "kubeconfig: has no current context; name one that it has with --context: prod"
)]
#[case::a_current_context_that_is_gone(
    "current-context: gone\ncontexts: [{name: \"a\\e[31m\", context: {cluster: a}}]\n",
    "kubeconfig: has no context gone; name one that it has with --context: a\\u{1b}[31m"
)]
#[case::no_such_cluster(
    "current-context: here\ncontexts: [{name: here, context: {cluster: one}}]\n",
    "kubeconfig: has no cluster one, which the context names; fix that entry, or name another context with --context"
)]
fn what_is_wrong_with_a_kubeconfig(#[case] kubeconfig: &str, #[case] expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("kubeconfig"), kubeconfig).unwrap();
    let message = error(&gate(folder.path(), "check", &[]));
    assert_eq!(message, format!("error: {expected}, or give files with --from\n"));
}

#[test]
fn a_file_that_cannot_be_read_is_named_once() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str], environment: &[(&str, &str)]| {
        let mut process = Command::new(env!("CARGO_BIN_EXE_upgrade-gate"));
        process.arg("check").args(arguments).current_dir(folder.path()).env_clear();
        error(&process.envs(environment.iter().copied()).output().unwrap())
    };
    let missing = "absent: cannot be read: No such file or directory (os error 2); name a kubeconfig that exists with \
                   --kubeconfig, or give files with --from\n";
    assert_eq!(run(&["--kubeconfig", "absent"], &[]), format!("error: {missing}"));
    assert_eq!(run(&[], &[("KUBECONFIG", "absent")]), format!("error: KUBECONFIG names {missing}"));
    assert_eq!(
        run(&["--kubeconfig", "."], &[]),
        "error: .: cannot be read: Is a directory (os error 21); name a kubeconfig that you can read with --kubeconfig, or \
         give files with --from\n"
    );
    fs::write(folder.path().join("a"), "contexts: [{name: prod, context: {cluster: a}}]\n").unwrap();
    fs::write(folder.path().join("b"), "contexts: []\n").unwrap();
    assert_eq!(
        run(&["--context", "nope"], &[("KUBECONFIG", "a:b")]),
        "error: KUBECONFIG names a and b: has no context nope; name one that it has with --context: prod, or give files \
         with --from\n"
    );
    fs::write(folder.path().join("b"), "contexts: 5\n").unwrap();
    let message = run(&[], &[("KUBECONFIG", "a:b")]);
    assert!(message.starts_with("error: KUBECONFIG names b: is not a kubeconfig: line 1"), "{message}");
}

#[rstest]
#[case::no_server("{}", "{}", "kubeconfig: the cluster of the context has no server; fix that entry")]
#[case::a_server_without_a_scheme(
    "{server: '127.0.0.1:1'}",
    "{}",
    "kubeconfig: the server of the cluster is not a URL: expected https://HOST:PORT; fix that entry"
)]
#[case::another_scheme(
    "{server: 'ftp://127.0.0.1:1'}",
    "{}",
    "kubeconfig: the server of the cluster is not a URL: expected https://HOST:PORT; fix that entry"
)]
#[case::no_url(
    "{server: 'me:secret@a b'}",
    "{}",
    "kubeconfig: the server of the cluster is not a URL: expected https://HOST:PORT; fix that entry"
)]
#[case::no_authority_file(
    "{server: 'https://127.0.0.1:1', certificate-authority: /none/ca.crt}",
    "{}",
    "kubeconfig: certificate-authority /none/ca.crt cannot be read: No such file or directory (os error 2); fix that entry"
)]
#[case::an_authority_that_is_not_base64(
    "{server: 'https://127.0.0.1:1', certificate-authority-data: '!'}",
    "{}",
    "kubeconfig: certificate-authority-data is not base64; fix that entry"
)]
#[case::an_authority_without_a_certificate(
    "{server: 'https://127.0.0.1:1', certificate-authority-data: YWJj}",
    "{}",
    "kubeconfig: certificate-authority has no certificate in the PEM format; fix that entry"
)]
#[case::a_certificate_without_its_file(
    SERVER,
    "{client-certificate: /none/a.crt, client-key: /none/a.key}",
    "https://127.0.0.1:1/: client-certificate /none/a.crt cannot be read: No such file or directory (os error 2); fix the kubeconfig"
)]
#[case::a_token_without_its_file(
    SERVER,
    "{tokenFile: /none/token}",
    "https://127.0.0.1:1/: tokenFile /none/token of the kubeconfig cannot be read: No such file or directory (os error 2); fix the kubeconfig"
)]
#[case::a_plugin_that_is_not_installed(
    SERVER,
    "{exec: {apiVersion: client.authentication.k8s.io/v1, command: /none/oidc-login, interactiveMode: Never, args: [secret]}}",
    "https://127.0.0.1:1/: the credential plugin /none/oidc-login of the kubeconfig cannot be started: No such file or directory (os error 2); install it"
)]
#[case::refused(
    SERVER,
    "{}",
    "https://127.0.0.1:1/ cannot be reached: Connection refused (os error 111); check the network and the kubeconfig"
)]
fn an_entry_that_cannot_be_used_is_named_once(#[case] cluster: &str, #[case] user: &str, #[case] expected: &str) {
    let folder = folder(cluster, user);
    let message = error(&gate(folder.path(), "check", &[]));
    assert!(message.starts_with(&format!("error: {expected}")), "{message}");
    assert!(message.ends_with(", or give files with --from\n"), "{message}");
}

#[test]
fn a_user_that_the_kubeconfig_does_not_have_is_not_replaced_by_nobody() {
    let folder = folder(SERVER, "{}");
    let path = folder.path().join("kubeconfig");
    let kubeconfig = fs::read_to_string(&path).unwrap().replace("user: me}", "user: you}");
    fs::write(&path, kubeconfig).unwrap();
    for command in COMMANDS {
        let message = error(&gate(folder.path(), command, &[]));
        assert!(message.starts_with("error: kubeconfig: has no user you, which the context names; "), "{message}");
    }
}

#[rstest]
#[case::unauthorized(
    401,
    r#"{"kind": "Status", "code": 401, "message": "Unauthorized", "reason": "Unauthorized"}"#,
    " refuses to get clusterversions.config.openshift.io \"version\": Unauthorized; log in to it again, as with `oc login`"
)]
#[case::forbidden(403, r#"{"kind": "Status", "code": 403, "message": "clusterversions.config.openshift.io \"version\" is forbidden: User \"dev\" cannot get it"}"#,
    ": clusterversions.config.openshift.io \"version\" is forbidden: User \"dev\" cannot get it; use a role that may get it, such as cluster-reader, or give files with --from")]
#[case::no_openshift(
    404,
    "404 page not found\n",
    " has no ClusterVersion, so it is not an OpenShift cluster; name the context of one with --context, or give files with --from"
)]
#[case::a_login_page(
    200,
    "<html>log in</html>",
    " cannot be reached: the answer is not that of an API server: expected value at line 1 column 1; check the server in the kubeconfig, and that no proxy or login page answers instead, or give files with --from"
)]
fn what_a_server_answers_instead(#[case] code: u16, #[case] body: &'static str, #[case] expected: &str) {
    let (server, _) = listen(move |_| {
        format!("HTTP/1.1 {code} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    });
    let folder = folder(&format!("{{server: 'http://{server}'}}"), "{}");
    let message = error(&gate(folder.path(), "check", &[]));
    assert_eq!(message, format!("error: http://{server}/{expected}\n"));
}

#[test]
fn a_proxy_that_cannot_be_reached_is_not_taken_for_the_server() {
    let folder = folder("{server: 'https://cluster.invalid:6443'}", "{}");
    assert_eq!(
        error(&gate(folder.path(), "check", &[("HTTPS_PROXY", "http://127.0.0.1:1")])),
        "error: https://cluster.invalid:6443/ cannot be reached: the proxy cannot be reached: Connection refused (os error \
         111); check the proxy, which is proxy-url of the kubeconfig, else HTTPS_PROXY, or give files with --from\n"
    );
}
