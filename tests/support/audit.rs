//! All write requests, from the API server's audit log, which unlike watches and managedFields also has the writes that
//! changed nothing and those that were rejected.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use kube::Client;
use serde_json::Value;

use super::eventually;

/// A write request.
#[derive(Clone, Debug)]
pub struct Write {
    /// The user: `system:serviceaccount:openshift-upgrade-gate:upgrade-gate` or `admin`.
    pub user: String,
    /// `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: String,
    /// As in `clusterversions/status` or `leases`.
    pub resource: String,
    /// The name of the object; empty if the API server generated it.
    pub name: String,
    /// The field manager in the request, if any.
    pub manager: Option<String>,
    /// The HTTP status of the answer.
    pub code: u64,
    /// The request body; null unless the resource is OpenShift's.
    pub request: Value,
    /// The written object, or the Status of an error; null unless the resource is OpenShift's.
    pub response: Value,
}

impl Write {
    /// Whether this is a write of the history, a JSON patch.
    pub fn is_record(&self) -> bool {
        self.request.is_array()
    }

    /// Whether this is a write of the conditions, by server-side apply.
    pub fn is_conditions(&self) -> bool {
        self.request["status"]["conditions"].is_array()
    }

    /// `None` for a read.
    fn from_event(event: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        if ["get", "list", "watch"].contains(&event["verb"].as_str()?) {
            return None;
        }
        let object = &event["objectRef"];
        let mut resource = text(object.get("resource")?);
        if let Some(subresource) = object["subresource"].as_str() {
            resource = format!("{resource}/{subresource}");
        }
        let manager = event["requestURI"]
            .as_str()
            .and_then(|uri| uri.split(['?', '&']).find_map(|part| part.strip_prefix("fieldManager=")))
            .map(str::to_owned);
        Some(Self {
            user: text(&event["user"]["username"]),
            verb: text(&event["verb"]),
            resource,
            name: text(&object["name"]),
            manager,
            code: event["responseStatus"]["code"].as_u64().unwrap_or_default(),
            request: event["requestObject"].clone(),
            response: event["responseObject"].clone(),
        })
    }
}

/// The current end of the log, for [`writes_since`].
pub async fn mark(client: &Client, log: &Path) -> u64 {
    read(client, log, None).await.1
}

/// All writes after this mark that have been answered.
pub async fn writes_since(client: &Client, log: &Path, mark: u64) -> Vec<Write> {
    read(client, log, Some(mark)).await.0
}

/// An entry may be logged after the client has the answer, so this sends a marker request and reads until its entry.
async fn read(client: &Client, log: &Path, from: Option<u64>) -> (Vec<Write>, u64) {
    let start = std::fs::metadata(log).map_or(0, |file| file.len());
    let from = from.unwrap_or(start);
    let request = http::Request::get("/version?reading-the-audit-log").body(Vec::new()).expect("a request");
    client.request_text(request).await.expect("the API server's version");
    eventually("the marker request in the audit log", async || {
        let mut text = String::new();
        let mut file = File::open(log).map_err(|error| error.to_string())?;
        file.seek(SeekFrom::Start(from)).map_err(|error| error.to_string())?;
        file.read_to_string(&mut text).map_err(|error| error.to_string())?;
        let fresh = text.get(usize::try_from(start.saturating_sub(from)).unwrap_or_default()..).unwrap_or_default();
        if !fresh.lines().any(|line| line.contains("reading-the-audit-log") && line.ends_with('}')) {
            return Err(format!("{} bytes without it", text.len()));
        }
        let events = text.lines().filter_map(|line| serde_json::from_str(line).ok());
        let writes = events.filter_map(|event: Value| Write::from_event(&event)).collect();
        Ok((writes, from + text.rfind('\n').map_or(0, |end| end as u64 + 1)))
    })
    .await
}
