//! Kinds of request: the resource, and whether it is a watch or a write.

use http::{Method, Uri};

/// A kind of request; a field without a value matches any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kind {
    /// As in `clusterversions/status`.
    resource: Option<String>,
    /// Whether it is a watch.
    watch: Option<bool>,
    /// Whether it is a write. A dry run and an access review are not.
    write: Option<bool>,
}

impl Kind {
    /// Every request.
    pub fn any() -> Self {
        Self::default()
    }

    /// Writes to this resource.
    pub fn write(resource: &str) -> Self {
        Self { resource: Some(resource.to_owned()), watch: Some(false), write: Some(true) }
    }

    /// Lists and gets of this resource.
    pub fn read(resource: &str) -> Self {
        Self { resource: Some(resource.to_owned()), watch: Some(false), write: Some(false) }
    }

    /// Watches of this resource.
    pub fn watch(resource: &str) -> Self {
        Self { resource: Some(resource.to_owned()), watch: Some(true), write: Some(false) }
    }

    /// All watches.
    pub fn watches() -> Self {
        Self { resource: None, watch: Some(true), write: Some(false) }
    }

    /// All lists and gets.
    pub fn reads() -> Self {
        Self { resource: None, watch: Some(false), write: Some(false) }
    }

    /// All writes.
    pub fn writes() -> Self {
        Self { resource: None, watch: Some(false), write: Some(true) }
    }

    /// Whether `other`, the kind of one request, matches.
    pub fn covers(&self, other: &Self) -> bool {
        fn fits<T: PartialEq>(wanted: Option<&T>, is: Option<&T>) -> bool {
            wanted.is_none() || wanted == is
        }
        fits(self.resource.as_ref(), other.resource.as_ref())
            && fits(self.watch.as_ref(), other.watch.as_ref())
            && fits(self.write.as_ref(), other.write.as_ref())
    }

    /// Whether it is a request for this resource.
    pub(super) fn is_of(&self, resource: &str) -> bool {
        self.resource.as_deref() == Some(resource)
    }

    /// The kind of a request.
    pub(super) fn of(method: &Method, uri: &Uri) -> Self {
        let parts: Vec<&str> = uri.path().trim_matches('/').split('/').collect();
        // /api/v1 or /apis/GROUP/VERSION, then perhaps namespaces/NAME, then RESOURCE, and perhaps NAME and SUBRESOURCE.
        let after_version = parts.get(if parts.first() == Some(&"api") { 2 } else { 3 }..).unwrap_or_default();
        let object = match after_version {
            ["namespaces", _, rest @ ..] if !rest.is_empty() => rest,
            all => all,
        };
        let resource = match object {
            [resource, _, subresource, ..] => format!("{resource}/{subresource}"),
            [resource, ..] => (*resource).to_owned(),
            [] => String::new(),
        };
        let has = |wanted: &str| uri.query().unwrap_or_default().split('&').any(|pair| pair == wanted);
        let writes = method != Method::GET && !has("dryRun=All") && !resource.ends_with("accessreviews");
        Self { watch: Some(has("watch=true")), write: Some(writes), resource: Some(resource) }
    }
}
