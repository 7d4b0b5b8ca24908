//! The API server that all tests of one binary share, and the two identities that use it: the administrator and the
//! operator's ServiceAccount.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// The operator's namespace.
pub const NAMESPACE: &str = "openshift-upgrade-gate";
/// The operator's ServiceAccount, Deployment and Lease.
pub const NAME: &str = "upgrade-gate";

/// A running kube-apiserver with OpenShift's CRDs and `deploy/base` in it.
pub struct ControlPlane {
    dir: PathBuf,
    kubectl: PathBuf,
    // The control plane runs until its stdin is closed, so it ends together with this process, even if that is killed.
    _process: Child,
}

static CONTROL_PLANE: OnceLock<Result<ControlPlane, String>> = OnceLock::new();

impl ControlPlane {
    /// This test binary's control plane, started by the first caller.
    pub fn get() -> &'static Self {
        match CONTROL_PLANE.get_or_init(Self::start) {
            Ok(control_plane) => control_plane,
            Err(reason) => panic!("no control plane: {reason}"),
        }
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.join("admin.kubeconfig")
    }

    /// A kubeconfig with a token of the operator's ServiceAccount, and nothing wider.
    pub fn operator_kubeconfig(&self) -> PathBuf {
        self.dir.join("operator.kubeconfig")
    }

    /// The audit log: all write requests, see [`super::Cluster::writes`], and the operator's reads.
    pub fn audit_log(&self) -> PathBuf {
        audit_log(&self.dir)
    }

    /// A client of the administrator. A client belongs to the runtime of its test, so each test creates its own.
    pub async fn client(&self) -> Client {
        client_of(&self.kubeconfig()).await
    }

    /// A client with the permissions of the operator.
    pub async fn operator_client(&self) -> Client {
        client_of(&self.operator_kubeconfig()).await
    }

    /// Runs kubectl as the administrator and returns its stdout.
    ///
    /// # Panics
    ///
    /// If kubectl fails, with its output.
    pub fn kubectl<S: AsRef<str>>(&self, args: &[S]) -> String {
        self.try_kubectl(args).unwrap_or_else(|why| panic!("{why}"))
    }

    /// Runs kubectl as the administrator, and returns its stdout, or its stderr as the error.
    pub fn try_kubectl<S: AsRef<str>>(&self, args: &[S]) -> Result<String, String> {
        let args: Vec<&str> = args.iter().map(AsRef::as_ref).collect();
        let output = self.kubectl_command().args(&args).output();
        let output = output.map_err(|error| format!("kubectl doesn't run: {error}"))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(format!("kubectl {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
    }

    /// A kubectl command as the administrator, for callers that need its exit code or stderr.
    pub fn kubectl_command(&self) -> Command {
        let mut command = Command::new(&self.kubectl);
        command.arg("--kubeconfig").arg(self.kubeconfig()).stdin(Stdio::null());
        command
    }

    /// Applies an object as the administrator, server-side and by force. Blocking, so that it also works while a panic
    /// unwinds.
    ///
    /// # Panics
    ///
    /// If kubectl fails.
    pub fn apply_object(&self, object: &serde_json::Value) {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), object.to_string()).expect("write a manifest");
        let path = file.path().to_string_lossy().into_owned();
        self.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", &path]);
    }

    /// Starts another control plane, for a test that deletes what other tests need. It ends when dropped.
    ///
    /// # Errors
    ///
    /// What went wrong.
    pub fn start() -> Result<Self, String> {
        let control_plane = Self::bare()?;
        control_plane.install()?;
        Ok(control_plane)
    }

    /// [`Self::start`] without OpenShift's CRDs and `deploy/base`.
    ///
    /// # Errors
    ///
    /// What went wrong.
    pub fn bare() -> Result<Self, String> {
        let kubectl = PathBuf::from(provide(&[])?).join("kubectl");
        let dir = tempfile::Builder::new()
            .prefix("upgrade-gate-")
            .tempdir()
            .map_err(|error| format!("no temporary folder: {error}"))?
            .keep(); // hack/controlplane/start removes it; no destructor runs when a test binary ends
        let mut process = Command::new(hack("start"))
            .arg(&dir)
            .arg(format!("--audit-policy-file={}", repository("tests/support/audit-policy.yaml").display()))
            .arg(format!("--audit-log-path={}", audit_log(&dir).display()))
            .arg("--audit-log-maxsize=10000") // never rotated: readers keep an offset into it
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("hack/controlplane/start doesn't run: {error}"))?;
        let mut first_line = String::new();
        if let Some(stdout) = process.stdout.take() {
            BufReader::new(stdout).read_line(&mut first_line).map_err(|error| error.to_string())?;
        }
        if first_line.is_empty() {
            return Err("hack/controlplane/start ended, see its output".to_owned());
        }
        Ok(Self { dir, kubectl, _process: process })
    }

    fn install(&self) -> Result<(), String> {
        let crds = PathBuf::from(provide(&["crds"])?);
        let openshifts = |name: &str| crds.join(format!("0000_00_cluster-version-operator_01_{name}.crd.yaml"));
        if std::env::var("UPGRADE_GATE_CRDS").is_ok_and(|whose| whose == "ours") {
            self.apply("-k", &repository("crds/clusterversion"))?;
        } else {
            self.apply("-f", &openshifts("clusterversions-Default"))?;
        }
        self.apply("-f", &openshifts("clusteroperators"))?;
        self.try_kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"])?;

        // Namespaces of OpenShift for which deploy/base has Roles.
        for namespace in ["openshift-config", "openshift-config-managed", "openshift-cluster-version"] {
            self.try_kubectl(&["create", "namespace", namespace])?;
        }
        self.apply("-k", &repository("deploy/base"))?;
        self.try_kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"])?;
        self.write_operator_kubeconfig()
    }

    pub(super) fn apply(&self, how: &str, what: &Path) -> Result<(), String> {
        self.try_kubectl(&["apply", "--server-side", how, &what.to_string_lossy()]).map(drop)
    }

    fn write_operator_kubeconfig(&self) -> Result<(), String> {
        self.write_kubeconfig_of(NAME, NAMESPACE, &self.operator_kubeconfig())
    }

    /// Writes a kubeconfig with a token of this ServiceAccount to `path`.
    pub fn write_kubeconfig_of(&self, account: &str, namespace: &str, path: &Path) -> Result<(), String> {
        let token = self.try_kubectl(&["create", "token", account, "--namespace", namespace, "--duration=24h"])?;
        let admin = std::fs::read_to_string(self.kubeconfig()).map_err(|error| error.to_string())?;
        let kubeconfig: String = admin
            .lines()
            .map(|line| match line.split_once("token: ") {
                Some((indent, _)) => format!("{indent}token: {}\n", token.trim()),
                None => format!("{line}\n"),
            })
            .collect();
        std::fs::write(path, kubeconfig).map_err(|error| error.to_string())
    }
}

/// A path inside the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The audit log: in the control plane's folder, which is deleted with it, or in the folder that hack/test-controlplane
/// names for a comparison over all control planes.
fn audit_log(dir: &Path) -> PathBuf {
    match (std::env::var_os("UPGRADE_GATE_AUDIT"), dir.file_name()) {
        (Some(folder), Some(name)) => Path::new(&folder).join(name).with_extension("log"),
        _ => dir.join("audit.log"),
    }
}

fn hack(script: &str) -> PathBuf {
    repository("hack/controlplane").join(script)
}

/// Runs `hack/controlplane/provide`, and returns the folder that it prints.
pub fn provide(args: &[&str]) -> Result<String, String> {
    let output = Command::new(hack("provide"))
        .args(args)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("hack/controlplane/provide doesn't run: {error}"))?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    match stdout.lines().last() {
        Some(folder) if output.status.success() => Ok(folder.to_owned()),
        _ => Err("hack/controlplane/provide failed, see its output".to_owned()),
    }
}

async fn client_of(kubeconfig: &Path) -> Client {
    let file = Kubeconfig::read_from(kubeconfig).expect("a readable kubeconfig");
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.expect("a sound kubeconfig");
    Client::try_from(config).expect("a client")
}
