//! Commands to copy into a shell: complete, for this cluster, and safe with any content of the cluster's objects.

pub mod risk;
pub mod update;

use crate::client::ClusterArgs;

/// How the person who reads the answer calls the programs: by which name, and for which cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    program: String,
    /// Flags that name the cluster, quoted, each with a blank before it.
    cluster: String,
}

impl Caller {
    /// `program` is what a person types for this one. Files name no cluster, so their commands are for whatever cluster
    /// `oc` talks to.
    #[must_use]
    pub fn new(program: &str, cluster: Option<&ClusterArgs>) -> Self {
        let kubeconfig = cluster.and_then(|cluster| cluster.kubeconfig.as_ref()).map(|path| path.to_string_lossy());
        let context = cluster.and_then(|cluster| cluster.context.as_deref());
        let flags = [("--kubeconfig", kubeconfig.as_deref()), ("--context", context)];
        let given =
            flags.into_iter().filter_map(|(flag, value)| Some((flag, value.filter(|value| !value.is_empty())?)));
        let cluster =
            given.flat_map(|(flag, value)| [" ".to_owned(), flag.to_owned(), " ".to_owned(), quote(value)]).collect();
        Self { program: program.to_owned(), cluster }
    }

    /// A command of `oc`; its words are already quoted.
    #[must_use]
    pub fn oc(&self, words: &str) -> String {
        format!("oc {words}{}", self.cluster)
    }

    /// A command of this program; its words are already quoted.
    #[must_use]
    pub fn upgrade_gate(&self, words: &str) -> String {
        format!("{} {words}{}", self.program, self.cluster)
    }
}

/// A text as one word of a shell's command line.
#[must_use]
pub fn quote(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/@+-,=%".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::plain("admin-acks", "admin-acks")]
    #[case::a_context("default/api-prod:6443/kube:admin", "default/api-prod:6443/kube:admin")]
    #[case::empty("", "''")]
    #[case::blanks("a b", "'a b'")]
    #[case::a_quote("it's", r"'it'\''s'")]
    #[case::substitution("$(reboot)`reboot`", "'$(reboot)`reboot`'")]
    #[case::glob("a*[b]", "'a*[b]'")]
    #[case::home("~/config", "'~/config'")]
    #[case::history("a!b", "'a!b'")]
    #[case::line_break("a\nb", "'a\nb'")]
    fn a_word_means_itself_in_a_shell(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(quote(text), expected);
    }

    #[test]
    fn a_command_is_for_the_cluster_that_was_read() {
        let cluster = |kubeconfig: Option<&str>, context: Option<&str>| ClusterArgs {
            kubeconfig: kubeconfig.map(Into::into),
            context: context.map(Into::into),
        };
        let of = |cluster: &ClusterArgs| Caller::new("oc upgrade-gate", Some(cluster));
        let both = of(&cluster(Some("my config"), Some("prod")));
        assert_eq!(both.oc("adm upgrade"), "oc adm upgrade --kubeconfig 'my config' --context prod");
        assert_eq!(
            both.upgrade_gate("update --to 4.21.2"),
            "oc upgrade-gate update --to 4.21.2 --kubeconfig 'my config' --context prod"
        );
        assert_eq!(of(&cluster(Some(""), None)).oc("adm upgrade"), "oc adm upgrade");
        assert_eq!(Caller::new("upgrade-gate", None).upgrade_gate("check"), "upgrade-gate check");
    }
}
