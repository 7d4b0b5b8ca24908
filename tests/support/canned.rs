//! A minimal API server with fixed answers, for tests of the commands that read a cluster.
#![allow(clippy::unwrap_used, clippy::panic, reason = "that is how a test fails")]
#![allow(dead_code, reason = "a toolbox: not every helper has a user in every test")]

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Command, Output},
    sync::{Arc, Mutex},
    thread,
};

use serde_json::{Value, json};

pub const CLUSTER_VERSION: &str = "/apis/config.openshift.io/v1/clusterversions/version";
pub const CLUSTER_OPERATORS: &str = "/apis/config.openshift.io/v1/clusteroperators";
pub const ADMIN_GATES: &str = "/api/v1/namespaces/openshift-config-managed/configmaps/admin-gates";
pub const ADMIN_ACKS: &str = "/api/v1/namespaces/openshift-config/configmaps/admin-acks";
pub const CVO_LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/openshift-cluster-version/leases/version";
pub const OWN_LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/openshift-upgrade-gate/leases/upgrade-gate";
pub const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/openshift-upgrade-gate/deployments/upgrade-gate";
pub const POLICY: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/upgrade-gate";
pub const BINDING: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/upgrade-gate";
pub const RECORDS: &str = "/apis/upgrade-gate.openshift.io/v1alpha1/updaterecords";

/// An API server with these answers. Any other request gets a 404.
pub struct Cluster {
    pub folder: tempfile::TempDir,
    pub requests: Arc<Mutex<Vec<String>>>,
}

impl Cluster {
    pub fn serving(answers: impl IntoIterator<Item = (&'static str, (u16, Value))>) -> Self {
        let answers: BTreeMap<&str, (u16, Value)> = answers.into_iter().collect();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let address = listener.local_addr().unwrap();
        fs::write(folder.path().join("kubeconfig"), kubeconfig(&format!("http://{address}"))).unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        // The thread ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answers, seen) = (answers.clone(), Arc::clone(&seen));
                thread::spawn(move || serve(stream, &answers, &seen));
            }
        });
        Self { folder, requests }
    }

    /// The URL of the server.
    pub fn server(&self) -> String {
        let kubeconfig = fs::read_to_string(self.folder.path().join("kubeconfig")).unwrap();
        kubeconfig.split('"').nth(1).unwrap().to_owned()
    }

    pub fn check(&self, arguments: &[&str]) -> Output {
        let format: &[&str] = if arguments.contains(&"-o") { &[] } else { &["-o", "json"] };
        check(self.folder.path(), &[&["--kubeconfig", "kubeconfig"], format, arguments].concat())
    }
}

pub fn kubeconfig(server: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: here\nclusters:\n- name: one\n  cluster: {{server: \"{server}\"}}\n\
         contexts:\n- name: here\n  context: {{cluster: one, user: me}}\nusers:\n- name: me\n  user: {{token: secret}}\n"
    )
}

/// Answers the requests of one connection.
pub fn serve(stream: TcpStream, answers: &BTreeMap<&str, (u16, Value)>, seen: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    let mut request = String::new();
    while reader.read_line(&mut request).is_ok_and(|length| length > 0) {
        let mut header = String::new();
        while reader.read_line(&mut header).is_ok_and(|length| length > 2) {
            header.clear();
        }
        let words: Vec<&str> = request.split(' ').collect();
        seen.lock().unwrap().push(format!("{} {}", words[0], words[1]));
        let (code, body) = answers.get(words[1]).cloned().unwrap_or_else(|| absent(words[1]));
        let body = body.to_string();
        let head =
            format!("HTTP/1.1 {code} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
        writer.write_all(head.as_bytes()).and_then(|()| writer.write_all(body.as_bytes())).unwrap();
        request.clear();
    }
}

/// The answer to a request for an object that does not exist, which names the object.
fn absent(path: &str) -> (u16, Value) {
    let (code, mut body) = refusal(404, "NotFound", "not found");
    body["details"] = json!({"name": path.rsplit('/').next()});
    (code, body)
}

pub fn refusal(code: u16, reason: &str, message: &str) -> (u16, Value) {
    (
        code,
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": reason, "code": code}),
    )
}

pub fn check(folder: &Path, arguments: &[&str]) -> Output {
    run(folder, &[&["check"], arguments].concat())
}

pub fn run(folder: &Path, arguments: &[&str]) -> Output {
    run_with(folder, arguments, &[])
}

pub fn run_with(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_upgrade-gate"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

pub fn answer(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

pub fn error(output: &Output) -> String {
    let message = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(2), &b""[..]), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    assert!(!message.contains("secret"), "{message}");
    message
}

pub fn cluster_version() -> (u16, Value) {
    (
        200,
        json!({"apiVersion": "config.openshift.io/v1", "kind": "ClusterVersion", "metadata": {"name": "version"},
               "spec": {"channel": "stable-4.21", "desiredUpdate": {"version": "4.22.0"}},
               "status": {"desired": {"version": "4.21.1", "image": "current"}, "observedGeneration": 1, "versionHash": "",
                          "availableUpdates": null, "history": [], "conditions": []}}),
    )
}

pub fn config_map(data: &Value) -> (u16, Value) {
    (200, json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}, "data": data}))
}

pub fn lease(holder: &str) -> (u16, Value) {
    let spec =
        json!({"holderIdentity": holder, "renewTime": "2999-01-01T00:00:00.000000Z", "leaseDurationSeconds": 15});
    (200, json!({"metadata": {}, "spec": spec}))
}
